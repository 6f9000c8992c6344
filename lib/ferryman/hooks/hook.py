"""What a hook is, and the notice that it is called with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ferryman.errors import FerrymanError

if TYPE_CHECKING:
    from ferryman.events import RunFinished
    from ferryman.state import RunRequest

RunAction = Literal["begins", "goes on", "goes back", "is closed"]
"""What a command does with a run: begins it, resumes it, rolls it back, or closes it by hand."""


class HookError(FerrymanError):
    """A hook could not do its work; the message has no secrets in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNotice:
    """A run that is about to change something, or has ended."""

    run: str
    request: RunRequest
    operator: str
    """Who acts now; who began the run is in the request."""
    action: RunAction
    finished: RunFinished | None = None
    """None until the run has ended."""

    @property
    def what(self) -> str:
        """The cookbook and its arguments, as far as they say something."""
        return f"{self.request.cookbook} {self.request.given}".strip()

    @property
    def why(self) -> str:
        """The operator's reason and the ticket; empty when there is neither."""
        task = f"({self.request.task})" if self.request.task else ""
        return " ".join(part for part in (self.request.reason, task) if part)

    @property
    def is_over(self) -> bool:
        """Whether nobody goes on with the run.

        One that is held or stranded is resumed or rolled back later; a busy one belongs to another process.
        """
        return self.finished is not None and self.finished.outcome not in ("held", "stranded", "busy")


class Hook(Protocol):
    """Whoever is notified of runs. It is called in a thread of its own; what it raises is only a warning.

    Both methods return what the operator should know, or nothing.
    """

    def begun(self, notice: RunNotice) -> str:
        """Before the first change of a run, or the first thing that is put back.

        Raises:
            HookError: It could not be done.
        """

    def ended(self, notice: RunNotice) -> str:
        """After the run; also in another process than ``begun``, and without it.

        Raises:
            HookError: It could not be done.
        """
