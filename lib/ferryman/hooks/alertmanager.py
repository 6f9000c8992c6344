"""A silence in Prometheus's Alertmanager (API v2, its ``openapi.yaml``) while a run changes something.

The silence is short and renewed while the process lives, so that one whose process died ends by itself.
It is found again by its comment, which begins with the run's id: another process can end it.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from string import Formatter
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from ferryman.engine.clock import stamp
from ferryman.hooks.hook import HookError
from ferryman.hooks.web import Server
from ferryman.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.config.hooks import AlertmanagerConfig, Matcher
    from ferryman.hooks.hook import RunNotice

_AHEAD = timedelta(hours=1)
"""How far this host's clock may be ahead of Alertmanager's: a start in the past is its now."""

_log = logging.getLogger(__name__)


class _Status(BaseModel):
    state: str


class _Silence(BaseModel):
    id: str
    comment: str
    startsAt: str  # noqa: N815  # as the API writes it
    endsAt: str  # noqa: N815  # the same
    status: _Status


class _Made(BaseModel):
    silenceID: str  # noqa: N815  # the same


class Alertmanager:
    """Keeps one silence for a run."""

    def __init__(self, config: AlertmanagerConfig, timeout_s: float) -> None:
        self._config = config
        self._server = Server(config.url.get_secret_value(), timeout_s)
        self._is_over = Event()
        self._one_at_a_time = Lock()

    def __str__(self) -> str:
        return str(self._server)

    def begun(self, notice: RunNotice) -> str:
        """Create the silence, or renew the one that an earlier process made, and keep renewing it."""
        matchers = [_filled(each, notice.request.arguments) for each in self._config.matchers]
        Thread(target=self._keep, args=(notice, matchers), name="ferryman-silence", daemon=True).start()
        try:
            self._make(notice, matchers)
        except HookError as error:
            raise HookError(f"{error}; without a silence, alerts may fire") from error
        return ""

    def ended(self, notice: RunNotice) -> str:
        """Expire every silence of the run; where the run is to be resumed, say how long they stay."""
        self._is_over.set()
        with self._one_at_a_time:
            try:
                own = self._own(notice.run)
                if not notice.is_over:
                    return _what_stays(notice, own)
                for silence in own:
                    self._server.ask("DELETE", f"/api/v2/silence/{silence.id}")
            except HookError as error:
                raise HookError(
                    f"{error}; its silence may stay, for {self._config.duration} seconds at most"
                ) from error
        return ""

    def _keep(self, notice: RunNotice, matchers: list[dict[str, Any]]) -> None:
        """Renew it until the run has ended; what fails is tried again at the next time."""
        while not self._is_over.wait(self._config.duration / 2):
            try:
                self._make(notice, matchers)
            except HookError as error:
                _log.warning("%s: the silence was not renewed: %s", self, error)

    def _make(self, notice: RunNotice, matchers: list[dict[str, Any]]) -> None:
        with self._one_at_a_time:
            if self._is_over.is_set():
                return
            now = datetime.now(UTC)
            comment = f"{_mark(notice.run)} {notice.what} {notice.action}. {notice.why}".strip()
            wanted = {
                "matchers": matchers,
                "startsAt": stamp(now - _AHEAD),
                "endsAt": stamp(now + timedelta(seconds=self._config.duration)),
                "createdBy": printable(notice.operator, keep=""),
                "comment": printable(comment, keep=""),
            }
            # Only with its own start is it changed in place; else the old one ends and there is a new one.
            same = {"id": own[0].id, "startsAt": own[0].startsAt} if (own := self._own(notice.run)) else {}
            self._read(_Made, self._server.ask("POST", "/api/v2/silences", wanted | same))

    def _own(self, run: str) -> list[_Silence]:
        """The run's silences that have not ended."""
        found: list[_Silence] = self._read(list[_Silence], self._server.ask("GET", "/api/v2/silences"))
        return [
            silence
            for silence in found
            if silence.status.state != "expired" and silence.comment.startswith(_mark(run))
        ]

    def _read(self, kind: Any, text: str) -> Any:  # noqa: ANN401  # what TypeAdapter takes and gives
        try:
            return TypeAdapter(kind).validate_json(text)
        except ValidationError as error:
            shown = self._server.masked(text)
            raise HookError(f"that is no answer of Alertmanager's API v2: {shown!r}") from error


def _mark(run: str) -> str:
    return f"ferryman {run}:"


def _what_stays(notice: RunNotice, own: list[_Silence]) -> str:
    assert notice.finished is not None
    ends = (
        f"the run is {notice.finished.outcome}; it is renewed or ended when the run is resumed or rolled back"
    )
    return "\n".join(f"silence {silence.id} stays until {silence.endsAt}, for {ends}" for silence in own)


def _filled(matcher: Matcher, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """As the API wants it, with the run's arguments; in a pattern each stands for itself alone."""
    is_pattern = "~" in matcher.operator
    value = ""
    for literal, name, _, _ in Formatter().parse(matcher.value):
        value += literal
        if name is not None:
            given = _argument(matcher, name, arguments)
            value += re.escape(given) if is_pattern else given
    return {
        "name": matcher.name,
        "value": value,
        "isRegex": is_pattern,
        "isEqual": not matcher.operator.startswith("!"),
    }


def _argument(matcher: Matcher, name: str, arguments: Mapping[str, Any]) -> str:
    """An empty value would match every alert that has no such label, so it is no value."""
    given = arguments.get(name)
    if isinstance(given, bool) or not isinstance(given, (str, int, float)) or given == "":
        known = ", ".join(arguments) or "none"
        raise HookError(
            f"no silence was made: the matcher {matcher.name}{matcher.operator}{matcher.value} wants the "
            f"argument {name}, which this run was not given (its arguments: {known})"
        )
    return str(given)
