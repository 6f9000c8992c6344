"""The facts about a host, as values. What could not be read is ``Unknown``, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TYPE_CHECKING, Literal

from ferryman.firewall import Ruleset
from ferryman.realservers.facts.routing import Routing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ferryman.firewall.nat import NatTable
    from ferryman.model import Address, Protocol
    from ferryman.realservers.facts.boot import Boot
    from ferryman.realservers.facts.clamper import Clamper
    from ferryman.realservers.facts.early import Filter
    from ferryman.realservers.facts.sysctl_d import SysctlFiles

ALL = "all"
"""The pseudo-device whose settings hold for every device."""
DEFAULT = "default"
"""The pseudo-device whose settings a new device takes over when it is made."""
TUNNEL_KINDS = ("ipip", "ip6tnl")
"""Kinds of device that unwrap IPv4 in IPv4, and IP in IPv6."""

REVERSE_PATH_DROPS = "TcpExtIPReversePathFilter"
"""The counter of packets that rp_filter dropped."""
LISTEN_DROPS = "TcpExtListenDrops"
"""The counter of SYNs that a listening socket dropped; TcpExtListenOverflows grows too where it was full."""
QUEUE_FULL = ("TcpExtListenOverflows", "TcpExtTCPReqQFullDrop")
"""The counters of SYNs for which a listening socket had no room."""
NO_ROUTE_OUT = ("IpOutNoRoutes", "Ip6OutNoRoutes")
"""The counters of packets, answers to SYNs among them, for which there was no route."""
NO_PROTOCOL = ("IpInUnknownProtos", "Ip6InUnknownProtos")
"""The counters of packets that came in, of a protocol that nothing in the kernel takes."""
DISCARDED = (
    "IpInDiscards",
    "IpInHdrErrors",
    "IpExtInNoRoutes",
    "Ip6InDiscards",
    "Ip6InHdrErrors",
    "Ip6InNoRoutes",
)
"""The counters of packets that came in and that the kernel's IP did not deliver."""
NO_POLICY = ("XfrmInNoPols", "XfrmInTmplMismatch", "XfrmInPolBlock")
"""The counters of packets that came in and that policies of IPsec did not allow."""
UNTRACKED = "NfConntrackDrop"
"""The counter of packets that connection tracking dropped, for its table was full."""
CALLED_INVALID = "NfConntrackInvalid"
"""The counter of packets that connection tracking called INVALID; a rule may drop such."""
OWN_RESETS = "TcpOutRsts"
"""The counter of RSTs that the host's own TCP sent; a firewall's are not among them."""
MARTIANS = "RtCacheInMartianSrc"
"""The counter of packets with a source that cannot be; rp_filter's drops in it are others too."""
DECAPSULATED = "decapsulated"
"""The counter of packets that all tunnel devices received, whether they were dropped later or not."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be determined."""

    reason: str


@dataclass(frozen=True, slots=True)
class Device:
    """A network device, as ``ip -d addr show`` describes it."""

    name: str
    kind: str | None = None
    """The kind that ``ip link add type`` takes, None for hardware and loopback."""
    up: bool = False
    mtu: int = 0
    external: bool = False
    """A tunnel that takes packets of any peer (``external``, collect_md in the kernel)."""
    local: str | None = None
    remote: str | None = None
    """A tunnel's own ends, None for any."""
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    unusable: frozenset[Address] = frozenset()
    """Addresses that duplicate address detection failed or has not finished for."""
    index: int = 0
    peer: int | None = None
    """The index of a veth's other end."""
    namespace: int | None = None
    """The number by which this host knows the namespace of the other end."""
    master: str | None = None
    """The bond, the bridge or the VRF that it belongs to."""
    link: str | None = None
    """The device below it: a VLAN's own, and the like."""
    xdp: str | None = None
    """The XDP program that sees its packets first, in words; None: there is none."""

    @property
    def has_ipv4(self) -> bool:
        """Whether at least one IPv4 address is on it."""
        return any(isinstance(address, IPv4Interface) for address in self.addresses)


@dataclass(frozen=True, slots=True)
class LocalRoute:
    """A prefix that the kernel takes for its own, from the table ``local``."""

    prefix: IPv4Network | IPv6Network
    device: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A network namespace whose devices have their other ends on this host."""

    name: str
    namespace: int
    """The number by which the host knows it."""
    devices: Mapping[str, Device]
    routes: Mapping[int, str] = field(default_factory=dict)
    """Its default route as ip(8) prints it, by IP version; several with a newline between."""

    def says_at_most(self, version: int, mss: int) -> bool:
        """Whether all of its default routes of this IP version say an MSS, and no larger one than this."""
        routes = self.routes.get(version, "").splitlines()
        return bool(routes) and all(
            (said := re.search(r" advmss (\d{1,5})\b", route)) is not None and int(said[1]) <= mss
            for route in routes
        )

    def end_of(self, device: Device) -> Device | None:
        """The pod's end of a device of the host; None when it is not this pod's."""
        if device.namespace != self.namespace:
            return None
        return next((end for end in self.devices.values() if end.peer == device.index), None)


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for connections or datagrams."""

    protocol: Protocol
    address: IPv4Address | IPv6Address | None
    """None: any address of either family."""
    port: int
    device: str | None = None
    """The only device it takes packets from; None: any."""

    def takes(self, protocol: Protocol, address: Address, port: int) -> bool:
        """Whether a packet for this address and port is its own; the device is another matter."""
        if (self.protocol, self.port) != (protocol, port):
            return False
        if self.address is None or self.address == address:
            return True
        return self.address.is_unspecified and self.address.version == address.version


Setting = Literal["rp_filter", "arp_ignore", "arp_announce", "disable_ipv6"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was read of one host, in one look."""

    host: str
    kernel: str | Unknown
    devices: Mapping[str, Device] | Unknown
    local_routes: tuple[LocalRoute, ...] | Unknown
    settings: Mapping[tuple[Setting, str], int] | Unknown
    """By key and device: ``("rp_filter", "all")`` is ``net.ipv4.conf.all.rp_filter``."""
    listeners: tuple[Listener, ...] | Unknown
    counted: Mapping[str, int] | Unknown
    """What the kernel counts: ``TcpExtListenDrops`` and the like, ``ipip0.rx_packets`` for each device."""
    nat: NatTable
    firewall: Ruleset = field(default_factory=Ruleset)
    """Every rule that a packet meets on its way in."""
    persisted: SysctlFiles | Unknown = field(default_factory=lambda: Unknown("it was not looked at"))
    """The files that set kernel settings at the next boot."""
    boot: Boot | Unknown | None = None
    """What the host does at its next boot; None: it was not asked."""
    pods: tuple[Pod, ...] | Unknown = ()
    """The namespaces behind the host's ``cali`` devices, as far as they have names."""
    cni_mtu: Mapping[str, int] = field(default_factory=dict)
    """The MTU in bytes that new pods get, by the file that says so; automatic ones are left out."""
    clamper: Clamper | Unknown | None = None
    """tcp-mss-clamper; None: there is no such unit."""
    routing: Routing = field(default_factory=Routing)
    """Routes that were asked for, and what decides about them."""
    filters: tuple[Filter, ...] | Unknown | None = None
    """The filters of tc(8), which drop before netfilter sees a packet, or after; None: it was not asked."""

    def setting(self, key: Setting, device: str) -> int | Unknown:
        """The value of a device's kernel setting; Unknown when it could not be read."""
        if isinstance(self.settings, Unknown):
            return self.settings
        return self.settings.get((key, device), Unknown(f"{key} of {device} was not in the answer"))

    def named(self, *prefixes: str) -> list[Device]:
        """The devices whose names begin so; none when devices could not be read."""
        known = {} if isinstance(self.devices, Unknown) else self.devices
        return [device for name, device in known.items() if name.startswith(prefixes)]


def counters(
    facts: Facts, counted: Mapping[str, int] | None = None, kinds: Collection[str] = TUNNEL_KINDS
) -> Mapping[str, int]:
    """What the kernel counted, for comparison with another look; empty when it could not be read.

    ``counted`` is that other look, where its counters alone were read; ``kinds`` those of the tunnels that
    count.

    ``TcpExtListenDrops`` and its like are named as nstat(8) does, a device's ``ipip0.rx_packets``,
    ``ipip0.rx_errors``, ``ipip0.rx_dropped``, ``ipip0.rx_frame_errors``.
    """
    if counted is None:
        counted = {} if isinstance(facts.counted, Unknown) else facts.counted
    if not counted:
        return {}
    known = {} if isinstance(facts.devices, Unknown) else facts.devices
    tunnels = [name for name, device in known.items() if device.kind in kinds]
    return {**counted, DECAPSULATED: sum(counted.get(f"{name}.rx_packets", 0) for name in tunnels)}


def received_on(counted: Mapping[str, int]) -> int:
    """The packets that came out of tunnel devices, of counters or of what they grew by."""
    return counted.get(DECAPSULATED, 0)
