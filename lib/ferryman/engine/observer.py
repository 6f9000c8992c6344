"""Whoever follows a run from beside it: what comes from outside and is neither an answer nor a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.engine.signals import Signals


class RunObserver(Protocol):
    """Told of signals and alarms when they come; makes the calls that others may answer in its place."""

    def run_begins(self, signals: Signals) -> None:
        """Note the run's signals, before its first step."""

    def signalled(self, name: str) -> None:
        """Note a signal of the operator's; called in the signal's handler, so it waits for nothing."""

    def alarmed(self, error: Exception) -> None:
        """Note what a thread beside the run stops it with."""

    def acquire(self, locks: Callable[[], None]) -> None:
        """Acquire the run's locks; raises what that raises."""


class NoObserver:
    """Nobody follows the run."""

    def run_begins(self, signals: Signals) -> None:
        """Do nothing."""

    def signalled(self, name: str) -> None:
        """Do nothing."""

    def alarmed(self, error: Exception) -> None:
        """Do nothing."""

    def acquire(self, locks: Callable[[], None]) -> None:
        """Acquire them."""
        locks()
