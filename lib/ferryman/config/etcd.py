"""``[etcd]``, and the cluster that ``state`` names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import Field

from ferryman.config.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

_PORT = 2379
_SCHEME = "etcd://"
_OF_CLUSTERS = ("ca", "cert", "key", "user", "password_file")
"""The keys that are for a cluster alone, and say how it is trusted."""
NAMED_SO = f"{_SCHEME}HOST:PORT,HOST:PORT/PREFIX"


class EtcdConfig(Table):
    """``[etcd]``: how the cluster named in ``state`` is reached."""

    ca: Path | None = None
    """The authority that signs the cluster's certificates; given, everything goes over TLS."""
    cert: Path | None = None
    """This control host's certificate, where the cluster asks for one."""
    key: Path | None = None
    user: Annotated[str, Field(min_length=1)] | None = None
    """Whom to log in as, where the cluster has ``auth enable``."""
    password_file: Path | None = None
    """Has the user's password, and is nobody else's to read."""
    lease: int = Field(default=60, ge=2, le=3600)
    """Seconds without a renewal after which a control host counts as dead; etcd rounds up small ones."""
    timeout: float = Field(default=3.0, gt=0, le=3600)
    """Seconds for one request to one member."""

    def faults(self, cluster: EtcdCluster | None) -> Iterator[tuple[str, str]]:
        """Each key that cannot be meant as it is, with why: it would not be used, or be told to all."""
        if cluster is None:
            for key in _OF_CLUSTERS:
                if getattr(self, key) is not None:
                    yield key, f"is not used: state names no cluster; name one, {NAMED_SO!r}, or leave it out"
            return
        for key, needed in (
            ("cert", "key"),
            ("key", "cert"),
            ("user", "password_file"),
            ("password_file", "user"),
        ):
            if getattr(self, key) is not None and getattr(self, needed) is None:
                yield key, f"is not used without etcd.{needed}: set both, or none"
        if self.cert is not None and self.ca is None:
            yield "cert", "is not used without etcd.ca: nothing goes over TLS then; set etcd.ca"
        if self.user is not None and self.ca is None and (others := cluster.beyond_this_machine):
            why = f"its password would go to {', '.join(others)} unencrypted, and whoever reads it on the way"
            yield "user", f"{why} can write what a rollback writes to directors; set etcd.ca"


@dataclass(frozen=True, slots=True)
class EtcdCluster:
    """Where an etcd cluster is, and under which key Ferryman's begin."""

    members: tuple[tuple[str, int], ...]
    """Host and port of each."""
    prefix: str

    def __str__(self) -> str:
        return f"etcd {','.join(f'{host}:{port}' for host, port in self.members)}{self.prefix}"

    @property
    def beyond_this_machine(self) -> list[str]:
        """The members that are not on loopback."""
        return [host for host, _ in self.members if not is_loopback(host)]

    @classmethod
    def named(cls, state: str) -> EtcdCluster | None:
        """The cluster that a text names, ``etcd://HOST:PORT,HOST:PORT/prefix``; None when it is not one."""
        found = re.fullmatch(rf"{_SCHEME}([^/?#@\s]+)(/[^?#\s]*)?", state)
        if found is None:
            return None
        members = [urlsplit(f"//{member}") for member in found[1].split(",")]
        try:
            named = tuple((member.hostname or "", member.port or _PORT) for member in members)
        except ValueError:
            return None
        prefix = (found[2] or "").rstrip("/") or "/ferryman"
        return cls(named, prefix) if all(host for host, _ in named) else None


def fault_of_state(state: str) -> str | None:
    """What a text that is to name a cluster says too much, without saying it: it may be a password.

    None where it is none of a cluster's, or only malformed.
    """
    if not state.startswith(_SCHEME):
        return None
    rest = state.removeprefix(_SCHEME)
    if "@" in rest:
        return "has a user or a password in it, which belong into etcd.user and etcd.password_file"
    if "?" in rest or "#" in rest:
        return "has a query or a fragment, which is not read: what it sets is a key of [etcd], or none"
    return None


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, and of no network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
