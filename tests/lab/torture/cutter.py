"""Runs the real command line and cuts it at one of its calls to the outside.

    python -m lab.torture.cutter CALLS CUT HEARTBEAT_S ARGUMENT…

Every call to the outside is numbered and written to the file CALLS, one JSON line each, before it is made:
what fleet, catalog, probe and traffic are asked, and each commit of journal and locks. CUT is a ``Cut``.
HEARTBEAT_S is the seconds between two renewals of the run's lease; 0: as many as the product takes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ferryman.catalog import Catalog
from ferryman.cli import main
from ferryman.cookbook.context import Ferry
from ferryman.engine.event_log import EventLog
from ferryman.hosts.ssh import Fleet
from ferryman.state import SqliteStore
from ferryman.state.sqlite.database import Database
from ferryman.traffic import TrafficCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.hosts.verbs import Verb

Kind = Literal["read", "read-all", "write", "catalog-read", "catalog-write", "probe", "traffic", "commit"]
When = Literal["before", "during", "after"]
Fault = Literal["kill", "term", "meddle"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the outside."""

    number: int
    kind: Kind
    host: str
    text: str
    """What is asked, on one line; of a commit, the record that it is made for."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What goes wrong, and at which call."""

    nth: int = 0
    """Counted from 0 among the calls that fit ``kind``, ``host`` and ``text``; empty ones fit all."""
    kind: str = ""
    host: str = ""
    text: str = ""
    when: When = "before"
    fault: Fault = "kill"
    delay_s: float = 0.0
    """For ``during``: seconds after the call has begun."""
    meddle: tuple[str, ...] = ()
    """The command that somebody else runs."""

    def fits(self, call: Call) -> bool:
        """Whether the call is one of those that are counted."""
        return self.kind in ("", call.kind) and self.host in ("", call.host) and self.text in call.text

    def fall(self) -> None:
        """Send the signal to this process, or run the command of somebody else."""
        match self.fault:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "term":
                os.kill(os.getpid(), signal.SIGTERM)
            case "meddle":
                subprocess.run(self.meddle, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class Cutter:
    """Stands around the calls; only outermost ones of the main thread count: their order is fixed."""

    def __init__(self, calls: Path, cut: Cut | None) -> None:
        self._file = calls.open("w", buffering=1)
        self._cut = cut
        self._calls = 0
        self._fitting = 0
        self._inside = False
        self.label = ""
        """What the next commit is made for."""

    @contextmanager
    def around(self, kind: Kind, host: str, text: str) -> Iterator[None]:
        """Count the block as one call to the outside, and cut it when it is the one to be cut."""
        if self._inside or threading.current_thread() is not threading.main_thread():
            yield
            return
        cut = self._next(Call(self._calls, kind, host, " ".join(text.split())))
        self._fall(cut, "before")
        self._fall(cut, "during")
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
        self._fall(cut, "after")

    def _next(self, call: Call) -> Cut | None:
        """Write the call down; the cut, if this is its call."""
        self._file.write(json.dumps(asdict(call)) + "\n")
        self._calls += 1
        if self._cut is None or not self._cut.fits(call):
            return None
        self._fitting += 1
        return self._cut if self._fitting == self._cut.nth + 1 else None

    def _fall(self, cut: Cut | None, when: When) -> None:
        if cut is None or cut.when != when:
            return
        if when == "during":
            timer = threading.Timer(cut.delay_s, cut.fall)
            timer.daemon = True
            timer.start()
        else:
            cut.fall()

    def wrap(self, owner: type, name: str, kind: Kind, describe: Callable[..., tuple[str, str]]) -> None:
        """Count a method's calls; ``describe`` makes host and text of its arguments."""
        inner = getattr(owner, name)

        @wraps(inner)
        def counted(this: object, *given: Any, **named: Any) -> Any:  # noqa: ANN401  # any method's
            with self.around(kind, *describe(*given)):
                return inner(this, *given, **named)

        setattr(owner, name, counted)

    def wrap_commits(self) -> None:
        """Count the outermost transactions of journal and locks."""
        inner = Database.transaction

        @contextmanager
        def transaction(this: Database) -> Iterator[None]:
            with self.around("commit", "", self.label), inner(this):
                yield

        setattr(Database, "transaction", transaction)  # noqa: B010  # mypy lets no method be assigned

    def wrap_records(self) -> None:
        """Know what a commit is made for: ``intent 4`` is the intent of the step with index 4."""
        inner = EventLog.journal

        @wraps(inner)
        def record(this: EventLog, kind: str, payload: Any, step: int | None = None) -> None:  # noqa: ANN401
            self.label = f"{kind} {'' if step is None else step}".strip()
            try:
                inner(this, kind, payload, step)
            finally:
                self.label = ""

        setattr(EventLog, "journal", record)  # noqa: B010  # as above


def told(verb: Verb[object]) -> str:
    """A verb in a list of calls: its name, and its arguments as its script has them."""
    return " ".join([verb.name, *verb.words])


def set_up(calls: Path, cut: Cut | None) -> None:
    """Count every call to the outside in this process from now on."""
    cutter = Cutter(calls, cut)
    cutter.wrap(Fleet, "read", "read", lambda host, verb: (host, told(verb)))
    cutter.wrap(Fleet, "write", "write", lambda host, verb: (host, told(verb)))
    cutter.wrap(Fleet, "read_all", "read-all", lambda verbs: (" ".join(verbs), ""))
    cutter.wrap(Fleet, "read_together", "read-all", lambda questions: (" ".join(questions), ""))
    cutter.wrap(Fleet, "write_and_read", "write", lambda host, verb, _questions: (host, told(verb)))
    for name in ("text", "edited"):
        cutter.wrap(Catalog, name, "catalog-read", lambda *given, name=name: ("", name))
    cutter.wrap(Catalog, "write", "catalog-write", lambda _after: ("", ""))
    for probe in ("probe", "probe_briefly", "probe_again"):
        cutter.wrap(Ferry, probe, "probe", lambda targets: ("", f"{len(targets)} targets"))
    cutter.wrap(TrafficCheck, "run", "traffic", lambda: ("", ""))
    cutter.wrap_commits()
    cutter.wrap_records()


if __name__ == "__main__":
    _, calls_file, cut_json, heartbeat_s, *arguments = sys.argv
    given = json.loads(cut_json)
    SqliteStore.heartbeat_s = float(heartbeat_s) or SqliteStore.heartbeat_s
    set_up(Path(calls_file), Cut(**given) if given else None)
    main(arguments)
