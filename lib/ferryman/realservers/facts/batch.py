"""The answers of one ``ip -j -batch``: each question has a line of JSON, or is told as failed by its number.

Before the answers stand the questions, and behind them what was complained of. Earlier versions of the script
left out the questions that were always the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESSES, LOCAL_ROUTES, RULES = "addr show", "route show table local type local", "rule show"
ALWAYS = {"ip": (ADDRESSES, LOCAL_ROUTES), "routes4": (RULES,), "routes6": (RULES,)}
"""What earlier versions asked in these sections before, or without, the questions that they show."""
SEPARATOR = "\nanswers\n"
FAILED = re.compile(r"^Command failed \S*?:(\d{1,6})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was asked, and what came of each question."""

    questions: tuple[str, ...]
    answers: Mapping[str, str]
    """The JSON, by question; one that failed is not among them."""
    failures: Mapping[str, str]
    """What was said of a question that failed."""
    whole: bool
    """Whether there are as many answers as questions: else one cannot be told from the next.

    Those before the first that is missing are where they belong all the same.
    """

    def entries(self, question: str) -> list[Any]:
        """What a question was answered.

        Raises:
            ValueError: It was not answered, or not with a list.
        """
        if question not in self.answers:
            raise ValueError(f"{question}: {self.failures.get(question, 'no answer')}")
        value = json.loads(self.answers[question])
        if not isinstance(value, list):
            raise ValueError(f"{question}: no list")  # noqa: TRY004  # what is not understood is a ValueError
        return value


def batch_of(name: str, text: str) -> Batch:
    """The answers in a section of this name, with what it complained of behind them."""
    shown, separator, rest = text.rpartition(SEPARATOR)
    asked = tuple(line for line in shown.split("\n") if line)
    questions = asked if name in ("ip", "ip6") and separator else (*ALWAYS.get(name, ()), *asked)
    lines = [line for line in rest.split("\n") if line.startswith("[")]
    failed = _failures("\n".join(line for line in rest.split("\n") if not line.startswith("[")))
    answers: dict[str, str] = {}
    failures: dict[str, str] = {}
    left = iter(lines)
    for place, question in enumerate(questions, 1):
        if place in failed:
            failures[question] = failed[place]
        elif (line := next(left, None)) is not None:
            answers[question] = line
    whole = len(lines) + len(failed) == len(questions) and failed.keys() <= set(range(1, len(questions) + 1))
    return Batch(questions, answers, failures, whole)


def _failures(text: str) -> dict[int, str]:
    """What was said of each question that failed, by its place."""
    found: dict[int, str] = {}
    start = 0
    for failure in FAILED.finditer(text):
        found[int(failure[1])] = text[start : failure.start()].strip()
        start = failure.end()
    return found
