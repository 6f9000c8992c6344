"""What flips and rollbacks cost the requests that run through them, in a lab of its own.

    PYTHONPATH=lib:tests .venv/bin/python -m tests.bench.flips [--pairs 20] [--requests 20000] [SERVICE…]
        [--shorts 1000] [--kept 100] [--hold edit|pair|series] [--no-routes] [--json FILE]

Each edit is made as the steps of a migration make it, with the driver of the service (``static``: ipvsadm,
``maps`` and ``web``: keepalived): host routes up, edit, wait until no connection from before is left, host
routes down, all under load. ``--hold`` says how long the transfers live: across one edit, across a flip and
its rollback, or across all of them; so long the routes stay too. ``--no-routes`` leaves them out: then it
must lose.

Prints a row for each edit. Latencies are p50 / p99 / longest in ms, of requests that were due in the second
before the edit began, from there until it was done (a second at least), and in the second after. «drained» is
when the director's connection table had none left from before, and when the load had closed its last one.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman import lab as the_lab
from ferryman import retry
from ferryman.directors import SetForwarding, connections_of, still_open
from ferryman.model import Forwarding
from lab.conftest import own_folder
from lab.director_client import DirectorClient, LabHosts
from lab.flow import Held, Outcome, Pace, Request, flowing
from lab.running import RunningLab

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from ferryman.directors import Connection

TUNNEL = SetForwarding(Forwarding.TUNNEL)
QUIET_S, HELD_S = 3.0, 3.0
"""Load before an edit, and transfers after it."""
LOOK_EVERY_S = 2.0
DRAIN_S, WINDOW_S = 60.0, 120.0
DOWNLOADS = UPLOADS = 4
LATENCY = "p50 / p99 / longest"
COLUMNS = (
    "service",
    "edit",
    "requests",
    "failed",
    *(f"{LATENCY} {when}" for when in ("before", "during", "after")),
)
HEADING = (*COLUMNS, "edit took", "drained: director, load")


@dataclass
class Look:
    """One look at a director's connection table, and how many connections from before it showed."""

    began: float
    ended: float
    left: int


@dataclass
class Edited:
    """One edit of a director's destinations under load, and what it cost."""

    service: str
    name: str
    began: float = 0.0
    ended: float = 0.0
    remembered: float = 0.0
    """When the director's connections were read: what came until then counts as from before."""
    looks: list[Look] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    transfers: Outcome = field(default_factory=Outcome)

    @property
    def drained_s(self) -> float | None:
        """After the edit; None when there still was one at the last look."""
        return self.looks[-1].began - self.ended if self.looks and not self.looks[-1].left else None

    @property
    def closed_s(self) -> float:
        """When the load had closed the last connection from before the edit, in seconds after it."""
        return max([0.0, *(connection.closed - self.ended for connection in self._old)])

    @property
    def lost(self) -> list[Request | Held]:
        """Requests, and transfers that lived for this edit alone."""
        return [*self.outcome.lost, *self.transfers.lost]

    @property
    def _old(self) -> list[Held]:
        return [held for held in (*self.outcome.held, *self.transfers.held) if held.opened < self.remembered]

    def disagreement(self, held: int) -> int:
        """By how many connections a look differed at most from what the load held open; 0 when never.

        ``held`` are the transfers that go on after this edit.
        """
        worst = 0
        for look in self.looks:
            most, least = (held + self._open_at(at) for at in (look.began, look.ended))
            worst = max(worst, look.left - most, least - look.left)
        return worst

    def _open_at(self, at: float) -> int:
        """Connections from before the edit that the load has open; shorts too, late as they may be."""
        held = sum(connection.closed > at for connection in self._old)
        shorts = (request for request in self.outcome.requests if request.kind == "short")
        return held + sum(short.due < self.remembered and short.due + short.latency > at for short in shorts)

    def as_dict(self, held: int) -> dict[str, Any]:
        """The row, and each look: seconds after the edit, how many were left, how many the load had open."""
        looks = [
            (round(look.began - self.ended, 1), look.left, held + self._open_at(look.began))
            for look in self.looks
        ]
        return {"row": self.row(), "looks": looks}

    def row(self) -> tuple[str, ...]:
        """The cells of this edit's line in the table."""
        middle = max(self.ended, self.began + 1)
        latencies = [
            str(self.outcome.latency(begin, end))
            for begin, end in ((self.began - 1, self.began), (self.began, middle), (middle, middle + 1))
        ]
        counted = f"{len(self.outcome.requests):,}", str(len(self.lost))
        drained = "not" if self.drained_s is None else f"{self.drained_s:.1f} s"
        took = f"{(self.ended - self.began) * 1000:.0f} ms"
        return self.service, self.name, *counted, *latencies, took, f"{drained}, {self.closed_s:.1f} s"


@dataclass
class Series:
    """Flips and rollbacks of one service, one after the other."""

    lab: RunningLab
    client: DirectorClient
    wanted: Namespace
    edits: list[Edited] = field(default_factory=list)
    transfers: list[Outcome] = field(default_factory=list)

    def run(self) -> None:
        """Make all edits; at the end the director is as it was, whatever happened."""
        before = self.client.driver.before()
        try:
            with self._held("series"):
                for number in range(1, self.wanted.pairs + 1):
                    with self._held("pair"):
                        self._edited(f"flip {number}", lambda: self.client.driver.apply(before, TUNNEL))
                        self._edited(f"back {number}", lambda: self.client.driver.restore(before, TUNNEL))
        finally:
            self.client.driver.restore(before, TUNNEL)
            self.client.routes.remove(self.client.routes.read().ours)

    @property
    def _address(self) -> tuple[str, int]:
        virtual = self.client.service.virtual_services[-1]
        return str(virtual.vip), virtual.port

    @contextmanager
    def _held(self, across: str) -> Iterator[Outcome]:
        """Transfers and host routes across this, where this is how long they are wanted."""
        if self.wanted.hold != across:
            yield Outcome()
            return
        if self.wanted.routes:
            self.client.routes.add(self.client.routes.read().needed)
        with flowing(self.lab, *self._address, Pace(downloads=DOWNLOADS, uploads=UPLOADS)) as outcome:
            self.transfers.append(outcome)
            yield outcome

    def _edited(self, name: str, edit: Callable[[], object]) -> None:
        """Make one edit under a load of its own, and keep what it cost."""
        edited = Edited(self.client.service.name, name)
        pace = Pace(shorts=self.wanted.shorts, kept=self.wanted.kept)
        with flowing(self.lab, *self._address, pace) as edited.outcome:
            with self._held("edit") as edited.transfers:
                time.sleep(QUIET_S)
                edited.began = time.monotonic()
                edit()
                edited.ended = time.monotonic()
                now = self._connections()
                old, edited.remembered = still_open(now, now), time.monotonic()
                time.sleep(HELD_S)
            self._drain(edited, old)
            retry.poll_until(edited.outcome.so_far, self._is_enough, within_s=WINDOW_S)
        self.edits.append(edited)
        print(f"| {' | '.join(edited.row())} |", flush=True)

    def _is_enough(self, requests: int) -> bool:
        wanted: int = self.wanted.requests
        return requests >= wanted

    def _drain(self, edited: Edited, old: frozenset[Connection]) -> None:
        """Look until no connection from before is left but those that are held for longer; then the host
        routes go, as the step does it."""
        held = 0 if self.wanted.hold == "edit" else DOWNLOADS + UPLOADS

        def look() -> int:
            nonlocal old
            began = time.monotonic()
            old = still_open(old, self._connections())
            edited.looks.append(Look(began, time.monotonic(), len(old)))
            return len(old)

        if retry.poll_until(look, lambda left: left <= held, within_s=DRAIN_S, every_s=LOOK_EVERY_S) == 0:
            self.client.routes.remove(self.client.routes.read().ours)

    def _connections(self) -> frozenset[Connection]:
        return connections_of(self.client.hosts, self.client.director, self.client.service)[0]

    def summarize(self) -> dict[str, Any]:
        """Print the sums over all edits; return them with each edit's own figures."""
        outcomes = [*(edit.outcome for edit in self.edits), *self.transfers]
        lost = [request for outcome in outcomes for request in outcome.lost]
        transfers = [transfer for outcome in self.transfers for transfer in outcome.transfers]
        still = DOWNLOADS + UPLOADS if self.wanted.hold != "edit" else 0
        summary = {
            "service": self.client.service.name,
            "edits": len(self.edits),
            "requests": sum(len(edit.outcome.requests) for edit in self.edits),
            "fewest": min((len(edit.outcome.requests) for edit in self.edits), default=0),
            "lost": dict(Counter(f"{request.kind}: {request.problem}" for request in lost)),
            "transfers": len(transfers),
            "transferred_bytes": sum(transfer.moved_bytes for transfer in transfers),
            "longest_transfer_s": max(
                (transfer.closed - transfer.opened for transfer in transfers), default=0
            ),
            "looks": sum(len(edit.looks) for edit in self.edits),
            "disagreement": max((edit.disagreement(still) for edit in self.edits), default=0),
        }
        print(json.dumps(summary), flush=True)
        return {**summary, "each": [edit.as_dict(still) for edit in self.edits]}


def arguments() -> Namespace:
    """The options and services of the command line."""
    parser = ArgumentParser(prog="python -m tests.bench.flips")
    parser.add_argument("services", nargs="*", metavar="SERVICE", default=["static", "maps"])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--shorts", type=int, default=1000)
    parser.add_argument("--kept", type=int, default=100)
    parser.add_argument("--hold", choices=("edit", "pair", "series"), default="edit")
    parser.add_argument("--no-routes", dest="routes", action="store_false")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    """Boot a lab, measure each service in it, print the table, and take the lab down."""
    wanted = arguments()
    with own_folder() as folder, ExitStack() as stack:
        lab = RunningLab(folder)
        the_lab.up(lab.place)
        stack.callback(the_lab.down, lab.place)
        hosts = LabHosts(lab)
        stack.callback(hosts.close)
        print(f"| {' | '.join(HEADING)} |\n|{'---|' * len(HEADING)}", flush=True)
        found = []
        for name in wanted.services:
            series = Series(lab, DirectorClient.of(lab, hosts, name, "lvs1"), wanted)
            try:
                series.run()
            finally:
                found.append(series.summarize())
        if wanted.json:
            wanted.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
