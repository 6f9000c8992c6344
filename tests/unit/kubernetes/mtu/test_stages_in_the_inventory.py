"""The stages of a rollout in clusters.yaml: what is wrong there is told with file, line and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.errors import InventoryError
from ferryman.inventory import Inventory
from ferryman.inventory.linter import lint
from ferryman.kubernetes.mtu.stages import Rollout, Stage, rollout_of
from unit.kubernetes.mtu.world import INVENTORY

if TYPE_CHECKING:
    from pathlib import Path


def clusters(stages: str) -> str:
    return f"kube:\n  api: https://nowhere.invalid\n  rollout:\n    stages: {stages}\n"


def problems(folder: Path, stages: str) -> list[str]:
    for name, text in (INVENTORY | {"clusters.yaml": clusters(stages)}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return [str(problem) for problem in lint(folder) if "clusters.yaml" in str(problem)]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ("[]", "stages"),
        ("[{soak: 3}]", "name"),
        ("[{name: a, soak: -1}]", "soak"),
        ("[{name: a, blocked: maybe}]", "refuse or skip"),
        ("[{name: a, namespace: [x]}]", "did you mean namespaces"),
        ("[{name: a, namespaces: []}]", "namespaces"),
        ("[{name: a, selector: {tier: 3}}]", "selector"),
    ],
)
def test_a_stage_that_cannot_be_used_is_one_error_with_its_key(stages: str, words: str) -> None:
    texts = INVENTORY | {"clusters.yaml": clusters(stages)}
    with pytest.raises(InventoryError, match=r"clusters\.yaml:") as raised:
        Inventory.of_texts(texts).cluster("kube")
    assert words in str(raised.value)


def test_lint_knows_two_stages_of_one_name_and_one_that_leaves_nothing_for_those_after_it(
    tmp_path: Path,
) -> None:
    twice, all_of_it = problems(
        tmp_path, "[{name: a, namespaces: [x]}, {name: b}, {name: a, namespaces: [y]}]"
    )
    assert "is a a second time" in all_of_it + twice
    assert "takes every pod" in all_of_it + twice
    assert problems(tmp_path, "[{name: a, namespaces: [x]}, {name: b}]") == []


def test_without_any_there_is_one_stage_with_everything() -> None:
    texts = INVENTORY | {"clusters.yaml": "kube: {api: https://nowhere.invalid}\n"}
    assert rollout_of(Inventory.of_texts(texts).cluster("kube")) == Rollout((Stage("all"),), 600.0)
