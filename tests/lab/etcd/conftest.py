"""One etcd for all tests of a session; each gets it healthy and empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.etcd.certificates import Authority
from lab.etcd.cluster import Cluster, require_etcd
from lab.etcd.hosts import ControlHosts
from lab.etcd.proxy import Network

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def three_members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three members, whatever state the last test left them in."""
    require_etcd()
    with Cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def etcd(three_members: Cluster) -> Cluster:
    """Three members, all healthy, with nothing in them."""
    three_members.heal()
    three_members.clear()
    return three_members


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One member that wants to see a certificate from everybody."""
    require_etcd()
    folder = tmp_path_factory.mktemp("guarded")
    with Cluster(folder, size=1, authority=Authority(folder)) as cluster:
        yield cluster


@pytest.fixture
def proxied(etcd: Cluster) -> Iterator[Network]:
    """The network between one control host and ``etcd``."""
    with Network(etcd) as network:
        yield network


@pytest.fixture
def hosts(etcd: Cluster) -> Iterator[ControlHosts]:
    """Control hosts that keep their runs in ``etcd``."""
    with ControlHosts(etcd) as hosts:
        yield hosts
