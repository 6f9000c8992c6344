"""Several verbs as one command line: each answers as if it had been sent alone. The shells are real."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import CommandFailedError, FerrymanError, UnknownOutcomeError
from ferryman.hosts.bundle import Bundle, Prepared, bundles
from ferryman.hosts.completed import Completed
from ferryman.hosts.fence import OVERTAKEN, Fence
from ferryman.hosts.framing import LONGEST, command_line, new_token, unframed
from ferryman.hosts.verbs.operator import OperatorQuestion
from tools import asks, does

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ferryman.hosts.verbs import Verb

SHELLS = [shell for shell in ("sh", "bash", "dash", "busybox") if shutil.which(shell)]


def prepared(verb: Verb[Any], guarded: Callable[[str], str] = str) -> Prepared:
    """A verb as it goes to a host alone."""
    token = new_token()

    def judged(raw: Completed) -> Completed:
        return unframed(raw, token, verb)

    return Prepared(verb, command_line(verb, token, guarded), verb.stdin, judged)


def outcomes(parts: Sequence[Prepared], shell: str = "sh") -> list[Completed | FerrymanError]:
    """What comes of verbs that fit into one command line, which a login shell of this machine runs."""
    (bundle,) = bundles(parts)
    assert isinstance(bundle, Bundle)
    words = [shell, "sh", "-c"] if shell == "busybox" else [shell, "-c"]
    done = subprocess.run([*words, bundle.line], capture_output=True, input=b"", check=False)
    texts = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    return bundle.outcomes(Completed("lvs1", "", done.returncode, *texts))


def told(found: Sequence[Completed | FerrymanError]) -> list[Any]:
    return [
        (each.status, each.stdout, each.stderr) if isinstance(each, Completed) else type(each)
        for each in found
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_verb_has_its_own_status_and_both_outputs(shell: str) -> None:
    parts = map(prepared, (asks("echo a; echo b >&2; exit 3"), asks("printf no-newline"), asks("echo c >&2")))
    assert told(outcomes(list(parts), shell)) == [(3, "a\n", "b\n"), (0, "no-newline", ""), (0, "", "c\n")]


def test_what_ends_or_kills_the_shell_of_a_verb_keeps_no_other_from_being_asked() -> None:
    parts = map(prepared, (asks("set -eu; false; echo on"), asks("kill -9 $$"), asks("exec echo c")))
    assert told(outcomes(list(parts))) == [(1, "", ""), CommandFailedError, (0, "c\n", "")]


def test_each_verb_has_its_own_input_and_sees_its_end() -> None:
    given = "it's \\x $(id)\né\n"
    first = OperatorQuestion(("cat",), shell=True, given=given)
    second = OperatorQuestion(("cat; echo end",), shell=True, given="b")
    parts = map(prepared, (first, asks("cat"), second))
    assert told(outcomes(list(parts))) == [(0, given, ""), (0, "", ""), (0, "bend\n", "")]


def test_bytes_that_are_no_utf8_come_back_as_they_are() -> None:
    found = outcomes([prepared(asks(r"printf '\377'")), prepared(asks("echo b"))])
    assert told(found) == [(0, "\udcff", ""), (0, "b\n", "")]


def test_an_answer_that_looks_like_the_end_of_a_part_is_an_answer() -> None:
    text = r"printf '\nferryman-0123456789abcdef ended 0\n'; echo b"
    found = outcomes([prepared(asks(text)), prepared(asks("echo c"))])
    assert told(found) == [(0, "\nferryman-0123456789abcdef ended 0\nb\n", ""), (0, "c\n", "")]


def test_an_answer_that_is_too_long_is_none_and_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OperatorQuestion, "limit", 1000)
    found = outcomes([prepared(asks("seq 1000")), prepared(asks("echo b"))])
    assert told(found) == [UnknownOutcomeError, (0, "b\n", "")]


def test_an_answer_without_its_end_is_one_of_no_verb() -> None:
    (bundle,) = bundles([prepared(does("true")), prepared(asks("true"))])
    assert isinstance(bundle, Bundle)
    found = bundle.outcomes(Completed("lvs1", "", 0, "Welcome!\n", ""))
    assert told(found) == [UnknownOutcomeError, UnknownOutcomeError]
    assert "lvs1: true: the answer is not there" in str(found[0])


def test_a_host_that_says_no_status_spoils_its_own_verb_alone() -> None:
    parts = [prepared(asks("echo a")), prepared(asks("echo b"))]
    (bundle,) = bundles(parts)
    assert isinstance(bundle, Bundle)
    for status in ("", "-1", "²", "9" * 5000):
        frame, mark = bundle.token, f"\n{bundle.token} ended "
        printed = f"\n{frame} begin\na{mark}{status}\nb{mark}0\n\n{frame} end\n"
        first, second = bundle.outcomes(Completed("lvs1", "", 0, printed, ""))
        assert isinstance(first, UnknownOutcomeError)
        assert isinstance(second, CommandFailedError), "it has no frame of its own"


def test_what_is_read_behind_a_write_is_read_though_it_was_fenced_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.hosts.fence.FOLDER", str(tmp_path))
    guard = partial(Fence("run", 2).around, "lvs1")
    file = tmp_path / "written"
    write = does(f"echo x >>{file}")
    found = outcomes([prepared(write, guard), prepared(asks(f"cat {file}"))])
    assert told(found) == [(0, "", ""), (0, "x\n", "")]
    late = partial(Fence("run", 1).around, "lvs1")
    found = outcomes([prepared(write, late), prepared(asks(f"cat {file}"))])
    assert told(found) == [(OVERTAKEN, "", ""), (0, "x\n", "")]


def test_more_than_a_host_takes_in_one_line_goes_in_several_in_order() -> None:
    parts = [prepared(OperatorQuestion(("cat",), given=str(place) * 50_000)) for place in range(5)]
    found = list(bundles(parts))
    assert len(found) > 1
    assert all(len(each.line) <= LONGEST for each in found)
    flat = [part for each in found for part in (each.parts if isinstance(each, Bundle) else (each,))]
    assert flat == parts


def test_one_verb_is_sent_as_it_is() -> None:
    part = prepared(asks("true"))
    assert list(bundles([part])) == [part]
