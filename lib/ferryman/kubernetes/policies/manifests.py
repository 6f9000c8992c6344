"""Manifests in files: YAML of several documents and lists, within limits; what they make of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ferryman import bounded_yaml
from ferryman.errors import UsageError
from ferryman.inventory.yaml_nodes import value_of
from ferryman.kubernetes.objects import Namespace
from ferryman.kubernetes.policies import of_calico, policy_set
from ferryman.kubernetes.policies.selector import UnreadableSelectorError
from ferryman.kubernetes.policies.shape import UnreadableManifestError, mapping, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ferryman.kubernetes.objects import Manifest

_MAX_BYTES = 4 * bounded_yaml.MAX_CHARACTERS
_STAGED_KUBERNETES = "StagedKubernetesNetworkPolicy"
_NOT_JUDGED = (
    *("HostEndpoint", "Profile", "FelixConfiguration"),
    *("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "ClusterNetworkPolicy"),
)
"""Kinds that say who reaches whom, and are not judged."""

Identity = tuple[str, str, str]
"""What a manifest replaces: kind and whose, namespace, name."""


@dataclass(frozen=True, slots=True)
class Located:
    """A manifest, and where it stands."""

    manifest: Manifest
    where: str
    """As ``FILE:LINE``."""


def read_manifests(path: Path) -> tuple[Located, ...]:
    """All manifests of a file, of all its documents, those in lists one by one.

    Raises:
        UsageError: It cannot be read, is too large, or has what is no manifest; names file, line and key.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        words = content.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 at byte {error.start + 1}") from error
    return tuple(_located(words, str(path)))


def _located(words: str, name: str) -> Iterator[Located]:
    try:
        if len(words) > bounded_yaml.MAX_CHARACTERS:
            raise UsageError(
                f"{name}: has {len(words)} characters, {bounded_yaml.MAX_CHARACTERS} are read at most"
            )
        for _ in bounded_yaml.events(words):
            pass
        for node in yaml.compose_all(words, bounded_yaml.LOADER):
            if node is not None:
                where = f"{name}:{node.start_mark.line + 1}"
                yield from _taken_apart(value_of(node), where)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{name}{line}: {error.problem or 'is not YAML'}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: is not YAML: {error}") from error


def _taken_apart(value: Any, where: str) -> Iterator[Located]:  # noqa: ANN401  # whatever a file holds
    if value is None:
        return
    try:
        manifest = mapping(value, "a document")
        kind = text(manifest.get("kind"), "kind")
        version = text(manifest.get("apiVersion"), "apiVersion")
    except UnreadableManifestError as error:
        raise UsageError(f"{where}: {error}") from error
    if not kind or not version:
        raise UsageError(f"{where}: expected a manifest with apiVersion and kind")
    if not kind.endswith("List") or not isinstance(manifest.get("items"), list):
        yield Located(manifest, where)
        return
    of_items = {} if kind == "List" else {"kind": kind.removesuffix("List"), "apiVersion": version}
    for item in manifest["items"]:
        whole = {**of_items, **item} if isinstance(item, dict) else {}
        if not all(isinstance(whole.get(key), str) for key in ("kind", "apiVersion")):
            raise UsageError(f"{where}: items: expected manifests with apiVersion and kind")
        yield Located(whole, where)


def identity(manifest: Manifest) -> Identity:
    """What it replaces; both of Calico's API groups have the same objects."""
    meta = mapping(manifest.get("metadata"), "metadata")
    kind, name = str(manifest.get("kind")), text(meta.get("name"), "metadata.name")
    group = policy_set.group_of(manifest)
    if group in policy_set.CALICO:
        kind, spec = f"Calico {kind}", mapping(manifest.get("spec"), "spec")
        if "Policy" in kind:
            name = of_calico.plain_name(name, text(spec.get("tier"), "spec.tier", of_calico.DEFAULT_TIER))
    has_none = "Global" in kind or "Admin" in kind or kind in ("Namespace", "Calico Tier")
    namespace = "" if has_none else text(meta.get("namespace"), "metadata.namespace", "default")
    return kind, namespace, name


def enforced(manifest: Manifest) -> tuple[Manifest, bool]:
    """A staged policy as the one that it proposes, and whether it proposes to take it away."""
    kind = str(manifest.get("kind"))
    if not (kind.startswith(policy_set.STAGED) and policy_set.is_policy(manifest)):
        return manifest, False
    spec = mapping(manifest.get("spec"), "spec")
    action = text(spec.get("stagedAction"), "spec.stagedAction", "Set")
    plain = {key: value for key, value in spec.items() if key != "stagedAction"}
    made = {**manifest, "kind": kind.removeprefix(policy_set.STAGED), "spec": plain}
    if kind == _STAGED_KUBERNETES:
        made |= {"apiVersion": f"{policy_set.NETWORKING}/v1", "kind": "NetworkPolicy"}
    return made, action == "Delete"


@dataclass(frozen=True, slots=True)
class World:
    """The policies of a cluster and the namespaces that they choose from, as they are or would be."""

    manifests: tuple[Manifest, ...]
    namespaces: tuple[Namespace, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What files would make of a cluster."""

    after: World
    deleted: World
    """What is left where all that the files have is deleted again, as by ``kubectl delete -f``."""
    replaces: tuple[str, ...]
    """What is there by now, and would be another one."""
    ignored: tuple[str, ...]
    """What the files have that is no policy."""
    not_judged: tuple[str, ...]
    """What they have that says who reaches whom, and is not judged."""


def proposal(now: World, files: Sequence[Located], remove: Iterable[str] = ()) -> Proposal:
    """What a cluster becomes by files, with other objects removed, each as ``KIND[/NAMESPACE]/NAME``.

    Raises:
        UsageError: A policy of the files cannot be read, or what is to be removed is not there.
    """
    there = {_identity_or_place(place, each): each for place, each in enumerate(now.manifests)}
    after, deleted = dict(there), dict(there)
    namespaces = {each.name: each for each in now.namespaces}
    ignored: list[str] = []
    not_judged: list[str] = []
    replaces: list[str] = []
    for located in files:
        name = policy_set.reference(located.manifest)
        if located.manifest.get("kind") == "Namespace":
            made = _namespace(located)
            namespaces[made.name] = made
            continue
        if not policy_set.is_policy(located.manifest):
            (not_judged if located.manifest.get("kind") in _NOT_JUDGED else ignored).append(name)
            continue
        manifest, takes_away = _readable(located)
        key = identity(manifest)
        if key in there:
            replaces.append(name)
        after.pop(key, None)
        deleted.pop(key, None)
        if not takes_away:
            after[key] = manifest
    for word in remove:
        for key in _named(word, there):
            after.pop(key, None)
    return Proposal(
        World(tuple(after.values()), tuple(namespaces.values())),
        World(tuple(deleted.values()), now.namespaces),
        tuple(replaces),
        tuple(ignored),
        tuple(not_judged),
    )


def staged(now: World, words: Iterable[str]) -> list[Located]:
    """The cluster's staged policies that are named, each as ``NAME``, ``NAMESPACE/NAME`` or with its kind.

    Raises:
        UsageError: There is none of that name; says which there are.
    """
    there = [
        each
        for each in now.manifests
        if policy_set.is_policy(each) and str(each.get("kind")).startswith(policy_set.STAGED)
    ]
    found: list[Located] = []
    for word in words:
        chosen = [each for each in there if _is_called(word, identity(each))]
        if not chosen:
            known = ", ".join(policy_set.reference(each) for each in there) or "none"
            raise UsageError(
                f"--staged {word}: the cluster has no staged policy of this name; it has {known}"
            )
        found += [Located(each, f"--staged {word}") for each in chosen]
    return found


def _named(word: str, there: dict[Identity, Manifest]) -> list[Identity]:
    found = [key for key in there if _is_called(word, key)]
    if not found:
        raise UsageError(f"--delete {word}: the cluster has no such policy; name it as KIND[/NAMESPACE]/NAME")
    return found


def _is_called(word: str, key: Identity) -> bool:
    kind, namespace, name = key
    kind = kind.removeprefix("Calico ").lower()
    whole = [kind, namespace, name] if namespace else [kind, name]
    parts = word.split("/")
    parts[0] = parts[0].lower() if len(parts) == len(whole) else parts[0]
    return parts in (whole, whole[1:], [name])


def _identity_or_place(place: int, manifest: Manifest) -> Identity:
    try:
        return identity(manifest)
    except UnreadableManifestError:
        return str(manifest.get("kind")), "", f"number {place}"


def _namespace(located: Located) -> Namespace:
    try:
        meta = mapping(located.manifest.get("metadata"), "metadata")
        return Namespace(
            text(meta.get("name"), "metadata.name"), texts(meta.get("labels"), "metadata.labels")
        )
    except UnreadableManifestError as error:
        raise UsageError(f"{located.where}: {error}") from error


def _readable(located: Located) -> tuple[Manifest, bool]:
    """The manifest as it would be enforced, once it is known that it can be read."""
    try:
        manifest, takes_away = enforced(located.manifest)
        identity(manifest)
        kind = manifest.get("kind")
        if kind == "Tier":
            of_calico.tier(manifest)
        elif kind in ("NetworkSet", "GlobalNetworkSet"):
            of_calico.network_set(manifest, {})
        else:
            policy_set.read_policy(manifest)
    except (UnreadableManifestError, UnreadableSelectorError) as error:
        raise UsageError(f"{located.where}: {policy_set.reference(located.manifest)}: {error}") from error
    return manifest, takes_away
