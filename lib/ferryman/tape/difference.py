"""Where a replay goes differently from its tape, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.tape.keys import CallKey


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that went differently."""

    what: str
    """What this run did, asked or decided, and what the recorded one did in its place."""
    nearest: str = ""
    """Of something that was not recorded: the recorded thing that is nearest to it, and how that differs."""
    at: int = -1
    """The place of the latest entry of the tape that both have."""
    step: str = ""
    """The step and phase in which it was."""

    def __str__(self) -> str:
        where = f"{self.step}: " if self.step else ""
        return f"{where}{self.what}" + (f"\n  {self.nearest}" if self.nearest else "")


def closest(asked: CallKey, recorded: Sequence[CallKey]) -> str:
    """The recorded question that is nearest to one that is not recorded, and how the two differ."""
    scored = [(_likeness(asked, key), key) for key in recorded if key.port == asked.port]
    if not scored:
        return f"the tape has nothing of {asked.port}"
    likeness, nearest = max(scored, key=lambda pair: pair[0])
    if not any(likeness):
        return f"nothing recorded is like it; the first that {asked.port} was asked is {nearest}"
    return f"the closest that was recorded is {nearest}: {_how(asked, nearest)}"


def _likeness(asked: CallKey, key: CallKey) -> tuple[bool, bool, int]:
    """The verb counts most, then the host, then equal arguments."""
    equal = sum(asked.arguments.get(name) == value for name, value in key.arguments.items())
    return asked.verb == key.verb, asked.host == key.host, equal


def _how(asked: CallKey, key: CallKey) -> str:
    if asked.verb != key.verb:
        return f"another verb on {'the same host' if asked.host == key.host else 'another host'}"
    if asked.canonical == key.canonical:
        return "the same, but it was asked less often"
    names = sorted({*asked.arguments, *key.arguments})
    changed = [name for name in names if asked.arguments.get(name) != key.arguments.get(name)]
    parts = [f"host {key.host}, not {asked.host}"] if asked.host != key.host else []
    parts += [
        f"{name} was {_text(key.arguments.get(name))}, not {_text(asked.arguments.get(name))}"
        for name in changed
    ]
    return "; ".join(parts)


_SHOWN = 300


def _text(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
