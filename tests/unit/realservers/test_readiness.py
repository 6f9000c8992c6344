from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.errors import UnknownOutcomeError
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.model import Kind, MssStrategy, Realserver, Service, Verdict
from ferryman.realservers.checks import realserver_checks, service_readiness
from ferryman.realservers.facts.parse import parse

if TYPE_CHECKING:
    from collections.abc import Callable

WEB = ("10.99.0.1:80", "fd99::1:80")
INGRESS = ("10.99.0.4:30443",)

RECORDED = ("192.0.2.1:80",)
LAX = {"rp-filter-default warn", "rp-filter-pods warn", "pod-mtu warn"}
OPEN = {"open-decapsulator warn"}
"""None of these hosts limits who may send it encapsulated packets."""
UNCLAMPED = {"mss warn"}
NO_DEVICES = {
    f"{check} unknown" for check in ("tunnel-device", "tunnel-others", "tunnel-address", "vip", "nic-mtu")
}
PODS_UNSEEN = {"pod-mtu warn"}

SEEN = {
    "bullseye-plain": (WEB, Kind.SERVER, UNCLAMPED | OPEN),
    "lab-web-healthy": (WEB, Kind.SERVER, OPEN),
    "lab-web-strict": (WEB, Kind.SERVER, {"rp-filter fail"} | OPEN),
    "lab-web-down": (WEB, Kind.SERVER, {"tunnel-device fail", "vip fail"} | OPEN),
    "lab-web-tunl0": (WEB, Kind.SERVER, {"tunnel-device warn", "tunnel-address warn"} | OPEN),
    "bookworm-namespace": (
        WEB,
        Kind.SERVER,
        {"tunnel-device fail", "rp-filter fail", "listener fail", "arp warn"} | UNCLAMPED | OPEN,
    ),
    "trixie-loose-without-address": (
        WEB,
        Kind.SERVER,
        {"tunnel-address fail", "rp-filter-persisted fail", "sysctl-order warn"} | UNCLAMPED | OPEN,
    ),
    "xenial-without-json": (
        WEB,
        Kind.SERVER,
        {"rp-filter fail", "listener fail"} | NO_DEVICES | UNCLAMPED | OPEN,
    ),
    "debian-13-busybox": (
        RECORDED,
        Kind.KUBERNETES,
        {"firewall unknown", "rp-filter-default warn", "pod-mtu warn", "rp-filter-pods warn"} | NO_DEVICES,
    ),
    "debian-11": (RECORDED, Kind.KUBERNETES, {"tunnel-device fail"} | LAX | OPEN),
    "debian-13": (RECORDED, Kind.KUBERNETES, {"tunnel-device fail"} | LAX | OPEN),
    "debian-sid": (RECORDED, Kind.KUBERNETES, {"tunnel-device fail"} | LAX | OPEN),
    "refused": (
        WEB,
        Kind.SERVER,
        {"rp-filter unknown", "rp-filter-persisted unknown", "firewall unknown", "listener unknown"}
        | NO_DEVICES
        | UNCLAMPED,
    ),
    "lab-node-healthy": (INGRESS, Kind.KUBERNETES, OPEN),
    "node-kube-proxy-iptables": (INGRESS, Kind.KUBERNETES, PODS_UNSEEN | OPEN),
    "node-kube-proxy-nft": (INGRESS, Kind.KUBERNETES, PODS_UNSEEN | OPEN),
    "node-kube-proxy-ipvs": (INGRESS, Kind.KUBERNETES, PODS_UNSEEN | OPEN),
    "node-cilium": (
        INGRESS,
        Kind.KUBERNETES,
        {
            "tunnel-device fail",
            "tunnel-others fail",
            "tunnel-address warn",
            "rp-filter-default warn",
            "vip warn",
        }
        | PODS_UNSEEN
        | OPEN,
    ),
    "unprivileged": (INGRESS, Kind.KUBERNETES, {"vip unknown", "firewall unknown"} | PODS_UNSEEN),
}
"""What is to be seen in each recorded or composed answer, beyond what passes or is skipped."""


@pytest.mark.parametrize("name", SEEN)
def test_each_recorded_answer_is_judged_as_it_should_be(
    name: str, case: Callable[[str], str], service_of: Callable[..., Service]
) -> None:
    places, kind, wanted = SEEN[name]
    strategy = MssStrategy.POD_MTU if kind is Kind.KUBERNETES else MssStrategy.CLAMP
    realserver = Realserver("rs1", kind, None, None, mss=strategy)
    found = realserver_checks(service_of(*places), realserver, parse("rs1", case(name)))
    fine = (Verdict.PASS, Verdict.SKIP)
    assert {
        f"{finding.check} {finding.verdict.value}" for finding in found if finding.verdict not in fine
    } == wanted


def test_a_host_that_could_not_be_asked_is_unknown_and_the_others_are_judged(
    case: Callable[[str], str], service_of: Callable[..., Service]
) -> None:
    hosts = FakeHosts()
    hosts.answer("*", ReadFacts, Printed(case("bullseye-plain")))
    hosts.down("web2", UnknownOutcomeError("web2: run: no end within 30 s"))
    servers = tuple(Realserver(name, Kind.SERVER, None, None) for name in ("web1", "web2", "web3"))
    found = service_readiness(service_of("10.99.0.1:80", realservers=servers), hosts)
    (lost,) = [finding for finding in found if finding.host == "web2"]
    assert (lost.check, lost.verdict, lost.seen) == ("reachable", Verdict.UNKNOWN, "run: no end within 30 s")
    assert not any(finding.verdict.stops for finding in found if finding.host != "web2")
    assert list(dict.fromkeys(finding.host for finding in found)) == ["web1", "web2", "web3"]


def test_every_host_is_asked_once_and_nothing_is_written(
    case: Callable[[str], str], service_of: Callable[..., Service], server: Realserver, node: Realserver
) -> None:
    hosts = FakeHosts(dry_run=True)
    hosts.answer("*", ReadFacts, Printed(case("bullseye-plain")))
    service_readiness(service_of(*WEB, realservers=(server, node)), hosts)
    assert [call.host for call in hosts.calls] == ["web1", "node1"]


def test_a_host_that_does_not_run_the_script_says_so_in_every_finding(
    service_of: Callable[..., Service], server: Realserver
) -> None:
    hosts = FakeHosts()
    hosts.answer("web1", ReadFacts, Printed(stderr="sh: permission denied", status=126))
    found = service_readiness(service_of("10.99.0.1:80", realservers=(server,)), hosts)
    unknown = [finding for finding in found if finding.verdict is Verdict.UNKNOWN]
    assert len(unknown) > 5
    assert all("sh: permission denied" in finding.seen for finding in unknown)
    assert not any(finding.verdict is Verdict.PASS for finding in found)
