from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import pytest

from ferryman.errors import UnknownOutcomeError
from ferryman.hosts import Completed
from ferryman.hosts.command import NO_STATUS, RemoteCommand
from ferryman.hosts.connect import Timeouts


@dataclass
class FakeChannel:
    """A channel whose host prints what it was given and then ends, or does not."""

    out: deque[bytes] = field(default_factory=deque)
    err: deque[bytes] = field(default_factory=deque)
    status: int = 0
    refuses: Exception | None = None
    hangs: bool = False
    reads_input: bool = True
    received: bytes = b""
    input_ended: bool = False
    closed: threading.Event = field(default_factory=threading.Event)
    sent: list[str] = field(default_factory=list)
    cut_off: bool = False

    def exec_command(self, command: str, /) -> None:
        self.sent.append(command)
        if self.refuses is not None:
            raise self.refuses

    def sendall(self, data: bytes, /) -> None:
        if not self.reads_input and data:
            self.closed.wait()
            raise OSError("Socket is closed")
        self.received += data

    def shutdown_write(self) -> None:
        self.input_ended = True

    def recv(self, _size: int, /) -> bytes:
        return self._next(self.out)

    def recv_stderr(self, _size: int, /) -> bytes:
        return self._next(self.err)

    def _next(self, stream: deque[bytes]) -> bytes:
        if stream:
            return stream.popleft()
        if self.hangs:
            self.closed.wait()
        return b""

    def recv_exit_status(self) -> int:
        return self.status

    def close(self) -> None:
        if self.closed.is_set():
            return
        self.closed.set()
        if self.cut_off:
            raise EOFError


def hold(
    channel: FakeChannel, *, lost: str | None = None, stdin: str = "", timeout_s: float = 60
) -> Completed:
    timeouts = Timeouts()
    command = RemoteCommand("web1", "do it", channel, lost=lambda _error: lost)
    try:
        return command.run(stdin, timeout_s, timeouts)
    finally:
        timeouts.close()


def test_no_end_in_time_is_an_unknown_outcome_and_the_channel_is_closed() -> None:
    channel = FakeChannel(hangs=True, status=NO_STATUS)
    with pytest.raises(UnknownOutcomeError) as caught:
        hold(channel, timeout_s=0.01)
    assert str(caught.value) == (
        "web1: run: 'do it': outcome unknown: no end within 0.01 s; it may still be running there; "
        "look at the host before anything is repeated"
    )
    assert channel.closed.is_set()
    assert channel.sent == ["do it"]


def test_a_connection_cut_off_while_the_time_is_up_is_no_end_in_time_either() -> None:
    with pytest.raises(UnknownOutcomeError, match=r"no end within 0.01 s"):
        hold(FakeChannel(hangs=True, status=NO_STATUS, cut_off=True), timeout_s=0.01)


def test_a_connection_that_is_lost_is_an_unknown_outcome_with_its_reason() -> None:
    with pytest.raises(UnknownOutcomeError, match="the connection was lost: the host closed it"):
        hold(FakeChannel(status=NO_STATUS), lost="the host closed it")


def test_an_error_once_the_command_was_sent_is_an_unknown_outcome() -> None:
    with pytest.raises(UnknownOutcomeError, match="the connection was lost: gone") as caught:
        hold(FakeChannel(refuses=EOFError()), lost="gone")
    assert isinstance(caught.value.__cause__, EOFError)


def test_an_end_without_a_status_is_an_unknown_outcome() -> None:
    with pytest.raises(UnknownOutcomeError, match="ended without a status, as when a signal kills it"):
        hold(FakeChannel(status=NO_STATUS))


def test_a_known_status_counts_though_the_output_stays_open_until_the_time_is_up() -> None:
    channel = FakeChannel(out=deque([b"started\n"]), hangs=True, status=0)
    assert hold(channel, timeout_s=0.01) == Completed("web1", "do it", 0, "started\n", "")


def test_input_that_nobody_reads_does_not_hold_the_end_up() -> None:
    assert hold(FakeChannel(reads_input=False, status=4), stdin="x").status == 4


def test_input_goes_in_and_its_end_is_told() -> None:
    channel = FakeChannel()
    hold(channel, stdin="-A -t 192.0.2.1:80\n")
    assert channel.received == b"-A -t 192.0.2.1:80\n"
    assert channel.input_ended


def test_both_outputs_are_put_together() -> None:
    channel = FakeChannel(out=deque([b"a", b"b"]), err=deque([b"c", b"d"]), status=3)
    assert hold(channel) == Completed("web1", "do it", 3, "ab", "cd")


def test_bytes_that_are_no_utf8_survive_the_way_there_and_back() -> None:
    text = hold(FakeChannel(out=deque([b"M\xfcnchen"]))).stdout
    channel = FakeChannel()
    hold(channel, stdin=text)
    assert channel.received == b"M\xfcnchen"


@pytest.mark.parametrize("stream", ["out", "err"])
def test_an_answer_that_is_longer_than_its_limit_is_cut_off_there(stream: str) -> None:
    pieces = deque([b"x" * 10] * 10)
    channel = FakeChannel(**{stream: pieces}, reads_input=False)  # type: ignore[arg-type]  # one of its streams
    timeouts = Timeouts()
    command = RemoteCommand("web1", "do it", channel, lost=lambda _error: None)
    with pytest.raises(UnknownOutcomeError, match="longer than the 50 bytes that are taken; it was cut off"):
        command.run("input", 60, timeouts, limit=50)
    timeouts.close()
    assert len(pieces) == 4, "no more was read"
    assert channel.closed.is_set()


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    hold(FakeChannel(out=deque([b"x"])), stdin="y")
    assert threading.active_count() == before
