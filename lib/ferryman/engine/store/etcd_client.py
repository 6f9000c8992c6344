"""Requests to an etcd cluster: to whichever member answers, patiently, and never through a proxy.

Every request goes over etcd's JSON gateway (etcd.io/docs/v3.4/dev-guide/api_grpc_gateway). Reads are
linearizable, so a member that is cut off from the others cannot answer them. A write whose answer was lost is
sent again: whoever calls sees from what is there then whether the first one took effect.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from etcd3gw import Etcd3Client
from etcd3gw.exceptions import (
    ConnectionFailedError,
    ConnectionTimeoutError,
    Etcd3Exception,
    InternalServerError,
)

from ferryman import patience
from ferryman.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.config import EtcdCluster, EtcdConfig

T = TypeVar("T")

_PASSING = (ConnectionFailedError, ConnectionTimeoutError, InternalServerError, requests.RequestException)
"""What another member, or the same one a little later, may do better: no leader, a leader that changes."""
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as it was read."""

    key: str
    value: str
    created: int
    """The revision of the store in which the key was made; 0 in one that is not there."""
    modified: int


class EtcdClient:
    """A cluster, as one thread speaks to it.

    Raises:
        JournalError: From every method: no member answered in all of the time, or the answer was no.
    """

    def __init__(self, cluster: EtcdCluster, config: EtcdConfig, *, patience_s: float) -> None:
        self.where = f"etcd {','.join(f'{host}:{port}' for host, port in cluster.members)}{cluster.prefix}"
        self._clients = [_client(host, port, config) for host, port in cluster.members]
        self._patience_s = patience_s

    def get(self, key: str) -> KeyValue | None:
        """One key."""
        found = self._range({"key": _encoded(key)})
        return found[0] if found else None

    def listed(self, prefix: str, *, limit: int = 0, newest_first: bool = False) -> list[KeyValue]:
        """The keys that begin so, in order."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        order = "DESCEND" if newest_first else "ASCEND"
        asked = {"key": _encoded(prefix), "range_end": _encoded(end), "limit": limit}
        return self._range({**asked, "sort_order": order, "sort_target": "KEY"})

    def commit(self, compares: Sequence[Compare], puts: Sequence[Put], deletes: Sequence[str] = ()) -> int:
        """All of it, if every compare holds: the store's revision then; 0 when one does not."""
        success: list[dict[str, Any]] = [{"request_put": put} for put in puts]
        success += [{"request_delete_range": {"key": _encoded(key)}} for key in deletes]
        asked = {"compare": list(compares), "success": success}
        answer = self._ask(lambda client: client.transaction(asked))
        return int(answer["header"]["revision"]) if answer.get("succeeded") else 0

    def grant(self, seconds: int) -> int:
        """A lease of this length; its id."""
        return self._ask(lambda client: client.lease(ttl=seconds)).id

    def keep_alive(self, lease: int) -> int:
        """Renew a lease; the seconds that it has from now, 0 when it is over."""
        answer = self._ask(lambda client: client.post(client.get_url("/lease/keepalive"), json={"ID": lease}))
        return int(answer.get("result", {}).get("TTL", 0))

    def revoke(self, lease: int) -> None:
        """Give a lease back."""
        self._ask(lambda client: client.post(client.get_url("/lease/revoke"), json={"ID": lease}))

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.session.close()

    def _range(self, asked: dict[str, Any]) -> list[KeyValue]:
        answer = self._ask(lambda client: client.post(client.get_url("/kv/range"), json=asked))
        return [_key_value(one) for one in answer.get("kvs", [])]

    def _ask(self, call: Callable[[Etcd3Client], T]) -> T:
        outcome = patience.until(
            lambda: self._ask_one(call),
            lambda seen: not isinstance(seen, Exception),
            within_s=self._patience_s,
            every_s=_PAUSE_S,
        )
        if isinstance(outcome, Exception):
            raise self._explained(outcome) from outcome
        return outcome

    def _ask_one(self, call: Callable[[Etcd3Client], T]) -> T | Exception:
        try:
            return call(self._clients[0])
        except _PASSING as error:
            self._clients.append(self._clients.pop(0))
            return error
        except Etcd3Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> JournalError:
        said = getattr(error, "detail_text", None) or error
        return JournalError(
            f"{self.where}: the journal cannot be used: {said}; look at the cluster: etcdctl endpoint "
            "health; and at [etcd] in ferryman.toml"
        )


Compare = dict[str, Any]
Put = dict[str, Any]


def made_in(key: str, revision: int) -> Compare:
    """The key is the one that was made in this revision; with 0, there is none."""
    return {
        "key": _encoded(key),
        "target": "CREATE",
        "result": "EQUAL",
        "create_revision": revision,
    }


def unchanged(key: str, seen: KeyValue | None) -> Compare:
    """The key is as it was read."""
    return made_in(key, 0) if seen is None else written_in(key, seen.modified)


def written_in(key: str, revision: int) -> Compare:
    """The key was last written in this revision."""
    return {"key": _encoded(key), "target": "MOD", "result": "EQUAL", "mod_revision": revision}


def put(key: str, value: str, lease: int = 0) -> Put:
    """Write a key; with a lease, until that ends."""
    written = {"key": _encoded(key), "value": _encoded(value)}
    return {**written, "lease": lease} if lease else written


def _client(host: str, port: int, config: EtcdConfig) -> Etcd3Client:
    session = requests.Session()
    session.trust_env = False  # a proxy for the web is none for the cluster
    if config.ca is not None:
        session.verify = str(config.ca)
    if config.cert is not None and config.key is not None:
        session.cert = (str(config.cert), str(config.key))
    return Etcd3Client(
        host,
        port,
        protocol="https" if config.ca is not None else "http",
        timeout=config.timeout,
        api_path="/v3/",
        session=session,
    )


def _key_value(found: dict[str, str]) -> KeyValue:
    return KeyValue(
        _decoded(found["key"]),
        _decoded(found.get("value", "")),
        int(found["create_revision"]),
        int(found["mod_revision"]),
    )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="backslashreplace")
