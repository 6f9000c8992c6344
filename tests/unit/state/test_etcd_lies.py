"""A cluster that answers any request wrongly, once or from then on: the run goes back, or says how it is."""

from __future__ import annotations

from itertools import cycle, product
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine.runner import Runner
from ferryman.errors import JournalError
from ferryman.state import RunRequest
from ferryman.testing import Cut, Cuts, FakeWorld, Harness
from unit.engine.wrong import ERRORS, OLD, LastingCuts, Trial, plan, raising
from unit.state.etcd_in_memory import ControlHost, InsteadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.testing import When

REQUEST = RunRequest(cookbook="test", operator="tester")
BOTH: tuple[When, ...] = ("before", "after")
ENDS = pytest.mark.parametrize("fails", [False, True], ids=["a sound run", "a run that goes back"])
LASTING = pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
HEADER = {"header": {"revision": "7"}}
LIES: dict[str, Any] = {
    "a list": [],
    "null": None,
    "an empty object": {},
    "a text": "ok",
    "a number": 5,
    "no header": {"succeeded": True, "kvs": []},
    "a header that is a list": {"header": []},
    "a revision that is a word": {"header": {"revision": "many"}, "succeeded": True},
    "a revision that is huge": {"header": {"revision": "9" * 5000}, "succeeded": True},
    "a revision of 0": {"header": {"revision": "0"}, "succeeded": True},
    "nothing is there": HEADER,
    "it is written": {**HEADER, "succeeded": True, "ID": "5"},
    "keys that are none": {**HEADER, "kvs": [{"key": "AA==", "value": "!", "mod_revision": []}]},
    "keys that are an object": {**HEADER, "kvs": {"key": 1}},
    "a row that is no row": {
        **HEADER,
        "kvs": [{"key": "L3g=", "value": "W10=", "create_revision": "7", "mod_revision": "7"}],
    },
}


def lying(name: str) -> Callable[[], None]:
    def fault() -> None:
        raise InsteadError(LIES[name])

    return fault


def out_of_reach() -> None:
    raise JournalError("no member answers")


FAULTS: dict[str, Callable[[], None]] = {
    **{name: lying(name) for name in LIES},
    **{name: raising(name) for name in ERRORS},
    "out of reach": out_of_reach,
}


def requests(*, fails: bool) -> int:
    """How many requests a run makes when nothing goes wrong."""
    cuts = Cuts()
    Runner(store=ControlHost().store(cuts)).perform(REQUEST, plan(FakeWorld(None, **OLD), fails=fails))
    return cuts.calls


@ENDS
@LASTING
def test_every_request_of_a_run_may_be_answered_wrongly(lasting: bool, fails: bool) -> None:
    """Each with one of the faults, in turn."""
    for (at, when), name in zip(product(range(requests(fails=fails)), BOTH), cycle(FAULTS)):
        try_request(at, when, name, lasting=lasting, fails=fails)


@pytest.mark.extended
@ENDS
@LASTING
@pytest.mark.parametrize("name", FAULTS)
def test_every_request_of_a_run_may_be_answered_wrongly_in_every_way(
    name: str, lasting: bool, fails: bool
) -> None:
    for at, when in product(range(requests(fails=fails)), BOTH):
        try_request(at, when, name, lasting=lasting, fails=fails)


def try_request(at: int, when: When, name: str, *, lasting: bool, fails: bool) -> None:
    trial, host, harness = Trial(f"{name} {when} request {at}"), ControlHost(), Harness()
    cuts = (LastingCuts if lasting else Cuts)(Cut(at, when, FAULTS[name]))
    runner = Runner(store=host.store(cuts), subscribers=[harness.events.append])
    scene = plan(trial.world, fails=fails)
    if trial.expect(lambda: runner.perform(REQUEST, scene), harness) is None:
        return
    host.etcd.end_lease()
    onlooker = host.store()
    if not onlooker.runs():  # who lies from the first request on, and always the same, cannot be found out
        assert (lasting, name) == (True, "it is written"), trial.name
        return
    run = onlooker.runs()[0]
    if run.is_open:
        closed = Runner(store=host.store()).roll_back(run.id, scene)
        assert (closed.outcome, trial.world.values) == ("rolled-back", OLD), f"{trial.name}: {closed.reason}"
    assert onlooker.locks() == [], trial.name
