"""Tapes as tests of pytest's, in sessions of pytest's own."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from ferryman.cli import replay as cli_replay
from ferryman.errors import TapeError
from unit.tape.samples import PACKED, RAW

REPOSITORY = Path(__file__).parents[3]
pytest_plugins = ("pytester",)
PLUGIN = ("-p", "no:ferryman_tapes", "-p", "ferryman.cli.pytest_tapes", "-p", "no:cacheprovider")
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

    monkeypatch.setattr(cli_replay, "difference_of", replay)
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


def test_a_recorded_run_is_really_replayed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERRYMAN_CONFIG", str(REPOSITORY / "ferryman.toml"))
    recorded = REPOSITORY / "tests" / "tapes" / "check.tape"
    (pytester.path / "equal.tape").write_bytes(recorded.read_bytes())
    lines = gzip.decompress(recorded.read_bytes()).splitlines(keepends=True)
    other = b"".join(lines[:-1]).replace(b'"verdict":"pass"', b'"verdict":"fail"', 1)
    (pytester.path / "other.tape").write_bytes(other)
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(passed=1, failed=1)
    assert "step 1" in result.stdout.str()


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
        "import sys, pytest; before = set(sys.modules); import ferryman.cli.pytest_tapes;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ferryman"]
