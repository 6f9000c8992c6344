"""The moments of a run at which the steps' questions are asked together; what they are is for the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Readings(Protocol):
    """Who asks for the steps, and lets them share what is answered at one moment."""

    def begin(self, questions: Iterable[Any], then: Iterable[Any] = (), *, continues: bool = False) -> None:
        """Begin a moment: nothing that was read before counts; these questions are asked together.

        The first time with those of ``then``, which come right after, unless the run waits in between. With
        ``continues``, what was read in the moment until now counts: nothing was waited for since.
        """

    def end(self) -> None:
        """End the moment: from now on everything is asked anew."""


class NothingShared:
    """Each step asks for itself."""

    def begin(self, questions: Iterable[Any], then: Iterable[Any] = (), *, continues: bool = False) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""
