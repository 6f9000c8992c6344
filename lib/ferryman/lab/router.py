"""The lab's router: a bridge for directors and realservers, one for far ones, and the ways to the VIPs."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ferryman.lab import daemons
from ferryman.lab.batches import address_line, on_link, start_script, text
from ferryman.lab.topology import values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.lab.topology import Host, Topology


def router(lab: Topology, host: Host) -> dict[str, str]:
    """The router's files, by their paths below the lab's root."""
    devices = lab.devices
    near = [devices[other.name] for other in lab.segment if not other.is_far]
    far = [devices[other.name] for other in lab.segment if other.is_far]
    alone = {devices[other.name]: gateways for other, gateways in values.ALONE.items()}
    lines = ["link set lo up", *_bridge("br0", near), *(_bridge("br1", far) if far else ())]
    lines += ["link set vec0 up"]
    lines += [f"link set dev {name} up" for name in alone]
    for device, addresses in (
        ("br0", values.SEGMENT_GATEWAYS),
        *((("br1", values.FAR_GATEWAYS),) if far else ()),
        ("vec0", values.CONTROL_GATEWAYS),
        *alone.items(),
    ):
        lines += [address_line(on_link(address), device) for address in addresses]
    lines += _vip_routes(lab)
    for pod in lab.shared_pods:
        node = lab.by_name[pod.node]
        lines += [
            f"route add {pod.address} via {node.address}",
            f"route add {pod.address6} via {node.address6}",
        ]
    sysctl = {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1}
    # A batch takes rules for IPv4 alone: ip infers the family of a route, but not that of a rule.
    network = values.VIP_NETWORKS[1]
    rules = [
        f"ip -6 rule add from {values.traffic_sources(rank)[1]} to {network} lookup {_table(rank)}"
        for rank in lab.secondary_ranks
    ]
    start = start_script(
        host.name, sysctl=sysctl, late={}, commands=[*rules, daemons.sshd_command(host.name)]
    )
    return {f"lab/{host.name}/ip": text(lines), f"lab/{host.name}/start.sh": start}


def _bridge(name: str, devices: Sequence[str]) -> list[str]:
    """A bridge with these devices in it, for ``ip -batch``."""
    members = (f"link set dev {device} master {name} up" for device in devices)
    return [
        f"link add {name} type bridge forward_delay 0 mcast_snooping 0",
        *members,
        f"link set {name} up",
    ]


def _table(rank: int) -> int:
    """The routing table with the ways to the secondaries of this rank."""
    return 1 + rank


def _vip_routes(lab: Topology) -> Iterator[str]:
    """VIPs go to their primary director; what comes from another address of control, to a secondary."""
    for index, network in enumerate(values.VIP_NETWORKS):
        for rank in (0, *lab.secondary_ranks):
            table = f" table {_table(rank)}" if rank else ""
            ways = _ways(lab, index, rank)
            usual = ways.pop("")
            yield f"route add {network} via {usual}{table}"
            yield from (f"route add {vip} via {way}{table}" for vip, way in ways.items() if way != usual)
            if rank and not index:
                yield f"rule add from {values.traffic_sources(rank)[0]} to {network} lookup {_table(rank)}"


def _ways(lab: Topology, index: int, rank: int) -> dict[str, str]:
    """The director of this rank for each VIP of a family, and that of the first service for no VIP."""
    ways: dict[str, str] = {}
    for service in lab.services:
        if len(service.directors) > rank:
            director = lab.by_name[service.directors[rank].host]
            way = str((director.address, director.address6)[index])
            ways.setdefault("", way)
            ways |= {str(vip): way for vip in service.vips if isinstance(vip, IPv4Address) is (index == 0)}
    return ways
