"""Realservers and directors that follow the catalog: in which order, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config, ManagementConfig
from ferryman.cookbook import (
    CatalogFlipped,
    DirectorConverged,
    Ferry,
    ProbesAnswered,
    RealserversConverged,
    realserver_steps,
)
from ferryman.errors import DoubtError, RefusedError, UnreachableError, VerifyError
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.agents import AgentRun, PuppetState
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.ipvs.listing import read_table
from ferryman.model import Director, Finding, ProbeResult, Role, Verdict
from unit.directors.world import RULES, WEB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.model import Service

PYBAL = Director("lvs2", Role.SECONDARY, "pybal")
FOLLOWED = replace(WEB, directors=(PYBAL, *WEB.directors))
HEALTHY = (Path(__file__).parents[1] / "realservers/cases/lab-web-healthy.txt").read_text()


@dataclass
class Heard:
    """What a step reports."""

    findings: list[Finding] = field(default_factory=list)

    def finding(self, finding: Finding) -> None:
        self.findings.append(finding)

    def probe(self, result: ProbeResult) -> None:
        raise AssertionError(result)


def ferry(keys: Mapping[str, object], hosts: FakeHosts | None = None) -> Ferry:
    management = ManagementConfig.model_validate(keys)
    return Ferry(Config(file=Path("ferryman.toml"), management=management), hosts or FakeHosts())


COMMAND = {"agent": "command", "run": ("apply-it",), "realservers": True}


@pytest.mark.parametrize(
    ("service", "keys", "first"),
    [
        (WEB, {}, False),
        (WEB, {"agent": "puppet"}, False),
        (FOLLOWED, {"agent": "puppet"}, True),
        (WEB, {"agent": "puppet", "realservers": True}, True),
    ],
)
def test_the_catalog_goes_back_first_where_anybody_follows_it(
    service: Service, keys: dict[str, object], first: bool
) -> None:
    assert CatalogFlipped(ferry(keys), service).undo_first is first


def test_realservers_are_converged_only_where_the_configuration_says_so() -> None:
    assert realserver_steps(ferry({"agent": "puppet"}), WEB) == ()
    step, probes = realserver_steps(ferry(COMMAND), WEB)
    assert isinstance(probes, ProbesAnswered)
    assert step.title == "Every realserver of web has what the catalog says"


def test_every_realserver_gets_its_run_there_and_back() -> None:
    hosts = FakeHosts()
    hosts.answer("*", AgentRun, Printed())
    step = RealserversConverged(ferry(COMMAND, hosts), WEB)
    before = step.check(Heard())
    assert [(edit.target, edit.command) for edit in step.edits(before)] == [
        ("web1", "apply-it"),
        ("web2", "apply-it"),
    ]
    step.do(before)
    step.undo(before)
    assert sorted(call.host for call in hosts.calls if call.writes) == ["web1", "web1", "web2", "web2"]
    assert step.diff_after_undo(before, Heard()) is None


def test_whoever_has_left_the_pool_goes_back_too_and_is_no_difference() -> None:
    hosts = FakeHosts()
    hosts.answer("*", AgentRun, Printed())
    smaller = replace(WEB, realservers=WEB.realservers[:1])
    step = RealserversConverged(ferry(COMMAND, hosts), smaller)
    edits = step.undo(["web1", "web2"])
    assert [edit.target for edit in edits] == ["web1", "web2"]
    assert sorted(call.host for call in hosts.calls if call.writes) == ["web1", "web2"]
    assert step.diff_after_undo(["web1", "web2"], Heard()) is None
    assert step.effect_seen(["web1"], Heard()) is None


def test_an_agent_that_failed_during_the_rollback_is_not_taken_for_back() -> None:
    hosts = FakeHosts()
    hosts.answer("*", AgentRun, Printed())
    hosts.answer("web1", AgentRun, Printed(stderr="Error: no clamp\n", status=1))
    step = RealserversConverged(ferry(COMMAND, hosts), WEB)
    with pytest.raises(VerifyError):
        step.undo(["web1", "web2"])
    assert "web1: apply-it: status 1: Error: no clamp" in str(step.diff_after_undo(["web1", "web2"], Heard()))
    hosts.answer("*", AgentRun, Printed())
    step.undo(["web1", "web2"])
    assert step.diff_after_undo(["web1", "web2"], Heard()) is None


def test_an_agent_that_could_not_run_is_known_before_anything_is_put_back() -> None:
    hosts = FakeHosts()
    hosts.answer("*", PuppetState, None)
    hosts.answer("web2", PuppetState, "ask ops")
    smaller = replace(WEB, realservers=WEB.realservers[:1])
    step = RealserversConverged(ferry({"agent": "puppet", "realservers": True}, hosts), smaller)
    with pytest.raises(RefusedError, match=r"^web2: puppet is disabled: ask ops"):
        step.require_undoable(["web1", "web2"], Heard())


def test_one_of_many_that_fails_is_quoted_and_the_others_have_had_their_run() -> None:
    hosts = FakeHosts()
    hosts.answer("*", AgentRun, Printed())
    hosts.answer("web1", AgentRun, Printed(stderr="Error: no clamp\n", status=1))
    step = RealserversConverged(ferry(COMMAND, hosts), WEB)
    with pytest.raises(VerifyError, match="web1: apply-it: status 1: Error: no clamp"):
        step.do(step.check(Heard()))
    assert sorted(call.host for call in hosts.calls if call.writes) == ["web1", "web2"]


def test_one_that_is_down_is_doubt() -> None:
    hosts = FakeHosts()
    hosts.answer("*", AgentRun, Printed())
    hosts.down("web2")
    step = RealserversConverged(ferry(COMMAND, hosts), WEB)
    with pytest.raises(UnreachableError, match="web2"):
        step.do(["web1", "web2"])


def test_an_agent_that_could_not_run_refuses_before_anything_is_changed() -> None:
    hosts = FakeHosts()
    hosts.answer("*", PuppetState, None)
    hosts.answer("web2", PuppetState, "ask ops")
    step = RealserversConverged(ferry({"agent": "puppet", "realservers": True}, hosts), WEB)
    with pytest.raises(RefusedError, match=r"^web2: puppet is disabled: ask ops"):
        step.check(Heard())
    assert hosts.written() == []


def test_their_settings_are_looked_at_once_more_after_the_agent() -> None:
    hosts = FakeHosts()

    hosts.answer("*", ReadFacts, Printed(HEALTHY))
    heard = Heard()
    RealserversConverged(ferry(COMMAND, hosts), WEB).verify(heard)
    assert {finding.host for finding in heard.findings} == {"web1", "web2"}


def test_a_follower_that_has_not_followed_is_doubt_and_any_other_director_is_wrong() -> None:
    hosts = FakeHosts()
    hosts.answer("*", IpvsTable, read_table(RULES))
    follower, edited = FOLLOWED.directors
    with pytest.raises(DoubtError, match=r"2 of 2 destinations Route"):
        DirectorConverged(ferry({"agent": "puppet"}, hosts), FOLLOWED, follower).verify(Heard())
    heard = Heard()
    DirectorConverged(ferry({}, hosts), FOLLOWED, edited).verify(heard)
    assert Verdict.FAIL in {finding.verdict for finding in heard.findings}
