"""A line in a file, and in what a real syslog daemon would listen on: a UDP, a TCP and a Unix socket."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config.hooks import LogConfig
from ferryman.hooks import HookError, Log
from unit.hooks.notices import BEGUN, REQUEST, ended

if TYPE_CHECKING:
    from collections.abc import Iterator

START = (
    "bob@cumin2 START - migrate service=web site=codfw (run 20261122-221943-abcd) - "
    "begins: IPIP for web (T123)"
)
LOCAL1_INFO = "<142>"
"""Facility 17, severity 6 (RFC 5424, section 6.2.1)."""


def to_file(file: Path) -> Log:
    return Log(LogConfig(file=file))


def to_syslog(address: str) -> Log:
    return Log(LogConfig.model_validate({"syslog": address, "facility": "local1"}))


def test_each_notice_is_a_line_at_the_end_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sal.log"
    file.write_text("older\n")
    to_file(file).begun(BEGUN)
    to_file(file).ended(ended("rolled-back", 4, "mw2301 said no\nrolled back"))
    older, began, over = file.read_text().splitlines()
    assert older == "older"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z " + re.escape(START), began)
    assert over.endswith("(run 20261122-221943-abcd) - mw2301 said no")
    assert "bob@cumin2 END (rolled-back, exit code 4) - migrate" in over


def test_what_somebody_else_said_makes_no_line_of_its_own(tmp_path: Path) -> None:
    reason = "a\x1b[31m\n\x85\u2028forged\udcff"
    to_file(tmp_path / "log").begun(replace(BEGUN, request=replace(REQUEST, reason=reason)))
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("begins: a [31m   forged  (T123)")


def test_lines_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    reason = "x" * 20_000
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(to_file(tmp_path / "log").ended, [ended(reason=reason)] * 40))
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 40
    assert all(line.endswith(f" - {reason}") for line in lines)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HookError, match="No such file"):
        to_file(tmp_path / "gone" / "log").begun(BEGUN)
    with pytest.raises(HookError, match="No space left"):
        to_file(Path("/dev/full")).begun(BEGUN)


@pytest.fixture(params=[socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["datagrams", "stream"])
def unix_socket(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX, request.param) as listener:
        listener.bind(str(tmp_path / "log"))
        listener.settimeout(10)
        if request.param == socket.SOCK_STREAM:
            listener.listen()
        yield str(tmp_path / "log"), listener


def heard(listener: socket.socket) -> str:
    """Everything that one writer sent."""
    if listener.type == socket.SOCK_DGRAM:
        return listener.recv(65536).decode()
    connection, _ = listener.accept()
    with connection, connection.makefile() as lines:
        return lines.read()


def test_syslog_on_this_machine(unix_socket: tuple[str, socket.socket]) -> None:
    address, listener = unix_socket
    to_syslog(address).begun(BEGUN)
    assert heard(listener).rstrip("\n") == f"{LOCAL1_INFO}ferryman: {START}"


def test_syslog_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        to_syslog(f"udp://127.0.0.1:{listener.getsockname()[1]}").begun(BEGUN)
        assert heard(listener) == f"{LOCAL1_INFO}ferryman: {START}"


def test_syslog_over_tcp_ends_each_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        to_syslog(f"tcp://127.0.0.1:{listener.getsockname()[1]}").begun(BEGUN)
        assert heard(listener) == f"{LOCAL1_INFO}ferryman: {START}\n"


def test_a_syslog_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    with pytest.raises(HookError, match="refused"):
        to_syslog(f"tcp://127.0.0.1:{free}").begun(BEGUN)
    with pytest.raises(HookError, match="No such file"):
        to_syslog(str(tmp_path / "log")).begun(BEGUN)
