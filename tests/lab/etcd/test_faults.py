"""Members that die and networks that are cut in the middle of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest

from ferryman.engine.runner import Runner
from ferryman.testing import Cut, Cuts, TurningClock
from lab.etcd.hosts import NEW, OLD, REQUEST, ControlHosts, plan, world
from lab.etcd.proxy import Cutting
from lab.etcd.torture import expect_settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.etcd.cluster import Cluster
    from lab.etcd.proxy import Network

T = TypeVar("T")

LOOKS_FIRST, LOOKS_BETWEEN, WRITES_AGAIN = 1, 6, 9
"""Calls to the world: before anything was changed, between the two changes, and in the second."""


class HealsAtLast(Cuts):
    """Heals the network at the third request that was tried over it in vain."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network
        self._in_vain = 0

    def call(self, effect: Callable[[], T]) -> T:
        self._in_vain += self._network.is_cut
        if self._network.is_cut and self._in_vain > 2:
            self._network.heal()
        return super().call(effect)


@pytest.fixture
def hurried(etcd: Cluster) -> Iterator[ControlHosts]:
    """Control hosts that do not wait long for one member."""
    with ControlHosts(etcd, timeout_s=0.5) as hosts:
        yield hosts


@pytest.fixture
def behind(etcd: Cluster, proxied: Network) -> Iterator[ControlHosts]:
    """Control hosts behind a network that can be cut, whose leases are short."""
    with ControlHosts(etcd, endpoints=proxied.endpoints, lease_s=6, timeout_s=0.2) as hosts:
        yield hosts


@pytest.mark.parametrize("at", [LOOKS_FIRST, WRITES_AGAIN])
def test_a_run_goes_on_when_the_leader_is_killed(hurried: ControlHosts, at: int) -> None:
    fake = world(Cuts(Cut(at, "before", lambda: hurried.cluster.leader().kill())))

    ending = hurried.perform(plan(fake), "one")

    assert (ending.outcome, fake.values) == ("done", NEW)
    expect_settled(hurried, fake.values, at)


def test_a_run_goes_on_when_the_leader_freezes(hurried: ControlHosts) -> None:
    fake = world(Cuts(Cut(LOOKS_BETWEEN, "before", lambda: hurried.cluster.leader().freeze())))

    ending = hurried.perform(plan(fake), "one")

    assert (ending.outcome, fake.values) == ("done", NEW)
    expect_settled(hurried, fake.values, "frozen")


@pytest.mark.parametrize("how", Cutting)
def test_a_run_goes_on_when_the_network_was_cut_for_a_moment(
    behind: ControlHosts, proxied: Network, how: Cutting
) -> None:
    fake = world(Cuts(Cut(LOOKS_BETWEEN, "before", lambda: proxied.cut(how))))

    ending = behind.perform(plan(fake), "one", HealsAtLast(proxied))

    assert (ending.outcome, fake.values) == ("done", NEW)
    expect_settled(behind, fake.values, how)


@pytest.mark.parametrize(
    ("at", "how"),
    [
        (LOOKS_FIRST, Cutting.NO_ANSWERS),
        (LOOKS_BETWEEN, Cutting.SILENCE),
        (WRITES_AGAIN, Cutting.RESET),
    ],
)
def test_a_run_that_is_cut_off_for_long_stops_and_another_host_closes_it(
    behind: ControlHosts, proxied: Network, at: int, how: Cutting
) -> None:
    fake = world(Cuts(Cut(at, "before", lambda: proxied.cut(how))))

    ending = behind.perform(plan(fake), "one")

    assert ending.exit_code != 0
    assert fake.values == OLD, "it had time enough to go back while its lease lasted"
    assert f"ferryman rollback {ending.run}" in ending.reason

    proxied.heal()
    behind.cluster.end_leases()
    closed = behind.recover(plan(fake), "rollback", "two")

    assert (closed.outcome, fake.values) == ("rolled-back", OLD)
    expect_settled(behind, fake.values, (at, how))


def test_a_run_that_is_cut_off_for_longer_than_its_lease_does_not_even_go_back(
    behind: ControlHosts, proxied: Network
) -> None:
    """By then another host may be at work: it leaves all as it is, and says what is where."""
    clock = TurningClock()

    def cut_for_long() -> None:
        proxied.cut()
        clock.turn(behind.lease_s)

    fake = world(Cuts(Cut(LOOKS_BETWEEN, "before", cut_for_long)))
    runner = Runner(store=behind.store("one", clock=clock), clock=clock)

    ending = runner.perform(REQUEST, plan(fake))

    assert (ending.outcome, fake.values) == ("stranded", {"a": "new", "b": "old"})
    assert f"ferryman rollback {ending.run}" in ending.reason

    proxied.heal()
    behind.cluster.end_leases()

    assert behind.recover(plan(fake), "rollback", "two").outcome == "rolled-back"
    expect_settled(behind, fake.values, "cut off")
