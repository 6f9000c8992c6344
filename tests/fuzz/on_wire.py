"""What comes from the network: packets, etcd's answers, HTTP answers, the cluster's objects."""

from __future__ import annotations

import json
import socket
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.errors import JournalError
from ferryman.probe.classify import SynIndex, classify
from ferryman.probe.dissect import Unreadable, dissect
from ferryman.probe.fast_path import fast_judgement
from ferryman.state.etcd.client import EtcdClient
from ferryman.traffic.http_request import Request, exchange
from fuzz.target import Target
from unit.probe.test_classify import OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CASES = Path(__file__).parents[1] / "unit" / "probe" / "cases"


def _packets() -> tuple[str, ...]:
    """Recorded answers, with a character for each byte."""
    found = [json.loads(case.read_text()) for case in sorted(CASES.glob("*.json"))]
    return tuple(bytes.fromhex(case["packet"]).decode("latin-1") for case in found)


def _packet(text: str) -> object:
    packet, index = text.encode("latin-1", "replace"), SynIndex(OUT.values())
    fast, answer = fast_judgement(packet, index), dissect(packet)
    slow = [] if answer is None or isinstance(answer, Unreadable) else classify(answer, index)
    assert fast is None or [(each.syn, each.verdict) for each in slow] == [(fast.syn, fast.verdict)]
    return slow


class Answering:
    """A gateway of a cluster that answers everything with one JSON text."""

    where = "etcd://127.0.0.1:2379/ferryman"

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # JSON
        self._answer = answer

    def post(self, path: str, request: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        return self._answer  # type: ignore[no-any-return]  # anything, on purpose

    def close(self) -> None:
        pass


ASKED: tuple[Callable[[EtcdClient], object], ...] = (
    lambda client: client.get("a"),
    lambda client: client.listed("a/"),
    lambda client: client.commit([], []),
    lambda client: client.grant(60),
    lambda client: client.keep_alive(1),
    lambda client: client.revoke(1),
)
"""All that the store asks a cluster."""


def _etcd(text: str) -> object:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None  # the gateway's own business
    for ask in ASKED:
        try:
            ask(EtcdClient(Answering(answer), lambda: 1.0))
        except JournalError:
            continue
    return None


class HttpServer:
    """Sends every connection the same bytes, on an address of its own, and closes it."""

    def __init__(self) -> None:
        self.answer = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            with connection:
                try:
                    connection.recv(4096)
                    connection.sendall(self.answer)
                except OSError:
                    continue


class HttpTarget:
    """Asks the server, which begins when it is first needed."""

    server: HttpServer | None = None

    def __call__(self, text: str) -> object:
        self.server = self.server or HttpServer()
        self.server.answer = text.encode("latin-1", "replace")
        return exchange(
            Request(ip_address("127.0.0.1"), self.server.port, tls=False, path="/", timeout_s=0.5)
        )


HEADER = '{"header":{"cluster_id":"1","member_id":"2","revision":"7","raft_term":"3"}'
ETCD = (
    f'{HEADER},"kvs":[{{"key":"YQ==","create_revision":"3","mod_revision":"4","version":"1","value":"e30="}}]}}',
    f'{HEADER},"succeeded":true}}',
    f'{HEADER},"ID":"7","TTL":"60"}}',
    f'{{"result":{HEADER},"ID":"7","TTL":"60"}}}}',
)
HTTP = (
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: a\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)
HTTP_WORDS = (
    "HTTP/1.1",
    "HTTP/9.9 abc",
    "100 Continue\r\n\r\n",
    "Content-Length: -1",
    "Content-Length: 99999999999",
    "\r\n\r\n",
)

TARGETS: tuple[Target, ...] = (
    Target("packet", _packet, _packets(), ("\x1d\x03", "\x02\x04", "\x45\x00", "\x60", "\xff" * 8)),
    Target("etcd-answer", _etcd, ETCD, ("null", "[]", "{}", "true", '"x"', '"header":', "1e400", "-1")),
    Target("http-answer", HttpTarget(), HTTP, HTTP_WORDS),
)
