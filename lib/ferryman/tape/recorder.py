"""Records a run: what it asks, what it is told, how long it waits, what stops it, and what it says.

An entry is made of values in the writer's thread: nothing of the run waits for it. What comes before the
header can be written (the inventory, name service) is kept until then.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.tape.codec import encode, encode_error
from ferryman.tape.keys import ACQUIRE, RUN, current_lane
from ferryman.tape.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.engine.observer import RunSignals
    from ferryman.events import Occurrence
    from ferryman.tape.appending import TapeWriter
    from ferryman.tape.keys import CallKey

T = TypeVar("T")
Answer = dict[str, Any]


class Recorder:
    """What follows a run from beside it, and hears every call of its ports (``engine/observer.py``)."""

    def __init__(self) -> None:
        self._writer: TapeWriter | None = None
        self._early: list[tuple[str, Callable[[], Answer]]] = []
        self._secrets = Secrets()
        self._signals: list[str] = []
        """Those that came and are not written yet: a signal's handler must not wait for a lock."""
        self._own = threading.local()

    def start(self, writer: TapeWriter) -> None:
        """Write from now on, first what was heard until now."""
        early, self._early = self._early, []
        for kind, data in early:
            writer.append(kind, data)
        self._writer = writer

    def close(self, outcome: Mapping[str, Any] | None) -> None:
        """End the tape, with how the run ended if it did."""
        self._add_signals()
        if self._writer is not None:
            self._writer.close(None if outcome is None else self._secrets.without(dict(outcome)))

    def without_secrets(self, value: Any) -> Any:  # noqa: ANN401  # JSON
        """The same JSON without secrets: for the header."""
        return self._secrets.without(value)

    def call(
        self,
        key: CallKey,
        call: Callable[[], T],
        *,
        answer: Callable[[T], Answer] | None = None,
        secrets: Sequence[str] = (),
    ) -> T:
        """Make a call to the outside and keep what came of it; an error too, which is raised.

        ``answer`` makes the answer of what came back, where the value alone is not it.
        """
        try:
            with self.outside():
                result = call()
        except Exception as error:
            failed = error  # the name is gone once the block is left
            self.add_call(key, lambda: {"error": encode_error(failed)}, secrets)
            raise
        made = answer or _value
        self.add_call(key, lambda: made(result), secrets)
        return result

    def add_call(self, key: CallKey, answer: Callable[[], Answer], secrets: Sequence[str] = ()) -> None:
        """Keep a call that was made; to be called in the thread that made it."""
        lane = current_lane()
        self._add(
            "call",
            lambda: self._secrets.without(
                {
                    "port": key.port,
                    "host": key.host,
                    "verb": key.verb,
                    "arguments": key.arguments,
                    "writes": key.writes,
                    "lane": lane,
                    **answer(),
                },
                secrets,
            ),
        )

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What is inside is outside of the run: how it waits is no part of the tape."""
        before, self._own.outside = self.is_outside, True
        try:
            yield
        finally:
            self._own.outside = before

    @property
    def is_outside(self) -> bool:
        """Whether this thread is inside of a call."""
        return getattr(self._own, "outside", False)

    def heard(self, occurrence: Occurrence) -> None:
        """Keep an event; a subscriber of the run's."""
        event, lane = occurrence.event, current_lane()
        self._add(
            "event", lambda: self._secrets.without({"event": event.event, **event.as_dict(), "lane": lane})
        )

    def packet(self, *, sent: bool, content: bytes) -> None:
        """Keep a packet of a probe, from its outer IP header on."""
        self._add("packet", lambda: {"sent": sent, "hex": content.hex()})

    # --- as a RunObserver ---

    def run_begins(self, signals: RunSignals) -> None:
        """Do nothing: what comes by them is told one by one."""

    def signalled(self, name: str) -> None:
        """Note a signal; it is written with what comes next."""
        self._signals.append(name)

    def alarmed(self, error: Exception) -> None:
        """Keep what stops the run from beside; not of the watch, whose looks are on the tape."""
        if current_lane() == RUN:
            self._add("alarm", lambda: self._secrets.without({"error": encode_error(error)}))

    def acquire(self, locks: Callable[[], None]) -> None:
        """Acquire the locks, and keep whether that was possible."""
        self.call(ACQUIRE, locks)

    # --- as Waits ---

    def monotonic(self) -> float:
        """The machine's clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep, and keep that."""
        interrupted = True
        try:
            time.sleep(seconds)
            interrupted = False
        finally:
            self._waited(seconds, interrupted=interrupted)

    def is_past(self, moment: float) -> bool:
        """Compare with the clock; that a time is over is kept."""
        over = time.monotonic() >= moment
        if over and not self.is_outside:
            lane = current_lane()
            self._add("time-up", lambda: {"lane": lane})
        return over

    def wait_for(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, and keep that."""
        was_set = event.wait(seconds)
        self._waited(seconds, interrupted=was_set)
        return was_set

    def turn(self) -> None:
        """Keep that the other thread had come as far as it is on the tape by then."""
        lane = current_lane()
        self._add("turn", lambda: {"lane": lane})

    def thread_begins(self) -> None:
        """Do nothing: real time passes for both."""

    def thread_ends(self) -> None:
        """Do nothing."""

    def thread_is_over(self, *, is_joined: bool) -> None:
        """Do nothing: an event tells it."""

    def _waited(self, seconds: float, *, interrupted: bool) -> None:
        if self.is_outside:
            return
        lane = current_lane()
        rounded = round(max(0.0, seconds), 3)
        self._add("wait", lambda: {"lane": lane, "seconds": rounded, "interrupted": interrupted})

    def _add(self, kind: str, data: Callable[[], Answer]) -> None:
        self._add_signals()
        if self._writer is None:
            self._early.append((kind, data))
        else:
            self._writer.append(kind, data)

    def _add_signals(self) -> None:
        while self._signals:
            name = self._signals.pop(0)
            if self._writer is not None:
                self._writer.append("signal", {"name": name})


def _value(result: object) -> Answer:
    return {"value": encode(result)}
