"""What a runbook is made of: looks, which only read, and changes, which have four verbs.

A step is a small class whose first docstring line is its title: the sentence that is true when the step is
over. It may use the step's fields: ``{director.host} forwards {service.name} through the tunnel.``
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from ferryman.docstrings import inherited_docstring
from ferryman.engine.diff import diff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.model import Edit, Finding, ProbeResult

B = TypeVar("B")
"""A change's before: any value that survives a round trip through JSON, for it is written to the journal."""


Purpose = Literal["check", "verify", "undo"]
"""What a step looks at hosts for: to make its look, or to check and then make its change; to verify what was
changed; to put it back."""


class Report(Protocol):
    """Where a step reports what it finds; the engine adds time, run and step."""

    def finding(self, finding: Finding) -> None:
        """Report a check's finding; before the first change, one that blocks refuses the run."""

    def probe(self, result: ProbeResult) -> None:
        """Report a probe's result; whether it is good or bad is for a finding to say."""


@dataclass(frozen=True, slots=True)
class NoChange:
    """What a change's ``check`` returns when there is nothing to do."""

    reason: str
    before: object = None
    """What ``undo`` is called with all the same: for what an earlier rollback had to leave, and this run
    takes over. None: there is nothing to undo."""
    own: bool = False
    """Whether what is there is known to be this run's own doing, such as a proposal of its own that people
    merge at any moment. Then nobody else changed it, though it was otherwise in the preflight."""


class _Step:
    @property
    def title(self) -> str:
        """The first line of the class's docstring, with the step's fields filled in."""
        doc = inherited_docstring(type(self))
        if not doc:
            raise ValueError(f"{type(self).__name__}: needs a docstring, its first line is the step's title")
        return doc.splitlines()[0].rstrip(".").format_map(_Fields(self))

    def questions(self, purpose: Purpose, before: Any) -> Iterable[Any]:  # noqa: ANN401, ARG002  # whoever overrides it needs them
        """What it is going to ask of hosts for this purpose: ``(host, verb)`` for each question.

        All that is asked at one moment goes to each host as one command, and what several steps ask is asked
        once. It is for speed alone: what is not named here is asked when the step asks it. It touches
        nothing, and the before is None where none is known.
        """
        return ()


class _Fields(dict[str, object]):
    """The fields of a step as a mapping, for ``str.format_map``."""

    def __init__(self, step: _Step) -> None:
        super().__init__()
        self._step = step

    def __missing__(self, name: str) -> object:
        return getattr(self._step, name)


class Look(_Step, ABC):
    """A step that only reads; one after a change that fails rolls back everything above it."""

    reads_last: ClassVar[bool] = False
    """Whether the last thing that it does is to ask what ``questions`` names: then a change right behind it
    may share the answers, if nothing was waited for since."""
    valid_after_change: ClassVar[bool] = False
    """Whether it holds after the changes as well as before them. A look before the first change is made again
    when a run is resumed with changes applied; one that only holds before them is skipped then."""

    @abstractmethod
    def look(self, report: Report) -> None:
        """Read and judge: report findings, or raise an error when nothing can be found.

        Raises:
            VerifyError: What was found is not as wanted.
            DoubtError: It could not be read.
        """


class Change(_Step, ABC, Generic[B]):
    """A step with four verbs, always in this order: check, do, verify, undo."""

    @property
    def reads_back(self) -> bool:
        """Whether ``do`` and ``undo`` read what they have written, with ``read_back``, to be verified so.

        Otherwise everything is asked anew after them.
        """
        return False

    @property
    def undo_first(self) -> bool:
        """Whether it is undone before the changes below it, as a catalog must be that directors follow."""
        return False

    @abstractmethod
    def check(self, report: Report) -> B | NoChange:
        """Read what is there now, and return it as the before; or say that it is already as wanted.

        It is called before anything is changed, once more right before ``do`` (what it returns must still be
        the same, or someone else changed it), and after ``undo`` (what it returns must be the before).

        Raises:
            RefusedError: It must not be changed as it is.
            DoubtError: It could not be read.
        """

    @abstractmethod
    def edits(self, before: B) -> Sequence[Edit]:
        """The outside effects that ``do`` has, for people to read first; it touches nothing."""

    def cannot_tell_before(self, before: B) -> str | None:  # noqa: ARG002  # whoever overrides it needs the before
        """What must happen before it is known whether ``do`` has the effects of ``edits``, or which of them.

        None, as by default: it has all of them, and no other. A dry run says it in place of "would change".
        """
        return None

    @abstractmethod
    def do(self, before: B) -> Sequence[Edit] | None:
        """Make the change; harmless when it is already made.

        Returns:
            What it really did, for the record; None for the edits of ``edits``.

        Raises:
            WorldChangedError: What is there is neither the before nor what is wanted.
            VerifyError: It did not work.
            DoubtError: Whether it worked could not be determined.
        """

    @abstractmethod
    def verify(self, report: Report) -> None:
        """Read back and compare with what was wanted; raises as ``Look.look`` does."""

    def verify_again(self, before: B, report: Report) -> None:  # noqa: ARG002  # whoever overrides it needs it
        """Verify that what was made is still so: before each later change, and at the end.

        Someone else may have changed it meanwhile. Raises as ``Look.look`` does; ``verify`` by default.
        """
        self.verify(report)

    def superseded_by(self, later: Change[Any]) -> bool:  # noqa: ARG002  # as above
        """Whether that later change of the same plan, once begun, takes this one away on purpose.

        What is superseded is not verified again.
        """
        return False

    @abstractmethod
    def undo(self, before: B) -> Sequence[Edit] | None:
        """Put the before back; looks first, for ``do`` may never have taken effect. Twice is harmless.

        Everything it needs is in the before: the inventory may be different by then.

        Returns:
            What it really did, for the record; None for the edits of ``undo_edits``.

        Raises as ``do`` does; what someone else wrote meanwhile is left alone, and ``WorldChangedError``
        is raised after every part that is the run's own has been put back.
        """

    def kept_after_undo(self, before: B) -> str | None:  # noqa: ARG002  # whoever overrides it needs the before
        """What of it nothing takes back, in words, so that a rollback does not claim that it did; else None.

        Only for a change whose ``diff_after_undo`` has nothing to say of that: what stays is no failure.
        """
        return None

    def require_undoable(self, before: B, report: Report) -> None:
        """Look whether ``undo`` can succeed; writes nothing. Every change is asked before one is undone.

        Raises as ``undo`` would.
        """

    def undo_edits(self, before: B) -> Sequence[Edit]:  # noqa: ARG002  # whoever overrides it needs the before
        """The outside effects that ``undo`` has; shown as the commands by hand when the undo failed."""
        return ()

    def diff_after_undo(self, before: B, report: Report) -> str | None:
        """What of this change is still there, in words; None when its own part is as it was.

        What others changed beside it is reported as a warning, and is no failure.
        """
        now = self.check(report)
        return None if now == before else f"{self.title}: still not as before: {diff(before, now)}"

    def effect_seen(self, before: B | None, report: Report) -> str | None:  # noqa: ARG002  # as above
        """What of its effect is there, in words, whole or in part; None when nothing of it is.

        Asked before a rollback is called complete, of a change that the journal does not know to be made.
        The before is what was there when the run checked it; None where the journal has none.
        """
        now = self.check(report)
        return now.reason if isinstance(now, NoChange) else None
