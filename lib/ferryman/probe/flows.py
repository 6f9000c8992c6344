"""Which flows a probe opens: as many source ports for each target as samples, each with a number of its own.

A flow keeps its port and its sequence number through all tries. Behind a node the port decides which pod
answers: with another one, the next try might meet a sound pod and hide the bad one. And to TCP the same SYN
again is a retransmission, which every stack answers; one with another number would look like a new one.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING, NamedTuple

from ferryman.probe.classify import Flow
from ferryman.probe.packets import PacketPair, packet_pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.model import Address, VirtualService

PORT_POOL = 256
"""TCP ports reserved for each own address at most: each takes a file."""


class Lane(NamedTuple):
    """What the flows from one own address to one VIP and port through one outer source share."""

    packets: PacketPair
    """The templates of what opens a flow, and of what closes it."""
    flows: list[Flow]
    """The flows, one for each reserved port."""


class FlowAllocator:
    """Gives each target its lane; lanes are made when first asked for.

    ``pools`` are the ports reserved for each own address.
    """

    def __init__(self, pools: Mapping[Address, Sequence[int]]) -> None:
        self._pools = pools
        self._made: dict[tuple[Address, Address, int, Address], Lane] = {}
        self._known: dict[tuple[int, int, int], Lane] = {}

    def lane(self, source: Address, virtual: VirtualService, outer: Address) -> Lane:
        """The lane from an own address through an outer source to a virtual service.

        These outlive the probe, so the same objects are known by their identity and not compared again.
        """
        identity = (id(source), id(virtual), id(outer))
        known = self._known.get(identity)
        if known is None:
            known = self._known[identity] = self._lane(source, virtual.vip, virtual.port, outer)
        return known

    def _lane(self, source: Address, vip: Address, port: int, outer: Address) -> Lane:
        key = (source, vip, port, outer)
        if key not in self._made:
            flows = [Flow(source, own, vip, port) for own in self._pools[source]]
            self._made[key] = Lane(packet_pair(*key), flows)
        return self._made[key]


def pool_size(targets: int, samples: int) -> int:
    """Ports to reserve for each own address: one for each flow, as far as it goes.

    Two SYNs of one flow would upset each other where they meet: at one realserver, or at one pod that two
    nodes send them to. Beyond the pool's size targets share flows, as far apart as can be: what has answered
    is closed by then, and sequence numbers tell them apart.
    """
    return min(PORT_POOL, targets * samples)


def samples_of(lane: Lane, index: int, samples: int) -> Iterator[Flow]:
    """The flows of the target with this index among all."""
    flows = lane.flows
    first = index * samples
    return (flows[(first + number) % len(flows)] for number in range(samples))


def sequence_numbers(count: int) -> Iterator[int]:
    """Initial sequence numbers, all different: 32 random bits each, so that nobody guesses one."""
    numbers: dict[int, None] = {}  # and no set, whose order would tell of each number's low bits
    while missing := count - len(numbers):
        drawn = array("I", os.urandom(array("I").itemsize * missing))
        numbers.update(dict.fromkeys(drawn))
    return iter(numbers)
