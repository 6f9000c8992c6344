"""What Liberica's daemons say of themselves, asked on the director: times there are of its own clock.

The names of the metrics are those that Wikimedia's cookbook ``sre.loadbalancer.admin`` reads; the time a
process began is what every Go program with Prometheus' client tells. Values may be whole seconds.
"""

from __future__ import annotations

import math
import shlex
import time
from dataclasses import dataclass

from ferryman.directors.metrics import samples

_RELOADED = "liberica_cp_configuration_reload_timestamp_seconds"
_BEGAN = "process_start_time_seconds"
_PEER, _ADVERTISED = "bgp_peer_state", "bgp_routes_advertised"
_CP, _BGP, _WRITTEN = "-- cp", "-- bgp", "-- written"
_CURL = "curl -sS -m 3"


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
    def of(cls, answers: str) -> Status:
        """From what the questions printed."""
        cp, _, rest = answers.partition(f"{_BGP}\n")
        bgp, _, written = rest.partition(f"{_WRITTEN}\n")
        reloads = samples(cp, _RELOADED)
        good = [reload.value for reload in reloads if reload.labels.get("result") == "ok"]
        good += [sample.value for sample in samples(cp, _BEGAN)]
        bad = [reload.value for reload in reloads if reload.labels.get("result") != "ok"]
        up = [sample.labels for sample in samples(bgp, _PEER) if sample.value]
        return cls(
            max(good, default=None),
            max(bad, default=None),
            int(written) if written.strip().isdecimal() else None,
            sum(
                1
                for labels in up
                if (labels.get("admin_state"), labels.get("session_state")) == ("UP", "ESTABLISHED")
            ),
            sum(sample.value for sample in samples(bgp, _ADVERTISED)),
            " / ".join(line for line in answers.splitlines() if line.startswith("curl:")),
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


def questions(metrics: str, bgp_metrics: str, config: str) -> str:
    """The shell commands that ``Status.of`` understands the answers of; they only read."""
    lines = (
        f"echo '{_CP}'; {_CURL} {shlex.quote(metrics)} | grep -E '^({_RELOADED}|{_BEGAN})'",
        f"echo '{_BGP}'; {_CURL} {shlex.quote(bgp_metrics)} | grep -E '^({_PEER}|{_ADVERTISED})'",
        f"echo '{_WRITTEN}'; stat -L -c %Y -- {shlex.quote(config)}",
    )
    return "\n".join(lines)


def clock(seconds: float | None) -> str:
    """A time of the director's clock, as an error message shows it."""
    if seconds is None:
        return "no known time"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
