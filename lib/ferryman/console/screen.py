"""A run as people watch it: findings and changes scroll by, and the plan below shows each step's state.

On a terminal the plan is redrawn in place; elsewhere the same lines are printed once, without colour.
"""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, TextIO, cast

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ferryman.console import formatting
from ferryman.console.safe import SafeConsole
from ferryman.events import (
    CannotTell,
    ChangeMade,
    FindingMade,
    ForetoldCompared,
    NoChangeNeeded,
    ProbeAnswered,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
)
from ferryman.model import Verdict
from ferryman.printable import printable, printable_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from ferryman.events import Occurrence, Phase, StepOutcome
    from ferryman.model import Edit, Finding

PICTURE_WIDTH = 112
_REMOTE_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""The fonts that a picture would fetch from the network when somebody opens it."""


@dataclass
class _Row:
    """One step of the plan, in its present state."""

    title: str
    state: str = "waiting"
    printed: str = ""
    """The state that was last printed."""
    counts: dict[Verdict, int] = field(default_factory=dict)


class Screen:
    """Subscribes to a run's events and shows them."""

    def __init__(
        self, *, to_stderr: bool = False, verbose: bool = False, picture: Path | None = None
    ) -> None:
        self._verbose = verbose
        self._picture = picture
        self._console = _console(to_stderr=to_stderr, picture=picture)
        self._rows: list[_Row] = []
        self._edits: list[tuple[Edit, bool]] = []
        self._live: Live | None = None
        self._only_looked_at: frozenset[int] = frozenset()
        """In a dry run: the steps that are changes."""
        self._warned: dict[tuple[str, str, str], str] = {}
        """By check, what was seen and what to do: the first host that was warned of so."""

    def __call__(self, occurrence: Occurrence) -> None:  # one case for each event
        """Show one event, whatever it is; the event's run is known from ``run-started`` on."""
        event, run = printable_value(occurrence.event), printable(occurrence.run)
        match event:
            case RunStarted() as started:
                self._start(started, run)
            case StepStarted(step, _, phase):
                self._rows[step].state = formatting.UNDER_WAY[phase]
            case FindingMade(step, finding):
                self._find(step, finding)
            case ProbeAnswered(_, result) if self._verbose:
                self._console.print(formatting.probe(result))
            case ChangeMade(step, edit, applied):
                self._change(step, edit, applied=applied)
            case NoChangeNeeded() | CannotTell() | ForetoldCompared() as told:
                self._tell(told)
            case StepFinished(step, phase, outcome):
                self._finish_step(step, self._state(step, phase, outcome))
            case RunFinished() as finished:
                self._finish(finished, run)
        if self._live:
            self._live.update(self._plan(), refresh=True)

    def _find(self, step: int, finding: Finding) -> None:
        counts = self._rows[step].counts
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
        if self._verbose or finding.verdict not in (Verdict.PASS, Verdict.SKIP):
            self._console.print(formatting.finding(finding, as_on=self._same_warning(finding)))

    def _change(self, step: int, edit: Edit, *, applied: bool) -> None:
        self._edits.append((edit, applied))
        self._console.print(formatting.edit(edit, applied=applied))
        if not applied:
            self._rows[step].state = formatting.WOULD_CHANGE

    def _tell(self, told: NoChangeNeeded | CannotTell | ForetoldCompared) -> None:
        """What a dry run says of a change beside its edits, or what became of what one said."""
        match told:
            case NoChangeNeeded(step, reason):
                self._console.print(formatting.no_change(self._rows[step].title, reason))
            case CannotTell(step):
                self._console.print(formatting.cannot_tell(self._rows[step].title, told))
                self._rows[step].state = formatting.CANNOT_TELL
            case ForetoldCompared():
                self._console.print(formatting.compared(told, verbose=self._verbose))

    def _same_warning(self, finding: Finding) -> str | None:
        """The host that had the very same warning before; None for what stops a run: each is shown."""
        if self._verbose or finding.verdict is not Verdict.WARN:
            return None
        first = self._warned.setdefault((finding.check, finding.seen, finding.remedy), finding.host)
        return None if first == finding.host else first

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop redrawing the plan, so that the operator can be asked something."""
        live, self._live = self._live, None
        if live:
            live.stop()
        try:
            yield
        finally:
            if live:
                self._go_live()

    def ask(self, edits: list[Edit], prompt: Callable[[str], bool]) -> bool:
        """Show what would be changed, and ask for consent with ``prompt``."""
        with self.paused():
            self._console.print(Text(f"\nThis run will make {len(edits)} changes:", style="bold"))
            for edit in printable_value(edits):
                self._console.print(formatting.edit(edit, applied=False))
            return prompt("Go on?")

    def _state(self, step: int, phase: Phase, outcome: StepOutcome) -> str:
        """How a phase ended; a dry run has only looked at a change, and says later what it would do."""
        if (phase, outcome) == ("check", "ok") and step in self._only_looked_at:
            return formatting.LOOKED_AT
        return formatting.STATES[phase, outcome]

    def _start(self, started: RunStarted, run: str) -> None:
        self._only_looked_at = started.changes if started.dry_run else frozenset()
        self._rows = [_Row(title) for title in started.plan]
        self._console.print(formatting.heading(started, run))
        if self._console.is_terminal:
            self._go_live()
        else:
            for number, row in enumerate(self._rows, start=1):
                self._console.print(Text(f"  {number:2}. {row.title}"))

    def _go_live(self) -> None:
        self._live = Live(self._plan(), console=self._console, refresh_per_second=8)
        self._live.start()

    def _finish_step(self, step: int, state: str) -> None:
        row = self._rows[step]
        row.state = state
        if not self._live and state != row.printed:
            row.printed = state
            self._console.print(formatting.progress(step, row.title, state, row.counts))

    def _finish(self, finished: RunFinished, run: str) -> None:
        if self._live:
            self._live.update(self._plan(), refresh=True)
            self._live.stop()
            self._live = None
        self._console.print(
            formatting.ending(finished, run, [edit for edit, applied in self._edits if applied])
        )
        if self._picture:
            svg = self._console.export_svg(title="ferryman")
            self._picture.write_text(_REMOTE_FONTS.sub("", svg), encoding="utf-8")

    def _plan(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for number, row in enumerate(self._rows, start=1):
            mark, style = formatting.MARKS[row.state]
            shown: RenderableType = Spinner("dots", style=style) if mark is None else Text(mark, style=style)
            table.add_row(
                shown,
                Text(f"{number:2}", style="dim"),
                Text(row.title, style="" if row.state != "waiting" else "dim"),
                Text(row.state if row.state != "waiting" else "", style=style),
                formatting.tally(row.counts),
            )
        return Group(Text(), table)


class _Outlet:
    """A stream whose reader may go away at any time: what cannot be written then fails nothing.

    A terminal that closed, a pipe that nobody reads, a full disk: the run goes on, or back, for its own
    reasons. Rich would end the process on the second, and its refreshing thread would die on any of them.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written; returns the length of the text, as if all was."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed; never raises ``OSError``."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _console(*, to_stderr: bool, picture: Path | None) -> Console:
    """The console; what is to become a picture is recorded, at a width that reads well on a page."""
    recorded = picture is not None
    stream = sys.stderr if to_stderr else sys.stdout
    return SafeConsole(
        file=cast("IO[str]", _Outlet(stream)),
        highlight=False,
        soft_wrap=not stream.isatty(),
        record=recorded,
        width=PICTURE_WIDTH if recorded else None,
    )
