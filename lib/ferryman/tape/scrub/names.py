"""Whose names are on a tape: found where a tape has names, never guessed from words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.tape.scrub.positions import (
    CLUSTER_LABELS,
    CLUSTER_NAMES,
    NAME_FIELDS,
    PHRASES,
    SERVICES,
    yaml_parts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.tape.file import Tape

PUBLIC = frozenset(
    {
        *("", "default", "unrelated", "kubernetes", "localhost", "root", "control", "-", "*"),
        *("kube-system", "kube-public", "kube-node-lease", "calico-system", "coredns", "calico-config"),
    }
)
"""Names that everybody has: they stay wherever they stand."""
COMMON = PUBLIC | {
    *("com", "org", "net", "local", "localdomain", "internal", "svc", "cluster", "arpa", "in-addr", "ip6"),
    *("kube-system", "api", "www", "http", "https", "tcp", "udp", "dev"),
    *("service", "socket", "target", "timer", "mount", "path", "slice", "scope"),
}
"""What is no name where it is only a part of one: of a domain, of a Kubernetes Service, of a unit of systemd
(``getty@tty1.service`` has the form of an address of e-mail)."""
_SIMPLE = re.compile(r"[\w-]+(?:\.[\w-]+)+")
_LABEL = re.compile(r"[A-Za-z][\w.-]{0,62}")
_ADDRESS_LIKE = re.compile(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_FIND = (
    re.compile(r"(?<![\w.+-])([\w.+-]+)@([\w-]+(?:\.[\w-]+)+)"),  # e-mail
    re.compile(r"/(?:home|Users)/([\w.-]+)"),
    re.compile(r"://(?:[^\s/@:]*(?::[^\s/@]*)?@)?([\w.-]+)"),  # a URL's host
)


@dataclass(slots=True)
class Names:
    """What was found."""

    names: set[str] = field(default_factory=set)
    phrases: set[str] = field(default_factory=set)
    """What people wrote freely; replaced as a whole."""
    services: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)

    def add(self, name: object) -> None:
        """Enter a name, such as a host's; of one with dots each label, of NAMESPACE/NAME both."""
        if not isinstance(name, str) or (_ADDRESS_LIKE.fullmatch(name) and not name.isdigit()):
            return
        if name.startswith("/") or name.count("/") > 1:  # a path
            return
        for part in re.split("[/@]", name):
            if _SIMPLE.fullmatch(part):
                self.add_weak(*part.split("."))
            elif part not in PUBLIC:
                self.names.add(part)

    def add_weak(self, *labels: str) -> None:
        """Enter parts of names, unless they are ones that many have."""
        self.names |= {label for label in labels if label.lower() not in COMMON and not label.isdigit()}

    def add_phrase(self, text: object) -> None:
        """Enter what somebody wrote freely."""
        if isinstance(text, str) and text.strip():
            self.phrases.add(text.strip())


def names_of(tape: Tape) -> Names:
    """All names on a tape."""
    found = Names()
    header = tape.header
    for key, known in (("service", found.services), ("site", found.sites)):
        known |= {value for value in (header.arguments.get(key),) if isinstance(value, str)}
    found.add(header.operator)
    _from_values(found, dict(header.arguments), "arguments")
    _from_values(found, dict(header.options), "options")
    _from_values(found, dict(header.config), "config")
    _from_values(found, dict(header.journal or {}), "journal")
    for step in header.plan:
        for name in step.about:
            found.add(name)
    for file, text in header.inventory.items():
        _from_yaml(found, file, text)
    for entry in tape.entries:
        _from_entry(found, entry.kind, entry.data)
    for text in texts_of(tape):
        _from_text(found, text)
    return found


def texts_of(tape: Tape) -> list[str]:
    """Every text of a tape once, keys too; for what is found by its form."""
    found = dict.fromkeys(_strings(tape.header.as_json()))
    for entry in tape.entries:
        found.update(dict.fromkeys(_strings(entry.data)))
    return list(found)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)


def _from_yaml(found: Names, file: str, text: str) -> None:
    if file.startswith("nodes/"):
        site = file.removeprefix("nodes/").removesuffix(".yaml")
        found.sites.add(site)
        found.add(site)
    for part in yaml_parts(file, text) or ():
        if part.what == "name":
            found.add(part.value)
            found.services |= {part.value} if part.is_entry and file == SERVICES else set()
        elif part.what == "phrase":
            found.add_phrase(part.value)


def _from_entry(found: Names, kind: str, data: dict[str, Any]) -> None:
    if kind == "call":
        found.add(data["host"])
        _from_values(found, data["arguments"], data["port"])
        _from_values(found, data.get("value"), data["port"])
        if data["port"] == "catalog" and isinstance(data.get("value"), dict):
            _from_yaml(found, SERVICES, str(data["value"].get("content", "")))
    elif kind == "event":
        found.add(data.get("host"))
        _from_values(found, data.get("arguments"), "arguments")
        found.add(data.get("operator"))


def _from_values(found: Names, value: object, port: str) -> None:
    """Names in the fields that have names, wherever they are."""
    if isinstance(value, list):
        for item in value:
            _from_values(found, item, port)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in PHRASES and port in ("arguments", "options", "journal"):
                found.add_phrase(item)
            elif key in NAME_FIELDS or (port == "cluster" and key in CLUSTER_NAMES) or key == "operator":
                for name in _leaves(item):
                    found.add(name)
            elif port == "cluster" and key in CLUSTER_LABELS and isinstance(item, dict):
                _from_labels(found, item)
            _from_values(found, item, port)


def _from_labels(found: Names, labels: dict[str, Any]) -> None:
    """Whose domain a label's key has, and what its value calls something."""
    for key, value in labels.items():
        domain, slash, _ = key.rpartition("/")
        if slash and not domain.endswith(("kubernetes.io", "k8s.io")):
            found.add_weak(*domain.split("."))
        if isinstance(value, str) and _LABEL.fullmatch(value) and value not in ("true", "false"):
            found.add_weak(*value.split("."))


def _leaves(value: object) -> Iterator[object]:
    """The texts of a value, or of a list, tuple or set of them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        for tag in ("$tuple", "$set"):
            yield from _leaves(value.get(tag))


def _from_text(found: Names, text: str) -> None:
    for pattern in _FIND:
        for match in pattern.finditer(text):
            for name in match.groups():
                if not _ADDRESS_LIKE.fullmatch(name):
                    found.add_weak(*name.strip(".-").split("."))
