"""The lines of ``ip -batch`` that directors and realservers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.batches import address_line, on_link
from ferryman.lab.topology import values

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Topology


def tunnels() -> list[str]:
    """The decapsulators, as Katran and Wikimedia set them up: they take packets from any peer."""
    return [
        "link add name ipip0 type ipip external",
        "link add name ipip60 type ip6tnl external",
        "link set ipip0 up",
        "link set ipip60 up",
        "addr add 127.0.0.42/32 dev ipip0",
    ]


def segment_addresses(lab: Topology, host: Host) -> list[str]:
    """A host's addresses, its VIPs, and its ways out by its own side of the router."""
    gateway, gateway6 = values.gateways_of(host)
    return [
        "link set lo up",
        "link set eth0 up",
        *(address_line(on_link(address), "eth0") for address in (host.address, host.address6)),
        *(address_line(f"{vip}/{vip.max_prefixlen}", "lo") for vip in lab.vips_of(host)),
        f"route add default via {gateway}",
        f"route add default via {gateway6}",
    ]
