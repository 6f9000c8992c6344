"""Which names the lab takes: they become network namespaces, paths, and words of its scripts.

Names that people gave their hosts may be anything. What has not the form below is refused, or gets a name
that has it; so no name needs quoting anywhere in the lab.
"""

from __future__ import annotations

import hashlib
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.lab.topology.values import BASTION, CLIENT, CONTROL, ROUTER

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST = 64
"""Characters: the path of a Unix socket must hold a host's name, and has room for a hundred."""
HOST_FORM = "lower-case letters, digits, dots, hyphens and underscores, 64 at most, with a letter among them"
SERVICE_FORM = "letters, digits, dots, hyphens and underscores, 64 at most"
RESERVED = frozenset(
    {
        *(CONTROL, ROUTER.name, CLIENT.name, BASTION.name),
        *("localhost", "authorized_keys", "boot.times", "capture", "doubles", "download", "kept", "links"),
        *("log", "mount", "share", "starts", "tls.pem"),
    }
)
"""What the lab has by these names, as hosts or as files in ``/lab``."""
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_SERVICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_KEPT = 40
"""Characters of a name that its replacement keeps."""


def is_host_name(name: str) -> bool:
    """Whether a host of the lab can have this name, as far as its form goes."""
    return (
        len(name) <= LONGEST
        and _HOST.fullmatch(name) is not None
        and ".." not in name
        and name not in RESERVED
        and not _is_like_an_address(name)
    )


def is_service_name(name: str) -> bool:
    """Whether a service, a site or a class of the lab can have this name: it becomes a file's."""
    return len(name) <= LONGEST and _SERVICE.fullmatch(name) is not None and ".." not in name


def _is_like_an_address(name: str) -> bool:
    """Whether any program might take the name for an address, as inet_aton does with 167772161 and 0x7f.1."""
    if all(re.fullmatch(r"0x[0-9a-f]*|[0-9]+", part) for part in name.split(".")):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def host_name(name: str, taken: Collection[str]) -> str:
    """The name of a host in the lab: its own where the lab takes that, else one made of it.

    >>> host_name("web1.example.org", ()), host_name("Web$(id)", ())
    ('web1.example.org', 'web--id-5cbd8e')
    """
    if is_host_name(name) and name not in taken:
        return name
    tail = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    head = re.sub(r"[^a-z0-9]", "-", name.lower())[:_KEPT].strip("-")
    if not re.search(r"[a-z]", head):
        head = f"host-{head}".strip("-")
    return next(made for end in range(6, 65) if (made := f"{head}-{tail[:end]}"[:LONGEST]) not in taken)
