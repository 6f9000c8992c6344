"""What is tried: where a run is cut, how, and how it is resumed; a value that can be replayed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Literal, get_args

from lab.torture.cutter import Call, Cut
from lab.visitors import Guests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

StartState = Literal["old", "new"]
Way = Literal["resume", "rollback"]
WRITES = ("write", "catalog-write", "commit")
MORE = 3 / 4
"""How likely it is that the command which takes a killed run up is killed as well."""
LONGEST_DURING_S = 0.15
"""Director scripts take about that long."""
QUICK_HEARTBEAT_S = 0.3
"""So that a run of some seconds renews its lease as often as one of some minutes."""
LONG_SOAK_S = 35.0
"""For each of two directors: the run takes more than a minute, and renews its lease at its own pace."""
LONG_ONE_IN = 8


@dataclass(frozen=True, slots=True)
class Instant:
    """A signal from outside, wherever the command is by then."""

    share: float
    """Of the seconds that the command takes when nothing cuts it."""
    fault: Literal["kill", "term"] = "kill"


@dataclass(frozen=True, slots=True)
class Trial:
    """One service is migrated, or a run that is done is rolled back; command after command is cut."""

    name: str
    service: str
    start: StartState
    cuts: tuple[Cut | Instant, ...]
    """One for each command, the first included; commands after the last of them are left in peace."""
    ways: tuple[Way, ...]
    """What is called after each command that left the run open; the last one is called again."""
    guests: Guests | None = None
    """Who comes and goes meanwhile."""
    soak_s: float = 0.0
    """How long the run soaks with each director."""
    heartbeat_s: float = 0.0
    """Seconds between two renewals of its lease; 0: the product's own."""

    def as_dict(self) -> dict[str, Any]:
        """The trial as JSON can have it, for the results and for ``--only``."""
        return asdict(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Trial:
        """The trial that ``as_dict`` made this of."""
        cuts = tuple(Instant(**cut) if "share" in cut else _cut(cut) for cut in given["cuts"])
        guests = given.get("guests")
        return cls(
            given["name"],
            given["service"],
            given["start"],
            cuts,
            tuple(given["ways"]),
            Guests(**{**guests, "kinds": tuple(guests["kinds"])}) if guests else None,
            given.get("soak_s", 0.0),
            given.get("heartbeat_s", 0.0),
        )


@dataclass(frozen=True, slots=True)
class Course:
    """An uncut command: its calls to the outside, and the seconds it took."""

    calls: tuple[Call, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Chart:
    """One service's migration and its rollback, both uncut."""

    service: str
    migration: Course
    rollback: Course

    def course(self, start: StartState) -> Course:
        """The course that begins in this state: the migration in the old one, the rollback in the new one."""
        return self.migration if start == "old" else self.rollback


def boundaries(chart: Chart, start: StartState, seed: int) -> list[Trial]:
    """A kill before and after every call, in an order that the seed makes."""
    trials = [
        _with_more(chart, start, f"{chart.service}-{start}-{call.number}-{when}", cut, seed)
        for call in chart.course(start).calls
        for when in ("before", "after")
        for cut in [Cut(call.number, when=when)]
    ]
    Random(f"{seed} {chart.service} {start}").shuffle(trials)
    return trials


def instants(chart: Chart, start: StartState, seed: int, stride: tuple[int, int] = (0, 1)) -> Iterator[Trial]:
    """Kills and SIGTERMs at random instants, at random calls, and in the middle of writes; without end."""
    for number in count(*stride):
        name = f"{chart.service}-{start}-random-{number}"
        cut = _random_cut(chart.course(start), number, Random(f"{seed} {name} cut"))
        yield _with_more(chart, start, name, cut, seed)


def visited(trial: Trial, seed: int) -> Trial:
    """The same trial with visitors all the while; some run for more than a minute, and are killed late."""
    random = Random(f"{seed} {trial.name} visitors")
    guests = Guests(at_once=random.choice((1, 2)))
    if trial.start == "new" or random.randrange(LONG_ONE_IN):
        return replace(trial, guests=guests, heartbeat_s=QUICK_HEARTBEAT_S)
    cut = Instant(random.uniform(0.3, 1))
    return replace(trial, cuts=(cut, *trial.cuts[1:]), guests=guests, soak_s=LONG_SOAK_S)


def _random_cut(course: Course, number: int, random: Random) -> Cut | Instant:
    match number % 4:
        case 0:
            return Instant(random.random())
        case 1:
            writes = [call.number for call in course.calls if call.kind in WRITES]
            return Cut(random.choice(writes), when="during", delay_s=random.uniform(0, LONGEST_DURING_S))
        case 2:
            when: Literal["before", "after"] = "before" if random.random() < 0.5 else "after"
            return Cut(random.randrange(len(course.calls)), when=when, fault="term")
    return Instant(random.random(), "term")


def _with_more(chart: Chart, start: StartState, name: str, cut: Cut | Instant, seed: int) -> Trial:
    """Choose how it goes on; in most trials the next command is killed too, and the one after it."""
    random = Random(f"{seed} {name}")
    ways: list[Way] = []
    cuts = [cut]
    for _ in range(5):
        ways.append(random.choice(get_args(Way)))
        if len(ways) == len(cuts) and random.random() < MORE:
            course = chart.migration if ways[-1] == "resume" else chart.rollback
            cuts.append(Cut(random.randrange(len(course.calls)), when=random.choice(("before", "after"))))
    return Trial(name, chart.service, start, tuple(cuts), tuple(ways))


def _cut(given: Mapping[str, Any]) -> Cut:
    return replace(Cut(**given), meddle=tuple(given.get("meddle", ())))
