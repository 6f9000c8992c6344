"""What is asked of an etcd cluster: keys, transactions, leases.

Reads are linearizable, so a member that is cut off from the others cannot answer them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.engine.store.etcd_gateway import Gateway


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
        JournalError: From every method, as the gateway does.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

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
        answer = self.gateway.post("/kv/txn", {"compare": list(compares), "success": success})
        return int(answer["header"]["revision"]) if answer.get("succeeded") else 0

    def grant(self, seconds: int) -> int:
        """A lease of this length; its id."""
        return int(self.gateway.post("/lease/grant", {"TTL": seconds, "ID": 0})["ID"])

    def keep_alive(self, lease: int) -> int:
        """Renew a lease; the seconds that it has from now, 0 when it is over."""
        answer = self.gateway.post("/lease/keepalive", {"ID": lease})
        return int(answer.get("result", {}).get("TTL", 0))

    def revoke(self, lease: int) -> None:
        """Give a lease back."""
        self.gateway.post("/lease/revoke", {"ID": lease})

    def close(self) -> None:
        """Close the connections."""
        self.gateway.close()

    def _range(self, asked: dict[str, Any]) -> list[KeyValue]:
        return [_key_value(one) for one in self.gateway.post("/kv/range", asked).get("kvs", [])]


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
