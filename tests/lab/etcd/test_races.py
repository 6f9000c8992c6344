"""Two control hosts that start the same service's run at once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import BusyError
from ferryman.testing import Cut, Cuts
from lab.etcd.hosts import REQUEST, plan, world
from lab.etcd.races import race
from lab.etcd.torture import EVERY

if TYPE_CHECKING:
    from ferryman.state.etcd.store import EtcdStore
    from lab.etcd.hosts import ControlHosts

ROUNDS = 1000 if EVERY else 30


def test_of_two_control_hosts_one_goes_and_the_other_is_busy(hosts: ControlHosts) -> None:
    counts = race(f"etcd://{','.join(hosts.cluster.endpoints)}/race", ROUNDS)

    assert counts == {"inside, done": ROUNDS, "busy": ROUNDS, "both inside": 0}


@pytest.mark.parametrize("at", range(6))
def test_between_whichever_requests_the_other_comes_one_alone_has_the_lock(
    hosts: ControlHosts, at: int
) -> None:
    other = hosts.store("two")
    theirs = other.begin(REQUEST, plan(world()))
    won: list[str] = []

    def acquire(store: EtcdStore, run: str, host: str) -> None:
        with suppress(BusyError):
            store.acquire(run, ["web"], host)
            won.append(host)

    store = hosts.store("one", Cuts(Cut(at, "before", lambda: acquire(other, theirs, "two"))))
    acquire(store, store.begin(REQUEST, plan(world())), "one")

    assert len(won) == 1
