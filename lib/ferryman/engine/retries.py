"""Answers that came only on a retry: each is a delay that a client would have had, and they are counted."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ferryman.errors import DoubtError, VerifyError

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from ferryman.errors import FerrymanError

WINDOW_S = 60.0
"""Seconds for which a round counts: a packet lost now and then is no fault, however long a run takes."""
CERTAIN = 3
"""The least number of rounds in a row that are no coincidence."""


class Retries:
    """By look and host, the rounds of the last minute in which it answered only on a retry."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._at: dict[tuple[Hashable, str], list[float]] = defaultdict(list)
        self._in_a_row: dict[Hashable, dict[str, int]] = {}

    def count(self, look: Hashable, hosts: Collection[str], at: float) -> FerrymanError | None:
        """Add one round of a look, which ended at this second; the error of a host that has had too many.

        A host that needs a retry in every round is known to lose packets (``VerifyError``); the state of one
        that needs it now and then is unknown (``DoubtError``).
        """
        before = self._in_a_row.get(look, {})
        self._in_a_row[look] = {host: before.get(host, 0) + 1 for host in hosts}
        errors = [error for host in hosts if (error := self._too_many(look, host, at)) is not None]
        return next((error for error in errors if isinstance(error, VerifyError)), next(iter(errors), None))

    def _too_many(self, look: Hashable, host: str, at: float) -> FerrymanError | None:
        rounds = self._at[look, host]
        rounds.append(at)
        rounds[:] = [moment for moment in rounds if moment > at - WINDOW_S]
        if len(rounds) <= self._allowed:
            return None
        in_a_row = self._in_a_row[look][host]
        always = in_a_row >= max(CERTAIN, self._allowed + 1)
        how_often = f"{in_a_row} rounds in a row" if always else f"{len(rounds)} rounds within {WINDOW_S:g} s"
        return (VerifyError if always else DoubtError)(
            f"{host}: in {how_often} it answered only when the SYN was sent again, and {self._allowed} are "
            "let pass: a client waits a second for each; find what drops packets at it or on the way"
        )
