"""What a tape knows a call by: port, host, verb and arguments, and never the text that was sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ferryman import waits
from ferryman.hosts.verbs.kinds import OPTIONAL_SECONDS, SECONDS
from ferryman.tape.codec import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.hosts.verbs.verb import Verb


@dataclass(frozen=True, slots=True)
class CallKey:
    """One question to the outside, or one thing done to it."""

    port: str
    host: str
    """Empty where it is not about a host."""
    verb: str
    arguments: Mapping[str, Any]
    """As JSON."""
    writes: bool = False

    @property
    def canonical(self) -> str:
        """The text that is equal for equal questions."""
        return json.dumps([self.port, self.host, self.verb, self.arguments], sort_keys=True)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        return f"{f'{self.host}: ' if self.host else ''}{self.verb}{f' ({given})' if given else ''}"


ACQUIRE = CallKey("locks", "", "acquire", {})
"""Acquiring the run's locks."""
CONFIRM = CallKey("operator", "", "confirm", {})
"""The one question before the first change."""
RUN, WATCH = "run", "watch"
"""The two threads that ask: each has a lane of the tape."""


def current_lane() -> str:
    """The lane of this thread."""
    return WATCH if waits.is_the_watch() else RUN


def key_of_verb(host: str, verb: Verb[Any]) -> CallKey:
    """The key of a verb that a host is asked.

    What is no part of the question does not count: a random token, and how long may be waited.
    """
    arguments = {
        argument.name: encode(getattr(verb, argument.name))
        for argument in fields(verb)
        if argument.compare and argument.metadata["kind"] not in _HOW_LONG
    }
    return CallKey("hosts", host, verb.name, arguments, not verb.reads)


_HOW_LONG = (SECONDS["kind"], OPTIONAL_SECONDS["kind"])
_SHOWN = 60


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
