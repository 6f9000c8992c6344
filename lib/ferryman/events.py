"""What happens during a run, as values: the console, the JSON lines and the journal all read these.

The keys of ``as_dict`` are a contract that other programs rely on (docs/reference.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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
    """Something was changed, or would be (``applied`` false in a dry run)."""

    step: int
    edit: Edit
    applied: bool
    event: ClassVar[str] = "change"

    def as_dict(self) -> dict[str, Any]:
        """The keys of its JSON line: what was edited where, as a diff or as a command."""
        edit = self.edit
        how = {"diff": edit.diff} if edit.diff is not None else {"command": edit.command or ""}
        return {"step": self.step, "kind": edit.kind, "target": edit.target, **how, "applied": self.applied}


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


Event = RunStarted | StepStarted | FindingMade | ProbeAnswered | ChangeMade | StepFinished | RunFinished


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
