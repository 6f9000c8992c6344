"""A process that goes into another network namespace, as a run in the lab does, keeps its cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import JournalError
from ferryman.state.etcd import gateway as etcd_gateway
from ferryman.state.etcd.client import EtcdClient, put
from ferryman.state.etcd.gateway import ForkedGateway
from lab.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.etcd.hosts import ControlHosts

GOES = """
import ctypes, sys, time
from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.state import RunRequest
from ferryman.state.etcd.store import EtcdStore
from ferryman.engine.plan import Plan
from ferryman.testing import FakeWorld, Is

store = EtcdStore.in_this_namespace(EtcdCluster.named(sys.argv[1]), EtcdConfig())
CLONE_NEWNET = 0x40000000
assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0
request = RunRequest(cookbook="test", operator="tester")
print(store.begin(request, Plan([Is(FakeWorld(), "a", "b")])), flush=True)
sys.stdin.read()
store.close()
"""


@pytest.fixture
def departed(hosts: ControlHosts) -> Iterator[subprocess.Popen[str]]:
    """A process in another network namespace, which has begun a run and said its id."""
    with subprocess.Popen(
        [sys.executable, "-c", GOES, f"etcd://{','.join(hosts.cluster.endpoints)}/ferryman"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_it_writes_from_where_it_was(hosts: ControlHosts, departed: subprocess.Popen[str]) -> None:
    assert departed.stdout
    run = departed.stdout.readline().strip()
    assert hosts.onlooker.run(run).outcome is None
    departed.communicate("")
    assert departed.returncode == 0


def test_nothing_of_it_is_left_when_it_is_killed(departed: subprocess.Popen[str]) -> None:
    assert departed.stdout
    assert departed.stdout.readline()
    departed.kill()
    assert departed.stdout.read() == "", "what it forked has its output too, and has ended"


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_ones(
    hosts: ControlHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = ForkedGateway(hosts.named(), hosts.config)
    client = EtcdClient(gateway, lambda: 1.0)
    client.commit([], [put("first", "1"), put("second", "2")])
    with monkeypatch.context() as impatient:
        impatient.setattr(etcd_gateway, "_SLACK_S", -60.0)
        with pytest.raises(JournalError, match="does not answer"):
            client.get("first")

    found = client.get("second")

    gateway.close()
    assert found is not None
    assert found.value == "2"
