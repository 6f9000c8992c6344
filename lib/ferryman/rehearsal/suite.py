"""Many scenarios on several labs side by side."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
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
    waiting: deque[Scenario]
    tell: Tell
    results: dict[str, Result] = field(default_factory=dict)
    trouble: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self, open_stage: Callable[[], AbstractContextManager[Stage]]) -> None:
        """Play scenarios on one lab until none is left; what keeps the lab from being used ends all."""
        try:
            with open_stage() as stage:
                while not self.stop.is_set() and (scenario := self._next()) is not None:
                    self.results[scenario.name] = play(scenario, stage, self.tell, self.stop.is_set)
                    if self.waiting:
                        self._put_back(stage)
        except BaseException as error:  # noqa: BLE001  # a thread's error is raised by the one that waits for it
            if not (isinstance(error, KeyboardInterrupt) and self.stop.is_set()):
                self.trouble.append(error)
            self.stop.set()

    def _next(self) -> Scenario | None:
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

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
    suite = _Suite(deque(scenarios), tell)
    threads = [
        threading.Thread(target=suite.work, args=(open_stage,), name=f"lab {number}")
        for number in range(1, min(labs, len(scenarios)) + 1)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(_LOOK_EVERY_S)
    finally:
        suite.stop.set()
        for thread in threads:
            thread.join()
    if suite.trouble:
        raise suite.trouble[0]
    return [suite.results[scenario.name] for scenario in scenarios]
