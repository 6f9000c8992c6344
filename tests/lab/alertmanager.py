"""A real Alertmanager on loopback, which tells nobody but the test of its alerts."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener

from ferryman.retry import poll_until
from tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "prometheus-alertmanager"
WITHIN_S = 30.0
_CONFIGURATION = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
_LISTENS = re.compile(r'msg="?Listening on"? address=(127\.0\.0\.1:\d+)')


@dataclass(frozen=True)
class RealAlertmanager:
    """An Alertmanager that runs, asked over its HTTP interface."""

    url: str

    def ask(self, method: str, below: str, body: object = None) -> Any:  # noqa: ANN401  # whatever JSON holds
        """Its answer, asked without any code of the package."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(
            f"{self.url}/api/v2/{below}", data, {"Content-Type": "application/json"}, method=method
        )
        with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def fire(self, **labels: str) -> None:
        """Raise an alert that has these labels."""
        self.ask("POST", "alerts", [{"labels": labels}])

    def silences(self) -> list[dict[str, Any]]:
        """The silences that have not ended."""
        found: list[dict[str, Any]] = self.ask("GET", "silences")
        return [silence for silence in found if silence["status"]["state"] != "expired"]

    def states(self) -> dict[str, str]:
        """Each alert's name and whether it is ``active`` or ``suppressed``."""
        return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in self.ask("GET", "alerts")}


@contextmanager
def running(folder: Path) -> Iterator[RealAlertmanager]:
    """One without peers, on a port of its own; it dies with the tests, whatever ends them."""
    require_tool(PROGRAM, package="prometheus-alertmanager")
    (folder / "alertmanager.yml").write_text(_CONFIGURATION)
    command = [
        *("setpriv", "--pdeathsig", "KILL", PROGRAM),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/data",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        listens = poll_until(lambda: _LISTENS.search(log.read_text()), bool, within_s=WITHIN_S, every_s=0.05)
        assert listens, log.read_text()
        yield RealAlertmanager(f"http://{listens[1]}")
    finally:
        process.terminate()
        process.wait()
