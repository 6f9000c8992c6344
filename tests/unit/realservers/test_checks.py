"""The checks, case by case: what must fail, and what must pass though it looks wrong."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

import pytest

from ferryman.firewall import Ruleset
from ferryman.firewall.nat import NatTable
from ferryman.model import Director, Kind, Realserver, Role, Service
from ferryman.realservers.checks import realserver_checks
from ferryman.realservers.facts import Device, Listener, LocalRoute
from unit.realservers.rows import (
    BARE,
    BARE_LO,
    CILIUM,
    ETH0,
    FAIL,
    IPIP0,
    IPIP60,
    LO,
    NO,
    PASS,
    SKIP,
    TUNL0,
    UNKNOWN,
    V4,
    V6,
    WARN,
    Row,
    assert_says,
    facts,
    gone,
    judge,
    rules,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ADD = (
    "ip link add name ipip0 type ipip external && ip link set ipip0 up && ip addr add 127.0.0.42/32 dev ipip0"
)
PEER = replace(IPIP0, external=False, remote="10.10.0.11")
OWN_END = replace(IPIP0, external=False, local="10.10.0.21")
CALICO = replace(TUNL0, up=True, addresses=(ip_interface("10.67.1.1/32"),))

TUNNEL = {
    "ipip0 is missing": Row(facts(gone("ipip0")), FAIL, "ipip0 is missing", ADD),
    "ipip0 is missing, tunl0 is there but down": Row(
        facts(gone("ipip0"), TUNL0), FAIL, "ipip0 is missing", ADD
    ),
    "ipip0 is down": Row(facts(replace(IPIP0, up=False)), FAIL, "ipip0 is down", "ip link set ipip0 up"),
    "ipip0 is a TUN device": Row(facts(replace(IPIP0, kind="tun")), FAIL, "of kind tun", "ip link del ipip0"),
    "ipip0 is missing and another device is external": Row(
        facts(gone("ipip0"), CILIUM), FAIL, "cilium_ipip4 is the one external device", "only without it"
    ),
    "ipip60 is missing and a VIP is IPv6": Row(
        facts(gone("ipip60")), FAIL, "ipip60 is missing", "type ip6tnl external", vips=(V6,)
    ),
    "IPv6 is off on ipip60": Row(
        facts(settings={("disable_ipv6", "ipip60"): 1, ("rp_filter", "all"): 0}),
        FAIL,
        "net.ipv6.conf.ipip60.disable_ipv6 is 1",
        "sysctl -w net.ipv6.conf.ipip60.disable_ipv6=0",
        vips=(V6,),
    ),
    "devices could not be read": Row(facts(devices=NO), UNKNOWN, "no such tool", "ip -d link show dev ipip0"),
    "ipip0 takes one peer's packets": Row(
        facts(PEER), WARN, "local any remote 10.10.0.11", "make it external"
    ),
    "ipip0 has a local end": Row(facts(OWN_END), WARN, "local 10.10.0.21 remote any", "make it external"),
    "ipip0 is missing and tunl0 is up": Row(
        facts(gone("ipip0"), replace(TUNL0, up=True)), WARN, "tunl0 is up and takes the packets", ADD
    ),
    "ipip0 is down and tunl0 is up": Row(
        facts(replace(IPIP0, up=False), replace(TUNL0, up=True)), WARN, "tunl0 is up", "ip link set ipip0 up"
    ),
    "as it should be": Row(facts(), PASS, "ipip0 is up, external"),
    "looks wrong, is right: tunl0 up without an address": Row(facts(replace(TUNL0, up=True)), PASS),
    "looks wrong, is right: tunl0 down": Row(facts(TUNL0), PASS),
    "looks wrong, is right: no ipip60 for an IPv4 VIP": Row(facts(gone("ipip60")), PASS),
    "looks wrong, is right: no ipip0 for an IPv6 VIP": Row(facts(gone("ipip0")), PASS, "ipip60", vips=(V6,)),
    "looks wrong, is right: ipip60 without an address": Row(facts(), PASS, "ipip60", vips=(V6,)),
}

TUNNEL_ADDRESS = {
    "no address and rp_filter 2 on ipip0": Row(
        facts(BARE, rp={"ipip0": 2}), FAIL, "no IPv4 address", "ip addr add 127.0.0.42/32 dev ipip0"
    ),
    "no address and rp_filter 2 on all": Row(facts(BARE, rp={"all": 2}), FAIL, "no IPv4 address"),
    "an IPv6 address alone and rp_filter 2": Row(
        facts(replace(IPIP0, addresses=(ip_interface("fe80::1/64"),)), rp={"all": 2}), FAIL, "no IPv4 address"
    ),
    "no address and rp_filter 0": Row(facts(BARE), WARN, "no IPv4 address; that works"),
    "no address and rp_filter 1": Row(facts(BARE, rp={"all": 1}), WARN, "no IPv4 address"),
    "devices could not be read": Row(facts(devices=NO), UNKNOWN, "no such tool"),
    "tunl0 takes the packets, has no address, and all is 2": Row(
        facts(gone("ipip0"), replace(TUNL0, up=True), rp={"all": 2}),
        FAIL,
        "tunl0 has no IPv4 address",
        "dev tunl0",
    ),
    "nothing takes the packets": Row(facts(gone("ipip0")), SKIP, "no tunnel device is up"),
    "as it should be": Row(facts(), PASS, "ipip0 has 127.0.0.42/32"),
    "looks wrong, is right: 2 with any address": Row(
        facts(replace(IPIP0, addresses=(ip_interface("10.10.0.21/32"),)), rp={"all": 2}), PASS
    ),
    "looks wrong, is right: no address for IPv6": Row(facts(BARE, rp={"all": 2}), SKIP, vips=(V6,)),
}

GRE = Device("gre1", "gre", up=True, remote="10.10.0.11")
OTHERS = {
    "another external device, and no ipip0": Row(
        facts(gone("ipip0"), CILIUM), FAIL, "ipip0 cannot be made", "ip link del cilium_ipip4"
    ),
    "tunl0 is at work, and ipip0 is to come": Row(
        facts(gone("ipip0"), CALICO, counted={"tunl0.rx_packets": 9}),
        FAIL,
        "10.67.1.1/32 and has unwrapped 9",
        "overlay",
    ),
    "tunl0 has an address, and ipip0 is to come": Row(
        facts(gone("ipip0"), CALICO), WARN, "a new ipip0 would take them over", "overlay"
    ),
    "an overlay's tunl0 beside ipip0": Row(facts(CALICO), WARN, "they come out of ipip0 now", "overlay"),
    "tunl0 was at work before ipip0": Row(
        facts(replace(TUNL0, up=True), counted={"tunl0.rx_packets": 9}), WARN, "they come out of ipip0 now"
    ),
    "a tunnel of its own for a director": Row(
        facts(Device("ipip7", "ipip", up=True, remote="10.10.0.11")),
        WARN,
        "ipip7 takes the packets of 10.10.0.11",
    ),
    "devices could not be read": Row(facts(devices=NO), UNKNOWN, "no such tool"),
    "as it should be": Row(facts(), PASS),
    "looks wrong, is right: tunl0 up without address or packets": Row(facts(replace(TUNL0, up=True)), PASS),
    "looks wrong, is right: tunl0 down, once at work": Row(
        facts(TUNL0, counted={"tunl0.rx_packets": 9}), PASS
    ),
    "looks wrong, is right: ip6tnl0 at work for an IPv4 VIP": Row(
        facts(Device("ip6tnl0", "ip6tnl", up=True), counted={"ip6tnl0.rx_packets": 9}), PASS
    ),
    "looks wrong, is right: a tunnel for somebody else": Row(
        facts(Device("ipip7", "ipip", up=True, remote="10.10.0.99")), PASS
    ),
    "looks wrong, is right: a tunnel to a director that is down": Row(
        facts(Device("ipip7", "ipip", remote="10.10.0.11")), PASS
    ),
    "looks wrong, is right: a GRE tunnel to a director": Row(facts(GRE), PASS),
    "looks wrong, is right: ipip0 and another that is external and down": Row(
        facts(replace(CILIUM, up=False)), PASS
    ),
}

TWO_WAYS = (
    "sysctl -w net.ipv4.conf.all.rp_filter=0, or with an address on ipip0 leave all as it is: "
    "sysctl -w net.ipv4.conf.ipip0.rp_filter=2"
)

RP_FILTER = {
    "all 1, ipip0 0": Row(
        facts(rp={"all": 1}), FAIL, "net.ipv4.conf.all.rp_filter = 1 overrides ipip0's 0", TWO_WAYS
    ),
    "all 0, ipip0 1": Row(
        facts(rp={"ipip0": 1}),
        FAIL,
        "net.ipv4.conf.ipip0.rp_filter = 1 overrides all's 0",
        "sysctl -w net.ipv4.conf.ipip0.rp_filter=0;",
    ),
    "all 1, ipip0 1": Row(
        facts(rp={"all": 1, "ipip0": 1}),
        FAIL,
        "net.ipv4.conf.all.rp_filter = 1 and net.ipv4.conf.ipip0.rp_filter = 1",
        "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.ipip0.rp_filter=0",
    ),
    "tunl0 decapsulates and is strict": Row(
        facts(gone("ipip0"), replace(TUNL0, up=True), rp={"tunl0": 1}), FAIL, "conf.tunl0.rp_filter = 1"
    ),
    "another external device decapsulates, before tunl0, and is strict": Row(
        facts(gone("ipip0"), CILIUM, replace(TUNL0, up=True), rp={"cilium_ipip4": 1}),
        FAIL,
        "conf.cilium_ipip4.rp_filter = 1",
    ),
    "settings could not be read": Row(facts(settings=NO), UNKNOWN, "no such tool"),
    "all's setting is not in the answer": Row(
        facts(settings={("rp_filter", "ipip0"): 0}), UNKNOWN, "rp_filter of all"
    ),
    "all 0, ipip0 0": Row(facts(), PASS, "all and ipip0 are 0"),
    "looks wrong, is right: all 0, ipip0 2": Row(facts(rp={"ipip0": 2}), PASS, "loose"),
    "looks wrong, is right: all 1, ipip0 2": Row(
        facts(rp={"all": 1, "ipip0": 2}), PASS, "net.ipv4.conf.ipip0.rp_filter = 2: loose"
    ),
    "looks wrong, is right: all 2, ipip0 1": Row(
        facts(rp={"all": 2, "ipip0": 1}), PASS, "net.ipv4.conf.all.rp_filter = 2: loose"
    ),
    "looks wrong, is right: all 2, ipip0 0": Row(facts(rp={"all": 2}), PASS, "loose"),
    "looks wrong, is right: all 2, ipip0 2": Row(facts(rp={"all": 2, "ipip0": 2}), PASS, "loose"),
    "looks wrong, is right: default and eth0 1": Row(facts(rp={"default": 1, "eth0": 1}), PASS),
    "looks wrong, is right: all 1 for IPv6 alone": Row(
        facts(rp={"all": 1}), SKIP, "no rp_filter", vips=(V6,)
    ),
    "ipip0 is not there yet": Row(
        facts(gone("ipip0"), rp={"default": 1}),
        SKIP,
        "no ipip0 yet; a new one takes over net.ipv4.conf.default",
    ),
}

SAVED = """*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.1/32 -p tcp --dport 80 -j DNAT --to-destination 10.67.1.4
COMMIT
"""
DNAT = NatTable(rules(SAVED))
UNREAD = NatTable(Ruleset(unread=("nft: Operation not permitted",)))
KUBE_IPVS0 = Device("kube-ipvs0", "dummy", up=False, addresses=(ip_interface("192.0.2.1/32"),))
ON_ETH0 = replace(ETH0, addresses=(ip_interface("10.10.0.21/24"), ip_interface("192.0.2.1/32")))
WIDE = LocalRoute(ip_network("192.0.2.0/24"), "lo")

VIP = {
    "a server without it": Row(
        facts(BARE_LO), FAIL, "192.0.2.1 is not on this host", "ip addr add 192.0.2.1/32 dev lo"
    ),
    "a server without the IPv6 one": Row(
        facts(BARE_LO), FAIL, "fd99::1 is not on this host", "ip addr add fd99::1/128 dev lo", vips=(V6,)
    ),
    "duplicate address detection failed": Row(
        facts(replace(LO, unusable=frozenset({ip_address("fd99::1")}))),
        FAIL,
        "not usable",
        "nodad",
        vips=(V6,),
    ),
    "a node without it and without a rule": Row(
        facts(BARE_LO), FAIL, "no rule takes its packets", "kube-proxy", kind=Kind.KUBERNETES
    ),
    "a node with a rule for another port": Row(
        facts(BARE_LO, nat=DNAT), FAIL, "to port 81", kind=Kind.KUBERNETES, vips=("192.0.2.1:81",)
    ),
    "a node whose rules could not be read": Row(
        facts(BARE_LO, nat=UNREAD), UNKNOWN, "Operation not permitted", kind=Kind.KUBERNETES
    ),
    "a server whose addresses could not be read": Row(
        facts(devices=NO, local_routes=NO), UNKNOWN, "no such tool"
    ),
    "a server with it on eth0": Row(
        facts(BARE_LO, ON_ETH0), WARN, "on eth0", "ip addr add 192.0.2.1/32 dev lo"
    ),
    "a server without it, but a rule": Row(facts(BARE_LO, nat=DNAT), WARN, "a rule takes its packets"),
    "a node with Cilium": Row(
        facts(BARE_LO, Device("cilium_host", "veth")), WARN, "Cilium", "the probe", kind=Kind.KUBERNETES
    ),
    "a server with it on lo": Row(facts(), PASS, "local on lo"),
    "looks wrong, is right: a prefix on lo covers it": Row(
        facts(BARE_LO, local_routes=(WIDE,)), PASS, "on lo"
    ),
    "looks wrong, is right: on a dummy device": Row(
        facts(BARE_LO, replace(KUBE_IPVS0, name="vip0", up=True)), PASS, "local on vip0"
    ),
    "looks wrong, is right: the local table could not be read": Row(facts(local_routes=NO), PASS, "on lo"),
    "looks wrong, is right: a node without it, but a rule": Row(
        facts(BARE_LO, nat=DNAT), PASS, "a rule takes it", kind=Kind.KUBERNETES
    ),
    "looks wrong, is right: a node with it on a device that is down": Row(
        facts(BARE_LO, KUBE_IPVS0), PASS, "kube-ipvs0", kind=Kind.KUBERNETES
    ),
    "looks wrong, is right: a node with it on eth0": Row(
        facts(BARE_LO, ON_ETH0), PASS, "local on eth0", kind=Kind.KUBERNETES
    ),
    "looks wrong, is right: a node with it, its rules unread": Row(
        facts(nat=UNREAD), PASS, "local on lo", kind=Kind.KUBERNETES
    ),
}


def tcp(address: str | None, port: int = 80, device: str | None = None) -> tuple[Listener, ...]:
    return (Listener("tcp", None if address is None else ip_address(address), port, device),)


LISTENER = {
    "nobody listens": Row(
        facts(listens=()), FAIL, "nothing listens on tcp port 80", "ss -ltnp 'sport = :80'"
    ),
    "on another address": Row(facts(listens=tcp("10.10.0.21")), FAIL, "only on tcp 10.10.0.21:80"),
    "on loopback alone": Row(facts(listens=tcp("127.0.0.1")), FAIL, "only on tcp 127.0.0.1:80"),
    "on another port": Row(facts(listens=tcp(None, 81)), FAIL, "nothing listens on tcp port 80"),
    "on UDP": Row(facts(listens=(Listener("udp", None, 80),)), FAIL, "nothing listens on tcp port 80"),
    "on IPv4 alone for an IPv6 VIP": Row(
        facts(listens=tcp("0.0.0.0")), FAIL, "only on tcp 0.0.0.0:80", vips=(V6,)
    ),
    "on IPv6 alone for an IPv4 VIP": Row(facts(listens=tcp("::")), FAIL, "only on tcp [::]:80"),
    "bound to eth0": Row(
        facts(listens=tcp("0.0.0.0", device="eth0")), FAIL, "%eth0:80 alone", "not to the device"
    ),
    "sockets could not be read": Row(facts(listeners=NO), UNKNOWN, "no such tool"),
    "on any IPv4 address": Row(facts(listens=tcp("0.0.0.0")), PASS, "listens on tcp 0.0.0.0:80"),
    "on the VIP alone": Row(facts(listens=tcp("192.0.2.1")), PASS, "listens on tcp 192.0.2.1:80"),
    "on the IPv6 VIP alone": Row(facts(listens=tcp("fd99::1")), PASS, "tcp [fd99::1]:80", vips=(V6,)),
    "looks wrong, is right: on IPv6's any address for both": Row(facts(), PASS, "listens on tcp *:80"),
    "looks wrong, is right: bound to ipip0": Row(facts(listens=tcp("0.0.0.0", device="ipip0")), PASS),
    "looks wrong, is right: nobody, but a rule takes it": Row(
        facts(listens=(), nat=DNAT), PASS, "a rule takes it"
    ),
    "looks wrong, is right: a node where the pod listens": Row(
        facts(listens=(), nat=DNAT), PASS, "a rule takes it", kind=Kind.KUBERNETES
    ),
    "looks wrong, is right: a node without socket or rule": Row(
        facts(listens=()), SKIP, "a pod may take it", kind=Kind.KUBERNETES
    ),
    "a node whose sockets could not be read": Row(facts(listeners=NO), SKIP, kind=Kind.KUBERNETES),
}


@pytest.mark.parametrize("row", TUNNEL)
def test_tunnel_device(row: str, service_of: Callable[..., Service]) -> None:
    assert_says(judge("tunnel-device", TUNNEL[row], service_of), TUNNEL[row])


@pytest.mark.parametrize("row", TUNNEL_ADDRESS)
def test_tunnel_address(row: str, service_of: Callable[..., Service]) -> None:
    assert_says(judge("tunnel-address", TUNNEL_ADDRESS[row], service_of), TUNNEL_ADDRESS[row])


@pytest.mark.parametrize("row", OTHERS)
def test_tunnel_others(row: str, service_of: Callable[..., Service]) -> None:
    director = Director("lvs1", Role.PRIMARY, "ipvsadm", address=IPv4Address("10.10.0.11"))

    def behind_a_director(*places: str, protocol: str) -> Service:
        return replace(service_of(*places, protocol=protocol), directors=(director,))

    assert_says(judge("tunnel-others", OTHERS[row], behind_a_director), OTHERS[row])


@pytest.mark.parametrize("row", RP_FILTER)
def test_rp_filter(row: str, service_of: Callable[..., Service]) -> None:
    assert_says(judge("rp-filter", RP_FILTER[row], service_of), RP_FILTER[row])


@pytest.mark.parametrize("row", VIP)
def test_vip(row: str, service_of: Callable[..., Service]) -> None:
    assert_says(judge("vip", VIP[row], service_of), VIP[row])


@pytest.mark.parametrize("row", LISTENER)
def test_listener(row: str, service_of: Callable[..., Service]) -> None:
    assert_says(judge("listener", LISTENER[row], service_of), LISTENER[row])


@pytest.mark.parametrize("for_all", [0, 1, 2])
@pytest.mark.parametrize("own", [0, 1, 2])
def test_rp_filter_fails_in_the_three_combinations_that_were_measured_to_drop(
    for_all: int, own: int, service_of: Callable[..., Service]
) -> None:
    row = Row(facts(rp={"all": for_all, "ipip0": own}), PASS)
    (found,) = judge("rp-filter", row, service_of)
    drops = {(0, 1), (1, 0), (1, 1)}
    assert found.verdict is (FAIL if (for_all, own) in drops else PASS)


def test_a_dual_stack_service_needs_both_tunnels(service_of: Callable[..., Service]) -> None:
    found = judge("tunnel-device", Row(facts(gone("ipip60")), PASS, vips=(V4, V6)), service_of)
    assert [finding.verdict for finding in found] == [PASS, FAIL]


def test_two_things_wrong_with_one_device_are_told_both(service_of: Callable[..., Service]) -> None:
    row = Row(
        facts(
            PEER,
            settings={("disable_ipv6", "ipip60"): 1},
            devices={"ipip60": replace(IPIP60, external=False)},
        ),
        PASS,
        vips=(V6,),
    )
    assert [finding.verdict for finding in judge("tunnel-device", row, service_of)] == [WARN, FAIL]


def test_a_udp_service_wants_a_udp_socket(service_of: Callable[..., Service], server: Realserver) -> None:
    service = service_of(V4, protocol="udp")
    seen = facts(listens=(Listener("udp", None, 80),))
    assert [f.verdict for f in realserver_checks(service, server, seen) if f.check == "listener"] == [PASS]
