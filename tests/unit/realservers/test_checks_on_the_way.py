"""What drops a packet before the tunnel device, or its answer behind it: filters, routes, VRFs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_interface
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.model import Director, Kind, Role
from ferryman.realservers.checks import realserver_checks
from ferryman.realservers.checks.lookups import lookups_for
from ferryman.realservers.checks.rp_filter_outer import outer_sources_known
from ferryman.realservers.facts import Device, Facts, Listener, Unknown
from ferryman.realservers.facts.early import filters_of
from ferryman.realservers.facts.parse import parse
from ferryman.realservers.facts.routing import Lookup, NoRoute, Route, Routing
from unit.realservers.rows import (
    ETH0,
    FAIL,
    IPIP0,
    LO,
    NO,
    PASS,
    SKIP,
    V4,
    V6,
    WARN,
    Row,
    assert_says,
    facts,
    gone,
    judge,
    realserver_of,
)
from unit.realservers.test_tc_filters import PROTOCOL_4, other, shown, u32

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.model import Address, Finding, Service
    from ferryman.realservers.facts.early import Way

OWN, SOURCE, VIP, CLIENT = map(ip_address, ("10.10.0.21", "10.10.0.11", "192.0.2.1", "9.9.9.9"))
FAR = ip_address("172.16.0.1")
BACK = Lookup(SOURCE, OWN)
BY_ETH0, BY_ETH1 = Route("10.10.0.0/24", ("eth0",)), Route("10.10.0.11", ("eth1",))
BOTH = Route("10.10.0.11", ("eth0", "eth1"))
MARKS = {4: ({"priority": 7, "fwmark": "0x1"},)}


def routed(
    found: Route | NoRoute | None,
    *devices: Device,
    source: Address = SOURCE,
    rp: int = 0,
    **other: Any,  # noqa: ANN401  # fields of Facts
) -> Facts:
    """A host whose route back to an outer source is this one, and whose eth0 filters so."""
    answers = {} if found is None else {Lookup(source, OWN): found}
    routing = Routing(
        answers, other.pop("rules", {}), other.pop("switches", {}), read=other.pop("read", True)
    )
    return facts(*devices, rp={"eth0": rp, **other.pop("also", {})}, routing=routing, **other)


def from_sources(service: Service, *sources: Address, host: str = "lvs1") -> Service:
    senders = tuple(Director(host, Role.PRIMARY, "ipvsadm", outer_sources=(each,)) for each in sources)
    return replace(service, directors=senders)


STRICT = {
    "another device, strict": Row(
        routed(BY_ETH1, rp=1),
        FAIL,
        "the outer source 10.10.0.11 is by eth1: eth0 drops it",
        "eth0.rp_filter=2",
    ),
    "another device, and all is strict": Row(routed(BY_ETH1, also={"all": 1}), FAIL, "1 is in force on eth0"),
    "no route at all, strict": Row(
        routed(NoRoute("Network is unreachable"), rp=1), FAIL, "no route leads back"
    ),
    "no route at all, loose": Row(
        routed(NoRoute("No route to host"), rp=2), FAIL, "2 is in force on eth0", "eth0.rp_filter=0"
    ),
    "a blackhole, loose": Row(routed(NoRoute("Invalid argument"), rp=2), FAIL, "(Invalid argument)"),
    "its own address": Row(routed(Route("10.10.0.11", ("lo",), "local")), FAIL, "is local on this host"),
    "a broadcast address": Row(routed(Route("10.10.0.11", ("eth0",), "broadcast")), FAIL, "is broadcast"),
    "another device, off": Row(routed(BY_ETH1), PASS, "no filter is in force"),
    "no route, off": Row(routed(NoRoute("Network is unreachable")), PASS, "no filter is in force"),
    "looks wrong, is right: strict, by the same device": Row(routed(BY_ETH0, rp=1), PASS, "is by eth0"),
    "looks wrong, is right: strict, and one of two next hops": Row(routed(BOTH, rp=1), PASS, "is by eth0"),
    "looks wrong, is right: another device, loose": Row(routed(BY_ETH1, rp=2), PASS, "loose"),
    "looks wrong, is right: all strict, eth0 loose": Row(
        routed(BY_ETH1, rp=2, also={"all": 1}), PASS, "loose"
    ),
    "looks wrong, is right: only the device below a bond is strict": Row(
        routed(
            Route("d", ("bond0",)),
            Device("bond0", "bond", up=True, addresses=ETH0.addresses),
            Device("eth0", up=True, master="bond0"),
            rp=1,
            also={"bond0": 0},
        ),
        PASS,
    ),
    "a bond, strict": Row(
        routed(
            BY_ETH1,
            Device("bond0", "bond", up=True, addresses=ETH0.addresses),
            Device("eth0", up=True, master="bond0"),
            also={"bond0": 1},
        ),
        FAIL,
        "bond0 drops it",
    ),
    "a VLAN, strict": Row(
        routed(
            BY_ETH1,
            Device("eth0.7", "vlan", up=True, addresses=ETH0.addresses, link="eth0"),
            Device("eth0", up=True),
            also={"eth0.7": 1},
        ),
        FAIL,
        "eth0.7 drops it",
        "net.ipv4.conf.eth0/7.rp_filter=2",
    ),
    "looks wrong, is right: accept_local": Row(
        routed(Route("10.10.0.11", ("lo",), "local"), switches={("accept_local", "eth0"): 1}), PASS
    ),
    "looks wrong, is right: the address is on lo, and packets come in by whatever is routed": Row(
        routed(
            BY_ETH1,
            replace(LO, addresses=(*LO.addresses, ip_interface("10.10.0.21/32"))),
            gone("eth0"),
            also={"all": 1},
        ),
        PASS,
    ),
    "a mark may route it otherwise": Row(
        routed(BY_ETH1, rp=1, rules=MARKS, switches={("src_valid_mark", "eth0"): 1}), SKIP, "ip rule 7"
    ),
    "looks unclear, is not: marks do not count here": Row(routed(BY_ETH1, rp=1, rules=MARKS), FAIL),
    "a rule by protocol": Row(
        routed(BY_ETH1, rp=1, rules={4: ({"priority": 9, "ipproto": "ipencap"},)}), SKIP, "ip rule 9"
    ),
    "eth0 is in a VRF": Row(
        routed(BY_ETH1, replace(ETH0, master="red"), Device("red", "vrf", up=True), rp=1), SKIP, "VRF red"
    ),
    "the route could not be read": Row(routed(None, rp=1), SKIP, "could not be read"),
    "the settings could not be read": Row(routed(BY_ETH1, settings=NO), SKIP, "could not be read"),
    "devices could not be read": Row(routed(BY_ETH1, devices=NO, rp=1), SKIP, "could not be read"),
    "IPv6 alone": Row(routed(BY_ETH1, rp=1), SKIP, "no rp_filter", vips=(V6,)),
}


@pytest.mark.parametrize("row", STRICT.values(), ids=STRICT)
def test_the_nic_s_own_reverse_path_filter(row: Row, service_of: Callable[..., Service]) -> None:
    def from_one(*places: str, **more: Any) -> Service:  # noqa: ANN401  # as the fixture takes it
        return from_sources(service_of(*places, **more), SOURCE)

    assert_says(judge("rp-filter-outer", row, from_one), row)


def of_sources(seen: Facts, service: Service) -> list[Finding]:
    server = realserver_of(Row(seen, PASS))
    return [each for each in realserver_checks(service, server, seen) if each.check == "rp-filter-outer"]


def test_a_director_beyond_a_router_may_come_in_elsewhere(service_of: Callable[..., Service]) -> None:
    service = from_sources(service_of(V4), FAR)
    (found,) = of_sources(routed(Route("172.16.0.0/12", ("eth1",)), source=FAR, rp=1), service)
    assert found.verdict is WARN
    assert "172.16.0.1 is by eth1" in found.seen


@pytest.mark.parametrize("source", ["127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.5", "255.255.255.255"])
def test_a_source_that_no_host_has_is_dropped_whatever_filters(
    source: str, service_of: Callable[..., Service]
) -> None:
    service = from_sources(service_of(V4), ip_address(source))
    (found,) = of_sources(routed(BY_ETH0, source=ip_address(source)), service)
    assert found.verdict is FAIL
    assert source in found.seen


def test_each_director_that_is_dropped_is_named(service_of: Callable[..., Service]) -> None:
    second = ip_address("10.10.0.12")
    service = from_sources(service_of(V4), SOURCE, second)
    seen = routed(BY_ETH1, rp=1)
    seen = replace(seen, routing=replace(seen.routing, found={BACK: BY_ETH0, Lookup(second, OWN): BY_ETH1}))
    assert [each.seen.count("10.10.0.12") for each in of_sources(seen, service)] == [1]


def test_a_director_on_the_realserver_itself_is_no_martian(service_of: Callable[..., Service]) -> None:
    service = from_sources(service_of(V4), SOURCE, host="web1")
    server = realserver_of(Row(facts(), PASS))
    assert outer_sources_known(service, server) == []


@pytest.mark.parametrize("check", ["rp-filter-outer", "way-back", "vrf", "before-netfilter"])
def test_an_answer_of_an_earlier_version_gives_no_finding(
    check: str, service_of: Callable[..., Service], case: Callable[[str], str]
) -> None:
    seen = parse("web1", case("lab-web-healthy"))
    assert judge(check, Row(seen, PASS), service_of) == []


def test_what_is_asked_for_is_every_source_and_every_vip(service_of: Callable[..., Service]) -> None:
    server = realserver_of(Row(facts(), PASS))
    assert lookups_for(from_sources(service_of(V4, V6), SOURCE), server) == (
        BACK,
        Lookup(CLIENT, VIP),
        Lookup(ip_address("2620:fe::fe"), ip_address("fd99::1")),
    )


def before(*filters: str, devices: tuple[Device, ...] = (), way: Way = "ingress", nic: str = "eth0") -> Facts:
    text = shown(*filters, way=way).replace("device eth0", f"device {nic}")
    return facts(*devices, filters=filters_of(text))


XDP = replace(ETH0, xdp="the generic program xdp_firewall")
BPF = other("bpf", "cil_from_netdev direct-action", actions="")
BOND = (Device("bond0", "bond", up=True, addresses=ETH0.addresses), Device("eth0", up=True, master="bond0"))
BRIDGE = (Device("br0", "bridge", up=True, addresses=ETH0.addresses), Device("eth0", up=True, master="br0"))
VLAN = (Device("eth0.7", "vlan", up=True, addresses=ETH0.addresses, link="eth0"), Device("eth0", up=True))
EARLY = {
    "a filter for protocol 4": Row(
        before(u32(PROTOCOL_4)), WARN, "eth0 ingress pref 1 u32 drops", "tc -s filter"
    ),
    "a filter for everything": Row(before(other("matchall")), WARN, "matchall drops encapsulated packets"),
    "a filter at a bond's member": Row(before(u32(PROTOCOL_4), devices=BOND), WARN, "dev eth0 ingress"),
    "a filter at a bridge's port": Row(before(u32(PROTOCOL_4), devices=BRIDGE), WARN, "dev eth0 ingress"),
    "a filter at a VLAN's parent": Row(before(other("matchall"), devices=VLAN), WARN, "dev eth0 ingress"),
    "a filter for what came out of the tunnel": Row(
        before(u32("c0000201/ffffffff at 16"), nic="ipip0"), WARN, "dev ipip0 ingress pref 1 u32 drops"
    ),
    "a filter for the answers": Row(
        before(u32("c0000201/ffffffff at 12"), way="egress"), WARN, "u32 drops the VIP's answers"
    ),
    "a filter of flower": Row(before(other("flower", "ip_proto 04")), WARN, "may drop encapsulated packets"),
    "a BPF filter, as every node of Cilium has": Row(before(BPF), SKIP, "pref 1 bpf: the probe tells"),
    "an XDP program": Row(before(devices=(XDP,)), SKIP, "eth0 has the generic program xdp_firewall of XDP"),
    "an XDP program at a bond's member": Row(
        before(devices=(BOND[0], replace(BOND[1], xdp=XDP.xdp))), SKIP, "eth0 has the generic program"
    ),
    "an XDP program at the tunnel": Row(before(devices=(replace(IPIP0, xdp=XDP.xdp),)), SKIP, "ipip0 has"),
    "a filter for others": Row(before(u32("00110000/00ff0000 at 8")), PASS),
    "a filter at a device that nothing comes in by": Row(
        before(u32(PROTOCOL_4), devices=(Device("eth1", up=True),), nic="eth1"), PASS
    ),
    "an XDP program at a pod": Row(
        before(devices=(*BRIDGE, Device("veth1", "veth", up=True, master="br0", xdp=XDP.xdp))), PASS
    ),
    "nothing": Row(before(), PASS, "no filter of tc and no XDP program"),
    "devices could not be read": Row(facts(devices=NO, filters=()), SKIP, "could not be read"),
}


@pytest.mark.parametrize("row", EARLY.values(), ids=EARLY)
def test_what_drops_before_netfilter(row: Row, service_of: Callable[..., Service]) -> None:
    assert_says(judge("before-netfilter", row, service_of), row)


def to_clients(found: Route | NoRoute, **more: Any) -> Facts:  # noqa: ANN401  # fields of Facts
    routing = Routing(
        {Lookup(CLIENT, VIP): found}, more.pop("rules", {}), more.pop("switches", {}), read=True
    )
    return facts(*more.pop("devices", ()), routing=routing, **more)


UNREACHABLE = NoRoute("Network is unreachable")
RED = Device("red", "vrf", up=True)
ROUTES = {
    "no route": Row(
        to_clients(UNREACHABLE),
        WARN,
        "from 192.0.2.1 to 9.9.9.9 (Network is unreachable)",
        "ip rule; ip route get",
    ),
    "a route": Row(to_clients(Route("default", ("eth0",))), PASS),
    "no route, and the VIP is not here, which is for the check vip": Row(
        to_clients(UNREACHABLE, devices=(replace(LO, addresses=(ip_interface("127.0.0.1/8"),)),)), SKIP
    ),
    "no route, and a mark may lead elsewhere": Row(
        to_clients(UNREACHABLE, rules=MARKS, switches={("tcp_fwmark_accept", ""): 1}), SKIP
    ),
    "no route, and the mark is none of the answer's": Row(to_clients(UNREACHABLE, rules=MARKS), WARN),
    "no route outside the VRF that the tunnel is in": Row(
        to_clients(UNREACHABLE, devices=(replace(IPIP0, master="red"), RED)),
        SKIP,
        "the route from 192.0.2.1 cannot be told",
    ),
    "a node": Row(to_clients(UNREACHABLE), SKIP, "a pod answers", kind=Kind.KUBERNETES),
}


@pytest.mark.parametrize("row", ROUTES.values(), ids=ROUTES)
def test_the_route_from_the_vip_to_clients(row: Row, service_of: Callable[..., Service]) -> None:
    assert_says(judge("way-back", row, service_of), row)


def enslaved(*devices: Device, bound: str | None = None, accept: int = 0) -> Facts:
    routing = Routing(switches={("tcp_l3mdev_accept", ""): accept}, read=True)
    return facts(RED, *devices, listens=(Listener("tcp", None, 80, bound),), routing=routing)


IN_RED = replace(IPIP0, master="red")
NIC_IN_RED = replace(ETH0, master="red")
VRFS = {
    "the tunnel is in one, the listener is not": Row(
        enslaved(IN_RED), FAIL, "ipip0 is in the VRF red", "ip link set dev ipip0 nomaster"
    ),
    "the tunnel is in one, the listener in another": Row(enslaved(IN_RED, bound="blue"), FAIL, "VRF red"),
    "NIC and listener are in one, the tunnel is not": Row(
        enslaved(NIC_IN_RED, bound="red"), FAIL, "and ipip0 is not", "ip link set dev ipip0 master red"
    ),
    "the tunnel is in one, and any listener takes of it": Row(enslaved(IN_RED, accept=1), PASS),
    "both are in one": Row(enslaved(IN_RED, NIC_IN_RED, bound="red"), PASS),
    "the NIC is in one, and the listener is not": Row(enslaved(NIC_IN_RED), PASS),
    "the tunnel is a port of a bridge, which is no VRF": Row(
        enslaved(replace(IPIP0, master="br0"), Device("br0", "bridge", up=True)), PASS
    ),
    "none": Row(enslaved(), PASS),
}


@pytest.mark.parametrize("row", VRFS.values(), ids=VRFS)
def test_a_vrf_between_tunnel_and_listener(row: Row, service_of: Callable[..., Service]) -> None:
    assert_says(judge("vrf", row, service_of), row)


def test_a_listener_in_the_tunnel_s_vrf_is_one(service_of: Callable[..., Service]) -> None:
    row = Row(enslaved(IN_RED, bound="red"), PASS, "listens on tcp *%red:80")
    assert_says(judge("listener", row, service_of), row)


def test_recorded_hosts_are_judged(service_of: Callable[..., Service], case: Callable[[str], str]) -> None:
    def found(name: str) -> dict[str, tuple[str, str]]:
        server = replace(realserver_of(Row(facts(), PASS)), address=IPv4Address("10.10.0.22"))
        service = from_sources(service_of("10.99.0.1:80"), SOURCE)
        findings = realserver_checks(service, server, parse("web2", case(name)))
        return {each.check: (each.verdict.value, each.seen) for each in findings}

    other_route = found("lab-web-other-route")
    verdict, seen = other_route["rp-filter-outer"]
    assert verdict == "fail"
    assert "the route back to the outer source 10.10.0.11 is by other0: eth0 drops it" in seen
    assert other_route["before-netfilter"][0] == "pass"
    assert other_route["vrf"][0] == "pass"
    assert other_route["way-back"][0] == "pass"
    worse = found("lab-web-xdp-vrf")
    assert worse["rp-filter-outer"][0] == "fail"
    assert "2 is in force on eth0" in worse["rp-filter-outer"][1]
    assert worse["before-netfilter"][0] == "skip"
    assert "xdp_drops_ipip" in worse["before-netfilter"][1]
    assert worse["vrf"][0] == "fail"
    assert "VRF lab-vrf" in worse["vrf"][1]
    assert found("lab-web-tc")["before-netfilter"][0] == "warn"


def test_filters_that_could_not_be_looked_at_are_not_said_to_be_none(
    case: Callable[[str], str], service_of: Callable[..., Service]
) -> None:
    """On Red Hat's distributions tc is a package of its own."""
    whole = case("lab-web-healthy")
    token = whole.split("ferryman-facts ")[1].split()[0]
    answer = f"{whole}{token} stderr tc\ntc is not installed\n{token} begin tc\n\n{token} end tc 127\n"
    (found,) = judge("before-netfilter", Row(parse("web1", answer), SKIP), service_of)
    assert found.verdict is SKIP
    assert "tc is not installed" in found.seen


@pytest.mark.parametrize("part", ["devices", "listeners"])
def test_what_could_not_be_read_is_in_no_vrf_that_is_known(
    part: str, service_of: Callable[..., Service]
) -> None:
    seen = replace(enslaved(), **{part: Unknown("ss: no such tool")})  # type: ignore[arg-type]  # a field of Facts
    (found,) = judge("vrf", Row(seen, SKIP), service_of)
    assert (found.verdict, found.seen) == (SKIP, "ss: no such tool")
