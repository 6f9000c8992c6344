"""A message to a channel: ``{"text": …}``, as incoming webhooks of Slack, Mattermost and others take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.hooks.web import Server
from ferryman.printable import printable
from ferryman.redaction import redacted

if TYPE_CHECKING:
    from ferryman.config.hooks import WebhookConfig
    from ferryman.hooks.hook import RunNotice

_LINES = 5
"""Lines of a reason in a message: the whole is in the journal."""
_LONGEST_LINE = 300


class Webhook:
    """Says in a channel that a run changes something, and how it ended."""

    def __init__(self, config: WebhookConfig, timeout_s: float) -> None:
        self._server = Server(config.url.get_secret_value(), timeout_s)

    def __str__(self) -> str:
        return str(self._server)

    def begun(self, notice: RunNotice) -> str:
        """Post who does what, and why."""
        return self._say(notice, notice.action, notice.why)

    def ended(self, notice: RunNotice) -> str:
        """Post the outcome, the exit code and the first lines of the reason."""
        finished = notice.finished
        assert finished is not None
        return self._say(
            notice, f"ended {finished.outcome} (exit code {finished.exit_code})", finished.reason
        )

    def _say(self, notice: RunNotice, how: str, more: str) -> str:
        head = f"ferryman {notice.what}: {how} (run {notice.run}, {notice.operator})"
        lines = [printable(head, keep=""), *_first_lines(printable(redacted(more)))]
        self._server.ask("POST", body={"text": escaped("\n".join(lines))})
        return ""


def escaped(text: str) -> str:
    """The text with the three characters escaped that Slack gives a meaning.

    Without it a host's output could notify the whole channel.

    Source: Slack's «Formatting message text», escaping text.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _first_lines(text: str) -> list[str]:
    lines = text.split("\n") if text else []
    shown = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in lines[:_LINES]]
    return [*shown, f"… ({len(lines) - _LINES} more lines)"] if len(lines) > _LINES else shown
