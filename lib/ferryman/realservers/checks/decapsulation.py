"""Which device unwraps an encapsulated packet, by the kernel's own order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ferryman.model import Address, Service
    from ferryman.realservers.facts import Device, Facts


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The tunnel device for encapsulated packets of one IP version."""

    version: int
    device: str
    kind: str
    fallback: str
    """The device that the kernel makes by itself, and that takes what no other takes once it is up."""

    @property
    def add(self) -> str:
        """The shell commands that make the device, up and with its address."""
        make = f"ip link add name {self.device} type {self.kind} external"
        address = " && ip addr add 127.0.0.42/32 dev ipip0" if self.version == 4 else ""  # noqa: PLR2004  # IPv4
        return f"{make} && ip link set {self.device} up{address}"


IPIP = Tunnel(4, "ipip0", "ipip", "tunl0")
IP6IP6 = Tunnel(6, "ipip60", "ip6tnl", "ip6tnl0")


def tunnels(service: Service) -> list[Tunnel]:
    """The tunnels that the service's VIPs need."""
    versions = {virtual.vip.version for virtual in service.virtual_services}
    return [tunnel for tunnel in (IPIP, IP6IP6) if tunnel.version in versions]


def tunnel_for(vip: Address) -> Tunnel:
    """The tunnel that packets for this VIP come through."""
    return next(tunnel for tunnel in (IPIP, IP6IP6) if tunnel.version == vip.version)


def externals(tunnel: Tunnel, devices: Mapping[str, Device]) -> Iterable[Device]:
    """The tunnel devices of this version that take any peer's packets; the kernel allows one."""
    return (device for device in devices.values() if device.kind == tunnel.kind and device.external)


def decapsulator(tunnel: Tunnel, devices: Mapping[str, Device]) -> Device | None:
    """The device that the packets come out of.

    Source: net/ipv4/ip_tunnel.c, ip_tunnel_lookup: a tunnel with these very ends, then the external device if
    it is up, then the fallback device if it is up. ip6_tunnel.c does likewise.
    """
    own = devices.get(tunnel.device)
    if own is not None and own.up and own.kind == tunnel.kind:
        return own
    external = next((device for device in externals(tunnel, devices) if device.up), None)
    fallback = devices.get(tunnel.fallback)
    return external or (fallback if fallback is not None and fallback.up else None)


def key(device: str) -> str:
    """The name of a device's rp_filter, as sysctl(8) takes it."""
    return f"net.ipv4.conf.{device.replace('.', '/')}.rp_filter"


def decapsulator_name(tunnel: Tunnel, facts: Facts) -> str:
    """The device that the packets come out of, or should."""
    if isinstance(facts.devices, Unknown):
        return tunnel.device
    device = decapsulator(tunnel, facts.devices)
    return device.name if device is not None else tunnel.device


def vrf_of(facts: Facts, device: str) -> str | None:
    """The VRF that a device belongs to; None where it is in none, or nothing is known of it."""
    devices = {} if isinstance(facts.devices, Unknown) else facts.devices
    own = devices.get(device)
    master = devices.get(own.master) if own is not None and own.master is not None else None
    return master.name if master is not None and master.kind == "vrf" else None
