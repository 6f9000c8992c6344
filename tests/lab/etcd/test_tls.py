"""A cluster that speaks TLS and wants to see certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.runner import Runner
from ferryman.errors import JournalError
from ferryman.state.etcd.store import EtcdStore
from lab.etcd.certificates import Authority
from lab.etcd.hosts import NEW, OLD, REQUEST, plan, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.etcd.cluster import Cluster

    Store = Callable[[EtcdConfig], EtcdStore]


@pytest.fixture
def store(guarded: Cluster) -> Iterator[Store]:
    """What keeps runs in ``guarded``, with these certificates."""
    named = EtcdCluster.named(f"etcd://{guarded.endpoints[0]}/tls")
    assert named is not None
    made: list[EtcdStore] = []

    def make(config: EtcdConfig) -> EtcdStore:
        made.append(EtcdStore(named, config))
        return made[-1]

    yield make
    for store in made:
        store.close()


def authority_of(cluster: Cluster) -> Authority:
    assert cluster.authority is not None
    return cluster.authority


def test_whoever_shows_a_certificate_keeps_runs_there(guarded: Cluster, store: Store) -> None:
    authority = authority_of(guarded)
    own, fake = authority.issue("control"), world()
    kept = store(EtcdConfig(ca=authority.ca, cert=own.certificate, key=own.key))

    assert Runner(store=kept).perform(REQUEST, plan(fake)).outcome == "done"
    assert fake.values == NEW
    assert kept.faults(kept.runs()[0].id) == []


def test_whoever_shows_none_is_refused_before_anything_is_done(guarded: Cluster, store: Store) -> None:
    fake = world()
    kept = store(EtcdConfig(ca=authority_of(guarded).ca, lease=3))

    with pytest.raises(JournalError, match=r"certificate|SSL|closed|reset"):
        Runner(store=kept).perform(REQUEST, plan(fake))
    assert fake.values == OLD


def test_a_cluster_of_another_authority_is_not_trusted(store: Store, tmp_path: Path) -> None:
    fake = world()
    kept = store(EtcdConfig(ca=Authority(tmp_path, "another").ca, lease=3))

    with pytest.raises(JournalError, match="certificate verify failed"):
        Runner(store=kept).perform(REQUEST, plan(fake))
    assert fake.values == OLD


def test_a_cluster_that_speaks_tls_is_not_spoken_to_in_the_clear(store: Store) -> None:
    fake = world()
    kept = store(EtcdConfig(lease=3))

    with pytest.raises(JournalError, match="cannot be used"):
        Runner(store=kept).perform(REQUEST, plan(fake))
    assert fake.values == OLD
