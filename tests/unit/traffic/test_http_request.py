"""One exchange over a real connection, on loopback."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from ipaddress import ip_address

from ferryman.traffic.http_request import Request, exchange

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNTIL_ROOM_S = 0.3


def listener() -> socket.socket:
    """It has room for one connection that nobody has taken yet."""
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(0)
    return made


def serve(where: socket.socket, connections: int) -> None:
    """Take so many connections, and answer each."""
    for _ in range(connections):
        taken, _ = where.accept()
        with taken:
            taken.sendall(ANSWER)


def request(where: socket.socket) -> Request:
    return Request(ip_address("127.0.0.1"), where.getsockname()[1], False, "/")


def test_a_connection_that_comes_about_at_once_needed_no_syn_again() -> None:
    with closing(listener()) as where:
        server = threading.Thread(target=serve, args=(where, 1))
        server.start()
        result = exchange(request(where))
        server.join()
    assert (result.problem, result.status, result.syns_again) == ("", 200, 0)


def test_a_syn_that_the_kernel_had_to_send_again_is_counted_though_the_request_is_answered() -> None:
    with closing(listener()) as where, socket.create_connection(where.getsockname()):
        server = threading.Timer(UNTIL_ROOM_S, serve, (where, 2))  # until then every SYN is dropped
        server.start()
        result = exchange(request(where))
        server.join()
    assert (result.problem, result.status) == ("", 200)
    assert result.syns_again >= 1
