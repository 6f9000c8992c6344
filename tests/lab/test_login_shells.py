"""Login shells that are no sh, or that print: through a real OpenSSH server, on loopback."""

from __future__ import annotations

import subprocess
import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import CommandFailedError, UnknownOutcomeError
from ferryman.hosts.verbs.realservers import ReadCounters
from ferryman.retry import poll_until
from lab.own_sshd import Server, free_port
from tools import asks, does, require_tool
from unit.hosts.test_framing import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture(name="start")
def starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Start the server with more lines in its configuration, and a start-up file of bash."""
    require_tool("sshd", package="openssh-server")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    keys, server = tmp_path / "keys", Server(tmp_path / "sshd", free_port())
    keys.mkdir()
    for name in ("id_ed25519", "host_ed25519", "host_rsa"):
        kind = name.split("_")[1]
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(keys / name)], check=True)

    def start(*lines: str, bashrc: str = "") -> Server:
        server.make(keys)
        with (server.folder / "sshd_config").open("a") as config:
            config.writelines(f"{line}\n" for line in lines)
        (server.folder / "home" / ".bashrc").write_text(bashrc)
        server.start()
        return server

    yield start
    for fleet in server.fleets:
        fleet.close()
    server.stop()


def test_what_a_start_up_file_prints_is_no_part_of_an_answer(start: Callable[..., Server]) -> None:
    noise = 'echo "Welcome to lvs1, last patched yesterday"\necho careful >&2\n(sleep 0.05; echo late) &\n'
    fleet = start(bashrc=noise).fleet()
    done = fleet.read("rs1", asks("echo here; echo err >&2"))
    assert (done.stdout, done.stderr) == ("here\n", "err\n")
    assert "Welcome" not in str(fleet.read("rs1", ReadCounters()))


@pytest.mark.parametrize("shell", ["fish", "tcsh", "dash"])
def test_any_login_shell_does(start: Callable[..., Server], shell: str) -> None:
    require_tool(shell, package=shell)
    # What sshd itself does with the shell that a user has.
    fleet = start(f'ForceCommand exec {shell} -c "$SSH_ORIGINAL_COMMAND"').fleet()
    done = fleet.read("rs1", asks("cat; echo err >&2; exit 3", given="typed"))
    assert (done.status, done.stdout, done.stderr) == (3, "typed", "err\n")
    for word in HOSTILE:
        assert fleet.read("rs1", asks("cat", given=word)).stdout == word
    together = fleet.read_together({"rs1": [asks("cat", given=word) for word in HOSTILE]})["rs1"]
    assert [answer.stdout for answer in together] == list(HOSTILE)


def test_a_login_shell_that_runs_something_of_its_own_is_told_of(start: Callable[..., Server]) -> None:
    fleet = start("ForceCommand echo 'This account is currently not available.'; exit 1").fleet()
    said = r"rs1: .*the answer is not there \(status 1; what came is 'This account is currently not avail"
    with pytest.raises(CommandFailedError, match=said):
        fleet.read("rs1", asks("true"))
    with pytest.raises(UnknownOutcomeError, match=said):
        fleet.write("rs1", does("true"))


def test_an_endless_answer_stops_at_its_limit_and_takes_no_more_memory(start: Callable[..., Server]) -> None:
    fleet = start().fleet(command_timeout=60)
    fleet.read("rs1", asks("true"))
    tracemalloc.start()
    with pytest.raises(UnknownOutcomeError, match=r"its answer is longer than the 1048576 bytes"):
        fleet.read("rs1", Endless())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * MIB
    assert fleet.read("rs1", asks("echo on")).stdout == "on\n"


def test_endless_complaints_end_at_the_deadline_and_take_no_more_memory(start: Callable[..., Server]) -> None:
    fleet = start().fleet()
    tracemalloc.start()
    with pytest.raises(UnknownOutcomeError):
        fleet.read("rs1", asks("exec yes >&2", timeout_s=3))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 * MIB


class Endless(ReadCounters):
    """A file without an end."""

    script = "exec yes"


def test_no_thread_is_left(start: Callable[..., Server]) -> None:
    before = threading.active_count()
    fleet = start().fleet()
    with pytest.raises(UnknownOutcomeError):
        fleet.read("rs1", Endless())
    fleet.close()
    poll_until(threading.active_count, lambda count: count <= before, within_s=20, every_s=0.05)
    assert threading.active_count() == before, threading.enumerate()
