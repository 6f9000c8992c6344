"""What Ferryman asks of an etcd cluster: keys, transactions, leases.

Reads are linearizable, so a member that has lost the others cannot answer them.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.state.etcd.gateway import Gateway

T = TypeVar("T")
_NUMBER = re.compile(r"[0-9]{1,20}")
"""As many digits as 64 bits take."""


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
        self._seen = 0
        """The greatest revision of the store that an answer had."""

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

        def read(answer: dict[str, Any]) -> int:
            revision = self._not_before(answer)
            return revision if _succeeded(answer) else 0

        return self._ask("/kv/txn", request, read)

    def grant(self, seconds: int) -> int:
        """Create a lease of this length; returns its id."""
        return self._ask("/lease/grant", {"TTL": seconds, "ID": 0}, lambda answer: _number(answer["ID"]))

    def keep_alive(self, lease: int) -> int:
        """Renew a lease; returns the seconds that it has from now, 0 where it has ended."""

        def read(answer: dict[str, Any]) -> int:
            _revision(answer["result"]["header"])
            # It is left out when it is 0, as etcd does with every number.
            return _number(answer["result"].get("TTL", 0))

        return self._ask("/lease/keepalive", {"ID": lease}, read)

    def revoke(self, lease: int) -> None:
        """End a lease, and with it the keys that are bound to it."""
        self._ask("/lease/revoke", {"ID": lease}, lambda answer: _revision(answer["header"]))

    def close(self) -> None:
        """Close the connections to every member of the cluster."""
        self.gateway.close()

    def _range(self, request: dict[str, Any]) -> list[KeyValue]:
        def read(answer: dict[str, Any]) -> list[KeyValue]:
            self._not_before(answer)
            found = answer.get("kvs", [])
            if not isinstance(found, list):
                raise TypeError("kvs")
            return [_key_value(key_value) for key_value in found]

        return self._ask("/kv/range", request, read)

    def _not_before(self, answer: dict[str, Any]) -> int:
        """The store's revision, which never goes back: who says so has another store, or an old one.

        Raises:
            ValueError: It went back.
        """
        revision = _revision(answer["header"])
        if revision < self._seen:
            raise ValueError("revision")
        self._seen = revision
        return revision

    def _ask(self, path: str, request: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
        """What ``read`` takes from the answer, which may come from whatever is between us and the cluster."""
        answer = self.gateway.post(path, request, self._time_left_s())
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise JournalError(
                f"{self.gateway.where}: {path}: this is no answer of etcd's, or one of an earlier state of "
                f"the cluster: {answer!r:.200}; see what listens there, and whether a backup was put back"
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


def _revision(header: dict[str, object]) -> int:
    """The store's revision, which each answer of etcd's has, and no other server's."""
    return _number(header["revision"])


def _succeeded(answer: dict[str, Any]) -> bool:
    """Whether the compares of a transaction held; it is left out where they did not."""
    succeeded = answer.get("succeeded", False)
    if not isinstance(succeeded, bool):
        raise TypeError("succeeded")
    return succeeded


def _number(value: object) -> int:
    """A number of etcd's, which its JSON has as text; none of them is below 0."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("number")


def _key_value(found: dict[str, str]) -> KeyValue:
    return KeyValue(
        _decoded(found["key"]),
        _decoded(found.get("value", "")),
        _number(found["create_revision"]),
        _number(found["mod_revision"]),
    )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode(errors="backslashreplace")
