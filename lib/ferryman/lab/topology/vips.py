"""VIPs for a lab's services: given ones of the lab's network, and free ones for the rest."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.errors import LabError
from ferryman.lab.topology.values import VIP_NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.model import Address

MOST = 199
"""VIPs of each family that are chosen."""


class Vips:
    """The VIPs that are given, and those that are free, by family."""

    def __init__(self, words: Iterable[str]) -> None:
        """The words are addresses, ``ipv4`` or ``ipv6``."""
        given = {word for word in words if word not in ("ipv4", "ipv6")}
        self._free = {
            f"ipv{network.version}": _free(network.network_address, {ip_address(word) for word in given})
            for network in VIP_NETWORKS
        }

    def address(self, word: str) -> Address:
        """The address that is given, or the next free one of the family that is named.

        Raises:
            LabError: There is no free one left.
        """
        if word not in self._free:
            return ip_address(word)
        found = next(self._free[word], None)
        if found is None:
            raise LabError(f"a lab has {MOST} VIPs of a family at most, and more are wanted")
        return found

    @staticmethod
    def is_in_the_lab(value: object) -> bool:
        """Whether this is an address out of the lab's network for VIPs, as text."""
        try:
            address = ip_address(value if isinstance(value, str) else "")
        except ValueError:
            return False
        return any(address in network and address != network[0] for network in VIP_NETWORKS)


def _free(first: Address, given: set[Address]) -> Iterator[Address]:
    """Numbers count on in decimal digits for both families: 10.99.0.10, and fd99::10."""
    for number in range(1, MOST + 1):
        address = first + (number if first.version == 4 else int(str(number), 16))  # noqa: PLR2004  # IPv4
        if address not in given:
            yield address
