"""The page about threats names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w./-]+)`", PAGE))))
def test_a_test_that_the_page_names_is_there(path: str) -> None:
    named = ROOT / path
    assert named.is_dir() or "def test_" in named.read_text()
