"""Faults as they are named, kept and taken out; what they do is seen in the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.errors import LabError
from ferryman.lab import LabPaths, faults, topology
from ferryman.lab.faults import ActiveFault

if TYPE_CHECKING:
    from pathlib import Path


class Console:
    """Runs nothing; keeps what was asked of it, and fails on the host it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.broken: str | None = None

    def __call__(self, place: LabPaths, host: str, script: str) -> str:
        self.asked.append((host, script))
        if host == self.broken:
            raise LabError(f"{host}: console: no end after 30 s; is the lab up?")
        return ""


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    made = Console()
    monkeypatch.setattr("ferryman.lab.faults.inject.console", made)
    monkeypatch.setattr("ferryman.lab.faults.inject.topology_of", lambda place: topology.DEFAULT)
    return made


@pytest.fixture
def place(tmp_path: Path) -> LabPaths:
    made = LabPaths(tmp_path / "labs" / "0123456789ab")
    made.own.mkdir(parents=True)
    return made


def test_an_unknown_fault_is_refused_with_those_that_there_are(place: LabPaths, console: Console) -> None:
    for way in (lambda: faults.put(place, "gremlin"), lambda: faults.clear(place, "gremlin")):
        with pytest.raises(LabError, match="gremlin: is no fault of the lab; it has rp-filter-strict, "):
            way()
    assert console.asked == []


def test_a_fault_is_refused_on_a_host_that_it_does_not_fit(place: LabPaths, console: Console) -> None:
    with pytest.raises(LabError, match="pod-mtu-1500: does not fit web1; it fits node1, node2"):
        faults.put(place, "pod-mtu-1500", "web1")
    assert console.asked == []
    assert faults.active(place) == ()


def test_the_routers_sshd_cannot_be_taken_down_for_it_is_the_console() -> None:
    assert "rt" not in faults.FAULTS["sshd-down"].hosts(topology.DEFAULT)
    assert "rt" not in faults.FAULTS["host-key-changed"].hosts(topology.DEFAULT)


def test_a_fault_that_went_in_half_way_is_known_and_can_be_taken_out(
    place: LabPaths, console: Console
) -> None:
    console.broken = "web1"
    with pytest.raises(LabError, match="console"):
        faults.put(place, "ipip0-absent", "web1")
    assert faults.active(place) == (ActiveFault("ipip0-absent", "web1"),)
    console.broken = None
    assert faults.clear(place) == (ActiveFault("ipip0-absent", "web1"),)
    assert faults.active(place) == ()


def test_a_fault_that_cannot_be_taken_out_is_still_in(place: LabPaths, console: Console) -> None:
    faults.put(place, "ipip0-down", "web1")
    faults.put(place, "ipip0-down", "web2")
    console.broken = "web1"
    with pytest.raises(LabError):
        faults.clear(place)
    assert faults.active(place) == (ActiveFault("ipip0-down", "web1"),)


def test_a_fault_is_put_once_into_the_first_host_that_it_fits(place: LabPaths, console: Console) -> None:
    assert faults.put(place, "pod-mtu-1500") == ActiveFault("pod-mtu-1500", "node1")
    assert faults.put(place, "pod-mtu-1500", "node1") == ActiveFault("pod-mtu-1500", "node1")
    assert len(console.asked) == 1
    assert str(faults.active(place)[0]) == "pod-mtu-1500 on node1"


def test_faults_are_taken_out_in_reverse_by_name_or_host_or_all(place: LabPaths, console: Console) -> None:
    for name, host in (("ipip0-down", "web1"), ("ipip0-absent", "web1"), ("ipip0-down", "web2")):
        faults.put(place, name, host)
    assert faults.clear(place, "ipip0-down", "web2") == (ActiveFault("ipip0-down", "web2"),)
    assert [fault.name for fault in faults.clear(place)] == ["ipip0-absent", "ipip0-down"]
    assert faults.clear(place) == ()


def test_a_fault_that_fits_no_host_of_the_lab_is_refused(
    place: LabPaths, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = topology.from_data(
        {
            "directors": [{"name": "lb1", "role": "primary"}],
            "realservers": [{"name": "web1"}],
            "services": [{"name": "web", "port": 80}],
        }
    )
    monkeypatch.setattr("ferryman.lab.faults.inject.topology_of", lambda place: alone)
    unfit = {fault.name for fault in faults.ALL if not fault.hosts(alone)}
    assert {"pod-mtu-1500", "dnat-missing"} <= unfit, "there are no nodes"
    assert {"ipvs-weight", "ipvs-absent"} <= unfit, "no service is ipvsadm's"
    assert {"firewall-one-director", "breaks-in-soak", "ipip0-for-one-director"} <= unfit, "no secondary"
    assert {"clamp-old-list", "vip-missing-ipv6"} <= unfit, "there is one service alone, without IPv6"
    for name in unfit:
        with pytest.raises(LabError, match=f"{name}: fits no host of the lab that is up"):
            faults.put(place, name)
    for fault in faults.ALL:
        for name in fault.hosts(alone):
            assert fault.put(alone, alone.by_name[name]) != fault.clear(alone, alone.by_name[name])
    assert console.asked == []


@pytest.mark.parametrize("fault", faults.ALL, ids=lambda fault: fault.name)
def test_every_fault_has_a_sentence_and_scripts_for_each_host_it_fits(fault: faults.Fault) -> None:
    assert len(fault.description) > 20
    lab = topology.DEFAULT
    assert fault.hosts(lab)
    for name in fault.hosts(lab):
        host = lab.by_name[name]
        put, clear = fault.put(lab, host), fault.clear(lab, host)
        assert put.strip()
        assert clear.strip()
        assert put != clear
