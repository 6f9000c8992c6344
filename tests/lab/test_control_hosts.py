"""Two control hosts with one etcd between them: what one began, the other can see, resume and take back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.retry import poll_until
from lab.etcd.cluster import Cluster, require_etcd
from lab.migration import DIRECTORS, forwarding, world
from lab.running import REPOSITORY, RUN_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

STATIC, MAPS = "10.99.0.3:8081", "10.99.0.2:8080"
LEASE_S = 8


@pytest.fixture
def shared(lab: RunningLab, tmp_path: Path) -> Iterator[Path]:
    """The lab's configuration with its state in etcd, whose members are on this machine's loopback."""
    require_etcd()
    with Cluster(tmp_path) as cluster:
        here = lab.folder / "shared.toml"
        text = (lab.folder / "ferryman.toml").read_text()
        state = next(line for line in text.splitlines() if line.startswith("state"))
        text = text.replace(state, f'state = "etcd://{",".join(cluster.endpoints)}/ferryman"')
        here.write_text(f"{text}\n[etcd]\nlease = {LEASE_S}\n")
        yield here
        here.unlink()


def begun_on(host: str, config: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command on a control host of its own name and boot: what tells one machine from another."""
    boot = config.with_name(f"{host}.boot")
    boot.write_text(f"{host}\n")
    script = f'hostname {host}; mount --bind {boot} /proc/sys/kernel/random/boot_id; exec "$@"'
    command = [
        *("unshare", "--uts", "--mount", "sh", "-ec", script, "sh"),
        *(sys.executable, "-m", "ferryman", "--config", str(config), "--output", "json", *arguments),
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def on(host: str, config: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """What became of a command on a control host: its status, its lines, and what it said to people."""
    with begun_on(host, config, *arguments) as running:
        out, stderr = running.communicate(timeout=RUN_S)
    return running.returncode, [json.loads(line) for line in out.splitlines()], stderr


def killed_on(host: str, config: Path, *arguments: str) -> str:
    """Begin a run there, and kill it with -9 when it comes to the primary director; its id."""
    with begun_on(host, config, *arguments) as running:
        assert running.stdout
        for line in running.stdout:
            event = json.loads(line)
            if event["event"] == "step-started" and event["phase"] == "do" and "primary" in event["title"]:
                running.send_signal(signal.SIGKILL)
                return str(event["run"])
        stderr = running.stderr.read() if running.stderr else ""
    raise AssertionError(f"the run ended before it came to the primary director: {stderr}")


def migrate(service: str) -> Sequence[str]:
    return ("migrate", service, "--site", "lab", "--yes")


def test_a_run_begun_on_one_control_host_is_taken_back_from_another(lab: RunningLab, shared: Path) -> None:
    before = world(lab)
    run = killed_on("control1", shared, *migrate("static"))
    assert forwarding(lab, "lvs2", STATIC) == {"-i"}

    busy, refused, _ = on("control2", shared, *migrate("static"))
    assert busy == 6
    assert f"run {run} " in refused[-1]["reason"]
    assert "control1" in refused[-1]["reason"]
    _, listed, _ = on("control2", shared, "runs")
    assert {"run": run, "outcome": "open"}.items() <= next(
        entry for entry in listed if entry["run"] == run
    ).items()

    def taken_back() -> int:
        return on("control2", shared, "rollback", run)[0]

    # Its process is known to be dead only once its lease has ended: there is no kernel to ask from here.
    assert poll_until(taken_back, lambda status: status != 6, within_s=4 * LEASE_S) == 0
    assert world(lab) == before
    _, records, _ = on("control1", shared, "show", run)
    resumed = next(record["payload"] for record in records if record["kind"] == "taken-up")
    assert (resumed["way"], resumed["host"]) == ("back", "control2")


def test_services_that_share_directors_are_migrated_side_by_side_and_both_end_right(
    lab: RunningLab, shared: Path
) -> None:
    before = world(lab)
    both = [begun_on(f"control{n}", shared, *migrate(name)) for n, name in ((1, "static"), (2, "maps"))]
    outputs = [running.communicate(timeout=RUN_S) for running in both]
    assert [running.returncode for running in both] == [0, 0], outputs
    assert [forwarding(lab, director, vip) for director in DIRECTORS for vip in (STATIC, MAPS)] == [
        {"-i"}
    ] * 4
    assert sum("waiting for another run" in stderr for _, stderr in outputs) == 1

    for out, _ in outputs:
        run = json.loads(out.splitlines()[0])["run"]
        assert on("control1", shared, "rollback", run)[0] == 0
    assert poll_until(lambda: world(lab), lambda now: now == before, within_s=60) == before
