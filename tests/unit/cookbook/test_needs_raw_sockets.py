"""Whoever may not probe is refused when the plan is built, though the cookbook does not ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config
from ferryman.cookbook import Ferry, Plan, ProbesAnswered, cookbook, watch_over
from ferryman.errors import RefusedError
from ferryman.hosts.fake import FakeHosts
from ferryman.testing import FakeWorld, Is
from unit.cookbook.test_catalog_step import SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable


class WithoutRawSockets(Ferry):
    """As a process without CAP_NET_RAW has it; test_capability.py asks the kernel what that forbids."""

    def need_raw_sockets(self) -> None:
        raise RefusedError("it lacks CAP_NET_RAW")


CHANGE = Is(FakeWorld(), "a", "b")


@pytest.mark.parametrize(
    "plan",
    [
        lambda ferry: Plan([CHANGE, ProbesAnswered(ferry, SERVICE)]),
        lambda ferry: Plan([CHANGE], watch=watch_over(ferry, SERVICE)),
    ],
    ids=["after a change", "in the watch"],
)
def test_a_plan_that_probes_is_refused_before_it_runs(plan: Callable[[Ferry], Plan]) -> None:
    ferry = WithoutRawSockets(Config(file=Path("ferryman.toml")), FakeHosts())
    with pytest.raises(RefusedError, match="CAP_NET_RAW"):
        cookbook(plan).plan(ferry, {})


def test_a_plan_that_sends_none_needs_nothing() -> None:
    ferry = WithoutRawSockets(Config(file=Path("ferryman.toml")), FakeHosts())
    assert cookbook(lambda _: Plan([CHANGE])).plan(ferry, {}).steps == (CHANGE,)
