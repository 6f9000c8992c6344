"""What is asked of an etcd cluster: keys, transactions, leases.

Reads are linearizable, so a member that is cut off from the others cannot answer them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.state.etcd_gateway import Gateway

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as it was read."""

    key: str
    value: str
    created: int
    """The revision of the store in which the key was made; 0 in one that is not there."""
    modified: int


class EtcdClient:
    """The cluster behind a gateway.

    Raises:
        JournalError: From every method, as the gateway does; or what was answered is no answer of etcd's.
    """

    def __init__(self, gateway: Gateway, patience_s: Callable[[], float]) -> None:
        """``patience_s`` says, at each request, for how many seconds it may be tried in all, or raises."""
        self.gateway = gateway
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
        return self._asked(
            "/kv/txn", asked, lambda said: _revision(said["header"]) if said.get("succeeded") else 0
        )

    def grant(self, seconds: int) -> int:
        """A lease of this length; its id."""
        return self._asked("/lease/grant", {"TTL": seconds, "ID": 0}, lambda said: int(said["ID"]))

    def keep_alive(self, lease: int) -> int:
        """Renew a lease; the seconds that it has from now, 0 when it is over."""

        def left(said: dict[str, Any]) -> int:
            _revision(said["result"]["header"])
            return int(said["result"].get("TTL", 0))  # left out when it is 0, as etcd does with every number

        return self._asked("/lease/keepalive", {"ID": lease}, left)

    def revoke(self, lease: int) -> None:
        """Give a lease back."""
        self._asked("/lease/revoke", {"ID": lease}, lambda said: _revision(said["header"]))

    def close(self) -> None:
        """Close the connections."""
        self.gateway.close()

    def _range(self, asked: dict[str, Any]) -> list[KeyValue]:
        def read(said: dict[str, Any]) -> list[KeyValue]:
            _revision(said["header"])
            return [_key_value(one) for one in said.get("kvs", [])]

        return self._asked("/kv/range", asked, read)

    def _asked(self, path: str, asked: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
        """What is read from the answer: whatever stands between us and the cluster may have given it."""
        said = self.gateway.post(path, asked, self._patience_s())
        try:
            return read(said)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(
                f"{self.gateway.where}: {path}: this is no answer of etcd's: {said!r:.200}; see what listens "
                "there"
            ) from error


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


def _revision(header: dict[str, str]) -> int:
    """The store's revision: every answer has it, and nothing that is not etcd has."""
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
