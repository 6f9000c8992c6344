"""A few kills of real runs, where they hurt most; and what others do to the world in the middle of a run."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman.catalog.file import Catalog
from ferryman.lab import exec_argv
from ferryman.tape import file as tape
from lab.migration import DIRECTORS, catalog, forwarding
from lab.quick import configure
from lab.running import REPOSITORY
from lab.torture.cutter import Cut
from lab.torture.torture_lab import TortureLab, hasten
from lab.torture.trial_runner import make
from lab.torture.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.running import RunningLab
    from lab.torture.cutter import Fault, When
    from lab.torture.trials import StartState, Way

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

STATIC = "-a -t 10.99.0.3:8081 "
IN_THE_TUNNEL = re.compile(r" -g (-w \d+)").sub
BY_HAND = "# somebody's own line"
PLAN = tape.read(REPOSITORY / "tests" / "tapes" / "done-ipvsadm.tape").header.plan
LVS2_STEP, LVS1_STEP = (
    number for number, step in enumerate(PLAN) if step.title.endswith(", forwards static through the tunnel")
)


def at_flip(director: str, when: When = "before", fault: Fault = "kill", meddle: tuple[str, ...] = ()) -> Cut:
    """At the write that edits a director's destinations, whichever way."""
    return Cut(kind="write", text="edit-table", host=director, when=when, fault=fault, meddle=meddle)


@pytest.fixture
def torture_lab(lab: RunningLab, old_world: dict[str, str]) -> TortureLab:
    """The session's lab for torture; a test leaves it as it was."""
    hasten(lab.folder)
    made = TortureLab(lab)
    made.old, made.files = old_world, made.left_files()
    made.new["static"] = migrated(lab, made.old)
    return made


def migrated(lab: RunningLab, old: dict[str, str]) -> dict[str, str]:
    """What the world is once static is migrated: its destinations tunnelled, its flag in the catalog."""
    flip = Catalog(catalog(lab)).flipped("static", "lab", "ipip")
    tables = {host: tunnelled(old[host]) for host in DIRECTORS}
    return old | tables | {"catalog": hashlib.sha256(flip.after).hexdigest()}


def tunnelled(table: str) -> str:
    lines = table.splitlines(keepends=True)
    return "".join(
        IN_THE_TUNNEL(r" -i \1 --tun-type ipip", line) if line.startswith(STATIC) else line for line in lines
    )


def require_sound(
    torture_lab: TortureLab,
    *cuts: Cut,
    ways: tuple[Way, ...],
    start: StartState = "old",
    service: str = "static",
) -> None:
    """Every cut falls, and the run ends all new or all old, as it says."""
    outcome = make(torture_lab, Trial("test", service, start, cuts, ways))
    assert outcome.wrong == []
    assert outcome.struck == len(cuts)
    assert outcome.end == ("all-new" if ways[-1] == "resume" else "all-old")


def test_a_run_killed_around_an_intent_can_be_put_back(torture_lab: TortureLab) -> None:
    require_sound(
        torture_lab,
        Cut(kind="commit", text=f"intent {LVS2_STEP}", when="before"),
        Cut(kind="commit", text=f"intent {LVS2_STEP}", when="after"),
        Cut(kind="catalog-write", when="after"),
        ways=("resume", "rollback"),
    )


def test_a_rollback_killed_around_every_write_still_leads_back(torture_lab: TortureLab) -> None:
    require_sound(
        torture_lab,
        at_flip("lvs2", "after"),
        at_flip("lvs2", "before"),
        at_flip("lvs2", "after"),
        Cut(kind="catalog-write", when="before"),
        ways=("rollback",),
    )


def test_a_run_killed_around_the_primary_goes_on_and_comes_back_though_that_is_killed(
    torture_lab: TortureLab,
) -> None:
    require_sound(
        torture_lab,
        at_flip("lvs1", "before"),
        at_flip("lvs1", "after"),
        ways=("resume",),
    )
    require_sound(
        torture_lab,
        at_flip("lvs1", "after"),
        Cut(kind="commit", text=f"undone {LVS1_STEP}", when="before"),
        ways=("rollback",),
        start="new",
    )


def test_a_run_killed_while_keepalived_reloads_can_be_put_back(torture_lab: TortureLab) -> None:
    require_sound(
        torture_lab,
        Cut(kind="write", host="lvs2", text="kill -HUP", when="after"),
        ways=("rollback",),
        service="maps",
    )


def test_a_run_told_to_end_goes_back_by_itself(torture_lab: TortureLab) -> None:
    ended = torture_lab.migrate("static", at_flip("lvs2", "after", "term"))
    assert ended.status == 130, ended.stderr
    assert "as before, verified" in ended.stderr
    assert torture_lab.locks() == []
    torture_lab.take_kept_routes_away([ended])
    assert torture_lab.difference(torture_lab.old) == []


def test_a_catalog_that_somebody_edits_meanwhile_is_not_overwritten(torture_lab: TortureLab) -> None:
    path = catalog(torture_lab.lab)
    before = path.read_text()
    edit = ("/bin/sh", "-c", f'echo "{BY_HAND}" >>"{path}"')
    ended = torture_lab.migrate("static", Cut(kind="catalog-write", fault="meddle", meddle=edit))
    assert ended.status == 4, ended.stderr
    assert "someone else changed it" in ended.stderr
    assert BY_HAND in ended.stderr, "it shows what they changed"
    assert path.read_text() == f"{before}{BY_HAND}\n"
    assert torture_lab.locks() == []
    path.write_text(before)


def weighted(torture_lab: TortureLab, director: str, weight: int, method: str) -> tuple[str, ...]:
    """The command with which somebody gives one destination of static another weight."""
    edit = ["ipvsadm", "-e", "-t", "10.99.0.3:8081", "-r", "10.10.0.22:8081", method, "-w", str(weight)]
    return tuple(exec_argv(torture_lab.lab.place, director, edit))


def weights(torture_lab: TortureLab, director: str) -> list[str]:
    table = torture_lab.lab.console(director, "ipvsadm -Sn").splitlines()
    return [line.split()[-1] for line in table if line.startswith(STATIC)]


def wait_for_connections(torture_lab: TortureLab) -> None:
    """Let a rollback wait until no connection needs host routes; else they may stay, which is right too."""
    configure(torture_lab.lab.folder, {"directors": {"drain_timeout": 30}})


def test_a_director_that_somebody_edits_before_its_flip_is_left_to_them(torture_lab: TortureLab) -> None:
    wait_for_connections(torture_lab)
    edit = weighted(torture_lab, "lvs1", 7, "-g")
    ended = torture_lab.migrate("static", at_flip("lvs1", "before", "meddle", edit))
    assert ended.status == 4, ended.stderr
    assert "someone else changed it" in ended.stderr
    assert weights(torture_lab, "lvs1") == ["1", "7", "1"]
    assert torture_lab.locks() == []
    subprocess.run(weighted(torture_lab, "lvs1", 1, "-g"), check=True)


def test_a_rollback_puts_its_own_part_back_and_leaves_what_somebody_did_to_a_director(
    torture_lab: TortureLab,
) -> None:
    wait_for_connections(torture_lab)
    edit = shlex.join(weighted(torture_lab, "lvs2", 7, "-i"))
    meddle = ("/bin/sh", "-c", f"{edit} && kill -TERM $PPID")
    ended = torture_lab.migrate("static", at_flip("lvs2", "after", "meddle", meddle))
    assert ended.status == 130, ended.stderr
    assert "beside that:" in ended.stderr
    assert "lvs2: changed-by-others: tcp 10.99.0.3:8081: 10.10.0.22:8081: weight 7" in ended.stderr
    assert forwarding(torture_lab.lab, "lvs2", "10.99.0.3:8081") == {"-g"}
    assert weights(torture_lab, "lvs2") == ["1", "7", "1"]
    assert not torture_lab.newest().is_open
    assert torture_lab.locks() == []
    subprocess.run(weighted(torture_lab, "lvs2", 1, "-g"), check=True)
    torture_lab.take_kept_routes_away([ended])


@pytest.fixture
def small_disk(lab: RunningLab) -> Iterator[Path]:
    """The state file's folder, on a disk of two megabytes: a run and its rollback take one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder = lab.folder / ".ferryman"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_a_journal_whose_disk_is_full_stops_the_run_before_its_next_change(
    torture_lab: TortureLab, small_disk: Path
) -> None:
    fill = ("/bin/sh", "-c", f'dd if=/dev/zero of="{small_disk}/full" bs=4096 2>/dev/null || :')
    cut = Cut(kind="commit", text=f"intent {LVS1_STEP}", fault="meddle", meddle=fill)
    ended = torture_lab.migrate("static", cut)
    assert ended.status == 4, ended.stderr
    assert "the run is still open there" in ended.stderr
    assert [
        call for call in ended.calls if call.kind == "write" and call.host == "lvs1" and "-i" in call.text
    ] == []
    entry = torture_lab.newest()
    assert entry.is_open
    (small_disk / "full").unlink()
    closed = torture_lab.take_up("rollback", entry)
    assert closed.status == 0, closed.stderr
    assert not torture_lab.newest().is_open
    assert torture_lab.locks() == []
    torture_lab.take_kept_routes_away([ended, closed])
