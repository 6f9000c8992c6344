from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from ferryman.errors import InventoryError
from ferryman.model import Kind, Realserver, Service, VirtualService
from ferryman.probe import Target, mss_limit, probe_targets

WEB1 = Realserver("web1", Kind.SERVER, IPv4Address("10.10.0.21"), IPv6Address("fd10::21"))
WEB2 = Realserver("web2", Kind.SERVER, IPv4Address("10.10.0.22"), IPv6Address("fd10::22"))
FOUR_ONLY = Realserver("web3", Kind.SERVER, IPv4Address("10.10.0.23"), None)
HTTP = VirtualService("web", "weblb", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
HTTP6 = VirtualService("web", "weblb6", "tcp", IPv6Address("fd99::1"), 80, "wrr")
DNS = VirtualService("web", "dns", "udp", IPv4Address("10.99.0.1"), 53, "wrr")


def service(virtual: tuple[VirtualService, ...], realservers: tuple[Realserver, ...]) -> Service:
    return Service(
        "web",
        "lab",
        encryption=False,
        lvs_class="low-traffic",
        encapsulated=False,
        virtual_services=virtual,
        realservers=realservers,
        directors=(),
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


def test_the_limit_follows_the_path_mtu() -> None:
    [target] = probe_targets(service((HTTP,), (WEB1,)), path_mtu=9000)
    assert target.mss_limit == 8940


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
