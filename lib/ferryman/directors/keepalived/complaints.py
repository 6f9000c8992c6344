"""What ``keepalived -t`` says of an edit, judged against what it said of the text before it.

Configurations that run well are often no longer to its liking: a retired keyword, an interval of 0, a script
whose owner does not please it. Such a text goes on as it is, and so does its edit: what is new counts.
keepalived reads a configuration several times over, once for each of its processes, and numbers lines; so a
complaint is one text at one line of one file, however often it is printed, and an edit adds one where there
are more of its kind than before, wherever they stand. Numbers are no part of a kind: ``$_RANDOM``, process
ids, times and lines that moved are none of the edit's.

Exit statuses are those of keepalived's lib/scheduler.h: 0, 5 for complaints, 6 for scripts that are not safe;
any other one is of a test that did not get through the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ferryman.errors import ArgumentError
from ferryman.hosts.verbs.keepalived_trial import Said

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CLEAN = Said(0, ())
SHOWN = 10
"""Complaints that one message shows."""
_TIMED_OUT = 124
_RANKS = {0: 0, 5: 1, 6: 2}
_WORST = 3
_TIME = re.compile(r"^(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?: \d{4})?: ")
_PLACE = re.compile(r"^\((?:(?P<path>[^()]*):\s*)?(?:Line )?(?P<line>\d+)\) ")
_NO_TEST = re.compile(r"^(?:\S*keepalived: )?(?:unrecogni[sz]ed|invalid|unknown) option", re.IGNORECASE)
_GIVEN_UP = "*** Configuration line starting"
"""What it says where it ends in the middle of a text, as the daemon does (null_strvec of lib/parser.c)."""


def complaints(said: Said) -> tuple[str, ...]:
    """Each of its complaints once, without the time of the day, in their order."""
    return tuple(dict.fromkeys(_TIME.sub("", line) for line in said.lines))


def new_complaints(before: Said, after: Said) -> list[str]:
    """What it says of the later text and not of the earlier one; without a line, that its status is worse."""
    known, now = _places(complaints(before)), _places(complaints(after))
    counted = {kind: len(places) for kind, places in known.items()}
    lines = [
        line
        for kind, places in now.items()
        if len(places) > counted.get(kind, 0)
        for line in _added(places, known.get(kind, {}))
    ]
    if lines or _rank(after) <= _rank(before):
        return lines
    was = f", {before.status} of the text that is there" if before.status else ""
    return [f"it ends with status {after.status}{was}, and says nothing more: see its log"]


def inconclusive(said: Said) -> list[str]:
    """Why nothing that it says of an edit could be believed: it does not get through the text."""
    if said.status == _TIMED_OUT:
        return ["it does not end in time: see whether it waits for a name server, or reads a pipe"]
    if unable := [line for line in complaints(said) if said.status and _NO_TEST.search(line)]:
        return [f"{unable[0]}: it cannot test a configuration"]
    given_up = [line for line in complaints(said) if _GIVEN_UP in line]
    if given_up:
        return [f"{line}: it gives the text up there, and would end at a reload" for line in given_up]
    if said.status > _TIMED_OUT:
        return [f"it ends with status {said.status}: {'; '.join(complaints(said)[-1:]) or 'without a word'}"]
    return []


def shown(lines: Iterable[str]) -> str:
    """Complaints in one line of a message."""
    every = list(lines)
    more = f"; and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return "; ".join(every[:SHOWN]) + more


def to_json(said: Said) -> dict[str, Any]:
    """What it said, for the journal."""
    return {"status": said.status, "lines": list(complaints(said))}


def from_json(value: Mapping[str, Any] | None) -> Said:
    """What ``to_json`` wrote; a run that wrote nothing had found nothing to write.

    Raises:
        ArgumentError: It is nothing of that kind: somebody else wrote into the journal.
    """
    if value is None:
        return CLEAN
    try:
        status, lines = value["status"], value["lines"]
        good = isinstance(status, int) and all(isinstance(line, str) for line in lines)
    except (LookupError, TypeError):
        good = False
    if not good:
        raise ArgumentError(
            "what keepalived -t said, out of the journal, is not understood; see who wrote there; nothing was"
            " sent to a host"
        )
    return Said(status, tuple(lines))


def _places(lines: Iterable[str]) -> dict[str, dict[object, str]]:
    """By kind of complaint: by its place the line that has it."""
    found: dict[str, dict[object, str]] = {}
    for line in lines:
        place = _PLACE.match(line)
        text = line[place.end() :] if place else line
        where = (place["path"], place["line"]) if place else text
        found.setdefault(re.sub(r"\d+", "0", text), {}).setdefault(where, line)
    return found


def _added(now: Mapping[object, str], known: Mapping[object, str]) -> list[str]:
    """Those at places where there was none; where all places moved, the last ones."""
    fresh = [line for where, line in now.items() if where not in known]
    return fresh or list(now.values())[len(known) :]


def _rank(said: Said) -> int:
    return _RANKS.get(said.status, _WORST)
