"""What stands in a lab for the names and addresses of a tape."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from ferryman.lab.topology.values import POD_NETWORKS, SEGMENT_NETWORKS, VIP_NETWORKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.model import Address

_FOUR = r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?!\w|\.\d)"
_SIX = r"(?<![\w:.])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?:/\d{1,3})?(?![\w:])"
_ADDRESS = re.compile(f"{_FOUR}|{_SIX}")
_LAB = (*SEGMENT_NETWORKS, *VIP_NETWORKS, *POD_NETWORKS)


class Names:
    """The lab's name for each recorded host, and its address for each recorded address."""

    def __init__(self, hosts: Mapping[str, str], addresses: Mapping[Address, Address]) -> None:
        self.hosts = dict(hosts)
        self.addresses = dict(addresses)
        longest_first = sorted(map(re.escape, self.hosts), key=len, reverse=True)
        named = [rf"(?<![\w.-])(?:{'|'.join(longest_first)})(?![\w-]|\.\w)"] if longest_first else []
        self._word = re.compile("|".join([_FOUR, _SIX, *named]))

    def with_more(self, addresses: Mapping[Address, Address]) -> Names:
        """The same, with more addresses; those that are known already stay."""
        return Names(self.hosts, {**addresses, **self.addresses})

    def text(self, text: str) -> str:
        """A text in which each recorded name, address and network is the lab's.

        A network is the lab's own one of that kind where an address of it has a counterpart.
        """
        # In one pass: what stands for an address may be another recorded address.
        return self._word.sub(lambda found: self._mapped(found[0]), text)

    def has_strangers(self, text: str) -> bool:
        """Whether there is an address in the text that nothing stands for in the lab."""
        return any(self._is_stranger(found[0]) for found in _ADDRESS.finditer(text))

    def _mapped(self, word: str) -> str:
        if word in self.hosts:
            return self.hosts[word]
        address, slash, length = word.partition("/")
        try:
            known = self.addresses.get(ip_address(address))
        except ValueError:
            return word
        if known is not None:
            return f"{known}{slash}{length}"
        return (self._network(word) if slash else None) or word

    def _network(self, word: str) -> str | None:
        try:
            network = ip_network(word, strict=False)
        except ValueError:
            return None
        if network.prefixlen == 0:
            return None
        inside = next((here for there, here in self.addresses.items() if there in network), None)
        return None if inside is None else str(next(own for own in _LAB if inside in own))

    def _is_stranger(self, word: str) -> bool:
        try:
            network = ip_network(word, strict=False)
        except ValueError:
            return False
        special = network.is_loopback or network.is_link_local or network.is_multicast
        if special or network.prefixlen == 0 or network.is_unspecified:
            return False
        return not any(there in network for there in self.addresses)
