"""Looking again: what a run made, or undid, must still be so, for others may have been there meanwhile.

Every change is verified right after it is made, and once more before each later change, at the run's end and
at the end of its rollback. Nothing is called done, or as before, because it once was.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ferryman.engine.clock import stamp
from ferryman.engine.event_log import in_words
from ferryman.engine.progress import AppliedChange, Checked
from ferryman.engine.steps import Change
from ferryman.errors import DoubtError, FerrymanError, InterruptedRunError, NotFollowedError, VerifyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ferryman.engine.plan import Plan
    from ferryman.engine.run_context import RunContext, StepReport


@dataclass(frozen=True, slots=True)
class NotRestored:
    """A change that is not back as it was, and why that is known or not known."""

    place: int
    why: str
    unseen: bool = False
    """Whether it was not changed by the journal, and could not be looked at: there is nothing to put back."""


def verify_standing(p: RunContext, *, but: Collection[int] = ()) -> None:
    """Look again at every change that stands, before the next one is made; but not at those still to be made.

    Raises:
        VerifyError: One is not so any more; names it, and since when.
        DoubtError: It could not be looked at.
    """
    _verify_again(p, [place for place in sorted(p.progress.applied) if place not in but])


def verify_at_the_end(p: RunContext) -> None:
    """Look again at every change of the plan, also at those that were not needed; raises as above."""
    _verify_again(p, [place for place, step in enumerate(p.plan.steps) if isinstance(step, Change)])


def not_restored(p: RunContext, warnings: list[str]) -> Iterator[NotRestored]:
    """Of the changes that were undone, those whose effect is in the world again.

    What is otherwise than before and is not the run's effect is somebody else's by now: a warning.
    """
    for place, mark in sorted(p.progress.restored.items()):
        try:
            again = p.read_quietly(place, _Compare(p.plan.change(place), mark, warnings))
        except InterruptedRunError:
            yield NotRestored(place, "interrupted before it was looked at again")
        except Exception as error:  # noqa: BLE001  # whatever keeps it from being looked at, it is not verified
            yield NotRestored(place, f"it was undone, and cannot be looked at again: {in_words(error)}")
        else:
            if again:
                yield NotRestored(place, f"it was undone, and is not as before any more: {again}")


def unrecorded(p: RunContext, warnings: list[str]) -> Iterator[NotRestored]:
    """Of the changes that the journal does not know to be made, those whose effect is in the world.

    Either somebody else made them, or the journal has lost records: what it says is not all there is. Only
    what it knows to have been there before the run is passed over.
    """
    for place, step in enumerate(p.plan.steps):
        if not isinstance(step, Change) or place in p.progress.applied or place in p.progress.restored:
            continue
        checked = p.checked_before(place)
        if checked is not None and checked.already:
            continue
        look = partial(step.effect_seen, None) if checked is None else _Compare(step, checked, warnings)
        try:
            effect = p.read_quietly(place, look)
        except InterruptedRunError as stop:
            yield NotRestored(place, f"{stop} before it was looked at", unseen=True)
        except Exception as error:  # noqa: BLE001  # as above
            why = f"by the journal it was not changed, and it cannot be looked at: {in_words(error)}"
            yield NotRestored(place, why, unseen=True)
        else:
            if effect is not None:
                yield NotRestored(
                    place, f"{effect}, though by the journal this run did not change it; {_WHO}"
                )


@dataclass(frozen=True, slots=True)
class _Compare:
    """What of a change's effect is in the world; what else is otherwise than before is a warning."""

    change: Change[Any]
    known: AppliedChange | Checked
    warnings: list[str]

    def __call__(self, report: StepReport) -> str | None:
        before, known = self.known.before, self.known
        if isinstance(known, Checked) or known.foreign:
            return self._never_ours(before, report)
        differs = self.change.undone(before, report)
        effect = None if differs is None else self.change.effect_seen(before, report)
        self._warn(differs if effect is None else None, report)
        return effect

    def _never_ours(self, before: object, report: StepReport) -> str | None:
        """Of what was not made by the run: what else differs is worth a word, and no more."""
        effect, differs = self.change.effect_seen(before, report), None
        if effect is None and isinstance(self.known, Checked):
            with suppress(FerrymanError):
                differs = self.change.undone(before, report)
        self._warn(differs, report)
        return effect

    def _warn(self, differs: str | None, report: StepReport) -> None:
        self.warnings.extend([*([differs] if differs else []), *map(str, report.warnings)])


_WHO = "somebody else did, or the journal has lost records: find out, and put it right by hand"


def _verify_again(p: RunContext, places: Sequence[int]) -> None:
    wrong: list[tuple[int, VerifyError | DoubtError]] = []
    for place in places:
        if is_superseded(p.plan, place, p.progress.applied):
            continue
        try:
            p.read_quietly(place, _verifying(p, place))
        except (VerifyError, DoubtError) as error:
            wrong.append((place, error))
        else:
            p.seen_at[place] = stamp(p.clock.now())
    if wrong:
        raise _kind(error for _, error in wrong)(
            "\n".join(f"{p.plan.titles[place]}: {_since(p, place)}: {error}" for place, error in wrong)
        )


def _verifying(p: RunContext, place: int) -> Callable[[StepReport], None]:
    change, mark = p.plan.change(place), p.progress.applied.get(place)
    if mark is None:
        return change.verify
    return lambda report: change.verify_again(mark.before, report)


def is_superseded(plan: Plan, place: int, standing: Iterable[int]) -> bool:
    """Whether a later change, of those that stand, took this one away on purpose."""
    change = plan.change(place)
    return any(change.superseded_by(plan.change(later)) for later in standing if later > place)


def _since(p: RunContext, place: int) -> str:
    """Who changed it cannot be known, but when."""
    seen_at = p.seen_at.get(place)
    return f"somebody changed it since {seen_at}" if seen_at else "it is not as this run made it"


def _kind(errors: Iterable[Exception]) -> type[VerifyError | DoubtError]:
    """What is known to be wrong counts more than what could not be looked at."""
    found = list(errors)
    if any(isinstance(error, VerifyError) for error in found):
        return VerifyError
    return NotFollowedError if all(isinstance(error, NotFollowedError) for error in found) else DoubtError
