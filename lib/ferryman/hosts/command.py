"""One command on one channel, from its sending to its end, within a deadline for the whole of it.

When the time is up, listening stops, and the command is left to itself: closing a channel ends no command
without a terminal, OpenSSH passes SSH's own signals on for users other than root alone ("session signalling
requires privilege separation"), and ``timeout`` is not on every host. A caller who wants a command to end
says so in the command.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from ferryman.errors import UnknownOutcomeError
from ferryman.hosts.completed import Completed, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.hosts.connect import Timeouts

CHUNK = 1 << 16
"""Bytes taken from a channel at a time."""
WINDOW = 1 << 24
"""Bytes that a host may send on a channel before any is read; it wants the channel opened with that.

A stream that nobody reads stops the other one when the window is full: what is complained of while an answer
is read must fit in, or the command ends at its deadline. It is kept in memory, so it is no larger than that.
"""
NO_STATUS = -1
"""What a channel has for an exit status that never came."""


class Channel(Protocol):
    """What is needed of an SSH channel; every wait on it ends when it is closed."""

    def exec_command(self, command: str, /) -> None:
        """Send the command; returns when the host has taken it."""

    def sendall(self, data: bytes, /) -> object:
        """Send input; raises OSError when the channel is closed."""

    def shutdown_write(self) -> None:
        """Close the command's standard input."""

    def recv(self, size: int, /) -> bytes:
        """Some bytes of standard output; empty at its end."""

    def recv_stderr(self, size: int, /) -> bytes:
        """Some bytes of standard error; empty at its end."""

    def recv_exit_status(self) -> int:
        """Wait for the exit status; ``NO_STATUS`` when the channel closed without one."""

    def close(self) -> None:
        """Close the channel, which ends every wait on it; twice is harmless."""


class RemoteCommand:
    """A command sent once; it is never repeated from here on."""

    def __init__(
        self,
        host: str,
        command: str,
        channel: Channel,
        *,
        lost: Callable[[Exception | None], str | None],
        sent: str | None = None,
    ) -> None:
        """Prepare; ``lost`` says why the connection is no more, None while it stands.

        ``sent`` is what goes over the line; people are told of the command.
        """
        self._host = host
        self._command = command
        self._sent = command if sent is None else sent
        self._channel = channel
        self._lost = lost
        self._limit = WINDOW
        self._late = threading.Event()

    def run(self, stdin: str, timeout_s: float, timeouts: Timeouts, *, limit: int = WINDOW) -> Completed:
        """Send the command and its input, and read both outputs and the status; a timeout ends the waiting.

        ``limit`` is the most bytes that are taken of either output.

        A command that ended but whose output somebody holds open (a daemon it started) is taken as it is
        when the time is up: its status is known.

        Raises:
            UnknownOutcomeError: The end was not seen: the time was up, the connection was lost, or more came
                than is taken.
        """
        self._limit = limit
        try:
            with timeouts.after(timeout_s, self._give_up):
                status, out, err = self._exchange(stdin.encode("utf-8", "surrogateescape"))
        except _TooMuch:
            raise self._unknown_because(
                f"its answer is longer than the {self._limit} bytes that are taken; it was cut off"
            ) from None
        except Exception as error:
            raise self._unknown(timeout_s, error) from error
        finally:
            self._channel.close()
        if status == NO_STATUS:
            raise self._unknown(timeout_s, None)
        return Completed(self._host, self._command, status, _text(out), _text(err))

    def _exchange(self, stdin: bytes) -> tuple[int, bytes, bytes]:
        """One stream after the other: ``WINDOW`` lets the host send both though only one is being read."""
        self._channel.exec_command(self._sent)
        with self._feeding(stdin):
            try:
                out, errors = self._all_of(self._channel.recv), self._all_of(self._channel.recv_stderr)
            except _TooMuch:
                self._channel.close()  # ends the command's own waits, and those of whoever feeds it
                raise
            status = self._channel.recv_exit_status()
            self._channel.close()
        return status, out, errors

    def _all_of(self, receive: Callable[[int], bytes]) -> bytes:
        """One stream to its end, or to the limit: an answer without an end takes no more memory than that."""
        taken = bytearray()
        while chunk := receive(CHUNK):
            taken += chunk
            if len(taken) > self._limit:
                raise _TooMuch
        return bytes(taken)

    @contextmanager
    def _feeding(self, stdin: bytes) -> Iterator[None]:
        """Write input while output is read; where there is none, close standard input without a thread."""
        if not stdin:
            self._feed(stdin)
            yield
            return
        feeder = threading.Thread(target=self._feed, args=[stdin], daemon=True, name="ferryman-ssh-input")
        feeder.start()
        try:
            yield
        finally:
            feeder.join()

    def _feed(self, stdin: bytes) -> None:
        with suppress(OSError):  # a command may end without reading what it is given
            self._channel.sendall(stdin)
            self._channel.shutdown_write()

    def _give_up(self) -> None:
        """Stop listening: every wait on the channel ends with that."""
        self._late.set()
        with suppress(Exception):  # its waits end first, then the host is told, which may be cut off by then
            self._channel.close()

    def _unknown(self, timeout_s: float, error: Exception | None) -> UnknownOutcomeError:
        if self._late.is_set():
            why = f"no end within {timeout_s:g} s; it may still be running there"
        elif (lost := self._lost(error)) is not None:
            why = f"the connection was lost: {lost}"
        else:
            why = "it ended without a status, as when a signal kills it"
        return self._unknown_because(why)

    def _unknown_because(self, why: str) -> UnknownOutcomeError:
        return UnknownOutcomeError(
            f"{self._host}: run: {shown(self._command)}: outcome unknown: {why}; "
            "look at the host before anything is repeated"
        )


class _TooMuch(Exception):  # noqa: N818  # no error: it becomes one that says which command
    """A host sends more than is taken of it."""


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
