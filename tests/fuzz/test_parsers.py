"""Everything that reads outside words returns or refuses, whatever comes: a short form of ``make fuzz``."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from ferryman.hosts.verbs.registry import VERBS
from fuzz.budget import MOST_BYTES, Meter
from fuzz.campaign import RECIPES, outcome
from fuzz.recipe import build
from fuzz.targets import TARGETS

EXAMPLES = 25
FOUND = sorted((Path(__file__).parent / "found").glob("*/*"))
"""Inputs that once went wrong, each in a folder of its target's name."""


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_read_or_refused(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(RECIPES)
    def each(recipe: bytes) -> None:
        assert outcome(target, build(recipe, target.seeds, target.words)) == ""

    each()


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_once_went_wrong_is_read_or_refused(file: Path) -> None:
    text = file.read_bytes().decode("utf-8", "surrogatepass")
    meter = Meter()
    meter.begin()
    assert outcome(TARGETS[file.parent.name], text) == ""
    meter.end()
    assert meter.grown <= MOST_BYTES


def test_every_verb_is_a_target() -> None:
    assert {f"verb-{verb.name}" for verb in VERBS} - {"verb-facts"} <= set(TARGETS)
