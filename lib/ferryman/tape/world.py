"""The recorded world: it answers what the recorded run was answered, and lets no time pass.

Answers are found by their key, in their order for each key; what changes something, is asked of the operator
or waits must come in the recorded order. The run and its watch are two threads, and the tape has what each
asked in one order: here only one of them goes on at a time, so that a replay goes the same way every time.
"""

from __future__ import annotations

import signal
import threading
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ferryman import waits
from ferryman.errors import FerrymanError, TapeError
from ferryman.tape.codec import NotDataError, decode, decode_error
from ferryman.tape.difference import Difference, closest
from ferryman.tape.keys import ACQUIRE, RUN, WATCH, current_lane
from ferryman.tape.lanes import lanes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.engine.observer import RunSignals
    from ferryman.tape.file import Entry, Tape
    from ferryman.tape.keys import CallKey
    from ferryman.tape.lanes import Call, Lane

STUCK_S = 20.0
"""Seconds of real time after which two threads that wait for each other are a fault of the replay."""
SOON_S = 0.005
"""Seconds between two looks whether the run's thread has run its signal handlers."""
REPEATS = 100
"""How often the last answer to a question is given again, where nothing was changed on that host since."""


class DivergedError(waits.StoppedError):
    """The run asked for what the tape does not have: it ends here, and nothing may catch it."""


class EndOfTapeError(waits.StoppedError):
    """The recorded run was killed here."""


class TapeWorld:
    """One tape as the world of one run; as ``Waits``, clock, and observer of the run too."""

    def __init__(self, tape: Tape) -> None:
        self.difference: Difference | None = None
        """The first thing that went differently, once something has."""
        self.broken: TapeError | None = None
        """Why the tape cannot be used, once something of it was not understood."""
        self.told: list[str] = []
        """What is told and is no difference: reads that were made once more."""
        self._tape = tape
        self._began = datetime.fromisoformat(tape.header.began)
        self._lanes, self._outside = lanes_of(tape)
        self._times = list(accumulate(entry.after_s for entry in tape.entries))
        """By place: the seconds of the recorded run until then."""
        self._turn = threading.Condition(threading.RLock())
        self._position = -1
        """The place of the latest entry that was used."""
        self._limit = -1
        """Up to where the watch may go."""
        self._watch_at: list[int] = []
        """Where threads of the watch, which asks several things at once, wait for the run to go on."""
        self._watch_lives = self._watch_is_over = self._is_closed = False
        self._signals: RunSignals | None = None
        self._thread = threading.current_thread()
        """The run's own."""
        self._writes: dict[str, int] = defaultdict(int)
        self._repeated: dict[str, int] = defaultdict(int)

    # --- answers ---

    def ask(self, key: CallKey, heard: Callable[[Any], Any] = decode) -> Any:  # noqa: ANN401  # any value
        """What the recorded run was answered; raises the error that it was given.

        ``heard`` makes the value of the recorded one.
        """
        answer = self.answer(key, heard)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer(self, key: CallKey, heard: Callable[[Any], Any] = decode) -> Any:  # noqa: ANN401  # as above
        """As ``ask``, but the error is returned: what stops the run here is raised, and no answer."""
        call = self._next(key)
        try:
            if "error" in call.data:
                return decode_error(call.data["error"])
            return heard(call.data["value"])
        except NotDataError as bad:
            self.broken = TapeError(f"{self._tape.path}: {key}: {bad}")
            raise self._diverged(str(bad)) from bad
        except FerrymanError as error:
            return error

    def _next(self, key: CallKey) -> Call:
        name = current_lane()
        lane, canonical = self._lanes[name], key.canonical
        with self._turn:
            self._require_open()
            waiting = lane.by_key.get(canonical)
            if not waiting or (canonical in lane.last and lane.is_after_a_write(waiting[0])):
                return self._again(name, lane, key)
            call = waiting.popleft()
            if key.writes:
                self._require_order(lane, call)
                lane.pass_over_reads(key.host, call.place)
            call.used = True  # before it is waited for: another thread of the run may ask the same
            self._wait_for_turn(name, call.place)
            lane.last[canonical] = (call, self._writes[key.host])
            if key.writes:
                self._writes[key.host] += 1
            return call

    def _require_order(self, lane: Lane, call: Call) -> None:
        while lane.writes and lane.writes[0].used:
            lane.writes.popleft()
        if lane.writes and lane.writes[0] is not call:
            raise self._diverged(f"it did {call.key}, where the recorded run first did {lane.writes[0].key}")

    def _again(self, name: str, lane: Lane, key: CallKey) -> Call:
        """The last answer once more, where it cannot have changed; anything else is not known here.

        What the watch was answered after a tape was cut off is not known either, though the run went on: the
        same answer again would have it judge twice what it saw once.
        """
        if name == WATCH and not self._tape.whole and self._is_used_up(lane) and not self._watch_is_over:
            self._wait_as_watch(len(self._times) - 1)
            raise DivergedError
        known = lane.last.get(key.canonical)
        if known is not None and not key.writes and self._writes[key.host] == known[1]:
            self._repeated[key.canonical] += 1
            if self._repeated[key.canonical] <= REPEATS:
                if self._repeated[key.canonical] == 1:
                    self.told.append(f"it asked {key} more often than the recorded run")
                return known[0]
        if name == WATCH and self._watch_is_over:
            raise DivergedError
        if not self._tape.whole and self._is_used_up(lane):
            raise EndOfTapeError
        asked = "did" if key.writes else "asked"
        raise self._diverged(
            f"it {asked} {key}, which the recorded run did not", closest(key, [c.key for c in lane.calls])
        )

    def _is_used_up(self, lane: Lane) -> bool:
        return all(call.used for call in lane.calls) or self._position >= len(self._times) - 1

    # --- turns ---

    def _wait_for_turn(self, lane: str, place: int) -> None:
        """Let whatever came before this entry happen first; then it is the latest one."""
        if lane == WATCH:
            self._wait_as_watch(place)
        else:
            self._let_outside_happen(place)
        self._position = max(self._position, place)

    def _wait_as_watch(self, place: int) -> None:
        self._watch_at.append(place)
        self._turn.notify_all()
        try:
            while place >= self._limit and not self._is_closed:
                self._wait()
        finally:
            self._watch_at.remove(place)
            self._turn.notify_all()
        self._require_open()

    def _let_outside_happen(self, place: int) -> None:
        """Let the watch go on up to this entry, and signals come that came before it."""
        while True:
            until = min(place, self._outside[0][0]) if self._outside else place
            self._let_the_watch_go(until)
            if until == place:
                return
            self._position, entry = max(self._position, until), self._outside.popleft()[1]
            self._happen(entry)

    def _let_the_watch_go(self, until: int) -> None:
        self._limit = max(self._limit, until)
        self._turn.notify_all()
        while self._watch_lives and not (self._watch_at and min(self._watch_at) >= self._limit):
            self._wait()
        self._require_open()
        self._raise_pending()

    def _raise_pending(self) -> None:
        """Raise what stops the run, in its own thread; one that works for it goes on once that is raised."""
        if self._signals is None:
            return
        if threading.current_thread() is self._thread:
            self._signals.raise_where_allowed()
        while self._signals.is_about_to_raise and not self._is_closed:
            self._turn.wait(SOON_S)

    def _happen(self, entry: Entry) -> None:
        if entry.kind == "alarm":
            if self._signals is not None:
                self._signals.alarm(decode_error(entry.data["error"]))
            return
        number = getattr(signal, entry.data["name"], None)
        if not isinstance(number, signal.Signals) or not self._is_handled(number):
            raise self._diverged(f"{entry.data['name']} came, and this run would not take it here")
        signal.raise_signal(number)

    def _is_handled(self, number: signal.Signals) -> bool:
        """Whether the run itself handles it: any other handler would end this process."""
        handler = signal.getsignal(number)
        return self._signals is not None and getattr(handler, "__self__", None) is self._signals

    def _wait(self) -> None:
        if not self._turn.wait(STUCK_S):
            raise self._diverged("the run and its watch wait for each other, as the recorded ones did not")

    def _require_open(self) -> None:
        if self.difference is not None or self._is_closed:
            raise DivergedError

    def _diverged(self, what: str, nearest: str = "") -> DivergedError:
        if self.difference is None:
            self.difference = Difference(what, nearest, at=self._position)
        self._turn.notify_all()
        return DivergedError()

    # --- as Waits ---

    def monotonic(self) -> float:
        """The seconds of the recorded run until what was last used of it."""
        return self._times[self._position] if 0 <= self._position < len(self._times) else 0.0

    def sleep(self, seconds: float) -> None:
        """Let what was recorded of that time happen; no time passes."""
        self._waited(seconds)

    def is_past(self, moment: float) -> bool:
        """Whether the recorded run found its time over here."""
        name = current_lane()
        with self._turn:
            self._require_open()
            pending = self._lanes[name].waits
            if not pending:
                if name == WATCH and self._watch_is_over:
                    return True
                return self.monotonic() >= moment
            place, entry = pending[0]
            if entry.kind != "time-up":
                return False
            self._wait_for_turn(name, place)
            pending.popleft()
            return True

    def wait_for(self, event: threading.Event, seconds: float) -> bool:
        """Let what was recorded of that time happen; whether the event is set then."""
        with self._turn:
            if event.is_set():
                return True
            self._waited(seconds)
            return event.is_set()

    def _waited(self, seconds: float) -> None:
        name = current_lane()
        with self._turn:
            self._require_open()
            pending = self._lanes[name].waits
            if not pending or pending[0][1].kind != "wait":
                if name == WATCH:
                    self._end_of_watch()
                    return
                if not self._tape.whole:
                    raise EndOfTapeError
                where = "waited" if not pending else "waited on"
                raise self._diverged(f"it {where} for {seconds:g} s, where the recorded run did not")
            place, entry = pending[0]
            self._wait_for_turn(name, place)
            pending.popleft()
            recorded = entry.data["seconds"]
            if abs(recorded - seconds) > max(1.0, recorded / 4) and not entry.data["interrupted"]:
                raise self._diverged(f"it waited for {seconds:g} s, and the recorded run for {recorded:g} s")

    def _end_of_watch(self) -> None:
        """The recorded watch waits no more: it was over when this one would wait."""
        if not self._watch_is_over:
            self._wait_as_watch(len(self._times))

    def turn(self) -> None:
        """Let the other thread come as far as it was when the recorded run did what this one does next."""
        name = current_lane()
        with self._turn:
            self._require_open()
            place = self._lanes[name].next_turn()
            if place is not None:
                self._wait_for_turn(name, place)

    def thread_begins(self) -> None:
        """Note that the watch starts; until it asks for something the run does not go on past it."""
        with self._turn:
            self._watch_lives, self._watch_is_over, self._watch_at = True, False, []
            self._limit = self._position

    def thread_ends(self) -> None:
        """Note that the watch has ended."""
        with self._turn:
            self._watch_lives = False
            self._turn.notify_all()

    def thread_is_over(self, *, is_joined: bool) -> None:
        """Note that the watch need not ask all that is recorded; whoever waits for its end lets it go on."""
        with self._turn:
            self._watch_is_over = True
            if is_joined:
                self._limit = len(self._times)
            self._turn.notify_all()

    # --- as Clock ---

    def now(self) -> datetime:
        """The time of day of what was last used of the recorded run."""
        return self._began + timedelta(seconds=self.monotonic())

    # --- as a RunObserver ---

    def run_begins(self, signals: RunSignals) -> None:
        """Take the run's signals, to raise the recorded ones by them."""
        self._signals, self._thread = signals, threading.current_thread()

    def signalled(self, name: str) -> None:
        """Do nothing: it comes from here."""

    def alarmed(self, error: Exception) -> None:
        """Do nothing: as above, or the watch's."""

    def acquire(self, locks: Callable[[], None]) -> None:
        """Acquire the locks of the replay's own journal, where the recorded run got its own."""
        self.ask(ACQUIRE)
        locks()

    # --- at the end ---

    def close(self) -> None:
        """End the watch's thread, if it still waits: the run is over."""
        with self._turn:
            self._is_closed = True
            self._turn.notify_all()

    def entries_used(self) -> tuple[Entry, ...]:
        """The tape's entries as they were asked for: without what was not, and with what was asked again."""
        unused = {call.place for lane in self._lanes.values() for call in lane.calls if not call.used}
        again: dict[int, int] = defaultdict(int)
        for lane in self._lanes.values():
            for canonical, (call, _) in lane.last.items():
                again[call.place] += self._repeated[canonical]
        return tuple(
            each
            for place, entry in enumerate(self._tape.entries)
            if place not in unused
            for each in (entry, *[replace(entry, after_s=0.0)] * again[place])
        )

    @property
    def left_over(self) -> tuple[Sequence[CallKey], Sequence[CallKey]]:
        """The recorded writes and reads that the run did not ask for.

        Not of the watch, which ends wherever the run does; nor what was interrupted when it was asked.
        """
        calls = sorted(
            (call for call in self._lanes[RUN].calls if not call.used and "error" not in call.data),
            key=lambda call: call.place,
        )
        writes, reads = ([call for call in calls if call.key.writes is kind] for kind in (True, False))
        return _keys(writes), _keys(reads)


def _keys(calls: Iterable[Call]) -> list[CallKey]:
    return [call.key for call in calls]
