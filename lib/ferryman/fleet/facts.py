"""What is so on a host, as values. What could not be read is ``Unknown``, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.fleet.nat import NatTable
    from ferryman.model import Address, Protocol

ALL = "all"
"""The pseudo-device whose settings hold for every device."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be determined."""

    reason: str


@dataclass(frozen=True, slots=True)
class Device:
    """A network device."""

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

    @property
    def has_ipv4(self) -> bool:
        """Whether it has any IPv4 address."""
        return any(isinstance(one, IPv4Interface) for one in self.addresses)


@dataclass(frozen=True, slots=True)
class LocalRoute:
    """A prefix that the kernel takes for its own, from the table ``local``."""

    prefix: IPv4Network | IPv6Network
    device: str


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for connections or datagrams."""

    protocol: Protocol
    address: IPv4Address | IPv6Address | None
    """None: any address of either family."""
    port: int
    device: str | None = None
    """The only device it takes packets from."""

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
    clock: int | Unknown
    """Seconds since 1970, by the host's own clock."""
    devices: Mapping[str, Device] | Unknown
    local_routes: tuple[LocalRoute, ...] | Unknown
    settings: Mapping[tuple[Setting, str], int] | Unknown
    """By key and device: ``("rp_filter", "all")`` is ``net.ipv4.conf.all.rp_filter``."""
    listeners: tuple[Listener, ...] | Unknown
    reverse_path_drops: int | Unknown
    """The counter TcpExtIPReversePathFilter."""
    nat: NatTable
    trouble: Mapping[str, str] = field(default_factory=dict)
    """What each unreadable section of the answer said."""

    def setting(self, key: Setting, device: str) -> int | Unknown:
        """One setting of one device."""
        if isinstance(self.settings, Unknown):
            return self.settings
        return self.settings.get((key, device), Unknown(f"{key} of {device} was not in the answer"))
