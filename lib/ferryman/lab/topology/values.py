"""What a lab is made of, as a value: hosts, addresses, services, and which directors each service has.

Networks, and the hosts that every lab has (router, client, bastion), are the same in all labs. Everything
that is written for the lab's kernel (``render.py``) is made from a ``Topology``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from ferryman.encapsulation import max_inner_packet, mss_for_mtu
from ferryman.errors import LabError
from ferryman.model import Address, Forwarding, Role

HostRole = Literal["router", "director", "server", "node", "client", "bastion"]
TrafficPolicy = Literal["Local", "Cluster"]
"""Whether a node hands what it is sent to its own pods alone, or to those of all the service's nodes."""
DriverName = Literal["keepalived", "ipvsadm"]
"""The drivers whose software runs in the lab."""

CONTROL = "control"
"""The host that the tool runs on: a network namespace of the machine's own kernel, not of the lab's."""
CONTROL_ADDRESSES = (IPv4Address("10.30.0.2"), IPv6Address("fd30::2"))
CONTROL_GATEWAYS = (IPv4Address("10.30.0.1"), IPv6Address("fd30::1"))
CLIENT_GATEWAYS = (IPv4Address("10.20.0.1"), IPv6Address("fd20::1"))
BASTION_GATEWAYS = (IPv4Address("10.40.0.1"), IPv6Address("fd40::1"))
SEGMENT_NETWORKS = (IPv4Network("10.10.0.0/24"), IPv6Network("fd10::/64"))
SEGMENT_GATEWAYS = (IPv4Address("10.10.0.254"), IPv6Address("fd10::fe"))
FAR_NETWORKS = (IPv4Network("10.50.0.0/24"), IPv6Network("fd50::/64"))
"""Another rack's: realservers there share no segment with any director, the router is in between."""
FAR_GATEWAYS = (IPv4Address("10.50.0.254"), IPv6Address("fd50::fe"))
POD_NETWORKS = (IPv4Network("10.64.0.0/16"), IPv6Network("fd64::/64"))
VIP_NETWORKS = (IPv4Network("10.99.0.0/24"), IPv6Network("fd99::/64"))

CLAMPED_MSS_BYTES = (mss_for_mtu(4, max_inner_packet(4)), mss_for_mtu(6, max_inner_packet(6)))
"""What plain servers clamp the MSS to, for IPv4 in IPv4 and for IPv6 in IPv6: 1440 and 1400."""
POD_MTU_BYTES = max_inner_packet(6)
"""Low enough for both families: 1460, which is 1500 less the 40-byte outer IPv6 header."""
POD_GATEWAYS = (IPv4Address("169.254.1.1"), IPv6Address("fe80::1"))
"""Calico's: no device has the IPv4 one, the node's end of the pair answers ARP for it."""
POD_PORT = 8443
POD_TLS_PORT = 8444
SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace of the lab's kernel, with an sshd of its own."""

    name: str
    role: HostRole
    address: IPv4Address
    address6: IPv6Address
    cluster: str = ""
    """The Kubernetes cluster of a node."""

    @property
    def is_far(self) -> bool:
        """Whether the router is between it and the directors, so that direct routing does not reach it."""
        return self.address in FAR_NETWORKS[0]


@dataclass(frozen=True, slots=True)
class Pod:
    """A network namespace behind a node, without sshd: what Kubernetes would run there."""

    name: str
    node: str
    interface: str
    """The node's end of the pair, as Calico names it."""
    address: IPv4Address
    address6: IPv6Address


@dataclass(frozen=True, slots=True)
class ServiceDirector:
    """A director as one service has it: another service may have the same host in another role."""

    host: str
    role: Role
    driver: DriverName
    ipip_enabled: bool = True
    """The director's own gate, as ``directors.yaml`` has it."""


@dataclass(frozen=True, slots=True)
class LabService:
    """A service of the lab as its directors have it when the lab has just booted."""

    name: str
    vips: tuple[Address, ...]
    port: int
    scheduler: str
    realservers: tuple[str, ...]
    directors: tuple[ServiceDirector, ...]
    """The primary first, the secondaries after it."""
    scheduler_flags: tuple[str, ...] = ()
    forwarding: Forwarding = Forwarding.DIRECT
    encryption: bool = False
    """Whether the service speaks TLS."""
    labels: tuple[str, ...] = ("default",)
    """The catalog's label of each VIP."""
    lvs_class: str = "low-traffic"
    cluster: str = "edge"
    """The conftool cluster of its realservers."""
    pool: str = ""
    """The service in that cluster that its realservers are listed under; its own name when empty."""
    paths: tuple[str, ...] = ("/",)
    """The HTTP paths of the catalog's own probes."""
    traffic_policy: TrafficPolicy = "Local"
    """Its Service's ``externalTrafficPolicy``, where its realservers are nodes."""

    @property
    def primary(self) -> ServiceDirector:
        """The director that carries its traffic."""
        return self.directors[0]

    def drivers_on(self, host: str) -> tuple[DriverName, ...]:
        """The driver that the service has on a director, in a tuple; an empty one when it has none there."""
        return tuple(director.driver for director in self.directors if director.host == host)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A name or an address of an inventory, and what stands for it in the lab."""

    what: str
    """What it is: ``host``, ``director``, ``realserver`` or ``vip``."""
    name: str
    """Host, or service and label."""
    there: str
    here: str


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a lab was made after, and where it differs from that."""

    source: str
    """The inventory's folder."""
    mapped: tuple[Mapped, ...] = ()
    different: tuple[str, ...] = ()
    """What is not as in the inventory, each with the reason."""
    left_out: tuple[str, ...] = ()
    """What is in the inventory and not in the lab, each with the reason."""
    names: tuple[tuple[str, str], ...] = ()
    """Each host of the inventory, and its name in the lab."""


ROUTER = Host("rt", "router", *CONTROL_GATEWAYS)
CLIENT = Host("client", "client", IPv4Address("10.20.0.2"), IPv6Address("fd20::2"))
BASTION = Host("bastion", "bastion", IPv4Address("10.40.0.2"), IPv6Address("fd40::2"))
"""A host that the others can be reached through; nothing is, unless ``ssh.jump`` names it."""
ALONE = {CLIENT: CLIENT_GATEWAYS, BASTION: BASTION_GATEWAYS}
"""Hosts with a network of their own at the router, and its addresses there."""

_DEVICES = frozenset({"all", "default", "lo", "br0", "br1", "vec0", "tunl0", "ip6tnl0", "sit0", "gre0"})
"""What the router has, or its kernel means something by, beside one device for each host."""
_LONGEST_DEVICE = 15


def gateways_of(host: Host) -> tuple[IPv4Address, IPv6Address]:
    """The router's addresses on a director's or realserver's side of it."""
    return FAR_GATEWAYS if host.is_far else SEGMENT_GATEWAYS


def traffic_sources(rank: int) -> tuple[IPv4Address, IPv6Address]:
    """The addresses of control whose packets to a VIP reach its primary (rank 0) or a secondary (1, 2 …)."""
    four, six = CONTROL_ADDRESSES
    return four + rank, six + rank


CANARY_ADDRESSES = traffic_sources(1)
"""What control sends from these to a VIP, the router hands to the secondary director."""


@dataclass(frozen=True)
class Topology:
    """What one lab is made of. ``data.py`` makes one of plain data, and looks at whether it can be."""

    directors: tuple[Host, ...]
    servers: tuple[Host, ...]
    nodes: tuple[Host, ...]
    pods: tuple[Pod, ...]
    services: tuple[LabService, ...]
    site: str = "lab"
    likeness: Likeness | None = field(default=None, compare=False)
    """The inventory that it was made after, if it was."""

    @cached_property
    def segment(self) -> tuple[Host, ...]:
        """Directors and realservers: all on one Ethernet segment but those that are far."""
        return (*self.directors, *self.servers, *self.nodes)

    @cached_property
    def hosts(self) -> tuple[Host, ...]:
        """Every host with an sshd."""
        return (ROUTER, *self.segment, *ALONE)

    @cached_property
    def by_name(self) -> dict[str, Host]:
        """Every host with an sshd, by name."""
        return {host.name: host for host in self.hosts}

    @cached_property
    def devices(self) -> dict[str, str]:
        """The router's device towards each host: named after it where the kernel takes that name."""
        others = [host.name for host in (*self.segment, *ALONE)]
        fitting = {name for name in others if len(name) <= _LONGEST_DEVICE and name not in _DEVICES}
        free = (name for number in range(2 * len(others)) if (name := f"host{number}") not in fitting)
        return {name: name if name in fitting else next(free) for name in others}

    @cached_property
    def secondary_ranks(self) -> range:
        """The ranks of secondaries that any service has: 1 for the first, and so on."""
        return range(1, max((len(service.directors) for service in self.services), default=1))

    def service(self, name: str) -> LabService:
        """The service of that name.

        Raises:
            LabError: There is none.
        """
        for service in self.services:
            if service.name == name:
                return service
        known = ", ".join(service.name for service in self.services)
        raise LabError(f"{name}: is no service of the lab; it has {known}")

    def services_of(self, host: str) -> tuple[LabService, ...]:
        """The services whose traffic a realserver takes."""
        return tuple(service for service in self.services if host in service.realservers)

    def directed_by(self, host: str) -> tuple[LabService, ...]:
        """The services that a director forwards."""
        return tuple(service for service in self.services if service.drivers_on(host))

    def kept_by(self, driver: DriverName, host: str) -> tuple[LabService, ...]:
        """The services that a director has with this driver."""
        return tuple(service for service in self.services if driver in service.drivers_on(host))

    def vips_of(self, host: Host) -> tuple[Address, ...]:
        """The VIPs on a host's loopback: on a director and a plain server their own, none on a node."""
        if host.role == "director":
            services = self.directed_by(host.name)
        else:
            services = self.services_of(host.name) if host.role == "server" else ()
        return tuple(dict.fromkeys(vip for service in services for vip in service.vips))

    def pods_of(self, host: str) -> tuple[Pod, ...]:
        """The pods that run behind a node; none for any other host."""
        return tuple(pod for pod in self.pods if pod.node == host)

    @cached_property
    def shared_pods(self) -> tuple[Pod, ...]:
        """The pods that other nodes hand packets to as well: of services whose policy is Cluster."""
        services = [service for service in self.services if service.traffic_policy == "Cluster"]
        return tuple(pod for pod in self.pods if any(pod.node in service.realservers for service in services))

    def endpoints_of(self, service: LabService, node: str) -> tuple[Pod, ...]:
        """The pods that a node hands a service's packets to, its own first."""
        own = self.pods_of(node)
        if service.traffic_policy == "Local":
            return own
        return (*own, *(pod for pod in self.pods if pod.node != node and pod.node in service.realservers))

    def realserver_address(self, host: str, vip: Address) -> Address:
        """The address that a director forwards packets for this VIP to."""
        found = self.by_name[host]
        return found.address if isinstance(vip, IPv4Address) else found.address6

    def directors_of(self, realserver: str) -> tuple[Host, ...]:
        """The directors of the first service that a realserver has, the primary first."""
        services = self.services_of(realserver) or self.services
        return tuple(self.by_name[director.host] for director in services[0].directors)
