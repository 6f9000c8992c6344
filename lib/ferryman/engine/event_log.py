"""Events to every subscriber, and to the journal."""

from __future__ import annotations

import logging
import threading
import traceback
from typing import TYPE_CHECKING, Any

from ferryman.engine.clock import stamp
from ferryman.errors import BusyError, FerrymanError, JournalError
from ferryman.events import Occurrence, RunFinished
from ferryman.plain_text import storable, text_of
from ferryman.state import NewRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ferryman.engine.clock import Clock
    from ferryman.engine.signals import Signals
    from ferryman.events import Event, Subscriber
    from ferryman.state import Store

_log = logging.getLogger(__name__)


class EventLog:
    """The events of one run. Steps may report from several threads.

    Without a journal only the subscribers get them.
    """

    def __init__(
        self,
        run: str,
        journal: Store | None,
        clock: Clock,
        signals: Signals,
        subscribers: Iterable[Subscriber],
    ) -> None:
        self.journal_lost: JournalError | BusyError | None = None
        """Why the journal could not be written during the rollback, which goes on without it from there: with
        a gap it would be wrong. Records go to the journal's spool, if it has one."""
        self._run = run
        self._journal = journal
        self._clock = clock
        self._signals = signals
        self._subscribers = list(subscribers)
        self._dropped: list[Subscriber] = []
        """Those that failed: all that they still get is how the run ended."""
        self._pending: list[NewRecord] = []
        self._journal_may_fail = False
        self._spooled_for: JournalError | None = None
        """Why records go to the spool: once one is there, those that follow it must go there too."""
        self._lock = threading.RLock()

    def emit(self, event: Event, *, recorded: bool = True) -> None:
        """Deliver it to subscribers at once, and to the journal (if ``recorded``) with the next ``flush``."""
        with self._signals.deferred(), self._lock:
            time = stamp(self._clock.now())
            if recorded:
                self._add(NewRecord(time, event.event, _as_dict(event), *_place(event)))
            occurrence = Occurrence(time, self._run, event)
            for subscriber in list(self._subscribers):
                self._deliver(subscriber, occurrence)
            if isinstance(event, RunFinished):
                for subscriber in self._dropped:
                    self._tell_the_end(subscriber, occurrence, event)
                self._dropped.clear()

    def journal(self, kind: str, payload: Mapping[str, Any], step: int | None = None) -> None:
        """Write a record that only the journal needs, after all events before it; it is on disk then.

        On disk means in the journal, or during a rollback in its spool.

        Raises:
            JournalError: It could not be written; not during a rollback.
            BusyError: The run is no longer this process's; as above.
        """
        with self._signals.deferred(), self._lock:
            self._add(NewRecord(stamp(self._clock.now()), kind, payload, step))
            self.flush()

    def note(self, kind: str, payload: Mapping[str, Any], step: int | None = None) -> None:
        """As ``journal``, but on disk with the next ``flush``: all until then is written, or nothing."""
        with self._signals.deferred(), self._lock:
            self._add(NewRecord(stamp(self._clock.now()), kind, payload, step))

    def flush(self) -> None:
        """Have every event so far on disk; raises as ``journal`` does."""
        with self._signals.deferred(), self._lock:
            pending, self._pending = self._pending, []
            try:
                if pending and self._journal is not None and self._is_kept:
                    self._keep(self._journal, pending)
            except (JournalError, BusyError) as error:
                if not self._journal_may_fail:
                    raise
                self.lose_journal(error)

    def begin_rollback(self) -> None:
        """From now on a journal that fails stops nothing: putting changes back matters more."""
        self._journal_may_fail = True

    def lose_journal(self, error: JournalError | BusyError) -> None:
        """Remember why the journal could not be written."""
        self.journal_lost = self.journal_lost or error
        if isinstance(error, JournalError) and self._journal is not None and self._spooled_for is None:
            self._spool(self._journal, error)

    def replay_spool(self) -> None:
        """Move the spooled records into the journal, if it can be written now; else they stay there."""
        if self._spooled_for is None or self._journal is None:
            return
        try:
            left = self._journal.replay_spool(self._run)
        except (JournalError, BusyError) as error:
            _log.debug("the spool of %s stays: %s", self._run, error)
        else:
            if left:
                _log.warning(left)
            else:
                self._spooled_for = self.journal_lost = None

    def spooled(self) -> str:
        """Which records are not in the journal but in its spool, and where; empty when there are none."""
        try:
            return self._journal.spooled() if self._journal is not None else ""
        except JournalError as error:
            return f"what could not be written is lost with this process: {error}"

    @property
    def _is_kept(self) -> bool:
        """Whether records are kept anywhere, in the journal or in its spool."""
        return self.journal_lost is None or self._spooled_for is not None

    def _keep(self, journal: Store, notes: Sequence[NewRecord]) -> None:
        """Append these records; once that has failed, spool them, and raise why."""
        if self._spooled_for is not None:
            journal.spool(self._run, notes)
            raise self._spooled_for
        try:
            journal.append(self._run, notes)
        except JournalError as error:
            self._spool(journal, error)
            raise

    def _spool(self, journal: Store, error: JournalError) -> None:
        try:
            if journal.spool(self._run, ()):
                self._spooled_for = error
        except (JournalError, BusyError) as failed:  # then there is none
            _log.debug("the spool of %s cannot be used: %s", self._run, failed)

    def _add(self, record: NewRecord) -> None:
        self._pending.append(record)

    def _deliver(self, subscriber: Subscriber, occurrence: Occurrence) -> None:
        """Call a subscriber; one that fails (a closed pipe) is dropped, for it must not end the run."""
        try:
            subscriber(occurrence)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # no screen is worth a half-made change
            self._subscribers.remove(subscriber)
            self._dropped.append(subscriber)
            _log.debug("dropped a subscriber", exc_info=True)
            lost = {"error": f"{type(error).__name__}: {text_of(error)}"}
            self._add(NewRecord(occurrence.time, "listener-lost", lost))

    def _tell_the_end(self, subscriber: Subscriber, occurrence: Occurrence, end: RunFinished) -> None:
        """Tell a dropped subscriber how the run ended; one that fails again has the log say it.

        A stream that cannot be written is none of those: the command line says so itself.
        """
        try:
            subscriber(occurrence)
        except (KeyboardInterrupt, OSError) as error:
            if isinstance(error, KeyboardInterrupt):
                raise
        except BaseException as error:  # noqa: BLE001  # as above
            _log.warning(
                "run %s: %s (exit code %d); %s could not show it: %s: %s\n%s",
                *(self._run, end.outcome, end.exit_code, type(subscriber).__name__),
                *(type(error).__name__, text_of(error), end.reason),
            )


def error_summary(error: BaseException) -> str:
    """An error's message for people; an unexpected one is called a bug."""
    if isinstance(error, FerrymanError):
        return text_of(error)
    return f"a bug: {type(error).__name__}: {text_of(error)} (the traceback is in the journal)"


def error_record(error: BaseException, at: str) -> dict[str, Any]:
    """The journal's record of an error: where it came, type, message and traceback."""
    return {
        "at": at,
        "error": type(error).__name__,
        "message": text_of(error),
        "traceback": _traceback(error),
    }


def _traceback(error: BaseException) -> str:
    try:
        return storable("".join(traceback.format_exception(error)))
    except Exception as failed:  # noqa: BLE001  # of a chain of errors that is too long, or lies about itself
        return f"it cannot be shown: {type(failed).__name__}"


def _as_dict(event: Event) -> dict[str, Any]:
    """What the journal has of an event; of one with values of other kinds than declared, that it had them."""
    try:
        return event.as_dict()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # an event tells what happened, and must not stop it
        return {"unreadable": f"{type(error).__name__}: {text_of(error)}"}


def _place(event: Event) -> tuple[int | None, str | None]:
    return getattr(event, "step", None), getattr(event, "phase", None)
