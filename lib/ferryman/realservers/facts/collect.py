"""Reads the facts of many hosts, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.errors import DoubtError, UnreachableError, VerifyError
from ferryman.hosts.verbs.realservers import ReadFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.hosts.hosts import Hosts
    from ferryman.realservers.facts.routing import Lookup
    from ferryman.realservers.facts.values import Facts


def read_facts(hosts: Hosts, asked: Mapping[str, tuple[Lookup, ...]]) -> dict[str, Facts | DoubtError]:
    """Each host's facts, in one round trip, with the routes that it is asked for.

    A host that cannot be asked has its error instead.
    """
    answers = hosts.read_all({name: ReadFacts(lookups=lookups) for name, lookups in asked.items()})
    return {name: _known(answer) for name, answer in answers.items()}


def _known(answer: Facts | DoubtError | VerifyError) -> Facts | DoubtError:
    """The facts, or why they are not known: whatever a host said instead of them is a doubt."""
    return UnreachableError(str(answer)) if isinstance(answer, VerifyError) else answer
