"""A realserver behind a router: direct routing does not reach it, so once the service is moved it stays so.

The director is the fake one that its driver's own tests have; its routes say that a router is before web2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config
from ferryman.cookbook import DirectorConverged, HostRoutesDown, HostRoutesUp, Plan
from ferryman.errors import VerifyError
from ferryman.hosts.shared import SharedReadings
from ferryman.model import Verdict
from ferryman.testing import Harness
from unit.cookbook.test_directors_step import QuietFerry, Storm, told
from unit.directors.world import LVS1, RULES, WEB, RealShell, director

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.cookbook import Report

ROUTER = {"10.10.0.22": [{"dst": "10.10.0.22", "gateway": "10.10.0.254", "dev": "eth0"}]}
TUNNELLED = RULES.replace("-g", "-i")


@pytest.fixture
def shell(tmp_path: Path) -> RealShell:
    return director(tmp_path)


def behind_a_router(shell: RealShell, *, really: bool = True) -> None:
    shell.switch("lookups.json", json.dumps(ROUTER if really else {}))


def steps(
    shell: RealShell, *, accepted: bool = False
) -> tuple[HostRoutesUp, DirectorConverged, HostRoutesDown]:
    file = shell.folder / "ferryman.toml"
    ferry = QuietFerry(Config(file=file), shell, dry_run=shell.dry_run, irreversible_accepted=accepted)
    return (
        HostRoutesUp(ferry, WEB, LVS1),
        DirectorConverged(ferry, WEB, LVS1),
        HostRoutesDown(ferry, WEB, LVS1),
    )


@pytest.mark.parametrize("dry_run", [False, True])
def test_without_consent_it_is_refused_before_anything_is_changed(shell: RealShell, *, dry_run: bool) -> None:
    behind_a_router(shell)
    shell.dry_run = dry_run
    ending = Harness().perform(Plan(steps(shell)), dry_run=dry_run)
    assert ending.outcome == "refused"
    assert (
        "lvs1: not reversible: direct routing does not reach web2 (behind 10.10.0.254):"
        " the director shares no segment with it"
    ) in ending.reason
    assert "--accept-irreversible" in ending.reason
    assert (shell.rules, shell.writes) == (RULES, [])


def test_with_consent_it_is_moved_and_a_warning_says_that_it_is_for_good(shell: RealShell) -> None:
    behind_a_router(shell)
    harness = Harness()
    assert harness.perform(Plan(steps(shell, accepted=True))).outcome == "done"
    warned = [each for each in told(harness.events, "finding") if each["check"] == "irreversible"]
    assert {each["verdict"] for each in warned} == {Verdict.WARN.value}
    assert "-r 10.10.0.22:80 -i" in shell.rules


def test_no_host_route_leads_to_it_at_any_time(shell: RealShell) -> None:
    behind_a_router(shell)
    assert Harness().perform(Plan(steps(shell, accepted=True))).outcome == "done"
    written = repr(shell.writes)
    assert "10.10.0.21" in written
    assert "IPv4Address('10.10.0.22'), device" not in written


def test_a_run_that_has_to_go_back_is_stranded_and_leaves_the_tunnel(shell: RealShell) -> None:
    behind_a_router(shell)
    ending = Harness().perform(Plan([*steps(shell, accepted=True)[:2], Storm()]))
    assert ending.outcome == "stranded"
    assert "it was left as it is (Tunnel); take those realservers out of web's pool" in ending.reason
    assert "-r 10.10.0.22:80 -i" in shell.rules


@dataclass(frozen=True)
class Moved(Storm):
    """Afterwards a router is before web2, and nothing is well."""

    shell: RealShell

    def look(self, report: Report) -> None:
        del report
        behind_a_router(self.shell)
        raise VerifyError("nothing is well")


def test_whoever_is_pooled_behind_a_router_later_bars_the_way_back_too(shell: RealShell) -> None:
    ending = Harness().perform(Plan([*steps(shell)[1:2], Moved(shell)]))
    assert ending.outcome == "stranded"
    assert "-r 10.10.0.22:80 -i" in shell.rules


def test_once_it_has_left_the_pool_the_way_back_is_open(shell: RealShell) -> None:
    behind_a_router(shell)
    _, converged, _ = steps(shell, accepted=True)
    before = converged.check(_Silent())
    assert isinstance(before, dict)
    converged.do(before)
    with pytest.raises(VerifyError, match="not reversible"):
        converged.require_undoable(before, _Silent())
    without = replace(WEB, realservers=WEB.realservers[:1])
    shell.rules = "".join(line for line in shell.rules.splitlines(keepends=True) if "0.22:80" not in line)
    left = replace(converged, service=without)
    left.require_undoable(before, _Silent())
    left.undo(before)
    assert "-r 10.10.0.21:80 -g" in shell.rules


class _Silent:
    """Nobody listens to what a step reports."""

    def finding(self, finding: object) -> None: ...

    def probe(self, result: object) -> None: ...


def test_what_is_tunnelled_already_needs_no_consent(shell: RealShell) -> None:
    behind_a_router(shell)
    shell.rules = TUNNELLED
    assert Harness().perform(Plan(steps(shell))).outcome == "done"


def test_the_routes_are_asked_for_once_however_many_steps_want_them(shell: RealShell) -> None:
    behind_a_router(shell, really=False)
    hosts = SharedReadings(shell)
    up, converged, _ = steps(shell)
    hosts.begin(question for step in (up, converged) for question in step.questions("check", None))
    replace(up, ferry=replace(up.ferry, hosts=hosts)).check(_Silent())
    replace(converged, ferry=replace(converged.ferry, hosts=hosts)).check(_Silent())
    assert [verb.name for verb in shell.reads].count("host-routes") == 1
