"""What a plan is, and when two are the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from ferryman.engine.plan import Plan
from ferryman.engine.steps import Look, Report
from ferryman.model import Kind, Realserver
from ferryman.testing import Becomes, FakeWorld, Is

if TYPE_CHECKING:
    from collections.abc import Sequence


class Tool:
    """Something with a state and an address in memory."""


@dataclass(frozen=True)
class Service:
    name: str
    encapsulated: bool = field(metadata={"observed": True})
    realservers: tuple[Realserver, ...] = ()


@dataclass(frozen=True)
class Ready(Look):
    """{service.name} is ready."""

    service: Service
    tool: Tool = field(default_factory=Tool)
    options: dict[str, object] = field(default_factory=dict)

    def look(self, report: Report) -> None:
        """Do nothing: a plan is built, not run."""


@dataclass(frozen=True)
class Untitled(Look):
    key: str = "a"

    def look(self, report: Report) -> None:
        """Do nothing: a plan is built, not run."""


class Blank(Look):
    """ """

    def look(self, report: Report) -> None:
        """Do nothing: a plan is built, not run."""


@dataclass(frozen=True)
class Wrong(Look):
    """{no_such_field} is ready."""

    def look(self, report: Report) -> None:
        """Do nothing: a plan is built, not run."""


class Heir(Is):
    def another(self) -> None: ...


def web(*hosts: str, encapsulated: bool = False) -> Service:
    servers = [Realserver(host, Kind.SERVER, IPv4Address("10.0.0.1"), None) for host in hosts]
    return Service("web", encapsulated, tuple(servers))


def ready(service: Service, locks: Sequence[str] = ("web",)) -> Plan:
    return Plan([Ready(service)], locks)


@pytest.mark.parametrize("step", [Untitled(), Blank()])
def test_a_step_without_a_title_makes_no_plan(step: Look) -> None:
    with pytest.raises(ValueError, match=rf"{type(step).__name__}: .*title"):
        Plan([step])


def test_a_title_that_names_a_field_the_step_lacks_makes_no_plan() -> None:
    with pytest.raises(AttributeError, match="no_such_field"):
        Plan([Wrong()])


def test_a_plan_without_steps_is_none() -> None:
    with pytest.raises(ValueError, match="one step at least"):
        Plan([])


def test_a_subclass_may_inherit_its_title() -> None:
    assert Plan([Heir(FakeWorld(), "a", "b")]).titles == ("a is b",)


def test_titles_are_filled_with_the_fields() -> None:
    assert Plan([Becomes(FakeWorld(), "flag", "on")]).titles == ("flag becomes on",)


def test_locks_are_taken_once_and_in_one_order() -> None:
    assert Plan([Ready(web())], ["b", "a", "b"]).locks == ("a", "b")


def test_the_same_plan_built_twice_has_the_same_fingerprint() -> None:
    assert ready(web("web1")).fingerprint == ready(web("web1")).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        ready(web("web2")),
        ready(web("web1", "web2")),
        ready(web("web1"), ["other"]),
        Plan([Ready(web("web1")), Ready(web("web1"))], ["web"]),
        Plan([Ready(web("web1"), options={"weight": 2})], ["web"]),
    ],
)
def test_other_hosts_locks_options_or_steps_are_another_plan(other: Plan) -> None:
    assert other.fingerprint != ready(web("web1")).fingerprint


def test_a_field_that_mirrors_the_world_now_does_not_make_another_plan() -> None:
    assert ready(web("web1", encapsulated=True)).fingerprint == ready(web("web1")).fingerprint


def test_tools_do_not_count_wherever_they_hide() -> None:
    with_tool = Plan([Ready(web("web1"), options={"tool": Tool()})], ["web"])

    assert with_tool.fingerprint == ready(web("web1")).fingerprint
