"""Control hosts that share one etcd, as processes of theirs see it; whose requests can be cut and counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self

import httpx2

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.state import RunRequest
from ferryman.state.etcd.gateway import HttpGateway
from ferryman.state.etcd.store import EtcdStore
from ferryman.testing import Becomes, Cuts, FakeWorld, Is

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ferryman.engine.clock import Clock
    from ferryman.outcomes import RunResult
    from ferryman.testing import RecoveryCommand
    from lab.etcd.cluster import Cluster

REQUEST = RunRequest(cookbook="test", operator="tester")
OLD, NEW = {"a": "old", "b": "old"}, {"a": "new", "b": "new"}
PREFIX = "/ferryman"


def world(cuts: Cuts | None = None) -> FakeWorld:
    return FakeWorld(cuts, **OLD)


def plan(of: FakeWorld, lock: str = "web") -> Plan:
    """Two changes, with a look in between."""
    return Plan([Becomes(of, "a", "new"), Is(of, "a", "new"), Becomes(of, "b", "new")], [lock])


def gateway(store: EtcdStore) -> HttpGateway:
    """The gateway of a store that does not fork."""
    found = store._client.gateway
    assert isinstance(found, HttpGateway)
    return found


class CutTransport(httpx2.HTTPTransport):
    """Sends the requests of one process, unless they are cut; keeps them, to be sent again."""

    def __init__(self, cuts: Cuts) -> None:
        super().__init__(trust_env=False)
        self.sent: list[httpx2.Request] = []
        self._cuts = cuts

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, with what the cuts do before and after."""
        self.sent.append(request)
        answers: list[httpx2.Response] = []
        try:
            self._cuts.call(lambda: answers.append(super(CutTransport, self).handle_request(request)))
        except BaseException:
            for answer in answers:
                answer.close()
            raise
        return answers[0]

    def send_again(self, number: int) -> None:
        """Send a copy of an earlier request, as if it had been delayed in the network."""
        super().handle_request(self.sent[number]).close()


@dataclass
class ControlHosts:
    """Makes processes: on each host, those before it are dead, and their kernel says so.

    Entered, and left when the connections of all of them are to be closed.
    """

    cluster: Cluster
    endpoints: Sequence[str] = ()
    """Where to find the cluster, if not at its members."""
    lease_s: int = 60
    timeout_s: float = 3.0
    user: str | None = None
    password_file: Path | None = None
    folder: Path | None = None
    """Where each control host has a folder for what it could not write; without one it is kept in memory."""
    _born: dict[str, int] = field(default_factory=dict)
    _stores: list[EtcdStore] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for store in self._stores:
            store.close()

    def store(self, host: str, cuts: Cuts | None = None, clock: Clock | None = None) -> EtcdStore:
        """What a new process on this host keeps its runs in."""
        self._born[host] = self._born.get(host, 0) + 1
        owner = ProcessId(host, self._born[host], self._born[host], f"the boot of {host}")
        store = EtcdStore(
            self.named(),
            self.config,
            clock=clock,
            owner=owner,
            alive=lambda other: other.pid == self._born[host],
        )
        if self.folder is not None:
            store.spool_folder = self.folder / host
        if cuts is not None:
            transport = CutTransport(cuts)
            for client in gateway(store)._opened():
                client._transport = transport
        self._stores.append(store)
        return store

    @staticmethod
    def transport(store: EtcdStore) -> CutTransport:
        """The transport of a store whose requests are cut."""
        transport = gateway(store)._clients[0]._transport
        assert isinstance(transport, CutTransport)
        return transport

    def named(self) -> EtcdCluster:
        found = EtcdCluster.named(f"etcd://{','.join(self.endpoints or self.cluster.endpoints)}{PREFIX}")
        assert found is not None
        return found

    @property
    def config(self) -> EtcdConfig:
        return EtcdConfig(
            lease=self.lease_s, timeout=self.timeout_s, user=self.user, password_file=self.password_file
        )

    def perform(self, plan: Plan, host: str, cuts: Cuts | None = None) -> RunResult:
        """A new run, in a new process on this host."""
        return Runner(store=self.store(host, cuts)).perform(REQUEST, plan)

    def recover(self, plan: Plan, command: RecoveryCommand, host: str, cuts: Cuts | None = None) -> RunResult:
        """Resume the latest run, or roll it back, in a new process on this host."""
        runner, run = Runner(store=self.store(host, cuts)), self.run
        return runner.resume(run, plan) if command == "resume" else runner.roll_back(run, plan)

    @cached_property
    def onlooker(self) -> EtcdStore:
        """Reads, from a host of its own."""
        return self.store("onlooker")

    @property
    def run(self) -> str:
        """The id of the latest run."""
        return self.onlooker.runs()[0].id

    @property
    def locked(self) -> dict[str, str]:
        """Each lock that is taken, and the run that has it."""
        return {lock.key: lock.run for lock in self.onlooker.locks()}
