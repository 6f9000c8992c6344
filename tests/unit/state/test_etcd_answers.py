"""What is no answer of etcd's is a journal that cannot be used; and a member that is silent is passed by."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.process import ProcessId
from ferryman.errors import JournalError
from ferryman.state import RunRequest
from ferryman.state.etcd import gateway as etcd_gateway
from ferryman.state.etcd.client import EtcdClient
from ferryman.state.etcd.gateway import HttpGateway
from ferryman.state.etcd.store import EtcdStore
from unit.http_listener import QuietHandler, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    MakeGateway = Callable[..., HttpGateway]

HEADER = {"header": {"revision": "7"}}


class Says:
    """A gateway that answers everything with the same."""

    where = "etcd nowhere:2379/ferryman"

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # whatever JSON holds
        self.answer = answer

    def post(self, path: str, request: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """Return the answer that the test prepared."""
        del path, request, within_s
        found: dict[str, Any] = self.answer
        return found

    def close(self) -> None:
        """Do nothing: there is no connection."""


ASKED: dict[str, Callable[[EtcdClient], object]] = {
    "get": lambda client: client.get("key"),
    "list": lambda client: client.listed("prefix/"),
    "commit": lambda client: client.commit([], []),
    "grant": lambda client: client.grant(60),
    "keep alive": lambda client: client.keep_alive(1),
    "revoke": lambda client: client.revoke(1),
}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"header": None},
        {"header": []},
        {"header": {"revision": "many"}, "succeeded": True, "kvs": {}, "result": {}},
        {"header": {}, "kvs": [], "succeeded": True, "result": {"header": {}}},
        {"result": None},
        {"result": []},
    ],
)
def test_what_has_another_shape_is_a_journal_error(asked: str, answer: dict[str, Any]) -> None:
    client = EtcdClient(Says(answer), lambda: 0.0)

    if asked == "commit" and not answer.get("succeeded"):
        answer["succeeded"] = True
    with pytest.raises(JournalError, match="no answer of etcd's"):
        ASKED[asked](client)


@pytest.mark.parametrize(
    "kv",
    [
        None,
        [],
        "key",
        {},
        {"key": "ä", "create_revision": "1", "mod_revision": "1"},
        {"key": encoded("key"), "create_revision": [], "mod_revision": "1"},
        {"key": 5, "create_revision": "1", "mod_revision": "1"},
    ],
)
def test_a_key_of_another_shape_is_one_too(kv: object) -> None:
    client = EtcdClient(Says({**HEADER, "kvs": [kv]}), lambda: 0.0)

    with pytest.raises(JournalError, match="no answer of etcd's"):
        client.get("key")


def test_what_etcd_leaves_out_is_read_as_it_means_it() -> None:
    assert EtcdClient(Says(HEADER), lambda: 0.0).get("key") is None
    assert EtcdClient(Says(HEADER), lambda: 0.0).commit([], []) == 0
    assert EtcdClient(Says({"result": HEADER}), lambda: 0.0).keep_alive(1) == 0


@pytest.mark.parametrize("value", ["null", "[]", "{}", '"x"', "5", "not JSON", '{"key": "web"}'])
def test_a_value_that_cannot_be_read_is_a_journal_error_or_damage(value: str) -> None:
    kv = {"key": encoded("/f/x"), "value": encoded(value), "create_revision": "1", "mod_revision": "1"}
    store = EtcdStore(EtcdCluster((("127.0.0.1", 1),), "/f"), EtcdConfig())
    store._client = EtcdClient(Says({**HEADER, "kvs": [kv]}), lambda: 0.0)

    with pytest.raises(JournalError, match="cannot be read"):
        store.locks()
    with pytest.raises(JournalError, match="cannot be read"):
        store.liveness("x", ProcessId("elsewhere", 1, 1, "boot"))
    assert store.runs()[0].request.cookbook == "(unreadable)"
    with pytest.raises(JournalError, match="damaged"):
        store.verified_records(store.run("x"))


def answering(body: bytes) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def do_POST(self) -> None:  # noqa: N802  # as the library calls it
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


@pytest.fixture
def silent() -> Iterator[str]:
    """Somebody who takes every connection and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def gateway() -> Iterator[MakeGateway]:
    """Makes gateways, and closes them after the test."""
    with ExitStack() as stack:

        def make(*urls: str, lease: int = 60) -> HttpGateway:
            members = tuple(("127.0.0.1", int(url.rpartition(":")[2])) for url in urls)
            made = HttpGateway(EtcdCluster(members, "/ferryman"), EtcdConfig(lease=lease))
            return stack.enter_context(closing(made))

        yield make


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"5",
        b"",
        b"<html><body>It works!</body></html>",
        b"\xff\xfe",
        json.dumps({"error": {"grpc_code": 14, "message": "etcdserver: no leader"}}).encode(),
        json.dumps({"error": "etcdserver: no leader", "code": 14}).encode(),
    ],
)
def test_a_200_that_is_no_answer_is_a_journal_error_and_says_what_came(
    gateway: MakeGateway, body: bytes
) -> None:
    with listening(answering(body)) as url, pytest.raises(JournalError, match="cannot be used") as error:
        gateway(url).post("/kv/range", {}, 0.0)

    if b"leader" in body:
        assert "etcdserver: no leader" in str(error.value)


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"error": "no leader"}'])
def test_the_next_member_is_asked_when_one_says_what_is_no_answer(
    gateway: MakeGateway, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_gateway, "_PAUSE_S", 0.0)
    with listening(answering(body)) as bad, listening(answering(json.dumps(HEADER).encode())) as good:
        assert gateway(bad, good).post("/kv/range", {}, 20.0) == HEADER


def test_a_member_that_never_answers_costs_a_small_part_of_the_lease(
    gateway: MakeGateway, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request to it is given up after a fifteenth, and it is asked last from then on."""
    monkeypatch.setattr(etcd_gateway, "_PAUSE_S", 0.0)
    with listening(answering(json.dumps(HEADER).encode())) as good:
        asked = gateway(silent, good, lease=3)
        timeouts: list[float] = []
        for client in asked._opened():
            client.event_hooks["request"].append(
                lambda request: timeouts.append(request.extensions["timeout"]["read"])
            )
        assert asked.post("/kv/range", {}, 20.0) == HEADER

    assert timeouts == [0.2, 0.2]
    assert str(asked._clients[-1].base_url.port) in silent


def test_a_request_that_the_cluster_refuses_is_not_sent_again(gateway: MakeGateway) -> None:
    requests: list[bytes] = []

    class Refuses(QuietHandler):
        def do_POST(self) -> None:  # noqa: N802  # as the library calls it
            requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_error(400, "etcdserver: duplicate key given in txn request")

    with listening(Refuses) as url, pytest.raises(JournalError, match=r"400 .*duplicate key"):
        gateway(url).post("/kv/txn", {"compare": []}, 20.0)

    assert [json.loads(body) for body in requests] == [{"compare": []}]


def test_it_asks_again_after_it_was_closed(gateway: MakeGateway) -> None:
    with listening(answering(json.dumps(HEADER).encode())) as url:
        asked = gateway(url)
        assert asked.post("/kv/range", {}, 0.0) == HEADER
        asked.close()
        assert asked.post("/kv/range", {}, 0.0) == HEADER


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    asked = HttpGateway(EtcdCluster((("127.0.0.1", 1),), "/ferryman"), EtcdConfig(ca=ca))
    for text in (None, "no certificate"):
        if text:
            ca.write_text(text)
        with pytest.raises(JournalError, match=r"ca\.pem one cannot be read as PEM"):
            asked.post("/kv/range", {}, 20.0)


@pytest.mark.parametrize("host", ["a..b", "ä ö"])
def test_a_name_that_is_no_hosts_is_a_journal_error(host: str) -> None:
    asked = HttpGateway(EtcdCluster(((host, 1),), "/ferryman"), EtcdConfig())
    with pytest.raises(JournalError, match="the journal cannot be used"):
        asked.post("/kv/range", {}, 0.0)


class Raw:
    """A member that says these bytes to each request, as they are, and goes on saying them."""

    def __init__(self, *pieces: bytes, forever: bytes = b"", pause_s: float = 0.0) -> None:
        self._pieces, self._forever, self._pause_s = pieces, forever, pause_s
        self.asked: list[bytes] = []

    @contextmanager
    def __call__(self) -> Iterator[str]:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                taken, _ = listener.accept()
                threading.Thread(target=self._say, args=(taken,), daemon=True).start()

    def _say(self, taken: socket.socket) -> None:
        with taken, suppress(OSError):
            self.asked.append(taken.recv(65536))
            for piece in self._pieces:
                taken.sendall(piece)
            while self._forever:
                taken.sendall(self._forever)
                time.sleep(self._pause_s)


OK = b"HTTP/1.1 200 OK\r\n"
GOOD = json.dumps(HEADER).encode()
DEEP = b'{"header": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
WRONG: dict[str, Raw] = {
    "headers without end": Raw(OK, forever=b"X-More: " + b"x" * 1000 + b"\r\n"),
    "a header that drips": Raw(OK + b"X-More: ", forever=b"x", pause_s=0.01),
    "a body that drips": Raw(OK + b"Content-Length: 99999\r\n\r\n", forever=b" ", pause_s=0.01),
    "a body without end": Raw(OK + b"\r\n", forever=b" " * 65536),
    "chunks without end": Raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", forever=b"1\r\n \r\n", pause_s=0.01
    ),
    "chunks that are none": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"),
    "interim answers without end": Raw(forever=b"HTTP/1.1 103 Early Hints\r\n\r\n", pause_s=0.01),
    "another protocol": Raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a switch of protocols": Raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
    "a bomb of gzip": Raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"),
    "JSON that is nested too deeply": Raw(OK + b"Content-Length: %d\r\n\r\n" % len(DEEP) + DEEP),
    "a body that is cut off": Raw(OK + b"Content-Length: 99\r\n\r\n{"),
    "a length that is none": Raw(OK + b"Content-Length: many\r\n\r\n{}"),
    "a proxy's error": Raw(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>"),
}


@pytest.mark.parametrize("name", WRONG)
def test_whatever_answers_in_a_members_place_is_given_up_and_the_next_is_asked(
    gateway: MakeGateway, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_gateway, "_PAUSE_S", 0.0)
    monkeypatch.setattr(etcd_gateway, "_LONGEST", 1 << 20)
    with WRONG[name]() as bad, listening(answering(GOOD)) as good:
        assert gateway(bad, good, lease=3).post("/kv/range", {}, 20.0) == HEADER
        with pytest.raises(JournalError, match="cannot be used"):
            gateway(bad, lease=3).post("/kv/range", {}, 0.0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_for_it_would_give_the_journal_to_somebody_else(
    gateway: MakeGateway, status: int
) -> None:
    other = Raw(OK + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
    with other() as elsewhere:
        there = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {elsewhere}/v3/kv/txn\r\nContent-Length: 0\r\n\r\n"
        with (
            Raw(there.encode())() as url,
            pytest.raises(JournalError, match="redirect, which is not followed"),
        ):
            gateway(url).post("/kv/txn", {"success": ["the journal"]}, 0.0)

    assert other.asked == []


def refused(status: str, error: str) -> Raw:
    body = json.dumps({"error": error, "message": error, "code": 8}).encode()
    return Raw(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("429 Too Many Requests", "etcdserver: mvcc: database space exceeded", "alarm NOSPACE.*alarm disarm"),
        ("500 Internal Server Error", "etcdserver: corrupt cluster", "alarm CORRUPT.*alarm disarm"),
        ("400 Bad Request", "etcdserver: user name is empty", r"set etcd\.user and etcd\.password_file"),
        ("403 Forbidden", "etcdserver: permission denied", "readwrite on the prefix"),
    ],
)
def test_what_a_cluster_refuses_for_good_says_what_helps_and_is_not_tried_again(
    gateway: MakeGateway, status: str, error: str, words: str
) -> None:
    member = refused(status, error)
    with member() as url, pytest.raises(JournalError, match=words):
        gateway(url).post("/kv/txn", {}, 20.0)

    assert len(member.asked) == 1


def test_a_member_that_has_too_many_requests_is_passed_by(
    gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_gateway, "_PAUSE_S", 0.0)
    busy = refused("429 Too Many Requests", "etcdserver: too many requests")
    with busy() as bad, listening(answering(GOOD)) as good:
        assert gateway(bad, good).post("/kv/range", {}, 20.0) == HEADER


@pytest.mark.parametrize(
    "wrong", ["many", "-7", "7.0", 7.5, True, None, [], {}, "9" * 5000, 1e400, " 7 ", "\u0667", -1]
)
def test_a_number_that_is_none_of_etcds_is_no_answer(wrong: object) -> None:
    header = {"header": {"revision": wrong}}
    kv = {"key": encoded("k"), "create_revision": wrong, "mod_revision": "1"}
    for answer, asked in (
        ({**header, "succeeded": True}, "commit"),
        ({**HEADER, "kvs": [kv]}, "get"),
        ({**HEADER, "ID": wrong}, "grant"),
        ({"result": {**HEADER, "TTL": wrong}}, "keep alive"),
        ({**HEADER, "succeeded": "false"}, "commit"),
        ({**HEADER, "kvs": {"a": 1}}, "list"),
    ):
        with pytest.raises(JournalError, match="no answer of etcd's"):
            ASKED[asked](EtcdClient(Says(answer), lambda: 0.0))


def test_a_lease_is_never_longer_than_was_asked_for() -> None:
    """A member that says a thousand years must not keep a dead process's locks for as long."""
    store = EtcdStore(EtcdCluster((("127.0.0.1", 1),), "/f"), EtcdConfig(lease=60))
    request = RunRequest(cookbook="test", operator="tester")
    says = Says({**HEADER, "ID": "1", "succeeded": True, "result": {**HEADER, "TTL": "99999999999"}})
    store._client = store._renewing = EtcdClient(says, lambda: 0.0)
    store.begin(request, SimpleNamespace(titles=(), fingerprint=""))
    store.renew()

    assert store._owned is not None
    assert store._owned.deadline - store.clock.monotonic() <= 60
