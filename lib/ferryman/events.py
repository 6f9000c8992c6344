"""What happens during a run, as values: the console, the JSON lines and the journal all read these.

The keys of ``as_dict`` are a contract that other programs rely on (docs/reference.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ferryman.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.model import Edit, Finding, ProbeResult
    from ferryman.outcomes import RunOutcome

Phase = Literal["check", "do", "verify", "undo"]
StepOutcome = Literal["ok", "failed", "skipped"]


def utc_now() -> str:
    """The time now as RFC 3339 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began, or was resumed; ``plan`` has the titles of its steps, in order."""

    cookbook: str
    arguments: Mapping[str, Any]
    dry_run: bool
    operator: str
    plan: tuple[str, ...]
    changes: frozenset[int] = frozenset()
    """Which of the steps are changes, for the console; no key of the JSON line."""
    event: ClassVar[str] = "run-started"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: cookbook, arguments, dry_run, operator and the plan's titles."""
        return {
            "cookbook": self.cookbook,
            "arguments": dict(self.arguments),
            "dry_run": self.dry_run,
            "operator": self.operator,
            "plan": list(self.plan),
        }


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step entered one of its phases; looks have ``check`` alone."""

    step: int
    title: str
    phase: Phase
    event: ClassVar[str] = "step-started"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: step, title and phase."""
        return {"step": self.step, "title": self.title, "phase": self.phase}


@dataclass(frozen=True, slots=True)
class FindingMade:
    """A check reported a finding."""

    step: int
    finding: Finding
    event: ClassVar[str] = "finding"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: the step, and the finding's fields."""
        finding = self.finding
        return {
            "step": self.step,
            "check": finding.check,
            "host": finding.host,
            "verdict": finding.verdict.value,
            "seen": finding.seen,
            "wanted": finding.wanted,
            "remedy": finding.remedy,
        }


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """A realserver answered a probe, or did not."""

    step: int
    result: ProbeResult
    event: ClassVar[str] = "probe"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: step, target and answer; ``rtt_ms`` is in milliseconds."""
        result, virtual = self.result, self.result.virtual_service
        return {
            "step": self.step,
            "host": result.host,
            "vip": str(virtual.vip),
            "port": virtual.port,
            "protocol": virtual.protocol,
            "verdict": result.verdict.value,
            "rtt_ms": None if result.rtt_ms is None else round(result.rtt_ms, 3),
            "mss": result.mss,
            "detail": result.detail,
        }


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """Something was changed, or would certainly be (``applied`` false in a dry run)."""

    step: int
    edit: Edit
    applied: bool
    event: ClassVar[str] = "change"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: what was edited where, as a diff or as a command."""
        return {"step": self.step, **edit_as_dict(self.edit), "applied": self.applied}


@dataclass(frozen=True, slots=True)
class NoChangeNeeded:
    """In a dry run: a change would not be made, for what is there is as wanted."""

    step: int
    reason: str
    event: ClassVar[str] = "no-change"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: step and reason."""
        return {"step": self.step, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class CannotTell:
    """In a dry run: whether a change would be made, or which of these edits, is not known beforehand."""

    step: int
    before: str
    """What must happen before it is known."""
    edits: tuple[Edit, ...] = ()
    """The edits that come into question."""
    event: ClassVar[str] = "cannot-tell"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: step, what must happen first, and the edits that come into question."""
        return {"step": self.step, "before": self.before, "edits": [*map(edit_as_dict, self.edits)]}


Answer = Literal["would-change", "no-change", "cannot-tell"]
"""What a dry run says of a change of the plan."""
DifferenceKind = Literal["not-made", "not-foretold", "other-edit", "verdict"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which a run went differently from what a dry run foretold."""

    kind: DifferenceKind
    title: str
    """The step's title."""
    target: str
    """What would have been edited, or was; of a verdict, check and host."""
    foretold: str
    """The diff, command or verdict that was foretold; empty where there was none."""
    found: str
    """The diff, command or verdict that it was; empty where there was none."""

    def as_dict(self) -> dict[str, str]:
        """The difference as a value of the ``foretold`` event's JSON line."""
        return {
            "difference": self.kind,
            "title": self.title,
            "target": self.target,
            "foretold": self.foretold,
            "found": self.found,
        }


@dataclass(frozen=True, slots=True)
class ForetoldCompared:
    """At the end of a run that a dry run had foretold: in what it went differently."""

    dry_run: str
    """The id of the dry run."""
    age_s: float
    """Seconds from the end of the dry run to the end of this run."""
    differences: tuple[Difference, ...]
    event: ClassVar[str] = "foretold"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: the dry run's id, its age in seconds and the differences."""
        return {
            "dry_run": self.dry_run,
            "age_seconds": round(self.age_s, 3),
            "differences": [difference.as_dict() for difference in self.differences],
        }


def edit_as_dict(edit: Edit) -> dict[str, Any]:
    """An edit as the keys of a JSON line: kind, target, and its diff or command; files may hold secrets."""
    how = {"diff": redacted(edit.diff)} if edit.diff is not None else {"command": edit.command or ""}
    return {"kind": edit.kind, "target": edit.target, **how}


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A phase of a step ended, and how."""

    step: int
    phase: Phase
    outcome: StepOutcome
    event: ClassVar[str] = "step-finished"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: step, phase and outcome."""
        return {"step": self.step, "phase": self.phase, "outcome": self.outcome}


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A command about a run ended; the reason is for people."""

    outcome: RunOutcome
    exit_code: int
    seconds: float
    reason: str
    event: ClassVar[str] = "run-finished"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: outcome, exit code, duration in seconds and reason."""
        return {
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
        }


Event = (
    RunStarted
    | StepStarted
    | FindingMade
    | ProbeAnswered
    | ChangeMade
    | NoChangeNeeded
    | CannotTell
    | StepFinished
    | ForetoldCompared
    | RunFinished
)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event with the time it happened and the run it belongs to."""

    time: str
    run: str
    event: Event

    def as_dict(self) -> dict[str, Any]:
        """One JSON line of ``--output json``."""
        return {"time": self.time, "run": self.run, "event": self.event.event, **self.event.as_dict()}


Subscriber = Callable[[Occurrence], None]
"""Receives every event of a run; it must not raise, and not block for long."""
