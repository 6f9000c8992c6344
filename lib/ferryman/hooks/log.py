"""A line to a file or to syslog, in the manner of a server admin log: START and END of each run."""

from __future__ import annotations

import logging
import os
import socket
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING, NoReturn

from ferryman.events import utc_now
from ferryman.hooks.hook import HookError
from ferryman.printable import is_harmless

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.config.hooks import LogConfig, SyslogAddress
    from ferryman.hooks.hook import RunNotice


class Log:
    """Writes one line when a run begins to change something, and one when it has ended."""

    def __init__(self, config: LogConfig) -> None:
        self._config = config

    def __str__(self) -> str:
        return str(self._config.file or self._config.syslog)

    def begun(self, notice: RunNotice) -> str:
        """Write the START line: who does what, and why."""
        return self._write(notice, "START", f"{notice.action}: {notice.why}" if notice.why else notice.action)

    def ended(self, notice: RunNotice) -> str:
        """Write the END line: outcome, exit code, and the first line of the reason."""
        finished = notice.finished
        assert finished is not None
        first = next(iter(finished.reason.splitlines()), "")
        return self._write(notice, f"END ({finished.outcome}, exit code {finished.exit_code})", first)

    def _write(self, notice: RunNotice, mark: str, more: str) -> str:
        text = f"{notice.operator} {mark} - {notice.what} (run {notice.run}) - {more}"
        line = "".join(character if is_harmless(character) else " " for character in text)
        if self._config.file is not None:
            _append(self._config.file, f"{utc_now()} {line}\n")
        else:
            assert self._config.syslog is not None
            _send(self._config.syslog, self._config.facility, line)
        return ""


def _append(file: Path, line: str) -> None:
    """In one write at the end, so that lines of several processes never mix (``O_APPEND``, open(2))."""
    data = line.encode(errors="backslashreplace")
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HookError(error.strerror or str(error)) from error
    if written < len(data):
        raise HookError(f"only {written} of {len(data)} bytes could be written")


class _Syslog(SysLogHandler):
    ident = "ferryman: "
    append_nul = False

    def handleError(self, record: logging.LogRecord) -> NoReturn:  # noqa: ARG002, N802  # the base class's
        """Let whoever sends the line know: the base class prints a traceback and goes on."""
        raise  # noqa: PLE0704  # it is called where the error is being handled


def _send(address: SyslogAddress, facility: str, line: str) -> None:
    try:
        syslog = _opened(address, facility)
        try:
            # On a stream only a line's end parts one message from the next (RFC 6587, section 3.4.2).
            end = "\n" if syslog.socktype == socket.SOCK_STREAM else ""
            syslog.emit(logging.makeLogRecord({"msg": line + end, "levelname": "INFO"}))
        finally:
            syslog.close()
    except OSError as error:
        raise HookError(error.strerror or str(error)) from error


def _opened(address: SyslogAddress, facility: str) -> _Syslog:
    number = SysLogHandler.facility_names[facility]
    if address.transport == "unix":
        return _Syslog(address.place, number)
    kind = socket.SOCK_DGRAM if address.transport == "udp" else socket.SOCK_STREAM
    return _Syslog((address.place, address.port), number, kind)
