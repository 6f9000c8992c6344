"""Many scenarios on several labs side by side."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ferryman.rehearsal.play import play

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ferryman.rehearsal.reading import Scenario
    from ferryman.rehearsal.results import Result, Tell
    from ferryman.rehearsal.stage import Stage

_LOOK_EVERY_S = 0.2


@dataclass(slots=True)
class _Suite:
    waiting: list[Scenario]
    tell: Tell
    results: dict[str, Result] = field(default_factory=dict)
    trouble: list[BaseException] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    finished: SimpleQueue[None] = field(default_factory=SimpleQueue)
    """One for each worker that has ended: a ``join`` that a signal interrupts takes a thread for ended."""

    def work(self, open_stage: Callable[[], AbstractContextManager[Stage]]) -> None:
        """Play scenarios on one lab until none is left; what keeps the lab from being used ends all."""
        try:
            with open_stage() as stage:
                while not self.stop.is_set() and (scenario := self._next(stage)) is not None:
                    self.results[scenario.name] = play(scenario, stage, self.tell, self.stop.is_set)
                    if self.waiting:
                        self._put_back(stage)
        except BaseException as error:  # noqa: BLE001  # a thread's error is raised by the one that waits for it
            if not (isinstance(error, KeyboardInterrupt) and self.stop.is_set()):
                self.trouble.append(error)
            self.stop.set()
        finally:
            self.finished.put(None)

    def _next(self, stage: Stage) -> Scenario | None:
        """The next scenario that wants a lab like this one, else the next of all; None when there is none."""
        with self.lock:
            fitting = (scenario for scenario in self.waiting if scenario.topology == stage.topology)
            found = next(fitting, self.waiting[0] if self.waiting else None)
            if found is not None:
                self.waiting.remove(found)
            return found

    def _put_back(self, stage: Stage) -> None:
        if left := stage.put_back():
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            self.tell(stage.name, f"is booted anew, for it is not as it was: {left[0]}{more}")


def rehearse(
    scenarios: Sequence[Scenario],
    open_stage: Callable[[], AbstractContextManager[Stage]],
    *,
    labs: int,
    tell: Tell,
) -> list[Result]:
    """Play all scenarios on so many labs; the results in the scenarios' order.

    When it is interrupted, every run that is under way is killed and every lab is taken down first.
    """
    suite = _Suite(list(scenarios), tell)
    threads = [
        threading.Thread(target=suite.work, args=(open_stage,), name=f"lab {number}")
        for number in range(1, min(labs, len(scenarios)) + 1)
    ]
    ended = 0
    try:
        for thread in threads:
            thread.start()
        while ended < len(threads):
            with suppress(Empty):
                suite.finished.get(timeout=_LOOK_EVERY_S)
                ended += 1
    finally:
        suite.stop.set()
        while ended < sum(thread.ident is not None for thread in threads):
            suite.finished.get()
            ended += 1
    if suite.trouble:
        raise suite.trouble[0]
    return [suite.results[scenario.name] for scenario in scenarios]
