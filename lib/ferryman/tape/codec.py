"""Values as JSON and back, for the tape: data only, of classes that are named here.

A tape may come from anybody. So nothing in it is ever imported, called or looked up by its name elsewhere: a
class is one of ``classes()``, and gets its fields as its constructor takes them.
"""

from __future__ import annotations

import base64
import binascii
import importlib
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from pathlib import PurePath
from typing import Any

from ferryman import errors
from ferryman.errors import UsageError

MODULES = (
    "ferryman.model",
    "ferryman.ipvs.table",
    "ferryman.hosts.completed",
    "ferryman.hosts.verbs.agents",
    "ferryman.hosts.verbs.daemons",
    "ferryman.hosts.verbs.directors",
    "ferryman.hosts.verbs.ipvs",
    "ferryman.hosts.verbs.keepalived",
    "ferryman.hosts.verbs.keepalived_trial",
    "ferryman.hosts.verbs.pods",
    "ferryman.hosts.verbs.routes",
    "ferryman.hosts.verbs.sudo",
    "ferryman.ipvs.connections",
    "ferryman.kubernetes.cluster",
    "ferryman.kubernetes.objects",
    "ferryman.probe.targets",
    "ferryman.probe.exchange.results",
    "ferryman.probe.exchange.targets",
    "ferryman.probe.path_mtu.results",
    "ferryman.traffic.http_request",
    "ferryman.catalog.review.git",
)
"""Where the classes are defined whose values come back from the outside."""
_ADDRESSES = (IPv4Address, IPv6Address)
_INTERFACES = (IPv4Interface, IPv6Interface)
_NETWORKS = (IPv4Network, IPv6Network)
DEEPEST = 60
"""Values within values; no answer of a host is nested as deep."""


class NotDataError(UsageError):
    """A value of a tape is not what the tape's format has; the message says what."""


@cache
def classes() -> Mapping[str, type]:
    """The classes whose values a tape may hold, by name."""
    found: dict[str, type] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == name and _is_data(value):
                assert found.setdefault(value.__name__, value) is value, f"{value.__name__}: two classes"
    return found


@cache
def error_classes() -> Mapping[str, type[Exception]]:
    """Ferryman's own errors, by name, and those that the modules define whose answers are recorded."""
    modules = [errors, *(importlib.import_module(name) for name in MODULES)]
    found = ((module, value) for module in modules for value in vars(module).values())
    return {
        value.__name__: value
        for module, value in found
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.__name__
    }


def encode(value: object) -> Any:  # noqa: ANN401  # JSON
    """A value as JSON.

    Raises:
        TypeError: It is none that a tape can hold: a bug in whoever records it.
    """
    kind = type(value)
    return value if kind in _AS_THEY_ARE else _encoder(kind)(value)  # type: ignore[arg-type]  # classes can be hashed


_AS_THEY_ARE = frozenset({type(None), bool, int, float, str})


@cache
def _encoder(kind: type) -> Callable[[Any], Any]:
    """What makes JSON of the values of a class; found once, for there are many values of each."""
    for kinds, encoder in _ENCODERS:
        if issubclass(kind, kinds):
            return encoder
    if is_dataclass(kind) and classes().get(kind.__name__) is kind:
        names = tuple(each.name for each in fields(kind) if each.init)
        head = {"$": kind.__name__}
        return lambda value: head | {name: encode(getattr(value, name)) for name in names}
    raise TypeError(f"{kind.__qualname__}: no value that a tape can hold")


def _encoded_mapping(value: Mapping[Any, Any]) -> Any:  # noqa: ANN401  # JSON
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: encode(item) for key, item in value.items()}
    return {"$map": [[encode(key), encode(item)] for key, item in value.items()]}


_ENCODERS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: {"$enum": type(value).__name__, "name": value.name}),
    ((bool, int, float, str), lambda value: value),
    (list, lambda value: [encode(item) for item in value]),
    (tuple, lambda value: {"$tuple": [encode(item) for item in value]}),
    (AbstractSet, lambda value: {"$set": sorted((encode(item) for item in value), key=repr)}),
    (Mapping, _encoded_mapping),
    (bytes, lambda value: {"$bytes": base64.b64encode(value).decode("ascii")}),
    (datetime, lambda value: {"$time": value.isoformat()}),
    (_INTERFACES, lambda value: {"$interface": str(value)}),
    (_ADDRESSES, lambda value: {"$ip": str(value)}),
    (_NETWORKS, lambda value: {"$network": str(value)}),
    (PurePath, str),
)
"""By base class, in the order in which they are tried: an interface is an address too."""


def decode(encoded: Any, depth: int = 0) -> Any:  # noqa: ANN401  # any value
    """The value that was encoded.

    Raises:
        NotDataError: It is none.
    """
    if depth > DEEPEST:
        raise NotDataError("a value is nested too deeply")
    if isinstance(encoded, list):
        return [decode(item, depth + 1) for item in encoded]
    if not isinstance(encoded, dict):
        return encoded
    tag = next((key for key in encoded if key.startswith("$")), None)
    try:
        return _decoded(tag, encoded, depth + 1)
    except (TypeError, ValueError, KeyError, AttributeError, binascii.Error) as error:
        raise NotDataError(f"a value is not understood: {tag or 'mapping'}: {error}") from error


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "$ip": ip_address,
    "$interface": ip_interface,
    "$network": ip_network,
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$time": datetime.fromisoformat,
}
"""What makes a value of its text, by its tag."""


def _decoded(tag: str | None, encoded: dict[str, Any], depth: int) -> Any:  # noqa: ANN401  # any value
    if tag is None:
        return {key: decode(item, depth) for key, item in encoded.items()}
    if tag in _PLAIN:
        return _PLAIN[tag](encoded[tag])
    match tag:
        case "$":
            return _object(encoded, depth)
        case "$enum":
            return _class(encoded[tag], Enum)[encoded["name"]]
        case "$tuple" | "$set":
            made = tuple if tag == "$tuple" else frozenset
            return made(decode(item, depth) for item in encoded[tag])
        case "$map":
            return {decode(key, depth): decode(item, depth) for key, item in encoded[tag]}
    raise NotDataError(f"a value is not understood: {tag!r} is no kind of value")


def _object(encoded: dict[str, Any], depth: int) -> Any:  # noqa: ANN401  # any value
    """A value of a class; fields that the class does not have any more are left out."""
    made = _class(encoded["$"], object)
    known = {each.name for each in fields(made) if each.init}
    given = {name: decode(item, depth) for name, item in encoded.items() if name in known}
    return made(**given)


def _class(name: object, kind: type) -> Any:  # noqa: ANN401  # a class
    found = classes().get(name) if isinstance(name, str) else None
    if found is None or not issubclass(found, kind) or (kind is object and issubclass(found, Enum)):
        raise NotDataError(f"a value is not understood: {name!r} is no class of values")
    return found


def _is_data(value: type) -> bool:
    from ferryman.catalog.review.git import Git  # noqa: PLC0415  # what asks, and what is asked: no answers
    from ferryman.hosts.verbs.verb import Verb  # noqa: PLC0415  # as above

    plain = is_dataclass(value) or issubclass(value, Enum)
    return plain and not value.__name__.startswith("_") and not issubclass(value, (Verb, Git))


def encode_error(error: BaseException) -> dict[str, Any]:
    """An error as JSON: class, message, and what more it carries."""
    extra = {name: encode(value) for name, value in vars(error).items() if not name.startswith("_")}
    name = "OSError" if isinstance(error, OSError) else type(error).__name__
    return {"type": name, "message": str(error), **({"with": extra} if extra else {})}


def decode_error(encoded: Any) -> Exception:  # noqa: ANN401  # JSON
    """The error that was encoded; one of an unknown class is a RuntimeError, as a bug would be.

    Raises:
        NotDataError: It is none.
    """
    if not isinstance(encoded, dict) or not isinstance(encoded.get("message"), str):
        raise NotDataError("an error has no message")
    name = encoded.get("type")
    if name == "OSError":
        return OSError(encoded["message"])
    known = error_classes().get(name) if isinstance(name, str) else None
    if known is None:
        return RuntimeError(f"{name}: {encoded['message']}")
    extra = decode(encoded.get("with", {}))
    if not isinstance(extra, dict):
        raise NotDataError("what an error carries is no mapping")
    error = known.__new__(known, encoded["message"])
    Exception.__init__(error, encoded["message"])
    for field, value in extra.items():
        object.__setattr__(error, field, value)
    return error
