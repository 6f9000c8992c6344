"""Errors of every kind, raised where nothing should be, and what must be true of the run all the same."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ferryman.engine.plan import Plan
from ferryman.engine.steps import Look, Report
from ferryman.errors import FerrymanError, VerifyError
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.outcomes import RunResult

T = TypeVar("T")
OLD, NEW = {"a": "old", "b": "old"}, {"a": "new", "b": "new"}


class HasNoTextError(Exception):
    """An error of a library that has a bug in its text."""

    def __str__(self) -> str:
        raise ZeroDivisionError("in the error's own text")


class HasNoTextVerifyError(VerifyError):
    """The same, of a cookbook that made its own error from one of ours."""

    def __str__(self) -> str:
        raise SystemExit(9)


class OutsideError(BaseException):
    """What some libraries raise past ``except Exception``."""


ERRORS: dict[str, Callable[[], BaseException]] = {
    "a bug": lambda: KeyError("a bug"),
    "SQLite": lambda: sqlite3.OperationalError("disk I/O error"),
    "a byte that is no UTF-8": lambda: ValueError("caf\udce9"),
    "text that is no UTF-8": lambda: UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"),
    "a huge number": lambda: OverflowError("Python int too large to convert to SQLite INTEGER"),
    "recursion": lambda: RecursionError("maximum recursion depth exceeded"),
    "memory": MemoryError,
    "sys.exit": lambda: SystemExit(0),
    "sys.exit with an object": lambda: SystemExit(HasNoTextError()),
    "a generator's end": GeneratorExit,
    "no Exception": lambda: OutsideError("past except Exception"),
    "an error without a text": HasNoTextError,
    "one of ours without a text": HasNoTextVerifyError,
    "a group": lambda: ExceptionGroup("several", [VerifyError("no"), HasNoTextError()]),
    "a group of what is no Exception": lambda: BaseExceptionGroup("several", [SystemExit(1), OutsideError()]),
}


def raising(kind: str) -> Callable[[], None]:
    def fault() -> None:
        error = ERRORS[kind]()
        raise error

    return fault


class LastingCuts(Cuts):
    """Cuts that last: every call from the one of the cut on goes wrong, until it is healed."""

    def __init__(self, *cuts: Cut) -> None:
        super().__init__(*cuts)
        self._lasting = cuts
        self.healed = False

    def call(self, effect: Callable[[], T]) -> T:
        if self.healed:
            return effect()
        for cut in self._lasting:
            if self.calls > cut.at:
                cut.fault()
        return super().call(effect)


@dataclass(frozen=True)
class NothingFlows(Look):
    """Everything flows."""

    def look(self, report: Report) -> None:
        """Fail as a service does that gets no traffic."""
        raise VerifyError("nothing flows")


def plan(world: FakeWorld, *, fails: bool) -> Plan:
    """Two changes with a lock; and a look after both, which fails."""
    steps = [Becomes(world, "a", "new"), Becomes(world, "b", "new")]
    return Plan([*steps, *([NothingFlows()] if fails else [])], ["web"])


@dataclass
class Trial:
    """One run in which something goes wrong, and what must be true of it."""

    name: str
    world: FakeWorld = field(default_factory=lambda: FakeWorld(None, **OLD))

    def expect(self, run: Callable[[], RunResult], harness: Harness) -> RunResult | None:
        """Run it, and check what it says against the world; None where it never began."""
        try:
            result = run()
        except FerrymanError:
            assert self.world.values == OLD, f"{self.name}: it says that it never began"
            assert harness.events == [], self.name
            return None
        except BaseException as error:
            raise AssertionError(f"{self.name}: {type(error).__name__} left the run") from error
        told = [each.event.event for each in harness.events]
        assert told.count("run-finished") == told.count("run-started") == 1, f"{self.name}: {told}"
        assert told[-1] == "run-finished", self.name
        if result.outcome in ("held", "stranded") or "state per host" in result.reason.lower():
            return result
        wanted = NEW if result.outcome == "done" else OLD
        assert self.world.values == wanted, f"{self.name}: {result.outcome}: {result.reason}"
        return result
