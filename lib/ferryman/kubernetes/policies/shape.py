"""Parts of a manifest, taken out of plain data that anybody may have written."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from ferryman.kubernetes.policies.values import MAX_PORT, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.kubernetes.policies.values import Network

_SHOWN = 60
_LAST_PROTOCOL = 255


class UnreadableManifestError(ValueError):
    """A manifest is not as its kind has to be; the message says which key, and what was expected."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def mapping(value: Any, where: str) -> dict[str, Any]:  # noqa: ANN401  # whatever a manifest holds
    """A mapping; an empty one where there is none."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UnreadableManifestError(f"{where}: expected a mapping, found {_shown(value)}")
    return value


def sequence(value: Any, where: str) -> list[Any]:  # noqa: ANN401  # as above
    """A list; an empty one where there is none."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableManifestError(f"{where}: expected a list, found {_shown(value)}")
    return value


def text(value: Any, where: str, default: str = "") -> str:  # noqa: ANN401  # as above
    """A text; the default where there is none."""
    if value is None:
        return default
    if not isinstance(value, str):
        raise UnreadableManifestError(f"{where}: expected a text, found {_shown(value)}")
    return value


def texts(value: Any, where: str) -> dict[str, str]:  # noqa: ANN401  # as above
    """A mapping of texts, such as labels."""
    found = mapping(value, where)
    return {key: text(each, f"{where}.{key}") for key, each in found.items()}


def number(value: Any, where: str, low: int, high: int) -> int:  # noqa: ANN401  # as above
    """A whole number within limits."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UnreadableManifestError(
            f"{where}: expected a number from {low} to {high}, found {_shown(value)}"
        )
    return value


def port_number(value: Any, where: str) -> int:  # noqa: ANN401  # as above
    """The number of a port."""
    return number(value, where, 0, MAX_PORT)


def protocol_number(value: Any, where: str) -> int:  # noqa: ANN401  # as above
    """A protocol by its name or number."""
    if isinstance(value, str):
        if value.isascii() and value.isdecimal():
            return number(int(value[:6]), where, 0, _LAST_PROTOCOL)
        if value.lower() in PROTOCOLS:
            return PROTOCOLS[value.lower()]
        raise UnreadableManifestError(f"{where}: {_shown(value)} is no protocol that is known")
    return number(value, where, 0, _LAST_PROTOCOL)


def networks(value: Any, where: str) -> tuple[Network, ...]:  # noqa: ANN401  # as above
    """Networks, each as ADDRESS/LENGTH."""
    return tuple(network(each, where) for each in sequence(value, where))


def network(value: Any, where: str) -> Network:  # noqa: ANN401  # as above
    """A network as ADDRESS/LENGTH; bits of the host are passed over, as the API server does."""
    try:
        return ipaddress.ip_network(text(value, where), strict=False)
    except ValueError as error:
        raise UnreadableManifestError(f"{where}: {_shown(value)} is no network") from error


def unknown_keys(found: Iterable[str], known: Iterable[str]) -> str:
    """What to say of keys that are not judged; empty where all are known."""
    strange = sorted(set(found) - set(known))
    return f"{', '.join(strange)} is not judged" if strange else ""
