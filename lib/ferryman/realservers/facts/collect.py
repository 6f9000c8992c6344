"""Reads the facts of many hosts, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.errors import DoubtError
from ferryman.realservers.facts.parse import parse
from ferryman.realservers.facts.script import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.hosts.hosts import Completed, Hosts
    from ferryman.realservers.facts.values import Facts


def read_facts(hosts: Hosts, names: Iterable[str]) -> dict[str, Facts | DoubtError]:
    """Each host's facts, in one round trip; a host that cannot be asked has its error instead."""
    answers = hosts.read_all({name: command() for name in names})
    return {name: _understood(name, answer) for name, answer in answers.items()}


def _understood(name: str, answer: Completed | DoubtError) -> Facts | DoubtError:
    if isinstance(answer, DoubtError):
        return answer
    return parse(name, answer.stdout, answer.stderr or f"status {answer.status}")
