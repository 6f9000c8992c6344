"""What the lab is made of, as data: hosts, addresses, services and where each one runs.

The lab's inventory (``inventory/`` of the repository) says the same in the words of a catalog; a test holds
the two together. Everything that is written for the lab's kernel (``render.py``) is made from this page.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from ferryman.encapsulation import max_inner_packet, mss_for_mtu
from ferryman.model import Address, Forwarding

HostRole = Literal["router", "director", "server", "node", "client", "bastion"]

CONTROL = "control"
"""The host that the tool runs on: a network namespace of the machine's own kernel, not of the lab's."""
CONTROL_ADDRESSES = (IPv4Address("10.30.0.2"), IPv6Address("fd30::2"))
CANARY_ADDRESSES = (IPv4Address("10.30.0.3"), IPv6Address("fd30::3"))
"""What control sends from these to a VIP, the router hands to the secondary director."""
CONTROL_GATEWAYS = (IPv4Address("10.30.0.1"), IPv6Address("fd30::1"))
CLIENT_GATEWAYS = (IPv4Address("10.20.0.1"), IPv6Address("fd20::1"))
BASTION_GATEWAYS = (IPv4Address("10.40.0.1"), IPv6Address("fd40::1"))
SEGMENT_GATEWAYS = (IPv4Address("10.10.0.254"), IPv6Address("fd10::fe"))
VIP_NETWORKS = ("10.99.0.0/24", "fd99::/64")

CLAMPED_MSS_BYTES = (mss_for_mtu(4, max_inner_packet(4)), mss_for_mtu(6, max_inner_packet(6)))
"""What plain servers clamp the MSS to, for IPv4 in IPv4 and for IPv6 in IPv6: 1440 and 1400."""
POD_MTU_BYTES = max_inner_packet(6)
"""Low enough for both families: 1460, which is 1500 less the 40-byte outer IPv6 header."""
POD_GATEWAY = IPv4Address("169.254.1.1")
"""Calico's: no device has it; the node's end of the pair answers ARP for it."""
POD_PORT = 8443


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace of the lab's kernel, with an sshd of its own."""

    name: str
    role: HostRole
    address: IPv4Address
    address6: IPv6Address


@dataclass(frozen=True, slots=True)
class Pod:
    """A network namespace behind a node, without sshd: what Kubernetes would run there."""

    name: str
    node: str
    interface: str
    """The node's end of the pair, as Calico names it."""
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class LabService:
    """A service of the lab as its directors have it when the lab has just booted."""

    name: str
    vips: tuple[Address, ...]
    port: int
    scheduler: str
    scheduler_flag: str | None
    realservers: tuple[str, ...]
    driver: Literal["keepalived", "ipvsadm"]
    forwarding: Forwarding


def _host(name: str, role: HostRole, network: int, last: int) -> Host:
    return Host(name, role, IPv4Address(f"10.{network}.0.{last}"), IPv6Address(f"fd{network}::{last}"))


ROUTER = Host("rt", "router", *CONTROL_GATEWAYS)
DIRECTORS = (_host("lvs1", "director", 10, 11), _host("lvs2", "director", 10, 12))
PRIMARY, SECONDARY = DIRECTORS
SERVERS = tuple(_host(f"web{number}", "server", 10, 20 + number) for number in (1, 2, 3))
NODES = tuple(_host(f"node{number}", "node", 10, 30 + number) for number in (1, 2))
CLIENT = _host("client", "client", 20, 2)
BASTION = _host("bastion", "bastion", 40, 2)
"""A host that the others can be reached through; nothing is, unless ``ssh.jump`` names it."""
SEGMENT = (*DIRECTORS, *SERVERS, *NODES)
"""Who shares the router's bridge: direct routing needs one Ethernet segment."""
ALONE = {CLIENT: CLIENT_GATEWAYS, BASTION: BASTION_GATEWAYS}
"""Hosts with a network of their own at the router, and its addresses there."""
HOSTS = (ROUTER, *SEGMENT, *ALONE)
BY_NAME = {host.name: host for host in HOSTS}

PODS = tuple(
    Pod(
        f"node{node}-pod{pod}",
        f"node{node}",
        f"cali{0x1A2B3C40 + 16 * node + pod:011x}",
        IPv4Address(f"10.64.{node}.{10 + pod}"),
    )
    for node in (1, 2)
    for pod in (1, 2)
)

_WEBS = tuple(host.name for host in SERVERS)
SERVICES = (
    LabService(
        "web",
        (IPv4Address("10.99.0.1"), IPv6Address("fd99::1")),
        80,
        "wrr",
        None,
        _WEBS,
        "keepalived",
        Forwarding.DIRECT,
    ),
    LabService(
        "maps", (IPv4Address("10.99.0.2"),), 8080, "mh", "mh-port", _WEBS, "keepalived", Forwarding.DIRECT
    ),
    LabService("static", (IPv4Address("10.99.0.3"),), 8081, "wrr", None, _WEBS, "ipvsadm", Forwarding.DIRECT),
    LabService(
        "k8s-ingress-staging",
        (IPv4Address("10.99.0.4"),),
        30443,
        "wrr",
        None,
        tuple(host.name for host in NODES),
        "keepalived",
        Forwarding.DIRECT,
    ),
    LabService(
        "search", (IPv4Address("10.99.0.5"),), 9200, "wrr", None, _WEBS, "keepalived", Forwarding.TUNNEL
    ),
)


def services_of(host: str) -> tuple[LabService, ...]:
    """The services whose traffic a realserver takes."""
    return tuple(service for service in SERVICES if host in service.realservers)


def vips_of(host: Host) -> tuple[Address, ...]:
    """The VIPs on a host's loopback: all on a director, its own on a plain server, none on a node."""
    if host.role == "director":
        return tuple(vip for service in SERVICES for vip in service.vips)
    if host.role == "server":
        return tuple(vip for service in services_of(host.name) for vip in service.vips)
    return ()


def realserver_address(host: str, vip: Address) -> Address:
    """The address that a director forwards packets for this VIP to."""
    found = BY_NAME[host]
    return found.address if isinstance(vip, IPv4Address) else found.address6
