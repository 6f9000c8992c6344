"""Many hosts at once, each with its own end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ferryman.config import ManagementConfig
from ferryman.errors import BusyError, DoubtError, DryRunError, UnreachableError, VerifyError
from ferryman.hosts.fake import Call, FakeHosts, Printed
from ferryman.hosts.verbs.agents import AgentRevision, CheckoutRevision
from ferryman.hosts.verbs.agents import AgentRun as AgentCommand
from ferryman.management import (
    AgentRun,
    AnsiblePull,
    CommandAgent,
    NoAgent,
    PuppetAgent,
    agent_for,
    raise_failures,
)
from ferryman.management.remote_agent import contained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.hosts.verbs import Verb

FINE = Printed()
COMMIT = "0f9751fa2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e"
OTHER = "d4b4c711111111111111111111111111111111ff"


def applies(verb: Verb[object]) -> bool:
    """Whether it is the agent's command."""
    return isinstance(verb, AgentCommand) and verb.argv == ("apply-it", "two words")


def command(**keys: object) -> CommandAgent:
    known = {"agent": "command", "run": ("apply-it", "two words")}
    return CommandAgent(ManagementConfig.model_validate(known | keys), sleep=lambda _s: None)


def converged(
    agent: CommandAgent, hosts: FakeHosts, *names: str, revision: str = ""
) -> Mapping[str, AgentRun | VerifyError | DoubtError]:
    return agent.converge(hosts, names, revision=revision)


def test_one_host_that_fails_is_quoted_and_stops_no_other() -> None:
    hosts = FakeHosts()
    hosts.answer("*", applies, FINE)
    said = "Applying\nerror: no space left on device\nbye\n"
    hosts.answer("web2", applies, Printed(said, status=3))
    hosts.down("web3")
    outcomes = converged(command(), hosts, "web1", "web2", "web3", "web4")
    assert [name for name, outcome in outcomes.items() if isinstance(outcome, AgentRun)] == ["web1", "web4"]
    failed = "web2: apply-it 'two words': status 3: error: no space left on device"
    assert str(outcomes["web2"]) == failed
    assert isinstance(outcomes["web3"], UnreachableError)
    with pytest.raises(VerifyError, match=rf"(?s)^{failed}\nweb3: connect"):
        raise_failures(outcomes)


def test_hosts_of_which_nothing_is_known_are_doubt_and_all_are_named() -> None:
    hosts = FakeHosts()
    hosts.down("web1")
    hosts.down("web2")
    with pytest.raises(UnreachableError, match=r"(?s)web1: .*web2: "):
        raise_failures(converged(command(), hosts, "web1", "web2"))


def test_no_more_hosts_at_once_than_a_batch_has() -> None:
    hosts = FakeHosts()
    both, now, most = threading.Barrier(2), [0], [0]
    lock = threading.Lock()

    def run(_call: Call) -> Printed:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        both.wait(10)  # breaks unless two work at once
        with lock:
            now[0] -= 1
        return FINE

    hosts.answer("*", applies, run)
    raise_failures(converged(command(batch=2), hosts, *(f"web{number}" for number in range(6))))
    assert most == [2]


@pytest.mark.parametrize("error", [BusyError("busy"), DryRunError("a dry run")])
def test_who_may_not_write_stops_all(error: Exception) -> None:
    hosts = FakeHosts()

    def refuse(_call: Call) -> str:
        raise error

    hosts.answer("*", applies, refuse)
    with pytest.raises(type(error)):
        converged(command(), hosts, "web1", "web2")


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        (f"{COMMIT}\n", True),
        (f"{COMMIT[:7]} Flip maps\n", True),
        (f"{OTHER}\n{COMMIT}\n", True),
        (f"{OTHER}\n{OTHER[::-1]}\n", False),
        (f"{OTHER}\n", None),
        ("", None),
    ],
)
def test_only_a_history_can_tell_that_a_change_is_missing(printed: str, verdict: bool | None) -> None:
    assert contained(COMMIT, printed) is verdict


def test_a_run_without_the_change_is_followed_by_another() -> None:
    hosts = FakeHosts()
    hosts.answer("web1", applies, FINE)
    hosts.answer("web1", AgentRevision(("git", "log")), f"{OTHER}\n{OTHER[::-1]}\n", f"{COMMIT}\n{OTHER}\n")
    agent = command(revision=("git", "log"))
    assert converged(agent, hosts, "web1", revision=COMMIT) == {"web1": AgentRun("web1", COMMIT)}
    assert len(hosts.written()) == 2


def test_a_change_that_never_comes_is_told_with_what_is_there_instead() -> None:
    hosts = FakeHosts()
    hosts.answer("web1", applies, FINE)
    hosts.answer("web1", AgentRevision(("git", "log")), f"{OTHER}\n{OTHER[::-1]}\n")
    agent = command(revision=("git", "log"), timeout=0.001)
    (outcome,) = converged(agent, hosts, "web1", revision=COMMIT).values()
    assert isinstance(outcome, VerifyError)
    assert f"applied {OTHER}, which does not have the change, {COMMIT}" in str(outcome)


def test_ansible_pulls_checkout_says_what_was_applied() -> None:
    hosts = FakeHosts()
    run = ("ansible-pull", "-U", "https://git.example/site", "-d", "/srv/site copy")
    config = ManagementConfig(agent="ansible-pull", run=run)
    hosts.answer("web1", AgentCommand, FINE)
    hosts.answer("web1", CheckoutRevision("/srv/site copy"), f"{COMMIT}\n{OTHER}\n")
    assert AnsiblePull(config).converge(hosts, ["web1"]) == {"web1": AgentRun("web1", COMMIT)}


def test_the_agent_is_the_one_that_the_configuration_names() -> None:
    assert isinstance(agent_for(ManagementConfig()), NoAgent)
    assert isinstance(agent_for(ManagementConfig(agent="puppet")), PuppetAgent)
    assert isinstance(agent_for(ManagementConfig(agent="ansible-pull", run=("a",))), AnsiblePull)
    assert type(agent_for(ManagementConfig(agent="command", run=("a",)))) is CommandAgent


def test_itself_runs_nothing() -> None:
    hosts = FakeHosts()
    assert NoAgent().converge(hosts, ["web1"]) == {"web1": AgentRun("web1")}
    assert hosts.calls == []
