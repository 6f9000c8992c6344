"""Asking a server: whatever it does, there is an error that names the cause and keeps the secret."""

from __future__ import annotations

import logging
import re
import socket
from typing import TYPE_CHECKING

import pytest

from ferryman.hooks import HookError
from ferryman.hooks.web import Server
from unit.hooks.web_server import DIES, DRIPS, HANGS, Answer, WebServer, fails, nobody_there

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "/services/T0SECRET/B0SECRET?token=hunter2222"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (fails(500, "out of\n order"), "answered 500 Internal Server Error: out of order"),
        (fails(404, f"cannot POST {SECRET}"), "answered 404 Not Found: cannot POST …?…"),
        (fails(302, ""), "answered 302 Found"),
        (HANGS, "no answer within 0.2 seconds"),
        (DRIPS, "did not end"),
        (DIES, "peer closed connection"),
    ],
    ids=["error", "error that repeats the secret", "redirect", "hangs", "never ends", "dies before the end"],
)
def test_a_bad_answer_is_an_error_that_keeps_the_secret(server: WebServer, answer: Answer, said: str) -> None:
    server.answers["POST"] = answer
    patience_s = 0.2 if answer in (HANGS, DRIPS) else 20
    with pytest.raises(HookError, match=re.escape(said)) as error:
        Server(server.url + SECRET, patience_s).ask("POST", body={"text": "x"})
    assert "SECRET" not in str(error.value)
    assert "hunter" not in str(error.value)


def test_a_long_answer_is_cut_short(server: WebServer) -> None:
    server.answers["POST"] = fails(500, "x" * 1000)
    with pytest.raises(HookError) as error:
        Server(server.url, 5).ask("POST")
    assert len(str(error.value)) < 250


def test_nobody_listens(server: WebServer) -> None:
    with pytest.raises(HookError, match="refused"):
        Server(nobody_there(), 5).ask("POST")


@pytest.fixture
def full_queue() -> Iterator[str]:
    """A URL where connections are never taken: the kernel drops the SYNs once the queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            waiting.append(one)
        yield f"http://127.0.0.1:{port}"
        for one in waiting:
            one.close()


def test_a_server_that_takes_no_connection(full_queue: str) -> None:
    with pytest.raises(HookError, match=r"no answer within 0\.2 seconds"):
        Server(full_queue, 0.2).ask("GET")


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, nobody_there())
    assert Server(server.url, 5).ask("GET") == "ok"


def test_a_proxy_of_the_environment_is_asked_for_the_world(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    assert Server("http://hooks.invalid/x", 5).ask("GET") == "ok"
    assert [each.path for each in server.asked] == ["http://hooks.invalid/x"]


def test_no_log_and_no_repr_has_the_secret(server: WebServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = Server(server.url + SECRET, 5)
    secret.ask("POST", body={"text": "x"})
    assert server.asked
    assert "SECRET" not in caplog.text
    assert "SECRET" not in repr(secret)
    assert str(secret) == f"{server.url}/…"


def test_user_and_password_are_sent_and_never_shown(server: WebServer) -> None:
    server.answers["GET"] = fails(401, "alice: not with this password, opensesame")
    guarded = Server(server.url.replace("//", "//alice:opensesame@"), 5)
    with pytest.raises(HookError) as error:
        guarded.ask("GET")
    assert "sesame" not in f"{error.value} {guarded}"
