"""A director that cannot be put back: the plan says so, it is changed with consent alone, and then for good.

The director is the fake one that its driver's own tests have, with an operator's command and no ``undo``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.config import Config
from ferryman.cookbook import DirectorConverged, Ferry, HostRoutesUp, Look, Plan, Report
from ferryman.errors import VerifyError
from ferryman.hosts.hosts import each_by_itself
from ferryman.hosts.shared import SharedReadings
from ferryman.model import Verdict
from ferryman.testing import Harness
from unit.directors.test_command import PLAIN, TOOL
from unit.directors.world import LVS1, RULES, WEB, RealShell, director

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.directors import Connection
    from ferryman.events import Occurrence
    from ferryman.hosts.verbs import ReadVerb, WriteVerb

FINAL = replace(LVS1, driver="command", options={**PLAIN, "undo": False})


class QuietFerry(Ferry):
    """Nobody is connected to its directors."""

    def remember_connections(self, *_: object) -> None: ...

    def _connections(self, *_: object) -> tuple[frozenset[Connection], bool]:
        return frozenset(), True


class Slow(RealShell):
    """Its daemon does what it was told when the command has ended: until then the table is as it was."""

    def write_and_read(
        self, host: str, verb: WriteVerb[Any], questions: Sequence[ReadVerb[Any]]
    ) -> tuple[Any, list[Any]]:
        read = each_by_itself(self, {host: questions})[host]
        return self.write(host, verb), read


@dataclass(frozen=True)
class Storm(Look):
    """Nothing is well afterwards."""

    def look(self, report: Report) -> None:
        raise VerifyError("nothing is well")


@pytest.fixture
def shell(tmp_path: Path) -> RealShell:
    made = director(tmp_path)
    tool = tmp_path / "bin" / "flip"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    return made


def step(shell: RealShell, *, accepted: bool = False, **keys: Any) -> DirectorConverged:  # noqa: ANN401  # as in the file
    config = Config(file=Path("ferryman.toml"))
    ferry = QuietFerry(config, shell, dry_run=shell.dry_run, irreversible_accepted=accepted)
    lvs1 = replace(FINAL, options={**FINAL.options, **keys})
    return DirectorConverged(ferry, WEB, lvs1)


def told(heard: list[Occurrence], event: str) -> list[dict[str, Any]]:
    return [one.as_dict() for one in heard if one.event.event == event]


@pytest.mark.parametrize("dry_run", [False, True])
def test_without_consent_it_is_refused_and_what_to_say_is_said(shell: RealShell, *, dry_run: bool) -> None:
    shell.dry_run = dry_run
    ending = Harness().perform(Plan([step(shell)]), dry_run=dry_run)
    assert ending.outcome == "refused"
    assert "lvs1: not reversible: directors.yaml: lab: low-traffic: lvs1: undo: is false" in ending.reason
    assert "--accept-irreversible" in ending.reason
    assert shell.rules == RULES


@pytest.mark.parametrize("dry_run", [False, True])
def test_with_consent_title_and_a_warning_still_say_that_it_is_for_good(
    shell: RealShell, *, dry_run: bool
) -> None:
    shell.dry_run = dry_run
    one, harness = step(shell, accepted=True), Harness()
    assert one.title == "lvs1, primary, not reversible, forwards web through the tunnel"
    assert harness.perform(Plan([one]), dry_run=dry_run).outcome == "done"
    warned = [each for each in told(harness.events, "finding") if each["check"] == "irreversible"]
    assert {each["verdict"] for each in warned} == {Verdict.WARN.value}
    assert warned[0]["seen"].startswith("not reversible: ")
    assert (shell.rules == RULES) is dry_run


def test_a_run_that_has_to_go_back_is_stranded_and_says_what_to_do_by_hand(shell: RealShell) -> None:
    ending = Harness().perform(Plan([step(shell, accepted=True), Storm()]))
    assert ending.outcome == "stranded"
    assert "make web as it was there: tcp 10.99.0.1:80 direct, tcp [fd99::1]:80 direct" in ending.reason
    assert shell.rules != RULES


def test_a_director_that_can_be_put_back_is_as_every_other(shell: RealShell) -> None:
    one = step(shell, undo=PLAIN["undo"])
    assert one.title == "lvs1, primary, forwards web through the tunnel"
    assert Harness().perform(Plan([one, Storm()])).outcome == "rolled-back"
    assert shell.rules == RULES


def test_without_ipvs_no_host_routes_are_needed(shell: RealShell) -> None:
    one = step(shell, ipvs=False)
    harness = Harness()
    assert harness.perform(Plan([HostRoutesUp(one.ferry, WEB, one.director)])).outcome == "done"
    assert told(harness.events, "change") == []


def test_a_table_that_follows_later_is_verified_as_it_is_then(shell: RealShell) -> None:
    """What was read in the writing command shows a daemon half-way, and a run would be held for it."""
    slow = Slow(**{each.name: getattr(shell, each.name) for each in fields(shell) if each.init})
    hosts = SharedReadings(slow)
    one = step(shell, accepted=True)
    changed = replace(one, ferry=replace(one.ferry, hosts=hosts))
    ending = Harness().perform(Plan([changed], readings=hosts))
    assert ending.outcome == "done", ending.reason
    web = [line for line in slow.rules.splitlines() if "-r" in line and "10.99.0.9" not in line]
    assert [line.split()[5] for line in web] == ["-i"] * 4
