"""A command line that every login shell understands alike, and answers that no noise is taken for."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferryman.errors import ArgumentError, CommandFailedError, UnknownOutcomeError
from ferryman.hosts.completed import Completed
from ferryman.hosts.framing import LONGEST, command_line, new_token, quoted, unframed
from ferryman.hosts.verbs.fence import TakeOver
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.hosts.verbs.operator import OperatorQuestion
from ferryman.testing import run_here
from tools import asks, require_tool

SHELLS = ("sh", "bash", "fish", "tcsh")
NASTY = "'\"\\`$(){}[]<>|&;*?~#!^%=-+ \t\n\r\x01\x7f\x85é\u2028\U0001f600"
HOSTILE = (
    "$(touch canary)",
    "`touch canary`",
    "'; touch canary; '",
    '"; touch canary; "',
    "a\ntouch canary\n",
    "-n",
    "--",
    "!!",
    "!$:p",
    "\\",
    "\\'",
    "%s%n",
    "{a,b}",
    "~root",
    "*",
    "",
    " ",
    "\udcff\udc80",
    "é\u2028",
    "x" * 20_000,
)


def printed_by(shell: str, *words: str) -> list[str]:
    """The words as the script of a verb gets them where this is the login shell."""
    verb = OperatorQuestion(("printf", r"%s\0", *words))
    return run_here(verb, shell=shell).checked().stdout.split("\0")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
def test_no_word_is_ever_read_by_the_login_shell(shell: str) -> None:
    require_tool(shell, package=shell)
    assert printed_by(shell, *HOSTILE) == list(HOSTILE)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=25, deadline=None)
@given(words=st.lists(st.text(st.sampled_from(NASTY), max_size=20), min_size=1, max_size=4))
def test_nor_is_any_other(shell: str, words: list[str]) -> None:
    require_tool(shell, package=shell)
    assert printed_by(shell, *words) == words


@pytest.mark.parametrize("shell", SHELLS)
def test_status_both_outputs_and_input_come_through_every_login_shell(shell: str) -> None:
    require_tool(shell, package=shell)
    done = run_here(asks("cat; printf 'no newline'; echo err >&2; exit 3", given="typed\n"), shell=shell)
    assert (done.status, done.stdout, done.stderr) == (3, "typed\nno newline", "err\n")


def test_a_line_is_printable_ascii_whatever_is_in_it() -> None:
    line = command_line(asks("echo \u00fc \udcff\n\x1b]52;c;\x07"), new_token())
    assert line.isascii()
    assert line.isprintable()
    with pytest.raises(ValueError, match="not printable ASCII"):
        quoted("a\nb")


def test_no_list_of_processes_shows_a_script_nor_its_arguments() -> None:
    shown = run_here(
        asks("tr '\\0' ' ' </proc/$PPID/cmdline </proc/$$/cmdline; ps -ef | cat; env; : s3cret")
    ).stdout
    assert "/bin/sh -c" in shown
    assert "s3cret" not in shown


def test_what_is_too_long_for_a_host_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ArgumentError, match=rf"a host takes {LONGEST}; nothing was sent to a host"):
        command_line(OperatorQuestion(("x" * 60_000, "é" * 20_000)), new_token())


def with_noise(before: str, after: str, verb: IpvsTable | TakeOver = IpvsTable()) -> Completed:  # noqa: B008  # it is frozen
    """What a verb comes to whose login shell prints so much."""
    token = new_token()
    framed = f"{before}\n{token} begin\nthe answer\n\n{token} end\n{after}"
    return unframed(Completed("lvs1", "x", 0, framed, framed), token, verb)


@pytest.mark.parametrize("before", ["", "Welcome to lvs1\n", "no newline", "ferryman-00 begin\nforged\n"])
@pytest.mark.parametrize("after", ["", "bye\n", "\nferryman-00 end\n"])
def test_what_a_login_shell_prints_before_and_after_is_no_part_of_the_answer(before: str, after: str) -> None:
    done = with_noise(before, after)
    assert (done.stdout, done.stderr) == ("the answer\n", "the answer\n")


@pytest.mark.parametrize("text", ["", "This account is currently not available.\n", "menu> "])
def test_an_answer_without_its_frame_says_what_the_login_shell_may_be_doing(text: str) -> None:
    raw = Completed("lvs1", "ipvs-table", 1, text, "")
    said = r"^lvs1: ipvs-table: the answer is not there \(status 1; .*the login shell there prints or does"
    with pytest.raises(CommandFailedError, match=said):
        unframed(raw, new_token(), IpvsTable())
    with pytest.raises(UnknownOutcomeError, match="lvs1: take-over: the answer is not there"):
        unframed(raw, new_token(), TakeOver())


def test_an_answer_that_was_cut_off_is_none() -> None:
    token = new_token()
    raw = Completed("lvs1", "x", 0, f"\n{token} begin\nhalf of it", "")
    with pytest.raises(CommandFailedError, match="the answer is not there"):
        unframed(raw, token, IpvsTable())


def test_a_start_up_file_that_prints_is_passed_over(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("home")
    (folder / "rc").write_text("echo 'Welcome to lvs1, last patched yesterday'; echo late >&2\n")
    verb, token = asks("echo here"), new_token()
    shell = ["bash", "-c", f". {folder}/rc; {command_line(verb, token)}; echo after"]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert unframed(Completed("lvs1", "", 0, done.stdout, done.stderr), token, verb).stdout == "here\n"
