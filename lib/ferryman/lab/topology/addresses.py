"""Addresses for a lab's hosts, pods and VIPs, all of them out of the lab's own networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.topology.values import FAR_NETWORKS, POD_NETWORKS, SEGMENT_NETWORKS, Host, Pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ferryman.lab.topology.values import HostRole

PODS_PER_NODE = 2
FIRST = {"director": 11, "server": 21, "node": 31}
"""The number of the first host of a role; nine are the role's own."""
_OWN = 9
_OVERFLOW = range(101, 251)
"""The numbers for what finds no room in its role's own."""


def segment_host(name: str, role: HostRole, number: int, cluster: str = "", *, far: bool = False) -> Host:
    """A host of the segment; the number ends its addresses: 11 makes 10.10.0.11 and fd10::11.

    One that is ``far`` is on the other side of the router: 10.50.0.11 and fd50::11.
    """
    four, six = FAR_NETWORKS if far else SEGMENT_NETWORKS
    return Host(name, role, four[number], six[int(str(number), 16)], cluster)


def numbers(roles: Iterable[str]) -> list[int]:
    """A number for each host, by their roles: 11 and on for directors, 21 for servers, 31 for nodes."""
    free = iter(_OVERFLOW)
    own = {role: iter(range(first, first + _OWN)) for role, first in FIRST.items()}
    return [number if (number := next(own[role], 0)) else next(free) for role in roles]


def pods_behind(nodes: Iterable[Host], pods: Mapping[str, int] | None = None) -> tuple[Pod, ...]:
    """The pods of some nodes, two each unless the mapping says otherwise."""
    return tuple(
        _pod(node.name, place, number)
        for place, node in enumerate(nodes, start=1)
        for number in range(1, 1 + (pods or {}).get(node.name, PODS_PER_NODE))
    )


def _pod(node: str, place: int, number: int) -> Pod:
    four, six = POD_NETWORKS
    return Pod(
        f"{node}-pod{number}",
        node,
        f"cali{0x1A2B3C40 + 16 * place + number:011x}",
        four[256 * place + 10 + number],
        six[0x10000 * place + 0x10 + number],
    )
