"""The moments of a run at which something may strike, as a scenario writes them and as its events show them.

A run looks at everything first (the preflight), and then goes through its steps. The events of both look
alike: the second part has begun when a step is entered that does not stand behind the one before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

When = Literal[
    "start",
    "command",
    "preflight",
    "before",
    "during",
    "after",
    "during undo",
    "after undo",
    "soak",
    "review",
    "seconds",
]

SOAK = "The watch finds nothing wrong for a while"
"""How the title of the step begins that waits after a director was changed."""
REVIEW = "catalog-review"
"""The check whose finding says that the run waits for people to merge its branch."""
EXPECTED = (
    "a moment: start; before command N; before, during or after step N; in preflight of step N; during or "
    'after undo of step N; in soak [of HOST]; in review; after N seconds; a step also as "words of its title"'
)

_STEP = r"""step (?:(?P<number>[1-9]\d{0,3})|"(?P<title>[^"]+)")"""
_FORMS: Sequence[tuple[When, str]] = (
    ("start", r"start"),
    ("command", r"before command (?P<number>[1-9]\d?)"),
    ("preflight", rf"in preflight of {_STEP}"),
    ("before", rf"before {_STEP}"),
    ("during", rf"during {_STEP}"),
    ("after", rf"after {_STEP}"),
    ("during undo", rf"during undo of {_STEP}"),
    ("after undo", rf"after undo of {_STEP}"),
    ("soak", r"in soak(?: of (?P<host>[\w.-]+))?"),
    ("review", r"in review"),
    ("seconds", r"after (?P<seconds>\d{1,4}(?:\.\d+)?) seconds?"),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a run."""

    text: str
    """As the scenario has it."""
    when: When
    number: int | None = None
    """Of a step in the plan, or of a command of the scenario, from 1 as people count."""
    title: str | None = None
    """Words of the title of a step, where it is not named by its number."""
    host: str | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Moment:
        """The moment that a scenario writes.

        Raises:
            ValueError: It is none.
        """
        words = " ".join(text.split())
        for when, form in _FORMS:
            if (found := re.fullmatch(form, words)) is not None:
                given = found.groupdict()
                return cls(
                    words,
                    when,
                    int(given["number"]) if given.get("number") else None,
                    given.get("title"),
                    given.get("host"),
                    float(given["seconds"]) if given.get("seconds") else None,
                )
        raise ValueError(text)

    @property
    def in_a_process(self) -> bool:
        """Whether a process of the run is there at that moment."""
        return self.when not in ("start", "command")

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Follower:
    """Follows the events of one process of a run, and says which moments each of them is."""

    plan: Sequence[str] = ()
    executing: bool = False
    """Whether the preflight is over."""
    _last: int = -1
    _in_preflight: set[int] = field(default_factory=set)

    def see(self, event: Mapping[str, Any]) -> None:
        """Take the next event."""
        if event["event"] == "run-started":
            self.plan = list(event["plan"])
        if event["event"] != "step-started" or self.executing:
            return
        if event["phase"] != "check" or event["step"] <= self._last:
            self.executing = True
            return
        self._last = int(event["step"])
        self._in_preflight.add(self._last)

    def problem(self, moment: Moment) -> str:
        """Why this moment cannot come in a run with this plan; empty when it may."""
        if moment.number is not None and moment.when != "command" and moment.number > len(self.plan):
            return f"the plan has {len(self.plan)} steps"
        if moment.title is None:
            return ""
        found = self._places(moment)
        if len(found) == 1:
            return ""
        named = "; ".join(f"{place + 1}. {self.plan[place]}" for place in found or range(len(self.plan)))
        return f"{len(found)} steps have {moment.title!r} in their title, expected one: {named}"

    def is_at(self, moment: Moment, event: Mapping[str, Any]) -> bool:
        """Whether the event that was seen last is this moment."""
        kind, phase = event["event"], event.get("phase")
        if moment.when == "review":
            return kind == "finding" and event["check"] == REVIEW and waiting_for(event) is not None
        if moment.when == "soak":
            return kind == "step-started" and phase == "check" and _is_soak(event["title"], moment.host)
        if kind not in ("step-started", "step-finished") or event["step"] not in self._places(moment):
            return False
        return self._is_at_step(moment.when, kind == "step-started", str(phase), event)

    def _is_at_step(  # noqa: PLR0911  # one for each kind of moment
        self, when: When, begins: bool, phase: str, event: Mapping[str, Any]
    ) -> bool:
        match when:
            case "preflight":
                return begins and phase == "check" and not self.executing
            case "before":
                return begins and phase == "check" and self.executing
            case "during":
                return begins and (phase == "do" or (phase == "check" and self._is_later_look(event)))
            case "after":
                return not begins and (phase == "verify" or (phase == "check" and self._is_later_look(event)))
            case "during undo":
                return begins and phase == "undo"
            case "after undo":
                return not begins and phase == "undo"
        return False

    def _is_later_look(self, event: Mapping[str, Any]) -> bool:
        """Whether the step is a look that follows a change: a change is looked at in the preflight too."""
        return self.executing and event["step"] not in self._in_preflight

    def _places(self, moment: Moment) -> list[int]:
        if moment.number is not None:
            return [moment.number - 1]
        words = moment.title or ""
        return [place for place, title in enumerate(self.plan) if words and words in title]


def waiting_for(event: Mapping[str, Any]) -> str | None:
    """The branch that the run waits for people to merge, by this finding."""
    words = str(event.get("seen", "")).split()
    return words[2] if len(words) > 2 and words[:2] == ["waiting", "for"] else None  # noqa: PLR2004  # the branch


def _is_soak(title: str, host: str | None) -> bool:
    return title.startswith(SOAK) and (host is None or f" {host} " in f"{title} ")
