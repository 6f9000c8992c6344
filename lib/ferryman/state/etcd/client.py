"""What Ferryman asks of an etcd cluster: keys, transactions, leases.

Reads are linearizable, so a member that has lost the others cannot answer them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.state.etcd.gateway import Gateway

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key and its value as they were read."""

    key: str
    value: str
    created: int
    """The revision of the store in which the key was created."""
    modified: int
    """The revision of the store in which the key was last written."""


class EtcdClient:
    """Asks a cluster through a gateway.

    Raises:
        JournalError: From every method, as the gateway does; or the answer is not one of etcd's.
    """

    def __init__(self, gateway: Gateway, time_left_s: Callable[[], float]) -> None:
        """``time_left_s`` is called at each request; it returns for how many seconds to try, or raises."""
        self.gateway = gateway
        self._time_left_s = time_left_s

    def get(self, key: str) -> KeyValue | None:
        """The key as it is now; None where there is none."""
        found = self._range({"key": _encoded(key)})
        return found[0] if found else None

    def listed(self, prefix: str, *, limit: int = 0, newest_first: bool = False) -> list[KeyValue]:
        """The keys that begin with this prefix, in order of their names; all of them where the limit is 0."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        order = "DESCEND" if newest_first else "ASCEND"
        request = {"key": _encoded(prefix), "range_end": _encoded(end), "limit": limit}
        return self._range({**request, "sort_order": order, "sort_target": "KEY"})

    def commit(self, compares: Sequence[Compare], puts: Sequence[Put], deletes: Sequence[str] = ()) -> int:
        """Write and delete these keys in one transaction, if every compare holds.

        Returns:
            The store's revision after it; 0 where a compare does not hold, and nothing was written.
        """
        success: list[dict[str, Any]] = [{"request_put": put} for put in puts]
        success += [{"request_delete_range": {"key": _encoded(key)}} for key in deletes]
        request = {"compare": list(compares), "success": success}
        return self._ask(
            "/kv/txn", request, lambda answer: _revision(answer["header"]) if answer.get("succeeded") else 0
        )

    def grant(self, seconds: int) -> int:
        """Create a lease of this length; returns its id."""
        return self._ask("/lease/grant", {"TTL": seconds, "ID": 0}, lambda answer: int(answer["ID"]))

    def keep_alive(self, lease: int) -> int:
        """Renew a lease; returns the seconds that it has from now, 0 where it has ended."""

        def read(answer: dict[str, Any]) -> int:
            _revision(answer["result"]["header"])
            # It is left out when it is 0, as etcd does with every number.
            return int(answer["result"].get("TTL", 0))

        return self._ask("/lease/keepalive", {"ID": lease}, read)

    def revoke(self, lease: int) -> None:
        """End a lease, and with it the keys that are bound to it."""
        self._ask("/lease/revoke", {"ID": lease}, lambda answer: _revision(answer["header"]))

    def close(self) -> None:
        """Close the connections to every member of the cluster."""
        self.gateway.close()

    def _range(self, request: dict[str, Any]) -> list[KeyValue]:
        def read(answer: dict[str, Any]) -> list[KeyValue]:
            _revision(answer["header"])
            return [_key_value(found) for found in answer.get("kvs", [])]

        return self._ask("/kv/range", request, read)

    def _ask(self, path: str, request: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
        """What ``read`` takes from the answer, which may come from whatever is between us and the cluster."""
        answer = self.gateway.post(path, request, self._time_left_s())
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(
                f"{self.gateway.where}: {path}: this is no answer of etcd's: {answer!r:.200}; see what "
                "listens there"
            ) from error


Compare = dict[str, Any]
Put = dict[str, Any]


def created_in(key: str, revision: int) -> Compare:
    """A compare: the key was created in this revision; with 0, there is no such key."""
    return {
        "key": _encoded(key),
        "target": "CREATE",
        "result": "EQUAL",
        "create_revision": revision,
    }


def unchanged(key: str, seen: KeyValue | None) -> Compare:
    """A compare: the key is as it was read; None where there was none."""
    return created_in(key, 0) if seen is None else written_in(key, seen.modified)


def written_in(key: str, revision: int) -> Compare:
    """A compare: the key was last written in this revision."""
    return {"key": _encoded(key), "target": "MOD", "result": "EQUAL", "mod_revision": revision}


def put(key: str, value: str, lease: int = 0) -> Put:
    """A write of a key; with a lease, the key is deleted when that ends."""
    written = {"key": _encoded(key), "value": _encoded(value)}
    return {**written, "lease": lease} if lease else written


def _revision(header: dict[str, str]) -> int:
    """The store's revision, which each answer of etcd's has, and no other server's."""
    return int(header["revision"])


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
