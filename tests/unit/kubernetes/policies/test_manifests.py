"""Manifests in files: what is read, what it replaces, and what is refused with file, line and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import UsageError
from ferryman.kubernetes.objects import Namespace
from ferryman.kubernetes.policies.manifests import World, proposal, read_manifests, staged

if TYPE_CHECKING:
    from pathlib import Path

Manifest = dict[str, Any]

TWO = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: one, namespace: x}
spec: {podSelector: {}}
---
# nothing but a remark
---
apiVersion: v1
kind: List
items:
- apiVersion: projectcalico.org/v3
  kind: GlobalNetworkPolicy
  metadata: {name: two}
  spec: {selector: all()}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: three}
"""


def read(folder: Path, text: str | bytes) -> list[tuple[str, str]]:
    file = folder / "change.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return [(each.manifest["kind"], each.where.removeprefix(f"{folder}/")) for each in read_manifests(file)]


def test_all_documents_are_read_and_lists_taken_apart(tmp_path: Path) -> None:
    assert read(tmp_path, TWO) == [
        ("NetworkPolicy", "change.yaml:1"),
        ("GlobalNetworkPolicy", "change.yaml:8"),
        ("ConfigMap", "change.yaml:8"),
    ]


def test_a_list_of_a_kind_says_it_for_its_items(tmp_path: Path) -> None:
    text = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList, items: [{metadata: {name: a}}]}"
    assert read(tmp_path, text) == [("NetworkPolicy", "change.yaml:1")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "change.yaml:2: did not find"),
        ("apiVersion: v1\nkind: [x]\n", "change.yaml:1: kind: expected a text"),
        ("- just\n- a list\n", "expected a mapping"),
        ("kind: NetworkPolicy\n", "expected a manifest with apiVersion and kind"),
        ("{apiVersion: v1, kind: List, items: [7]}", "items: expected manifests"),
        ("a: !!python/object:os.system x\n", "change.yaml:1"),
        ("[" * 200, "nested too deeply"),
        (b"\xff\xfe\xfa", "is not UTF-8 at byte 1"),
        ("a: \x07\n", "is not YAML"),
        (
            "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(9)),
            "aliases that stand for more than",
        ),
        ("apiVersion: v1\nkind: &x Y\nspec: {a: 2026-13-99}\n", "cannot be read as the value it looks like"),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_place(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, text)
    assert words in str(error.value)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml: cannot be read: No such file"):
        read_manifests(tmp_path / "nowhere.yaml")


def calico(
    name: str, kind: str = "GlobalNetworkPolicy", version: str = "projectcalico.org/v3", **spec: object
) -> Manifest:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": "all()", **spec},
    }


NOW = World((calico("default.p", version="crd.projectcalico.org/v1"), calico("q")), (Namespace("x", {}),))


def changed(folder: Path, *manifests: Manifest, remove: tuple[str, ...] = ()) -> list[Any]:
    import yaml  # noqa: PLC0415  # for this alone

    file = folder / "change.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    made = proposal(NOW, read_manifests(file), remove)
    return [[each["metadata"]["name"] for each in world.manifests] for world in (made.after, made.deleted)]


def test_a_manifest_replaces_the_policy_of_its_name_in_either_of_calicos_groups(tmp_path: Path) -> None:
    assert changed(tmp_path, calico("p")) == [["q", "p"], ["q"]]
    assert changed(tmp_path, calico("r")) == [["default.p", "q", "r"], ["default.p", "q"]]


def test_a_staged_policy_is_taken_as_enforced_or_as_taking_away(tmp_path: Path) -> None:
    assert changed(tmp_path, calico("p", "StagedGlobalNetworkPolicy")) == [["q", "p"], ["q"]]
    away = calico("p", "StagedGlobalNetworkPolicy", stagedAction="Delete")
    assert changed(tmp_path, away)[0] == ["q"]


@pytest.mark.parametrize("word", ["q", "GlobalNetworkPolicy/q", "globalnetworkpolicy/q"])
def test_a_policy_is_removed_by_its_name(tmp_path: Path, word: str) -> None:
    assert changed(tmp_path, remove=(word,))[0] == ["default.p"]


def test_one_that_is_not_there_cannot_be_removed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--delete z: the cluster has no such policy"):
        changed(tmp_path, remove=("z",))


def test_a_policy_that_cannot_be_read_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"change.yaml:1: GlobalNetworkPolicy p: .* expected a text in quotes"
    ):
        changed(tmp_path, calico("p", selector="app =="))


def test_a_namespace_gets_the_labels_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "n.yaml"
    file.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {a: b}}}")
    made = proposal(NOW, read_manifests(file))
    assert made.after.namespaces == (Namespace("x", {"a": "b"}),)
    assert made.deleted.namespaces == NOW.namespaces


def test_a_staged_policy_of_the_cluster_is_found_by_name() -> None:
    world = World((calico("s", "StagedGlobalNetworkPolicy"), *NOW.manifests), ())
    assert [each.where for each in staged(world, ["s"])] == ["--staged s"]
    with pytest.raises(
        UsageError, match="--staged p: the cluster has no staged policy of this name; it has Staged"
    ):
        staged(world, ["p"])
