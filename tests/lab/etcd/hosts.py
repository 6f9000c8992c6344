"""Control hosts that share one etcd, as processes of theirs see it; whose requests can be cut and counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from requests.adapters import HTTPAdapter

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.plan import Plan
from ferryman.engine.process import ProcessId
from ferryman.engine.runner import Runner
from ferryman.state import RunRequest
from ferryman.state.etcd import EtcdStore
from ferryman.state.etcd_gateway import HttpGateway
from ferryman.testing import Becomes, Cuts, FakeWorld, Is

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from requests import PreparedRequest, Response

    from ferryman.engine.clock import Clock
    from ferryman.engine.endings import Ending
    from ferryman.testing import WayOn
    from lab.etcd.cluster import Cluster

ORDER = RunRequest(cookbook="test", operator="tester")
OLD, NEW = {"a": "old", "b": "old"}, {"a": "new", "b": "new"}
PREFIX = "/ferryman"


def world(cuts: Cuts | None = None) -> FakeWorld:
    return FakeWorld(cuts, **OLD)


def plan(of: FakeWorld, lock: str = "web") -> Plan:
    """Two changes, with a look in between."""
    return Plan([Becomes(of, "a", "new"), Is(of, "a", "new"), Becomes(of, "b", "new")], [lock])


def gateway(store: EtcdStore) -> HttpGateway:
    """What a store asks its cluster through."""
    found = store._client.gateway
    assert isinstance(found, HttpGateway)
    return found


class CutAdapter(HTTPAdapter):
    """Sends the requests of one process, unless they are cut; keeps them, to be sent again."""

    def __init__(self, cuts: Cuts) -> None:
        super().__init__()
        self.sent: list[PreparedRequest] = []
        self._cuts = cuts

    def send(self, request: PreparedRequest, *args: Any, **more: Any) -> Response:  # noqa: ANN401  # as requests has it
        self.sent.append(request)
        answers: list[Response] = []
        try:
            self._cuts.call(lambda: answers.append(super(CutAdapter, self).send(request, *args, **more)))
        except BaseException:
            for answer in answers:
                answer.close()
            raise
        return answers[0]

    def send_again(self, number: int) -> None:
        """A copy of an earlier request, which had been on its way for long, arrives."""
        super().send(self.sent[number]).close()


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
            adapter = CutAdapter(cuts)
            for client in gateway(store)._clients:
                client.session.mount("http://", adapter)
        self._stores.append(store)
        return store

    @staticmethod
    def adapter(store: EtcdStore) -> CutAdapter:
        """What sends the requests of a store whose calls are cut."""
        adapter = gateway(store)._clients[0].session.get_adapter("http://")
        assert isinstance(adapter, CutAdapter)
        return adapter

    def named(self) -> EtcdCluster:
        found = EtcdCluster.named(f"etcd://{','.join(self.endpoints or self.cluster.endpoints)}{PREFIX}")
        assert found is not None
        return found

    @property
    def config(self) -> EtcdConfig:
        return EtcdConfig(lease=self.lease_s, timeout=self.timeout_s)

    def perform(self, plan: Plan, host: str, cuts: Cuts | None = None) -> Ending:
        """A new run, in a new process on this host."""
        return Runner(store=self.store(host, cuts)).perform(ORDER, plan)

    def go_on(self, plan: Plan, way: WayOn, host: str, cuts: Cuts | None = None) -> Ending:
        """Resume the latest run, or roll it back, in a new process on this host."""
        runner, run = Runner(store=self.store(host, cuts)), self.run
        return runner.resume(run, plan) if way == "resume" else runner.roll_back(run, plan)

    @cached_property
    def onlooker(self) -> EtcdStore:
        """Reads, from a host of its own."""
        return self.store("onlooker")

    @property
    def run(self) -> str:
        """The latest run's id."""
        return self.onlooker.runs()[0].id

    @property
    def locked(self) -> dict[str, str]:
        """Each lock that is taken, and the run that has it."""
        return {lock.key: lock.run for lock in self.onlooker.locks()}
