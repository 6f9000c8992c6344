"""Why a socket was refused, on a real kernel: what a process lacks decides what would give it."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from ferryman.errors import RefusedError
from ferryman.probe import require_raw_sockets
from ferryman.probe.transport import RawTransport
from tools import require_tool, skip_or_fail

OPEN = "from ferryman.probe import require_raw_sockets; require_raw_sockets()"
WITHOUT = ["setpriv", "--securebits=+noroot", "--inh-caps=-all"]


def refused(*command: str) -> str:
    """What is said to a process in a user namespace of its own, started by this command."""
    require_tool("unshare", "setpriv", package="util-linux")
    inside = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("this user may not make user namespaces")
    words = [*inside, *command, sys.executable, "-c", OPEN]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert "RefusedError: cannot probe: " in done.stderr, done.stderr
    return done.stderr.partition("RefusedError: ")[2]


def test_whoever_lacks_the_capability_is_told_each_way_to_get_it() -> None:
    said = refused("--net", *WITHOUT)
    assert f"{sys.executable}, run by user root, may not open a raw IPv4 socket: it lacks CAP_NET_RAW" in said
    assert f"setcap cap_net_raw+ep {sys.executable}" in said
    assert "AmbientCapabilities=CAP_NET_RAW" in said


def test_where_it_was_taken_for_good_nothing_is_named_that_would_not_help() -> None:
    said = refused("--net", "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
    assert "CapBnd" in said
    assert "--cap-add NET_RAW" in said
    assert "setcap" not in said


def test_who_has_it_where_the_network_is_not_is_told_so() -> None:
    said = refused()
    assert "though it has CAP_NET_RAW: the network that it uses belongs to another user namespace" in said
    assert "setcap" not in said


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EPERM, "may not open a packet socket"),
        (errno.EACCES, "may not open a packet socket"),
        (
            errno.EAFNOSUPPORT,
            "there is no packet socket here: .* AF_INET, AF_INET6 and AF_PACKET",
        ),
        (errno.EMFILE, "a packet socket cannot be opened: Too many open files"),
    ],
)
def test_a_packet_socket_that_is_refused_alone_is_named(
    monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    """Sockets are a fake: only a filter such as seccomp forbids the packet socket and not the raw one."""

    class Opened(socket.socket):
        def __init__(self, family: int = -1, kind: int = -1, protocol: int = -1, fileno: Any = None) -> None:  # noqa: ANN401  # as it has it
            if family == socket.AF_PACKET:
                raise OSError(number, os.strerror(number))
            super().__init__(socket.AF_INET, socket.SOCK_DGRAM, 0, fileno)

    monkeypatch.setattr(socket, "socket", Opened)
    with pytest.raises(RefusedError, match=says):
        RawTransport({4})
    with pytest.raises(RefusedError):
        require_raw_sockets()
