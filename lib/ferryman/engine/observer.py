"""Whoever follows a run from beside it: what comes from outside and is neither an answer nor a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class RunSignals(Protocol):
    """What can stop a run from outside: its signals, and alarms; for whoever raises recorded ones."""

    @property
    def is_about_to_raise(self) -> bool:
        """Whether something came that raises in the run's thread as soon as that runs its handlers."""

    def raise_where_allowed(self) -> None:
        """Raise what came, in the run's own thread, where it may be raised at once."""

    def alarm(self, error: Exception) -> None:
        """Stop the run with this error, from any thread."""


class RunObserver(Protocol):
    """Told of signals and alarms when they come; makes the calls that others may answer in its place."""

    def run_begins(self, signals: RunSignals) -> None:
        """Note the run's signals, before its first step."""

    def signalled(self, name: str) -> None:
        """Note a signal of the operator's; called in the signal's handler, so it waits for nothing."""

    def alarmed(self, error: Exception) -> None:
        """Note what a thread beside the run stops it with."""

    def acquire(self, locks: Callable[[], None]) -> None:
        """Acquire the run's locks; raises what that raises."""


class NoObserver:
    """Nobody follows the run."""

    def run_begins(self, signals: RunSignals) -> None:
        """Do nothing."""

    def signalled(self, name: str) -> None:
        """Do nothing."""

    def alarmed(self, error: Exception) -> None:
        """Do nothing."""

    def acquire(self, locks: Callable[[], None]) -> None:
        """Acquire them."""
        locks()
