"""Recorded runs again on lab hosts: the recorded state is put in, and the cookbook runs there for real."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from ferryman import lab as the_lab
from ferryman.lab import LabPaths
from ferryman.tape.file import Entry, read, write
from lab.conftest import own_folder, require_lab
from lab.running import REPOSITORY, RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

TAPES = REPOSITORY / "tests" / "tapes"
RUN_S = 280.0
"""For each tape: the boot of a lab and a run on a machine that others use too."""


@pytest.fixture
def there() -> Iterator[RunningLab]:
    """A folder with a configuration; the labs that replays make below it are taken down."""
    require_lab()
    with own_folder() as folder:
        yield RunningLab(folder)
        the_lab.down(place(folder))


def place(folder: Path) -> LabPaths:
    return LabPaths.of(folder / ".ferryman" / "lab-replay")


def other_rp_filter(name: str, host: str, was: int, now: int, to: Path) -> Path:
    """Write a tape whose facts of a host have another rp_filter on ipip0 than was recorded."""
    recorded = read(TAPES / f"{name}.tape")
    setting = "/proc/sys/net/ipv4/conf/ipip0/rp_filter:"

    def edited(entry: Entry) -> Entry:
        if (entry.data.get("verb"), entry.data.get("host")) != ("facts", host):
            return entry
        printed = entry.data["value"]["$printed"]
        assert f"{setting}{was}\n" in printed["stdout"]
        text = printed["stdout"].replace(f"{setting}{was}\n", f"{setting}{now}\n")
        return replace(entry, data={**entry.data, "value": {"$printed": {**printed, "stdout": text}}})

    write(to, recorded.header, [edited(entry) for entry in recorded.entries])
    return to


def test_a_tape_of_a_refused_run_is_refused_again_for_the_same_host_and_check(there: RunningLab) -> None:
    tape = TAPES / "refused-rp-filter.tape"
    done = there.ferryman("replay", "--lab", "--keep", str(tape), timeout_s=RUN_S)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "put in: web2: rp_filter of ipip0 was 1" in lines
    assert any(line.startswith("not imitated: realservers: the lab's web server") for line in lines)
    assert f"equal     {tape}" in lines
    inside = RunningLab(there.folder / ".ferryman" / "lab-replay")
    assert inside.console("web2", "cat /proc/sys/net/ipv4/conf/ipip0/rp_filter") == "1\n"
    assert inside.console("web1", "cat /proc/sys/net/ipv4/conf/ipip0/rp_filter") == "0\n"


def test_a_suite_has_a_lab_for_each_tape_and_leaves_none(there: RunningLab, tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "a-done.tape").write_bytes((TAPES / "done-ipvsadm.tape").read_bytes())
    other_rp_filter("refused-rp-filter", "web2", 1, 0, suite / "b-sound.tape")
    (suite / "c-unreachable.tape").write_bytes((TAPES / "refused-unreachable.tape").read_bytes())
    report = tmp_path / "out.xml"
    done = there.ferryman(
        "--output", "json", "replay", "--lab", str(suite), "--junit", str(report), timeout_s=3 * RUN_S
    )
    assert done.returncode == 8, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    results = [line for line in told if "result" in line]
    assert [line["result"] for line in results] == ["equal", "different", "equal"], results
    assert "web2 rp-filter: pass, and was fail" in results[1]["difference"]
    assert {"tape": str(suite / "c-unreachable.tape"), "put_in": "web2: takes no SSH connections"} in told
    (cases,) = ET.parse(report).getroot()  # our own file
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], []]
    assert not place(there.folder).root.exists()
    assert not (there.folder / ".ferryman" / "lab-replay").exists()


def test_a_sound_tape_that_is_edited_to_have_a_fault_is_different(there: RunningLab, tmp_path: Path) -> None:
    tape = other_rp_filter("done-ipvsadm", "web3", 0, 1, tmp_path / "edited.tape")
    done = there.ferryman("replay", "--lab", str(tape), timeout_s=RUN_S)
    assert done.returncode == 8, done.stdout + done.stderr
    assert "web3 rp-filter: fail, and was pass" in done.stdout


def test_a_missing_vip_a_tunnel_that_is_down_and_a_rule_are_put_in(there: RunningLab) -> None:
    tapes = [TAPES / f"refused-{name}.tape" for name in ("vip", "tunnel-device", "clamp", "director-differs")]
    done = there.ferryman("replay", "--lab", *map(str, tapes), timeout_s=len(tapes) * RUN_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "put in: web1: ipip0: ipip, down, external, 127.0.0.42/32" in done.stdout
    assert "put in: web2: other firewall rules of IPv4" in done.stdout
    assert "put in: lvs2: another IPVS table" in done.stdout
