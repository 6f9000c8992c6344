"""What Liberica's daemons say of themselves, asked on the director: times there are of its own clock.

The names of the metrics are those that Wikimedia's cookbook ``sre.loadbalancer.admin`` reads; the time a
process began is what every Go program with Prometheus' client tells. Values may be whole seconds.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.directors.metrics import samples
from ferryman.hosts.verbs.daemons import ADVERTISED, BEGAN, PEER, RELOADED

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_TIME = "no known time"
_SECONDS = re.compile(r"[0-9]{1,12}")
"""A time as stat(1) prints it."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the daemons say of themselves, in seconds of the director's clock; None: they do not say."""

    resumed: float | None
    """When the control plane last loaded its file: at a reload that succeeded, or when it began."""
    refused: float | None
    """When a reload last failed."""
    written: int | None
    """When the file was last written."""
    peers: int
    """BGP sessions that are established."""
    advertised: float
    """Routes that are told to them."""
    complaint: str
    """What curl complained of, in one line; empty when every question was answered."""

    @classmethod
    def of(cls, answers: Mapping[str, str]) -> Status:
        """From what each question of ``liberica-read`` brought."""
        cp, bgp = (answers.get(name, "") for name in ("cp", "bgp"))
        written = answers.get("written", "").strip()  # of more than int() takes for blanks
        reloads = samples(cp, RELOADED)
        good = [reload.value for reload in reloads if reload.labels.get("result") == "ok"]
        good += [sample.value for sample in samples(cp, BEGAN)]
        bad = [reload.value for reload in reloads if reload.labels.get("result") != "ok"]
        up = [sample.labels for sample in samples(bgp, PEER) if sample.value]
        return cls(
            max(good, default=None),
            max(bad, default=None),
            int(written) if _SECONDS.fullmatch(written) else None,
            sum(
                1
                for labels in up
                if (labels.get("admin_state"), labels.get("session_state")) == ("UP", "ESTABLISHED")
            ),
            sum(sample.value for sample in samples(bgp, ADVERTISED)),
            " / ".join(
                line
                for answer in answers.values()
                for line in answer.splitlines()
                if line.startswith("curl:")
            ),
        )

    @property
    def is_fresh(self) -> bool:
        """Whether the file was surely written before it was last loaded, in an earlier second."""
        return self.resumed is not None and self.written is not None and self.resumed >= self.written + 1

    @property
    def was_refused(self) -> bool:
        """Whether the last reload failed."""
        return self.refused is not None and (self.resumed is None or self.refused > self.resumed)

    @property
    def latest_s(self) -> int:
        """The latest second that any of this happened in; 0 where nothing is known."""
        times = (time_s for time_s in (self.resumed, self.refused, self.written) if time_s is not None)
        return math.floor(max(times, default=0))


def clock(seconds: float | None) -> str:
    """A time of the director's clock, as an error message shows it."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds is not None else NO_TIME
    except (OverflowError, ValueError, OSError):  # a number that is no time, such as 1e300
        return NO_TIME
