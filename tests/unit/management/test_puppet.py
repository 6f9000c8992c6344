"""Puppet runs that count, and runs that do not; puppet itself is the lab's double, in a real shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.config import ManagementConfig
from ferryman.errors import DoubtError, VerifyError
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.agents import PuppetState
from ferryman.management import AgentRun, PuppetAgent
from unit.directors import world
from unit.directors.following import Following

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOCK = "puppet/agent_catalog_run.lock"


@pytest.fixture
def site(tmp_path: Path) -> Following:
    return Following(world.director(tmp_path))


def run(site: Following, agent: PuppetAgent | None = None) -> AgentRun | VerifyError | DoubtError:
    return (agent or site.agent()).converge(site.shell, ["lvs1"])["lvs1"]


@pytest.mark.parametrize("changes", [True, False])
def test_a_run_that_changed_something_or_nothing_is_fine(site: Following, changes: bool) -> None:
    site.flip(to_ipip=changes)
    outcome = run(site)
    assert isinstance(outcome, AgentRun)
    assert outcome.revision.isdecimal()
    assert ("tunneling = True" in site.config.read_text()) is changes


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("4 Info: a\nError: /File[x]: disk full\n", "resources failed: Error: /File[x]: disk full"),
        ("6 Error: /File[x]: disk full\n", "resources failed: Error: /File[x]: disk full"),
        ("1 Error: Could not retrieve catalog: Error 500\n", "status 1: Error: Could not retrieve catalog"),
        ("0 nothing\n", "is not of this run"),
    ],
)
def test_a_run_that_failed_is_told_in_the_hosts_own_words(site: Following, trouble: str, said: str) -> None:
    site.put("puppet/fails", trouble)
    site.put("puppet/last_run_summary.yaml", "time:\n  last_run: 1000000000\n")
    outcome = run(site)
    assert isinstance(outcome, VerifyError)
    assert said in str(outcome)
    assert str(outcome).startswith("lvs1: ")


def test_a_run_that_began_before_is_waited_for_and_does_not_count(site: Following) -> None:
    site.put(LOCK, "4711")
    site.flip(to_ipip=True)

    def ends(_seconds: float) -> None:
        (site.shell.folder / LOCK).unlink()

    outcome = run(site, _napping(site, ends))
    assert isinstance(outcome, AgentRun)
    assert site.agent_runs == 2
    assert "tunneling = True" in site.config.read_text()


def test_a_run_that_does_not_end_is_doubt(site: Following) -> None:
    site.put(LOCK, "4711")
    outcome = run(site, site.agent(timeout=0.001))
    assert isinstance(outcome, DoubtError)
    assert "a run that began before has not ended in 0.001 s, management.timeout" in str(outcome)


def test_a_disabled_agent_is_an_obstacle_and_a_failure_and_its_message_is_told(site: Following) -> None:
    assert site.agent().obstacles(site.shell, ["lvs1"]) == {}
    site.put("puppet/agent_disabled.lock", '{"disabled_message":"ask ops"}')
    told = "lvs1: puppet is disabled: ask ops; when that is over: puppet agent --enable, then resume"
    assert str(site.agent().obstacles(site.shell, ["lvs1"])["lvs1"]) == told
    assert str(run(site)) == told


def test_a_host_without_puppet_or_that_is_down_is_an_obstacle() -> None:
    hosts = FakeHosts()
    hosts.answer("web1", PuppetState, Printed(status=127))
    hosts.down("web2")
    agent = PuppetAgent(ManagementConfig(agent="puppet"))
    obstacles = agent.obstacles(hosts, ["web1", "web2"])
    assert "web1: " in str(obstacles["web1"])
    assert isinstance(obstacles["web2"], DoubtError)


def _napping(site: Following, nap: Callable[[float], None]) -> PuppetAgent:
    agent = site.agent()
    agent._sleep = nap
    return agent
