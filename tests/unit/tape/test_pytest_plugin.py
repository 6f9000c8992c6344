"""Tapes as tests of pytest's, in sessions of pytest's own."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import TapeError
from unit.tape.samples import PACKED, RAW

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ("pytester",)
PLUGIN = ("-p", "no:ferryman_tapes", "-p", "ferryman.tape.pytest_plugin", "-p", "no:cacheprovider")
"""Whether it is installed as a plugin of pytest's, or not, it is loaded from here."""


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for a session. A mock replays, by the tape's name: the plugin's part is what comes of it."""

    def replay(path: Path) -> str | None:
        if path.stem == "damaged":
            raise TapeError(f"{path.name}: line 3: no JSON")
        if path.stem == "bug":
            raise ZeroDivisionError
        return "step 3 asked web1 for facts\nthe tape has web2" if path.stem == "different" else None

    module = types.ModuleType("ferryman.tape.replay")
    module.__dict__["replay"] = replay
    monkeypatch.setitem(sys.modules, "ferryman.tape.replay", module)
    return pytester


def test_each_tape_is_a_test_and_a_difference_is_said_in_words(session: pytest.Pytester) -> None:
    for name in ("equal", "different", "damaged"):
        (session.path / f"{name}.tape").write_bytes(PACKED)
    result = session.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(passed=1, failed=2)
    printed = result.stdout.str()
    assert "tape: different.tape" in printed
    assert "step 3 asked web1 for facts\nthe tape has web2" in printed
    assert "damaged.tape: line 3: no JSON" in printed
    assert "Traceback" not in printed
    assert "def runtest" not in printed


def test_a_bug_has_its_traceback(session: pytest.Pytester) -> None:
    (session.path / "bug.tape").write_bytes(PACKED)
    result = session.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(failed=1)
    assert "ZeroDivisionError" in result.stdout.str()
    assert "def replay" in result.stdout.str()


def test_a_plain_tape_is_one_too_and_what_others_call_a_tape_is_none(session: pytest.Pytester) -> None:
    (session.path / "plain.tape").write_bytes(RAW)
    (session.path / "terminal.tape").write_bytes(b"Output demo.gif\nType ls\n")
    (session.path / "empty.tape").write_bytes(b"")
    session.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=1)


def test_tapes_are_named_by_their_files_so_that_one_can_be_chosen(session: pytest.Pytester) -> None:
    (session.path / "equal.tape").write_bytes(PACKED)
    (session.path / "different.tape").write_bytes(PACKED)
    session.runpytest_inprocess(*PLUGIN, "equal.tape").assert_outcomes(passed=1)
    session.runpytest_inprocess(*PLUGIN, "different.tape::replay").assert_outcomes(failed=1)


def test_a_setting_leaves_tapes_alone(session: pytest.Pytester) -> None:
    session.makeini("[pytest]\nferryman_tapes = false\n")
    (session.path / "different.tape").write_bytes(PACKED)
    session.runpytest_inprocess(*PLUGIN).assert_outcomes()


def test_whoever_has_no_tapes_waits_for_nothing() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import ferryman.tape.pytest_plugin;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ferryman"]
