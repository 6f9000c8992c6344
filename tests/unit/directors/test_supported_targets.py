"""Every driver and every kind of target: what a driver cannot do it refuses before it asks anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.directors import DRIVERS, SetForwarding, SetScheduler, Target, driver_for
from ferryman.errors import RefusedError
from ferryman.hosts.fake import FakeHosts
from ferryman.model import Director, Forwarding, Role
from unit.directors.world import WEB, virtual

if TYPE_CHECKING:
    from ferryman.directors import Driver, Table


@dataclass(frozen=True, slots=True)
class SetWeight(Target):
    """A kind of target that an author of a cookbook may invent, and no driver knows."""

    weight: int

    def __str__(self) -> str:
        return f"weight {self.weight}"

    def apply(self, table: Table) -> Table:
        return table

    def copy_from(self, model: Table, table: Table) -> Table:
        del model
        return table

    def revert(self, before: Table, now: Table) -> Table:
        del before
        return now

    def matching(self, table: Table) -> list[str]:
        del table
        return []


MH = replace(WEB, virtual_services=(virtual("10.99.0.1", 80, "mh"), virtual("fd99::1", 80, "mh")))
COMMAND = {
    key: ["flip", "{service}", "{forwarding}", "{scheduler}", "{vip}"] for key in ("apply", "verify", "undo")
}
SETUPS: dict[str, tuple[str, dict[str, Any]]] = {
    "command": ("command", COMMAND),
    "command for forwarding": ("command", {key: ["flip", "{forwarding}"] for key in COMMAND}),
    "command for schedulers": ("command", {key: ["choose", "{scheduler}"] for key in COMMAND}),
    "ipvsadm": ("ipvsadm", {}),
    "keepalived": ("keepalived", {}),
    "liberica": ("liberica", {}),
    "liberica over katran": ("liberica", {"plane": "katran"}),
    "pybal": ("pybal", {}),
}
TARGETS: dict[str, Target] = {
    "tunnel": SetForwarding(Forwarding.TUNNEL),
    "direct": SetForwarding(Forwarding.DIRECT),
    "masquerade": SetForwarding(Forwarding.MASQUERADE),
    "mh": SetScheduler("mh", ("mh-port",)),
    "wrr": SetScheduler("wrr"),
    "no scheduler of IPVS": SetScheduler("fastest"),
    "an unknown kind": SetWeight(7),
}
BOTH, SCHEDULERS = {"tunnel", "direct"}, {"mh", "wrr"}
SUPPORTED = {
    "command": BOTH | SCHEDULERS,
    "command for forwarding": BOTH,
    "command for schedulers": SCHEDULERS,
    "ipvsadm": BOTH | SCHEDULERS,
    "keepalived": BOTH | SCHEDULERS,
    "liberica": {*BOTH, "mh"},
    "liberica over katran": {"tunnel", "mh"},
    "pybal": BOTH | SCHEDULERS,
}
EVERY = [(setup, target) for setup in SETUPS for target in TARGETS]


def driver(setup: str, hosts: FakeHosts) -> Driver:
    name, options = SETUPS[setup]
    return driver_for(Director("lvs1", Role.PRIMARY, name, options), MH, hosts)


def test_every_driver_is_among_those_that_are_tested() -> None:
    assert {name for name, _ in SETUPS.values()} == set(DRIVERS)


@pytest.mark.parametrize(("setup", "target"), EVERY)
def test_a_driver_says_which_targets_it_supports(setup: str, target: str) -> None:
    hosts = FakeHosts()
    assert driver(setup, hosts).supports(TARGETS[target]) == (target in SUPPORTED[setup])
    assert hosts.calls == []


@pytest.mark.parametrize(
    ("setup", "target"), [(setup, target) for setup, target in EVERY if target not in SUPPORTED[setup]]
)
def test_what_is_not_supported_is_refused_and_the_director_is_not_even_asked(setup: str, target: str) -> None:
    hosts = FakeHosts()
    unable, wanted = driver(setup, hosts), TARGETS[target]
    before: dict[str, Any] = {"table": [], "files": {}}
    for refuses in (lambda: unable.before(wanted), lambda: unable.apply(before, wanted)):
        with pytest.raises(RefusedError) as refused:
            refuses()
        subject = f"lvs1: driver {SETUPS[setup][0]} cannot make web {wanted}: "
        assert all(line.startswith(subject) for line in str(refused.value).splitlines())
    assert hosts.calls == []


@pytest.mark.parametrize(
    ("setup", "target", "said"),
    [
        ("pybal", "an unknown kind", "SetWeight is no kind of change that it knows"),
        ("keepalived", "masquerade", "only direct routing and IPIP are changed"),
        ("ipvsadm", "no scheduler of IPVS", "IPVS has no scheduler 'fastest', only rr, wrr"),
        ("liberica", "wrr", "liberica has no scheduler but mh"),
        ("liberica over katran", "direct", "its forwarding plane is katran, which has no direct routing"),
        ("command for forwarding", "mh", "apply: does not name {scheduler}, which is to be changed"),
    ],
)
def test_the_reason_is_what_the_driver_cannot_do(setup: str, target: str, said: str) -> None:
    (reason, *_) = driver(setup, FakeHosts()).unsupported(TARGETS[target])
    assert said in reason
