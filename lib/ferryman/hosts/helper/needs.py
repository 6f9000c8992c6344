"""What a host's user must be allowed to do there: verbs, operator's commands, paths; as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Command = str | tuple[str, ...]
"""A text for sh, or words of which no shell reads one; ``{name}`` in it stands for a plain value, and a brace
of its own is written twice."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one verb must be allowed beside itself."""

    commands: tuple[Command, ...] = ()
    files: tuple[str, ...] = ()
    """A path, or with a slash at its end everything below."""

    def __or__(self, other: Allowed) -> Allowed:
        """Both, each entry once."""
        return Allowed(
            tuple(dict.fromkeys((*self.commands, *other.commands))),
            tuple(dict.fromkeys((*self.files, *other.files))),
        )

    def to_json(self) -> dict[str, list[str] | list[str | list[str]]]:
        """As the helper reads it."""
        commands = [entry if isinstance(entry, str) else list(entry) for entry in self.commands]
        return {"commands": commands, "files": list(self.files)}


Needs = Mapping[str, Allowed]
"""By the names of the verbs that a host is asked."""
NeedsOf = Callable[[str], Needs]
"""What a host of this name must allow."""


def together(*needs: Needs) -> dict[str, Allowed]:
    """What several need, by verb."""
    found: dict[str, Allowed] = {}
    for each in needs:
        for verb, allowed in each.items():
            found[verb] = found.get(verb, Allowed()) | allowed
    return found


def literal(text: str) -> str:
    """A text as a template that stands for nothing but itself.

    >>> literal("${PID}")
    '${{PID}}'
    """
    return text.replace("{", "{{").replace("}", "}}")
