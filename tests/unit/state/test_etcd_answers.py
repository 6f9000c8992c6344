"""What is no answer of etcd's is a journal that cannot be used; and a member that is silent is passed by."""

from __future__ import annotations

import base64
import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.config import EtcdCluster, EtcdConfig
from ferryman.engine.process import ProcessId
from ferryman.errors import JournalError
from ferryman.state import etcd_gateway
from ferryman.state.etcd import EtcdStore
from ferryman.state.etcd_client import EtcdClient
from ferryman.state.etcd_gateway import HttpGateway
from unit.http_listener import QuietHandler, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HEADER = {"header": {"revision": "7"}}


class Says:
    """A gateway that answers everything with the same."""

    where = "etcd nowhere:2379/ferryman"

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # whatever JSON holds
        self.answer = answer

    def post(self, path: str, asked: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """Answer."""
        del path, asked, within_s
        found: dict[str, Any] = self.answer
        return found

    def close(self) -> None:
        """Nothing to close."""


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
        store.life("x", ProcessId("elsewhere", 1, 1, "boot"))
    assert store.runs()[0].order.cookbook == "(unreadable)"
    with pytest.raises(JournalError, match="damaged"):
        store.trusted(store.run("x"))


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


def gateway(*urls: str, lease: int = 60) -> HttpGateway:
    members = tuple(("127.0.0.1", int(url.rpartition(":")[2])) for url in urls)
    return HttpGateway(EtcdCluster(members, "/ferryman"), EtcdConfig(lease=lease))


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
def test_a_200_that_is_no_answer_is_a_journal_error_and_says_what_came(body: bytes) -> None:
    with listening(answering(body)) as url, pytest.raises(JournalError, match="cannot be used") as error:
        gateway(url).post("/kv/range", {}, 0.0)

    if b"leader" in body:
        assert "etcdserver: no leader" in str(error.value)


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"error": "no leader"}'])
def test_the_next_member_is_asked_when_one_says_what_is_no_answer(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_gateway, "_PAUSE_S", 0.0)
    with listening(answering(body)) as bad, listening(answering(json.dumps(HEADER).encode())) as good:
        assert gateway(bad, good).post("/kv/range", {}, 20.0) == HEADER


def test_a_member_that_never_answers_costs_a_small_part_of_the_lease(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request to it is given up after a fifteenth, and it is asked last from then on."""
    monkeypatch.setattr(etcd_gateway, "_PAUSE_S", 0.0)
    with listening(answering(json.dumps(HEADER).encode())) as good:
        asked = gateway(silent, good, lease=3)
        assert asked.post("/kv/range", {}, 20.0) == HEADER

    assert [client.timeout for client in asked._clients] == [0.2, 0.2]
    assert str(asked._clients[-1].port) in silent
