"""Probes against the lab's own kernel: ipip, ip6tnl, servers that clamp, nodes with pods."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ferryman.lab import LabPaths, console, exec_argv, topology

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

PROBE = """
import json, sys
from ipaddress import ip_address
from ferryman.config import ProbeConfig
from ferryman.model import VirtualService
from ferryman.probe import Prober, Target, mss_limit, own_source
targets = []
own = "own" in sys.argv
for host, address, vip, port in json.load(sys.stdin):
    virtual = VirtualService("web", "default", "tcp", ip_address(vip), port, "wrr")
    outer = ip_address(address)
    limit = mss_limit(ip_address(vip), outer)
    targets.append(Target(host, virtual, outer, limit, own_source(outer) if own else None))
results = Prober(ProbeConfig(timeout=0.5, tries=2, backoff=1)).probe(targets, lambda _: None)
print(json.dumps([[one.host, one.verdict.value, one.mss, one.detail] for one in results]))
"""

Question = tuple[str, str, str, int]
WEB1: Question = ("web1", "10.10.0.21", "10.99.0.1", 80)
WEB1_6: Question = ("web1", "fd10::21", "fd99::1", 80)
NODE1: Question = ("node1", "10.10.0.31", "10.99.0.4", 30443)
DIRECTOR: Question = ("lvs1", "10.10.0.11", "10.99.0.1", 80)
NOWHERE: Question = ("gone", "10.10.0.99", "10.99.0.1", 80)
EVERYBODY: list[Question] = [
    *(("web", f"10.10.0.{last}", "10.99.0.1", 80) for last in (21, 22, 23)),
    *(("web", f"fd10::{last}", "fd99::1", 80) for last in (21, 22, 23)),
    *(("web", f"10.10.0.{last}", "10.99.0.2", 8080) for last in (21, 22, 23)),
    *(("web", f"10.10.0.{last}", "10.99.0.3", 8081) for last in (21, 22, 23)),
    *(("node", f"10.10.0.{last}", "10.99.0.4", 30443) for last in (31, 32)),
    *(("web", f"10.10.0.{last}", "10.99.0.5", 9200) for last in (21, 22, 23)),
]


@pytest.fixture
def place(lab: Any) -> LabPaths:  # noqa: ANN401  # the lab as the shared fixture hands it out
    found = lab if isinstance(lab, LabPaths) else lab.place
    assert isinstance(found, LabPaths)
    return found


def probed(
    place: LabPaths, *questions: Question, outer_source: Literal["configured", "own"] = "configured"
) -> list[tuple[str, str, int | None, str]]:
    """Probe from the control host, in a process of its own: entering the lab cannot be undone."""
    command = exec_argv(place, "control", [sys.executable, "-c", PROBE, outer_source])
    library = str(Path(__file__).parents[2] / "lib")
    done = subprocess.run(
        command,
        input=json.dumps(questions),
        env={**os.environ, "PYTHONPATH": library},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [(host, verdict, mss, detail) for host, verdict, mss, detail in json.loads(done.stdout)]


@contextmanager
def with_fault(place: LabPaths, host: str, put: str, clear: str) -> Iterator[None]:
    console(place, host, put)
    try:
        yield
    finally:
        console(place, host, clear)


def half_open(place: LabPaths, host: str) -> list[str]:
    """Connections half open towards the control host; the directors' health checks are none of ours."""
    lines = console(place, host, "ss -Htan state syn-recv").splitlines()
    return [line for line in lines if "10.30.0." in line or "fd30:" in line]


def set_rp_filter(value: int) -> str:
    return f"echo {value} >/proc/sys/net/ipv4/conf/ipip0/rp_filter"


def test_strict_rp_filter_on_the_tunnel_is_silent_for_ipv4_alone(place: LabPaths) -> None:
    with with_fault(place, "web1", set_rp_filter(1), set_rp_filter(0)):
        four, six = probed(place, WEB1, WEB1_6)
    assert four[1] == "silent"
    assert "look at rp_filter" in four[3]
    assert six[1] == "accepted"


def test_a_tunnel_device_that_is_down_is_silent_and_to_our_own_source_that_none_takes_it(
    place: LabPaths,
) -> None:
    down, up = (
        "; ".join(f"ip link set {device} {state}" for device in ("ipip0", "ipip60"))
        for state in ("down", "up")
    )
    with with_fault(place, "web1", down, up):
        katrans = probed(place, WEB1, WEB1_6)
        own = probed(place, WEB1, WEB1_6, outer_source="own")
    assert [verdict for _, verdict, _, _ in katrans] == ["silent", "silent"]
    assert [verdict for _, verdict, _, _ in own] == ["unreachable", "unreachable"]
    assert all("no tunnel device takes it" in detail for *_, detail in own)


def test_a_director_that_is_asked_by_mistake_has_no_tunnel_device(place: LabPaths) -> None:
    [(_, verdict, _, detail)] = probed(place, DIRECTOR, outer_source="own")
    assert verdict == "unreachable"
    assert "no tunnel device takes it" in detail


def test_an_address_that_nobody_has_is_silent(place: LabPaths) -> None:
    [(_, verdict, _, _)] = probed(place, NOWHERE)
    assert verdict == "silent"


def test_a_server_without_its_clamp_is_unsuitable_in_both_families(place: LabPaths) -> None:
    without = "iptables-legacy -t mangle -F OUTPUT; ip6tables-legacy -t mangle -F OUTPUT"
    again = "iptables-legacy-restore /lab/web1/iptables; ip6tables-legacy-restore /lab/web1/ip6tables"
    with with_fault(place, "web1", without, again):
        results = probed(place, WEB1, WEB1_6)
    assert [(verdict, mss) for _, verdict, mss, _ in results] == [("unsuitable", 1460), ("unsuitable", 1440)]


def test_a_firewall_that_drops_the_directors_source_lets_our_own_through(place: LabPaths) -> None:
    rule = "INPUT -p 4 -s 172.16.0.0/12 -j DROP"
    with with_fault(place, "web1", f"iptables-legacy -I {rule}", f"iptables-legacy -D {rule}"):
        [katrans], [own] = probed(place, WEB1), probed(place, WEB1, outer_source="own")
    assert (katrans[1], own[1]) == ("silent", "accepted")


def test_a_firewall_that_rejects_what_comes_out_of_the_tunnel_is_unreachable(place: LabPaths) -> None:
    rule = "INPUT -i ipip0 -p tcp -j REJECT"
    with with_fault(place, "web1", f"iptables-legacy -I {rule}", f"iptables-legacy -D {rule}"):
        [(_, verdict, _, detail)] = probed(place, WEB1)
    assert verdict == "unreachable"
    assert "a firewall rejects it" in detail


def test_a_port_that_nobody_listens_on_is_refused(place: LabPaths) -> None:
    [(_, verdict, _, _)] = probed(place, ("web1", "10.10.0.21", "10.99.0.1", 99))
    assert verdict == "refused"


def test_every_realserver_of_a_sound_lab_is_accepted_with_an_mss_that_fits(place: LabPaths) -> None:
    results = probed(place, *EVERYBODY)
    assert {verdict for _, verdict, _, _ in results} == {"accepted"}
    assert {(host, mss) for host, _, mss, _ in results} == {("web", 1440), ("web", 1400), ("node", 1420)}


def test_nothing_stays_half_open_at_servers_or_behind_nodes(place: LabPaths) -> None:
    probed(place, WEB1, WEB1_6, NODE1)
    ends = ["web1", *(pod.name for pod in topology.DEFAULT.pods if pod.node == "node1")]
    assert {end: half_open(place, end) for end in ends} == {end: [] for end in ends}
    rollback = "OUTPUT -p tcp --sport 80 -d 10.30.0.0/24 -j DROP"
    with with_fault(place, "web1", f"iptables-legacy -I {rollback}", f"iptables-legacy -D {rollback}"):
        [(_, verdict, _, _)] = probed(place, WEB1)
    assert verdict == "silent"
    assert half_open(place, "web1") == []
