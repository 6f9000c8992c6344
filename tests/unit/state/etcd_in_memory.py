"""A cluster in memory, as its JSON gateway answers: for hundreds of runs, each request of which goes wrong.

With the real one that would take hours, and no real one can be made to answer so. What the store does with a
real cluster is tried in ``tests/lab/etcd``.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.process import ProcessId
from ferryman.state.etcd.client import EtcdClient
from ferryman.state.etcd.store import EtcdStore
from ferryman.testing import Cuts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class InsteadError(Exception):
    """Carries what is answered in the place of the true answer."""

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # whatever JSON holds
        self.answer = answer


@dataclass
class _Value:
    value: str
    created: int
    modified: int
    lease: int


@dataclass
class EtcdInMemory:
    """Keys, leases and a revision."""

    values: dict[bytes, _Value] = field(default_factory=dict)
    revision: int = 1000
    leases: int = 0

    def answer(self, path: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request, with numbers as texts, and without what is 0 or empty."""
        header = {"cluster_id": "1", "member_id": "2", "raft_term": "3"}
        match path:
            case "/kv/range":
                found = self._range(request)
                answer: dict[str, Any] = {"kvs": found, "count": str(len(found))} if found else {}
            case "/kv/txn":
                answer = self._transaction(request)
            case "/lease/grant":
                self.leases += 1
                answer = {"ID": str(self.leases), "TTL": str(request["TTL"])}
            case "/lease/keepalive":
                return {"result": {"header": {**header, "revision": str(self.revision)}, "TTL": "60"}}
            case _:
                self.end_lease(request["ID"])
                answer = {}
        return {"header": {**header, "revision": str(self.revision)}, **answer}

    def end_lease(self, lease: int | None = None) -> None:
        """End one lease, or all of them, and with it the keys that are bound to it."""
        ended = [key for key, value in self.values.items() if value.lease and lease in (None, value.lease)]
        for key in ended:
            del self.values[key]

    def _range(self, request: Mapping[str, Any]) -> list[dict[str, str]]:
        first = base64.b64decode(request["key"])
        end = base64.b64decode(request["range_end"]) if "range_end" in request else first + b"\0"
        keys = sorted(key for key in self.values if first <= key < end)
        if request.get("sort_order") == "DESCEND":
            keys.reverse()
        return [self._shown(key) for key in keys[: request.get("limit") or None]]

    def _shown(self, key: bytes) -> dict[str, str]:
        value = self.values[key]
        return {
            "key": base64.b64encode(key).decode(),
            "value": value.value,
            "create_revision": str(value.created),
            "mod_revision": str(value.modified),
        }

    def _transaction(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if not all(map(self._holds, request["compare"])):
            return {}
        self.revision += 1
        for operation in request["success"]:
            if put := operation.get("request_put"):
                key = base64.b64decode(put["key"])
                created = self.values[key].created if key in self.values else self.revision
                self.values[key] = _Value(put["value"], created, self.revision, put.get("lease", 0))
            else:
                self.values.pop(base64.b64decode(operation["request_delete_range"]["key"]), None)
        return {"succeeded": True}

    def _holds(self, compare: Mapping[str, Any]) -> bool:
        found = self.values.get(base64.b64decode(compare["key"]), _Value("", 0, 0, 0))
        if compare["target"] == "CREATE":
            return bool(found.created == compare["create_revision"])
        return bool(found.modified == compare["mod_revision"])


@dataclass
class CutGateway:
    """What a store asks the cluster through; each request can go wrong, or be answered wrongly."""

    etcd: EtcdInMemory
    cuts: Cuts
    where: str = "etcd nowhere:2379/ferryman"

    def post(self, path: str, request: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """As ``Gateway.post``."""
        del within_s
        try:
            return self.cuts.call(lambda: self.etcd.answer(path, request))
        except InsteadError as instead:
            found: dict[str, Any] = instead.answer
            return found

    def close(self) -> None:
        """Do nothing: there is no connection."""


@dataclass
class ControlHost:
    """Makes processes on one host, each of which knows that those before it are dead."""

    etcd: EtcdInMemory = field(default_factory=EtcdInMemory)
    _processes: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def store(self, cuts: Cuts | None = None) -> EtcdStore:
        """What a new process keeps its runs in."""
        number = next(self._processes)
        cluster = EtcdCluster((("127.0.0.1", 1),), "/ferryman")
        owner = ProcessId("host", number, number, "one boot")
        store = EtcdStore(cluster, EtcdConfig(), owner=owner, alive=lambda other: other.pid == number)
        store._client = EtcdClient(CutGateway(self.etcd, cuts or Cuts()), lambda: 0.0)
        store._renewing = EtcdClient(CutGateway(self.etcd, Cuts()), lambda: 0.0)
        return store
