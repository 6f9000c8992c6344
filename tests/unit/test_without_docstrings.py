"""``python -OO`` strips docstrings and asserts: what people are shown, and what a run does, stay the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import first_of

ROOT = Path(__file__).parents[2]

PLANS = """
from unit.cookbooks.test_every_cookbook import SCENES, COOKBOOKS
from ferryman.testing import Cuts, Harness
for name, scene in SCENES.items():
    made = scene(Cuts())
    print(name, *made.plan().titles, sep="\\n  ")
    print(made.plan().fingerprint, Harness().perform(made.plan()).outcome)
for cookbook in COOKBOOKS:
    print(cookbook.name, cookbook.owner, cookbook.summary, cookbook.load().help)
"""

REVIEWED = """
from dataclasses import dataclass
from ferryman.cookbook.steps.git_catalog import CatalogMerged, ReschedulingMerged
from ferryman.docstrings import docstring
from ferryman.engine.plan import Plan
from ferryman.engine.steps import Look
print(docstring(CatalogMerged), docstring(ReschedulingMerged))

@dataclass(frozen=True)
class Untitled(Look):
    key: str = "a"
    def look(self, report): pass

try:
    Plan([Untitled()])
except ValueError as error:
    print(error)
"""


def said(*words: str, optimised: bool) -> str:
    """What a Python process prints, with docstrings or without."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT / 'tests'}"}
    command = [sys.executable, *(["-OO"] if optimised else []), *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


@pytest.mark.parametrize("script", first_of([PLANS, REVIEWED]), ids=["plans", "reviewed"])
def test_every_plan_has_the_same_titles_and_does_the_same(script: str) -> None:
    with_them = said("-c", script, optimised=False)
    assert with_them.strip()
    assert said("-c", script, optimised=True) == with_them


@pytest.mark.parametrize(
    "words",
    first_of(
        [
            *(["migrate", "--help"], ["--help"], ["list"], ["scheduler", "--help"], ["resume", "--help"]),
            *(["inventory", "--help"], ["inventory", "flip", "--help"], ["lab", "--help"]),
            ["lab", "fault", "--help"],
        ]
    ),
    ids=" ".join,
)
def test_every_help_is_the_same(words: list[str]) -> None:
    command = ("-m", "ferryman", *words)
    assert said(*command, optimised=True) == said(*command, optimised=False)
