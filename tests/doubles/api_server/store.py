"""The objects of the double: kept by kind and name, each with a uid and a resource version."""

from __future__ import annotations

import base64
import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from doubles.api_server.kinds import BY_KIND, KINDS, Kind, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Key = tuple[str, str]


class ExpiredError(Exception):
    """A list can no longer be continued."""


@dataclass
class Store:
    """What there is. Objects may be changed in place by tests."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    objects: dict[Kind, dict[Key, Manifest]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    version: int = 1000
    _lists: int = 0
    _snapshots: dict[str, list[Manifest]] = field(default_factory=dict)
    """Of lists that are read page by page: what they had at their first page."""

    def put(self, manifest: Manifest) -> Manifest:
        """Add an object, or replace one of its name; it gets what an API server gives to a new one."""
        kind = BY_KIND[manifest["apiVersion"], manifest["kind"]]
        meta = manifest.setdefault("metadata", {})
        if kind.namespaced:
            meta.setdefault("namespace", "default")
        meta.setdefault("uid", str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", stamp(self.now()))
        meta.setdefault("generation", 1)
        self.touch(manifest)
        self.objects[kind][meta.get("namespace", ""), meta["name"]] = manifest
        return manifest

    def touch(self, manifest: Manifest) -> None:
        """Give an object that has changed its next version."""
        self.version += 1
        manifest["metadata"]["resourceVersion"] = str(self.version)

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        return self.objects[kind].get((namespace, name))

    def delete(self, manifest: Manifest) -> None:
        kind = BY_KIND[manifest["apiVersion"], manifest["kind"]]
        meta = manifest["metadata"]
        self.objects[kind].pop((meta.get("namespace", ""), meta["name"]), None)
        self.version += 1

    def all(self, version: str, kind: str, namespace: str | None = None) -> list[Manifest]:
        """The objects of a kind, in the order of their names."""
        found = self.objects[BY_KIND[version, kind]].items()
        return [each for key, each in sorted(found, key=lambda pair: pair[0]) if namespace in (None, key[0])]

    def page(self, found: list[Manifest], limit: int, token: str | None) -> tuple[list[Manifest], Manifest]:
        """Some of a list, and its ``metadata``: how it goes on, and how many are left.

        Raises:
            ExpiredError: It was begun too long ago.
        """
        begun, first = str(self.version), 0
        if token:
            try:
                said = json.loads(base64.urlsafe_b64decode(token))
                begun, first = said["rv"], said["start"]
                found = self._snapshots[begun]
            except (ValueError, KeyError) as error:
                raise ExpiredError from error
        meta: Manifest = {"resourceVersion": begun.partition("#")[0]}
        until = first + limit if limit else len(found)
        if until < len(found):
            if not token:
                self._lists += 1
                begun = f"{begun}#{self._lists}"
                self._snapshots[begun] = found
            more = json.dumps({"rv": begun, "start": until}).encode()
            meta |= {
                "continue": base64.urlsafe_b64encode(more).decode(),
                "remainingItemCount": len(found) - until,
            }
        return found[first:until], meta

    def expire(self) -> None:
        """Forget every list that was begun: whoever continues one is told 410."""
        self._snapshots.clear()


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def selected(found: Iterable[Manifest], labels: str, fields: str) -> list[Manifest]:
    """The objects that meet a labelSelector and a fieldSelector."""
    return [each for each in found if _has_labels(each, labels) and _has_fields(each, fields)]


_SET = re.compile(r"\s*([^\s,!=()]+)\s+(in|notin)\s+\(([^)]*)\)\s*|\s*([^,]+)")


def _has_labels(manifest: Manifest, selector: str) -> bool:
    labels = manifest["metadata"].get("labels") or {}
    for key, operator, values, term in _SET.findall(selector):
        if operator:
            inside = labels.get(key) in [value.strip() for value in values.split(",")]
            if inside != (operator == "in"):
                return False
        elif not _meets(labels.get, term.strip()):
            return False
    return True


def _meets(get: Callable[[str], str | None], term: str) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return get(key) != value
    if "=" in term:
        key, _, value = term.replace("==", "=").partition("=")
        return get(key) == value
    return get(term.lstrip("!")) is None if term.startswith("!") else get(term) is not None


_FIELDS = ("metadata.name", "metadata.namespace", "spec.nodeName", "status.phase")


def _has_fields(manifest: Manifest, selector: str) -> bool:
    def get(path: str) -> str:
        assert path in _FIELDS, f"{path}: an API server selects by {_FIELDS}"
        part, _, name = path.partition(".")
        return str(manifest.get(part, {}).get(name, ""))

    return all(_meets(get, term) for term in selector.split(",") if term)


def matches(selector: Manifest, labels: Manifest) -> bool:
    """Whether labels meet a LabelSelector; an empty one is met by all."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for each in selector.get("matchExpressions") or ():
        value, values = labels.get(each["key"]), each.get("values") or ()
        met = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not met[each["operator"]]:
            return False
    return True


def merged(now: object, patch: object) -> object:
    """What a merge patch makes of a value (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(now) if isinstance(now, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found
