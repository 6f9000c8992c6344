"""Events as sentences and marks: pure functions that turn values into styled text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from ferryman.model import Verdict
from ferryman.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.events import (
        CannotTell,
        DifferenceKind,
        ForetoldCompared,
        Phase,
        RunFinished,
        RunStarted,
        StepOutcome,
    )
    from ferryman.model import Edit, Finding, ProbeResult

UNDER_WAY: dict[Phase, str] = {
    "check": "looking",
    "do": "changing",
    "verify": "verifying",
    "undo": "putting back",
}

STATES: dict[tuple[Phase, StepOutcome], str] = {
    ("check", "ok"): "checked",
    ("check", "failed"): "blocks",
    ("check", "skipped"): "no change needed",
    ("do", "ok"): "changed",
    ("do", "failed"): "failed",
    ("do", "skipped"): "no change needed",
    ("verify", "ok"): "verified",
    ("verify", "failed"): "not as wanted",
    ("verify", "skipped"): "no change needed",
    ("undo", "ok"): "put back",
    ("undo", "failed"): "NOT put back",
    ("undo", "skipped"): "nothing to put back",
}

LOOKED_AT, WOULD_CHANGE, CANNOT_TELL = "looked at", "would change", "cannot tell yet"
"""The state of a change in a dry run."""

MARKS: dict[str, tuple[str | None, str]] = {
    "waiting": ("·", "dim"),
    **dict.fromkeys(UNDER_WAY.values(), (None, "cyan")),
    "checked": ("✓", "green"),
    "changed": ("●", "yellow"),
    LOOKED_AT: ("·", "dim"),
    WOULD_CHANGE: ("○", "yellow"),
    CANNOT_TELL: ("?", "magenta"),
    "verified": ("✓", "bold green"),
    "no change needed": ("=", "green"),
    "put back": ("↩", "yellow"),
    "nothing to put back": ("=", "yellow"),
    "blocks": ("✗", "bold red"),
    "failed": ("✗", "bold red"),
    "not as wanted": ("✗", "bold red"),
    "NOT put back": ("✗", "bold red"),
}
"""By state: its mark (None: a spinner) and its style."""

VERDICT_STYLES = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "bold red",
    Verdict.UNKNOWN: "bold magenta",
    Verdict.SKIP: "dim",
}

OUTCOME_STYLES = {
    "done": "bold green",
    "refused": "bold red",
    "rolled-back": "bold yellow",
    "stranded": "bold white on red",
    "held": "bold magenta",
    "busy": "bold yellow",
    "interrupted": "bold yellow",
    "error": "bold white on red",
}


def heading(started: RunStarted, run: str) -> Text:
    """The first line: what is run, with which arguments, by whom."""
    arguments = " ".join(f"{name}={value}" for name, value in started.arguments.items())
    text = Text(f"{started.cookbook} ", style="bold").append(arguments, style="cyan")
    if started.dry_run:
        text.append("  dry run: nothing is changed", style="bold yellow")
    return text.append(f"  run {run}, {started.operator}", style="dim")


def finding(found: Finding, *, as_on: str | None = None) -> Text:
    """A finding: verdict, host and check, what is and what was wanted, and what to do.

    ``as_on`` names a host about which the very same was shown already.
    """
    text = Text("  ").append(f"{found.verdict.value:<7}", style=VERDICT_STYLES[found.verdict])
    text.append(f" {found.host} ", style="bold").append(f"{found.check}: ", style="cyan")
    if as_on is not None:
        return text.append(f"as on {as_on}")
    text.append(found.seen)
    if found.verdict in (Verdict.PASS, Verdict.SKIP):
        return text
    text.append(f"\n          wanted: {found.wanted}", style="dim")
    if found.remedy:
        text.append("\n          do:     ", style="dim").append(found.remedy)
    return text


def probe(result: ProbeResult) -> Text:
    """One line about a probe's answer: verdict, round trip time in milliseconds, MSS in bytes."""
    text = Text(f"  probe   {result.host} {result.virtual_service}: {result.verdict.value}", style="dim")
    if result.rtt_ms is not None:
        text.append(f", {result.rtt_ms:.2f} ms")
    if result.mss is not None:
        text.append(f", MSS {result.mss}")
    return text.append(f", {result.detail}" if result.detail else "")


def edit(made: Edit, *, applied: bool) -> Text:
    """An edit as a diff, or as the command that makes it; ``applied`` is false where it was not made."""
    lead = "changed" if applied else "would  "
    text = Text("  ").append(lead, style="bold yellow" if applied else "yellow").append(" ")
    return text.append_text(_what(made))


def no_change(title: str, reason: str) -> Text:
    """What a dry run says of a change that is not needed."""
    return Text("  ").append("no change", style="green").append(f" {title}: ", style="bold").append(reason)


def cannot_tell(title: str, unknown: CannotTell) -> Text:
    """What a dry run says of a change of which it cannot be known: never green, for it is no promise."""
    text = Text("  ").append("cannot tell", style="bold magenta").append(f" {title}", style="bold")
    text.append(f"\n          before: {unknown.before}")
    for edit in unknown.edits:
        text.append("\n          maybe:  ", style="magenta").append_text(_what(edit))
    return text


_SHOWN_DIFFERENCES = 8
"""How many differences are shown where not all of them are asked for."""
_DIFFERENCES: dict[DifferenceKind, str] = {
    "not-made": "foretold, and not made",
    "not-foretold": "made, and not foretold",
    "other-edit": "made otherwise than foretold",
    "verdict": "another verdict than foretold",
}


def compared(found: ForetoldCompared, *, verbose: bool) -> Text:
    """In what a run went differently from what a dry run foretold, and how old that is."""
    which = f"the dry run {found.dry_run}, {duration(found.age_s)} old, foretold"
    if not found.differences:
        return Text(f"\nas {which}", style="dim")
    text = Text("\n").append(f"differently from what {which}:", style="bold yellow")
    shown = found.differences if verbose else found.differences[:_SHOWN_DIFFERENCES]
    for difference in shown:
        text.append(f"\n  {difference.target}: ", style="bold").append(_DIFFERENCES[difference.kind])
        text.append(f" ({difference.title})", style="dim")
        for word, told in (("foretold", difference.foretold), ("it was", difference.found)):
            lines = told.splitlines()
            text.append("".join(f"\n          {word + ':':<10}{line}" for line in lines[:1]))
            text.append("".join(f"\n{'':20}{line}" for line in lines[1:]))
    if left := len(found.differences) - len(shown):
        text.append(f"\n  and {left} more: -v shows them", style="dim")
    return text


_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def duration(seconds: float) -> str:
    """A duration in the largest unit that fits, such as ``3 minutes``.

    >>> duration(7265), duration(0.4)
    ('2 hours', '0 seconds')
    """
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), _UNITS[-1])
    count = int(seconds // size)
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _what(made: Edit) -> Text:
    """Kind, target, and the command or diff of an edit."""
    text = Text().append(f"{made.kind} ", style="cyan").append(made.target, style="bold")
    commands = (made.command or "").splitlines()
    if len(commands) == 1:
        return text.append(f": {commands[0]}")
    for line in commands:
        text.append(f"\n          {line}")
    for line in redacted(made.diff or "").splitlines():
        text.append("\n          ").append(line, style=_diff_style(line))
    return text


def _diff_style(line: str) -> str:
    if line.startswith(("---", "+++")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")


def tally(counts: Mapping[Verdict, int]) -> Text:
    """How many findings there are of each verdict; empty where there are none."""
    text = Text()
    for verdict in Verdict:
        if counts.get(verdict):
            text.append(f"{counts[verdict]} {verdict.value} ", style=VERDICT_STYLES[verdict])
    return text


def progress(step: int, title: str, state: str, counts: Mapping[Verdict, int]) -> Text:
    """One line about a step's new state, where the plan is not redrawn in place."""
    mark, style = MARKS[state]
    line = Text(f"{mark} ", style=style).append(f"{step + 1:2}. {title}: ").append(state, style=style)
    return line.append("  ").append_text(tally(counts)) if counts else line


def ending(finished: RunFinished, run: str, applied: Sequence[Edit]) -> Text:
    """The last lines: the outcome, why, and what was changed."""
    text = Text("\n").append(f" {finished.outcome} ", style=OUTCOME_STYLES[finished.outcome])
    text.append(f" after {finished.seconds:.1f} s (exit code {finished.exit_code}), run {run}\n", style="dim")
    text.append(finished.reason)
    if applied:
        verb = "changed" if finished.outcome in ("done", "held", "stranded") else "changed and put back"
        text.append(f"\n{verb}:", style="bold")
        for kind, target in dict.fromkeys((made.kind, made.target) for made in applied):
            text.append(f"\n  {kind} ", style="cyan").append(target)
    return text
