"""Listens to a run, and calls the hooks when it begins to change something and when it has ended.

A hook that fails is a warning. All of them together have one time limit, so that a server that hangs holds a
run up by that much, once before its first change and once when it has ended.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING

from ferryman.events import RunFinished, StepStarted
from ferryman.hooks.hook import HookError, RunNotice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ferryman.events import Occurrence
    from ferryman.hooks.hook import Hook, RunAction
    from ferryman.state import RunRequest

_log = logging.getLogger(__name__)


@dataclass
class Notifier:
    """Subscribes to a run's events; never raises.

    A run that changes nothing is not notified of: not one that is refused, nor a dry run, nor a check.
    """

    hooks: Mapping[str, Hook]
    """By the name that warnings call each."""
    request: RunRequest
    operator: str
    """Who acts now."""
    action: RunAction = "begins"
    limit_s: float = 5.0
    _has_begun: bool = False
    _at_work: dict[str, Future[str]] = field(default_factory=dict)
    """The last call of each hook, which may have outlived its time."""

    def __call__(self, occurrence: Occurrence) -> None:
        """Call the hooks if this event is the first change of a run, or its end."""
        match occurrence.event:
            case StepStarted(phase="do" | "undo" as phase) if not self._has_begun:
                self._has_begun = True
                action = "goes back" if phase == "undo" else self.action
                self._call(replace(self._notice(occurrence.run), action=action))
            case RunFinished() as finished if self._is_notified(finished):
                self.ended(occurrence.run, finished)

    def ended(self, run: str, finished: RunFinished) -> None:
        """Call the hooks because this run has ended."""
        self._call(replace(self._notice(run), finished=finished))

    def _is_notified(self, finished: RunFinished) -> bool:
        """Whether the end is notified: of a run that changed something, in this process or an earlier one."""
        was_notified = self.action != "begins" and finished.outcome != "busy"
        return not self.request.dry_run and (self._has_begun or was_notified)

    def _notice(self, run: str) -> RunNotice:
        return RunNotice(run=run, request=self.request, operator=self.operator, action=self.action)

    def _call(self, notice: RunNotice) -> None:
        before, self._at_work = self._at_work, {}
        for name, hook in self.hooks.items():
            call = hook.begun if notice.finished is None else hook.ended
            after = [before[name]] if name in before else []
            self._at_work[name] = _in_background(partial(call, notice), after)
        wait(self._at_work.values(), timeout=self.limit_s)
        for name, result in self._at_work.items():
            self._report(name, result, notice)

    def _report(self, name: str, result: Future[str], notice: RunNotice) -> None:
        goes_on = "the run goes on" if notice.finished is None else "the run has ended as it says"
        if not result.done():
            _log.warning("%s: not done within %g s, and not waited for; %s", name, self.limit_s, goes_on)
        elif isinstance(error := result.exception(), HookError):
            _log.warning("%s: %s; %s", name, error, goes_on)
        elif error is not None:
            _log.warning("%s: a bug: %s; %s", name, type(error).__name__, goes_on)
            _log.debug("%s failed", name, exc_info=error)
        elif message := result.result():
            _log.warning("%s: %s", name, message)


def _in_background(call: Callable[[], str], after: Iterable[Future[str]]) -> Future[str]:
    """Call it in a thread that does not keep the process from ending, when those before it are over."""
    future: Future[str] = Future()

    def work() -> None:
        wait(after)
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # whoever waits for it is told
            future.set_exception(error)

    Thread(target=work, name="ferryman-hook", daemon=True).start()
    return future
