"""What is no answer of etcd's is a journal that cannot be used; and a member that is silent is passed by."""

from __future__ import annotations

import base64
import json
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.process import ProcessId
from ferryman.errors import JournalError
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
