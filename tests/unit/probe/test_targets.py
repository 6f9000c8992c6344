from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.config import ProbeConfig
from ferryman.errors import InventoryError
from ferryman.model import Address, Director, Kind, Realserver, Role, Service, VirtualService
from ferryman.probe import Target, mss_limit, probe_targets, single_try, spoof_targets

if TYPE_CHECKING:
    from ferryman.probe.targets import SourceTowards

WEB1 = Realserver("web1", Kind.SERVER, IPv4Address("10.10.0.21"), IPv6Address("fd10::21"))
WEB2 = Realserver("web2", Kind.SERVER, IPv4Address("10.10.0.22"), IPv6Address("fd10::22"))
FOUR_ONLY = Realserver("web3", Kind.SERVER, IPv4Address("10.10.0.23"), None)
HTTP = VirtualService("web", "weblb", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
HTTP6 = VirtualService("web", "weblb6", "tcp", IPv6Address("fd99::1"), 80, "wrr")
DNS = VirtualService("web", "dns", "udp", IPv4Address("10.99.0.1"), 53, "wrr")


DIRECTOR = Director("lvs1", Role.PRIMARY, "ipvsadm", {}, IPv4Address("10.10.0.11"), IPv6Address("fd10::11"))
KATRAN = Director(
    "lb1", Role.SECONDARY, "ipvsadm", {}, outer_sources=(ip_address("172.16.2.3"), ip_address("172.16.2.4"))
)


def service(
    virtual: tuple[VirtualService, ...],
    realservers: tuple[Realserver, ...],
    directors: tuple[Director, ...] = (),
) -> Service:
    return Service(
        "web",
        "lab",
        encryption=False,
        lvs_class="low-traffic",
        encapsulated=False,
        virtual_services=virtual,
        realservers=realservers,
        directors=directors,
    )


def test_a_realserver_without_an_address_of_the_vips_family_is_an_error_that_names_it() -> None:
    with pytest.raises(InventoryError) as raised:
        probe_targets(service((HTTP, HTTP6), (WEB1, FOUR_ONLY)))
    assert raised.value.problems == (
        "web3: has no IPv6 address, and web at lab has the VIP fd99::1; give it one in hosts.yaml",
    )


def test_every_realserver_is_asked_for_every_virtual_service_in_its_family() -> None:
    assert probe_targets(service((HTTP, HTTP6), (WEB1, WEB2))) == [
        Target("web1", HTTP, IPv4Address("10.10.0.21"), 1440),
        Target("web2", HTTP, IPv4Address("10.10.0.22"), 1440),
        Target("web1", HTTP6, IPv6Address("fd10::21"), 1400),
        Target("web2", HTTP6, IPv6Address("fd10::22"), 1400),
    ]


def test_udp_virtual_services_are_not_asked() -> None:
    assert probe_targets(service((DNS,), (WEB1,))) == []


def test_the_limit_follows_the_realservers_path_mtu() -> None:
    jumbo = replace(WEB1, path_mtu=9000)
    assert [target.mss_limit for target in probe_targets(service((HTTP,), (jumbo, WEB2)))] == [8940, 1440]


def test_a_realserver_is_asked_with_each_outer_source_of_the_directors_once() -> None:
    twin = replace(DIRECTOR, host="lvs2")
    targets = probe_targets(service((HTTP, HTTP6), (WEB1,), (DIRECTOR, twin, KATRAN)))
    assert [(str(target.virtual_service.vip), str(target.outer_source)) for target in targets] == [
        ("10.99.0.1", "10.10.0.11"),
        ("10.99.0.1", "172.16.2.3"),
        ("10.99.0.1", "172.16.2.4"),
        ("fd99::1", "fd10::11"),
    ]


def test_where_no_directors_outer_source_is_known_the_configured_one_is_left_to_be_used() -> None:
    nameless = Director("lvs3", Role.PRIMARY, "ipvsadm")
    [target] = probe_targets(service((HTTP,), (WEB1,), (nameless,)))
    assert target.outer_source is None


def routed(towards: Address) -> Address:
    """This control host has one address of each family."""
    return IPv4Address("10.30.0.2") if towards.version == 4 else IPv6Address("fd30::2")


def nowhere(towards: Address) -> Address:
    """There is no route."""
    raise OSError


def spoofed(asked: Service, question: str, source_towards: SourceTowards = routed) -> list[Target]:
    found = spoof_targets(asked, source_towards)
    return [spoof_target.target for spoof_target in found if spoof_target.question == question]


def test_an_open_decapsulator_is_looked_for_with_our_own_outer_source() -> None:
    both = service((HTTP, HTTP6), (WEB1,), (DIRECTOR,))
    assert spoofed(both, "open-decapsulator") == [
        Target("web1", HTTP, IPv4Address("10.10.0.21"), 1440, IPv4Address("10.30.0.2")),
        Target("web1", HTTP6, IPv6Address("fd10::21"), 1400, IPv6Address("fd30::2")),
    ]


def test_a_control_host_whose_source_is_a_directors_is_not_asked_from() -> None:
    here = replace(DIRECTOR, address=IPv4Address("10.30.0.2"))
    assert spoofed(service((HTTP,), (WEB1,), (here,)), "open-decapsulator") == []


def test_without_a_route_nothing_is_spoofed() -> None:
    assert spoofed(service((HTTP,), (WEB1,), (DIRECTOR,)), "open-decapsulator", nowhere) == []


def test_forwarding_is_looked_for_once_through_each_realserver_towards_the_next() -> None:
    https = replace(HTTP, port=443)
    [first, second] = spoofed(service((HTTP, https), (WEB1, WEB2), (DIRECTOR,)), "forwards-strangers")
    assert [(target.host, str(target.virtual_service)) for target in (first, second)] == [
        ("web1", "tcp 10.10.0.22:22"),
        ("web2", "tcp 10.10.0.21:22"),
    ]
    assert first.outer_source == DIRECTOR.address


def test_a_lone_realserver_is_asked_for_a_director() -> None:
    alone = service((HTTP6,), (WEB1,), (DIRECTOR,))
    [target] = spoofed(alone, "forwards-strangers")
    assert target.virtual_service.vip == IPv6Address("fd10::11")


def test_spoofed_sources_ask_once_from_one_source_port() -> None:
    probe = single_try(ProbeConfig(timeout=0.3))
    assert (probe.samples, probe.tries, probe.give_up_after_s) == (1, 1, 0.3)


@pytest.mark.parametrize(
    ("inner", "outer", "limits"),
    [
        ("10.99.0.1", "10.10.0.21", [1440, 8940, 1390, 1416]),
        ("fd99::1", "10.10.0.21", [1420, 8920, 1370, 1396]),
        ("fd99::1", "fd10::21", [1400, 8900, 1350, 1376]),
        ("10.99.0.1", "fd10::21", [1420, 8920, 1370, 1396]),
    ],
)
def test_the_limit_leaves_room_for_both_headers(inner: str, outer: str, limits: list[int]) -> None:
    mtus = (1500, 9000, 1450, 1476)
    assert [mss_limit(ip_address(inner), ip_address(outer), mtu) for mtu in mtus] == limits


def test_importing_the_probe_does_not_load_scapy() -> None:
    script = "import sys, ferryman.probe; sys.exit(any(name.startswith('scapy') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", script], check=True)
