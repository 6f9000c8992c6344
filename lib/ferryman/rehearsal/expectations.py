"""What a scenario expects of its end, compared with what was seen: one step for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman.rehearsal import world
from ferryman.rehearsal.results import Step
from ferryman.rehearsal.stage import SETTLED_S
from ferryman.retry import poll_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.model import VirtualService
    from ferryman.rehearsal.schema import Expect, ExpectedChange, ExpectedFinding
    from ferryman.rehearsal.world import World

_MOST_LINES = 6
_NOT_PASSING = ("warn", "fail", "unknown")


@dataclass(frozen=True, slots=True)
class Ending:
    """What is there to be looked at when the last command has ended."""

    codes: Sequence[int]
    """The exit code of each command."""
    events: Sequence[Mapping[str, Any]]
    before: World
    look: Callable[[], World]
    services: tuple[VirtualService, ...] = ()
    """Those of the service that the run is about."""
    catalog_form: Callable[[], str] = str
    requests: Mapping[str, Any] | None = None
    """What became of the load's requests."""

    @property
    def finished(self) -> list[Mapping[str, Any]]:
        """The last event of each process that came to its end."""
        return [event for event in self.events if event["event"] == "run-finished"]


def compare(expect: Expect, ending: Ending) -> Iterator[Step]:
    """One step for each expectation."""
    yield _exit(expect.exit, ending)
    if expect.outcome is not None:
        seen = ending.finished[-1]["outcome"] if ending.finished else "no run came to its end"
        yield _step("outcome", expect.outcome, str(seen))
    for words in expect.reason:
        yield _reason(words, ending)
    for finding in expect.findings:
        yield _finding(finding, ending)
    if expect.changes is not None:
        yield _changes(expect.changes, ending)
    if expect.as_foretold:
        yield _as_foretold(ending)
    if expect.end is not None:
        yield _end(expect.end, ending)
    if expect.lost_requests is not None and ending.requests is not None:
        yield _lost(expect.lost_requests, ending.requests)


def _step(what: str, expected: str, seen: str, *, met: bool | None = None) -> Step:
    return Step(f"expect {what}", not (expected == seen if met is None else met), expected, seen)


def _exit(expected: Sequence[int], ending: Ending) -> Step:
    """With one code for several commands, all but the last must have ended well."""
    codes = ending.codes
    wanted = expected if len(expected) > 1 else [*[0] * (len(codes) - 1), *expected]
    step = _step("exit", ", ".join(map(str, wanted)), ", ".join(map(str, codes)))
    if step.failed and ending.finished:
        return replace(step, seen=f"{step.seen} ({ending.finished[-1]['reason']})")
    return step


def _reason(words: str, ending: Ending) -> Step:
    reasons = [str(event["reason"]) for event in ending.finished]
    seen = " / ".join(reasons) or "no run came to its end"
    if any(words in reason for reason in reasons):
        return _step(f"reason with {words!r}", words, "it is there", met=True)
    return _step("reason", f"{words!r} in it", seen, met=False)


def _finding(finding: ExpectedFinding, ending: Ending) -> Step:
    made = [event for event in ending.events if event["event"] == "finding"]
    verdicts = (finding.verdict,) if finding.verdict else _NOT_PASSING
    of_host = [event for event in made if finding.host in (None, event["host"])]
    met = [event for event in of_host if event["check"] == finding.check and event["verdict"] in verdicts]
    expected = f"{finding.check} on {finding.host or 'any host'}: {' or '.join(verdicts)}"
    if met:
        return _step("finding", expected, _of(met[0]), met=True)
    alike = [event for event in made if event["check"] == finding.check]
    others = [event for event in made if event["verdict"] in ("fail", "unknown")]
    shown = list(dict.fromkeys(map(_of, alike or others)))
    more = f" and {len(shown) - _MOST_LINES} more" if len(shown) > _MOST_LINES else ""
    return _step("finding", expected, "; ".join(shown[:_MOST_LINES]) + more or "no such finding", met=False)


def _of(event: Mapping[str, Any]) -> str:
    return f"{event['check']} on {event['host']}: {event['verdict']} ({event['seen']})"


def _changes(expected: Sequence[ExpectedChange], ending: Ending) -> Step:
    made = {
        (str(event["kind"]), str(event["target"]).partition(":")[0])
        for event in ending.events
        if event["event"] == "change" and event["applied"]
    }

    def fits(change: ExpectedChange, of: tuple[str, str]) -> bool:
        return change.kind == of[0] and (change.kind == "catalog" or change.on in (None, of[1]))

    met = all(any(fits(change, of) for of in made) for change in expected) and all(
        any(fits(change, of) for change in expected) for of in made
    )
    wanted = [change.kind + (f" {change.on}" if change.on else "") for change in expected]
    seen = [kind if kind == "catalog" else f"{kind} {host}" for kind, host in sorted(made)]
    return _step("changes", ", ".join(sorted(wanted)) or "none", ", ".join(seen) or "none", met=met)


def _as_foretold(ending: Ending) -> Step:
    """Whether a run was compared with the dry run before it, and went as that had said."""
    compared = [event for event in ending.events if event["event"] == "foretold"]
    different = [each for event in compared for each in event["differences"]]
    if compared and not different:
        return _step("as foretold", "", "the run made what its dry run foretold", met=True)
    shown = "; ".join(
        f"{each['title']}: foretold {each['foretold'] or 'nothing'}, found {each['found'] or 'nothing'}"
        for each in different[:_MOST_LINES]
    )
    seen = shown or "no run was compared with a dry run before it"
    return _step("as foretold", "what the dry run foretold, and nothing else", seen, met=False)


def _end(expected: str | Mapping[str, str], ending: Ending) -> Step:
    """Look first, and then again: what follows by itself, such as a health check, takes its time."""
    if expected == "all old":
        left = poll_until(
            lambda: ending.before.unlike(ending.look()), lambda unlike: not unlike, within_s=SETTLED_S
        )
        more = f" and {len(left) - _MOST_LINES} more lines" if len(left) > _MOST_LINES else ""
        return _step("end", "all old", "; ".join(left[:_MOST_LINES]) + more or "all old")
    wanted = dict(expected) if isinstance(expected, dict) else _all_new(ending)
    seen = poll_until(lambda: _places(wanted, ending), lambda seen: seen == wanted, within_s=SETTLED_S)
    step = _step("end", _table(wanted), _table(seen), met=seen == wanted)
    return step if isinstance(expected, dict) or step.failed else _step("end", "all new", "all new")


def _all_new(ending: Ending) -> dict[str, str]:
    """Every director that has the service, and the catalog; other services of the directors as before."""
    had = world.forms(ending.before, ending.services)
    return {
        **{host: "ipip" for host, form in had.items() if form != "none"},
        "catalog": "ipip",
        "other services": "as before",
    }


def _places(wanted: Mapping[str, str], ending: Ending) -> dict[str, str]:
    now = ending.look()
    found = world.forms(now, ending.services)
    if "catalog" in wanted:
        found["catalog"] = ending.catalog_form()
    if "other services" in wanted:
        others = world.others(now, ending.services) == world.others(ending.before, ending.services)
        found["other services"] = "as before" if others else "changed"
    return {place: found.get(place, "none") for place in wanted}


def _table(places: Mapping[str, str]) -> str:
    return ", ".join(f"{place}: {form}" for place, form in sorted(places.items()))


def _lost(most: int, requests: Mapping[str, Any]) -> Step:
    losses = ", ".join(f"{count} {why}" for why, count in sorted(requests["losses"].items()))
    seen = f"{requests['lost']} of {requests['answered'] + requests['lost']}" + (
        f" ({losses})" if losses else ""
    )
    return _step(
        "lost requests", f"{most} at most", seen, met=requests["lost"] <= most and requests["answered"] > 0
    )
