"""What differs between two states of a change's target, shortened for people: a state may be a whole file.

Secrets are compared and never shown: what is said here stands on the screen, in JSON lines and in hooks.
"""

from __future__ import annotations

from difflib import unified_diff

from ferryman.redaction import redacted

_LONGEST = 200
"""Characters of one value that are shown; the journal has all of them."""
_LINES = 12
"""Lines of a text's diff that are shown."""


def diff(before: object, now: object) -> str:
    """Each value that is not as before: what it is now, and what it was.

    >>> diff({"weight": 1, "port": 80}, {"weight": 2, "port": 80})
    'weight: now 2, was 1'
    """
    return redacted(_differs(before, now))


def _differs(before: object, now: object) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return "; ".join(redacted(f"{key}: {_differs(before.get(key), now.get(key))}") for key in keys)
    if isinstance(before, str) and isinstance(now, str) and "\n" in before + now:
        return _text_differs(before, now)
    return f"now {shortened(now)}, was {shortened(before)}"


def shortened(value: object) -> str:
    """A value as Python writes it, cut off when it is long."""
    text = redacted(repr(value))
    return (
        text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters, all in the journal)"
    )


def _text_differs(before: str, now: str) -> str:
    _, _, *lines = unified_diff(before.splitlines(), now.splitlines(), "was", "now", n=1, lineterm="")
    more = [f"… and {len(lines) - _LINES} lines more"] if len(lines) > _LINES else []
    return "".join(f"\n      {line}" for line in lines[:_LINES] + more)
