"""Polling and retrying with an end, in seconds or in tries: the only module that imports tenacity.

It is imported when something is waited for: a command that waits for nothing is done before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ferryman import waits

if TYPE_CHECKING:
    from collections.abc import Callable

    import tenacity

T = TypeVar("T")


def poll_until(
    look: Callable[[], T],
    good: Callable[[T], bool],
    *,
    within_s: float,
    every_s: float = 0.5,
    sleep: Callable[[float], None] = waits.sleep,
) -> T:
    """Look again and again until what is seen is good, or the time is up; the last thing seen either way.

    The caller judges what comes back: running out of time is no error here. The first look is made at once,
    and no look begins after ``within_s`` seconds. What ``look`` raises goes straight through.
    """
    import tenacity  # noqa: PLC0415  # only where something is waited for

    until = waits.monotonic() + within_s

    def is_over(state: tenacity.RetryCallState) -> bool:
        """Whether the next look would begin after that time; as ``tenacity.stop_before_delay``."""
        return waits.current().is_past(until - state.upcoming_sleep)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda seen: not good(seen)),
        stop=is_over,
        wait=tenacity.wait_fixed(every_s),
        sleep=_noted(sleep),
        retry_error_callback=_last_result,
    )
    return retrying(look)


def retry(
    action: Callable[[int], T],
    again: Callable[[T], bool],
    *,
    tries: int,
    pause_s: float = 0.0,
    sleep: Callable[[float], None] = waits.sleep,
) -> T:
    """Call ``action`` with the number of the try, from 0, while ``again`` says so and tries are left."""
    import tenacity  # noqa: PLC0415  # the same

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(again),
        stop=tenacity.stop_after_attempt(tries),
        wait=tenacity.wait_fixed(pause_s),
        sleep=_noted(sleep),
        retry_error_callback=_last_result,
    )
    number = iter(range(tries))
    return retrying(lambda: action(next(number)))


def _noted(sleep: Callable[[float], None]) -> Callable[[float], None]:
    """The same, which is noted as a wait whoever sleeps: the next look must see what is there by then."""

    def pause(seconds: float) -> None:
        waits.note_wait()
        sleep(seconds)

    return pause


def _last_result(state: tenacity.RetryCallState) -> T:  # type: ignore[type-var]  # tenacity hands back what look returned
    assert state.outcome is not None
    result: T = state.outcome.result()
    return result
