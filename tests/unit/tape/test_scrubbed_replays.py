"""Tapes of lab runs, scrubbed: nothing of the original is left, and they replay equal."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.cli import discovery
from ferryman.cli.replay import finder
from ferryman.cookbook.replay import replayed
from ferryman.tape import file
from ferryman.tape.scrub.scrub import scrub
from ferryman.tape.scrub.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.cookbook.command import CookbookCommand

REPOSITORY = Path(__file__).parents[3]
TAPES = ("check", "done-keepalived", "rolled-back", "refused-pod-mtu", "scheduler")
OFTEN = ("check", "refused-pod-mtu")
LEFT = re.compile(
    r"web[1-9]|lvs[12]|(?<!inet )(?<!inet6 )static|search"
    r"|10\.(?:10|30|99)\.0\.|fd(?:10|30|99)::|fd1000000000|0B000A0A"
)
"""What lab runs have of names and addresses, as ``strings`` would show it; "inet static" is ifupdown's."""


@cache
def cookbooks() -> Callable[[str], CookbookCommand]:
    return finder(discovery.read([REPOSITORY / "cookbooks"]))


@pytest.mark.parametrize(
    "name", [*OFTEN, *(pytest.param(name, marks=pytest.mark.extended) for name in TAPES if name not in OFTEN)]
)
def test_a_scrubbed_tape_of_a_lab_run_replays_equal(tmp_path: Path, name: str) -> None:
    original = file.read(REPOSITORY / "tests" / "tapes" / f"{name}.tape")
    scrubbed = scrub(original, b"k" * 32).tape
    assert verify(original, scrubbed) == []
    path = tmp_path / "scrubbed.tape"
    file.write(path, scrubbed.header, scrubbed.entries)
    assert replayed(file.read(path), cookbooks()).difference is None
    lines = b"".join(file.line_of(entry.as_json()) for entry in scrubbed.entries).decode()
    assert LEFT.findall(lines) == []
