"""Other processes of ferryman that come and go while a run is under way, as people do who want to know."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from subprocess import CompletedProcess
    from types import TracebackType

    from lab.running import RunningLab

Visit = Literal["runs", "show", "check", "migrate"]
ALL: tuple[Visit, ...] = get_args(Visit)
REASON = "a visitor"
"""What their own runs have in the journal, and a run of the test's never."""
ENDS: Mapping[Visit, frozenset[int]] = {
    "runs": frozenset([0]),
    "show": frozenset([0]),
    "check": frozenset([0, 3]),
    "migrate": frozenset([3, 6]),
}
"""The exit codes that each may end with, whatever it comes upon."""
HARMLESS = "visitors.toml"


@dataclass(frozen=True, slots=True)
class Guests:
    """Who visits: each comes and goes as long as it lasts, one kind of visit after the other."""

    at_once: int = 1
    kinds: tuple[Visit, ...] = ALL
    every_s: float = 0.5
    """Seconds between two visits of one visitor."""


@dataclass
class Visitors:
    """Visitors of a service's runs, for as long as the ``with`` lasts; then all of them have gone."""

    lab: RunningLab
    service: str
    guests: Guests
    visits: Counter[str] = field(default_factory=Counter)
    """How many there were, by kind and exit code."""
    wrong: list[str] = field(default_factory=list)
    """What one of them was told that nobody may be told."""

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._mind = threading.Lock()
        _make_harmless(self.lab)
        self._threads = [
            threading.Thread(target=self._come_and_go, args=(number,))
            for number in range(self.guests.at_once)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _come_and_go(self, first: int) -> None:
        kinds = self.guests.kinds
        turns = cycle([*kinds[first % len(kinds) :], *kinds[: first % len(kinds)]])
        while not self._over.is_set():
            try:
                self._visit(next(turns))
            except Exception as error:  # noqa: BLE001  # a thread's; whoever waits for it is told
                self.wrong.append(f"a visitor: {error!r}")
            self._over.wait(self.guests.every_s)

    def _visit(self, kind: Visit) -> None:
        match kind:
            case "runs":
                self._newest()
            case "show":
                self._shown()
            case "check":
                self._ask("check", "check", self.service, "--site", "lab", "--reason", REASON)
            case "migrate":
                self._stand_in_line()

    def _newest(self) -> Mapping[str, Any] | None:
        """The newest run of the service that is no visitor's, as ``runs`` has it."""
        of_service = f"service={self.service}"
        rows = [line for line in _lines(self._ask("runs", "runs")) if of_service in line["arguments"].split()]
        return next((row for row in rows if row["reason"] != REASON), None)

    def _shown(self) -> bool:
        """Look at the newest run; whether it has come to its first change, and has not ended."""
        newest = self._newest()
        if newest is None:
            return False
        records = _lines(self._ask("show", "show", newest["run"]))
        is_open = newest["outcome"] in ("open", "held", "stranded")
        return is_open and any(record["kind"] == "intent" for record in records)

    def _stand_in_line(self) -> None:
        """Want to migrate what is being migrated; not when nobody is, for then it would begin."""
        if self._shown():
            more = ("--site", "lab", "--yes", "--reason", REASON)
            self._ask("migrate", "migrate", self.service, *more, config=HARMLESS)

    def _ask(self, kind: Visit, *arguments: str, config: str = "ferryman.toml") -> CompletedProcess[str]:
        done = self.lab.ferryman("--output", "json", *arguments, config=config)
        damaged = re.search(r"malformed|\"sound\": ?false", done.stdout + done.stderr)
        with self._mind:
            self.visits[f"{kind}: {done.returncode}"] += 1
            if done.returncode not in ENDS[kind] or damaged or "Traceback" in done.stderr:
                output = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
                self.wrong.append(f"a visitor's {kind} ended {done.returncode}: {output}")
        return done


def _lines(done: CompletedProcess[str]) -> Sequence[Mapping[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def _make_harmless(lab: RunningLab) -> None:
    """Write a configuration with which a run that is not busy after all is refused before any change."""
    inventory = lab.folder / "visitors"
    if not inventory.exists():
        shutil.copytree(lab.folder / "inventory", inventory)
        hosts = inventory / "hosts.yaml"
        hosts.write_text(hosts.read_text().replace("web1: { ", "web1: { port: 9, "))
    text = (lab.folder / "ferryman.toml").read_text()
    own = text.replace('\ninventory = "inventory"', '\ninventory = "visitors"')
    assert own != text
    (lab.folder / HARMLESS).write_text(own)
