"""Whether the operator is warned that a closing terminal would take the run back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ferryman.cli import terminal_check

BARE = ["bash", "sshd-session", "sshd", "systemd"]


def warned(
    *, is_terminal: bool = True, environ: dict[str, str] | None = None, ancestors: list[str] | None = None
) -> bool:
    said = terminal_check.warning(is_terminal=is_terminal, environ=environ or {}, ancestors=ancestors or BARE)
    return said is not None


def test_a_bare_terminal_is_warned_of_in_one_line_that_says_what_to_do() -> None:
    said = terminal_check.warning(is_terminal=True, environ={"TERM": "xterm-256color"}, ancestors=BARE)
    assert said is not None
    assert "the run is taken back" in said
    assert "tmux new -s ferryman" in said
    assert "\n" not in said


def test_without_a_terminal_there_is_none_to_lose() -> None:
    assert not warned(is_terminal=False)


@pytest.mark.parametrize(
    "keeper", ["tmux: server", "tmux", "SCREEN", "screen", "zellij", "dtach", "abduco", "mosh-server"]
)
def test_an_ancestor_that_keeps_the_terminal_open_is_enough(keeper: str) -> None:
    assert not warned(ancestors=["sudo", "bash", keeper, "systemd"])


@pytest.mark.parametrize("name", ["screensaver", "tmuxinator", "my-tmux", "mosh", ""])
def test_an_ancestor_whose_name_only_looks_like_it_is_not(name: str) -> None:
    assert warned(ancestors=["bash", name, "systemd"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TMUX", "/tmp/tmux-0/default,812,0"),
        ("STY", "3141.pts-0.bastion"),
        ("TERM", "screen"),
        ("TERM", "screen-256color"),
        ("TERM", "screen.xterm-256color"),
        ("TERM", "tmux-256color"),
    ],
)
def test_the_environment_speaks_for_ancestors_that_cannot_be_seen(name: str, value: str) -> None:
    assert not warned(environ={name: value}, ancestors=[])


@pytest.mark.parametrize(("name", "value"), [("TMUX", ""), ("TERM", "xterm"), ("TERM", "screech")])
def test_an_environment_that_says_nothing_of_it_does_not(name: str, value: str) -> None:
    assert warned(environ={name: value})


def test_ancestors_are_read_up_to_the_first_process() -> None:
    chain = list(terminal_check.ancestors())
    assert chain[-1] == Path("/proc/1/comm").read_text().strip()


def test_a_name_with_blanks_and_brackets_is_read_whole() -> None:
    renamed = "import ctypes; ctypes.CDLL(None).prctl(15, b') (tmux: 1', 0, 0, 0)"
    child = f"{renamed}; import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    ask = "from ferryman.cli import terminal_check; print(next(terminal_check.ancestors()))"
    done = subprocess.run([sys.executable, "-c", child, ask], capture_output=True, text=True, check=True)
    assert done.stdout == ") (tmux: 1\n"


def test_a_process_that_is_gone_has_no_ancestors() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert list(terminal_check.ancestors(gone.pid)) == []


def test_here_the_terminal_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert terminal_check.warning_here() is None
    with Path(os.devnull).open(encoding="utf-8") as null:
        monkeypatch.setattr("sys.stdin", null)
        assert terminal_check.warning_here() is None


def test_the_warning_is_one_line_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal_check, "warning_here", lambda: "mind the gap")
    terminal_check.warn()
    monkeypatch.setattr(terminal_check, "warning_here", lambda: None)
    terminal_check.warn()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "ferryman: mind the gap\n")
