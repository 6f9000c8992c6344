"""A message to a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.config.hooks import WebhookConfig
from ferryman.hooks import Webhook
from unit.hooks.notices import BEGUN, ended

if TYPE_CHECKING:
    from unit.hooks.web_server import WebServer

WHAT = "ferryman migrate service=web site=codfw"


def webhook(server: WebServer) -> Webhook:
    return Webhook(WebhookConfig.model_validate({"url": f"{server.url}/services/secret"}), 5)


def test_it_says_who_does_what_where_and_why(server: WebServer) -> None:
    webhook(server).begun(BEGUN)
    assert server.bodies == [
        {"text": f"{WHAT}: begins (run 20261122-221943-abcd, bob@cumin2)\nIPIP for web (T123)"}
    ]


def test_it_says_how_it_ended(server: WebServer) -> None:
    webhook(server).ended(ended("rolled-back", 4, "mw2301 said no\nrolled back: all is as before, verified"))
    (body,) = server.bodies
    assert body["text"].splitlines() == [
        f"{WHAT}: ended rolled-back (exit code 4) (run 20261122-221943-abcd, bob@cumin2)",
        "mw2301 said no",
        "rolled back: all is as before, verified",
    ]


def test_what_a_host_said_calls_nobody_in_the_channel(server: WebServer) -> None:
    webhook(server).ended(ended("held", 7, "a < b & <!channel> &lt;"))
    assert server.bodies[0]["text"].endswith("\na &lt; b &amp; &lt;!channel&gt; &amp;lt;")


def test_of_a_long_reason_the_first_lines_are_told(server: WebServer) -> None:
    webhook(server).ended(ended("stranded", 5, "\n".join(["y" * 5000, *"bcdefghi"])))
    _, first, *rest = server.bodies[0]["text"].splitlines()
    assert first == "y" * 300 + "…"
    assert rest == ["b", "c", "d", "e", "… (4 more lines)"]
