"""Pseudonyms of addresses: inside 10/8 and fd00::/8, keyed, and as near to each other as the originals are.

As in Crypto-PAn (Xu and others, 2002), two addresses that share their first n bits share as many afterwards:
what was in one network still is. Unlike there, bits are turned over only where all addresses of the tape have
the same one, so that they keep their order, too; and of several seeds the first is taken with which no two
networks that were apart get into each other. So a pseudonym depends on the key and on all of the tape.
"""

from __future__ import annotations

import hashlib
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

BITS = {4: 32, 6: 128}
_HOME = {4: 10, 6: 0xFD}
"""The first eight bits of every pseudonym."""
_FIXED = 8
_HOST_BITS = {4: 8, 6: 64}
"""An address that has zeros there is a network's: they stay zeros."""
_SEEDS = 48
"""How many are tried before less is wanted of them."""
_KEPT = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
        *(
            "::/127",
            "fe80::/128",
            "ff00::/8",
            "192.0.2.0/24",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "2001:db8::/32",
        ),
        *("172.16.1.1/32", "100::1/128", "9.9.9.9/32", "2620:fe::fe/128"),
    )
)
"""What means the same everywhere: masks, loopback, multicast, addresses of documentation, and those that the
program itself has (sources of probes, and the ends of packets that firewalls are asked about)."""
_LINK_LOCAL = ip_network("fe80::/10")
_SOLICITED = ip_network("ff02::1:ff00:0/104")
_EMBEDDED = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))
"""IPv4 addresses written as IPv6."""


def is_kept(address: Address) -> bool:
    """Whether the address means the same everywhere, so that it is no address of anybody's."""
    if address in _SOLICITED:
        return False
    return any(address.version == kept.version and address in kept for kept in _KEPT)


def is_kept_network(network: Network) -> bool:
    """Whether the network is so large, or so well known, that it says nothing about anybody."""
    return network.prefixlen <= _FIXED or is_kept(network.network_address)


class AddressMap:
    """The pseudonyms of all addresses and networks of a tape."""

    def __init__(self, key: bytes, addresses: Collection[Address], networks: Collection[Network]) -> None:
        self._key = key
        self.notes: list[str] = []
        """What could not be kept, for people."""
        inner = [found for address in addresses for found in _parts(address)]
        self._maps: dict[int, dict[tuple[int, int], int]] = {}
        for version in (4, 6):
            nodes = {(int(each), BITS[version]) for each in inner if each.version == version}
            nodes |= {
                (int(each.network_address), each.prefixlen)
                for each in networks
                if each.version == version and not is_kept_network(each)
            }
            self._maps[version] = self._chosen(version, nodes)

    def address(self, address: Address) -> Address:
        """The address's pseudonym; one that was not collected has none and stays as it is."""
        if address in _SOLICITED:
            low = int(address) & 0xFFFFFF
            return ip_address(int(_SOLICITED.network_address) | _bits(self._key, f"solicited {low}", 24))
        for embedding in _EMBEDDED:
            if address in embedding:
                own = self.address(IPv4Address(int(address) & 0xFFFFFFFF))
                return IPv6Address(int(embedding.network_address) | int(own))
        bits = BITS[address.version]
        own_value = self._maps[address.version].get((int(address), bits), int(address))
        return IPv4Address(own_value) if address.version == 4 else IPv6Address(own_value)  # noqa: PLR2004  # IPv4

    def network(self, network: Network) -> Network:
        """The network's pseudonym, with the same length."""
        value = self._maps[network.version].get((int(network.network_address), network.prefixlen))
        return network if value is None else ip_network((value, network.prefixlen))

    def _chosen(self, version: int, nodes: set[tuple[int, int]]) -> dict[tuple[int, int], int]:
        if not nodes:
            return {}
        tree = _Tree(version, nodes)
        for wanted, lost in _WANTED:
            for seed in range(_SEEDS):
                found = {node: tree.image(node, self._key, seed) for node in nodes}
                if all(test(found, version) for test in wanted):
                    self.notes += [f"IPv{version}: {lost}"] if lost else []
                    return found
        self.notes.append(f"IPv{version}: some networks that were apart are within each other now")
        return found


class _Tree:
    """All first bits of the addresses, so that it is known where there is only one way to go on.

    Where there is, for one bit or for many, the bits are turned over as a hash of where that begins says.
    """

    def __init__(self, version: int, nodes: Collection[tuple[int, int]]) -> None:
        self._version = version
        self._bits = BITS[version]
        prefixes = {
            (value >> (self._bits - length), length)
            for value, until in nodes
            for length in range(1, until + 1)
        }
        self._forks = {
            (value >> 1, length - 1) for value, length in prefixes if (value ^ 1, length) in prefixes
        }
        self._zeros = {
            (value >> (self._bits - length), length)
            for value, until in nodes
            if until == self._bits
            for length in range(self._bits - _zeros(value, version), self._bits)
        }
        self._runs = {node: tuple(self._runs_of(node)) for node in nodes}

    def image(self, node: tuple[int, int], key: bytes, seed: int) -> int:
        """The pseudonym of an address, or of a network's first."""
        value, until = node
        first, home = self._start(value)
        image = home << (self._bits - first) | value & ((1 << (self._bits - first)) - 1)
        for start, length, count, mask in self._runs[node]:
            turned = _bits(key, f"{self._version} {seed} {length} {start:x}", 128) >> (128 - count) & mask
            image ^= turned << (self._bits - length - count)
        return image & ~((1 << (self._bits - until)) - 1)

    def _start(self, value: int) -> tuple[int, int]:
        """How many bits are not turned over, and what stands there."""
        if self._version == 6 and IPv6Address(value) in _LINK_LOCAL:  # noqa: PLR2004  # IPv6
            return 64, value >> 64
        return _FIXED, _HOME[self._version]

    def _runs_of(self, node: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
        """The stretches without a fork: prefix and length at the start, bits, and which of them may turn."""
        value, until = node
        length = self._start(value)[0]
        while length < until:
            start, first, mask = value >> (self._bits - length), length, 0
            while length < until and (prefix := value >> (self._bits - length), length) not in self._forks:
                mask = mask << 1 | ((prefix, length) not in self._zeros)
                length += 1
            if length > first:
                yield start, first, length - first, mask
            length += 1


def _parts(address: Address) -> list[Address]:
    """The address whose pseudonym is needed: an embedded IPv4 address, or itself; none where it is kept."""
    if any(address in embedding for embedding in _EMBEDDED):
        address = IPv4Address(int(address) & 0xFFFFFFFF)
    return [] if is_kept(address) or address in _SOLICITED else [address]


def _zeros(value: int, version: int) -> int:
    """At how many of its last bits a network's address keeps its zeros; 0 for any other address."""
    bits = _HOST_BITS[version]
    return 0 if value & ((1 << bits) - 1) else bits


def _bits(key: bytes, text: str, bits: int) -> int:
    digest = hashlib.blake2b(text.encode(), key=key, digest_size=16).digest()
    return int.from_bytes(digest, "big") >> (128 - bits)


def _are_new(found: Mapping[tuple[int, int], int], version: int) -> bool:
    """No pseudonym is an original, and no two are the same."""
    images = {(image, length) for (_, length), image in found.items()}
    bits = BITS[version]
    addresses = {value for value, _ in found}
    return (
        len(images) == len(found)
        and not any(image in addresses for (_, length), image in found.items() if length == bits)
        and not images & found.keys()
    )


def _networks_hold(found: Mapping[tuple[int, int], int], version: int) -> bool:
    """Each network has just the addresses and networks in it that it had."""
    bits = BITS[version]
    for (base, length), image in found.items():
        shift = bits - length
        if shift == 0:
            continue
        for (value, other), its_image in found.items():
            if other >= length and (value >> shift == base >> shift) != (
                its_image >> shift == image >> shift
            ):
                return False
    return True


def _keep_order(found: Mapping[tuple[int, int], int], _: int) -> bool:
    images = [found[node] for node in sorted(found)]
    return images == sorted(images)


def _keep_text_order(found: Mapping[tuple[int, int], int], version: int) -> bool:
    made: Callable[[int], object] = IPv4Address if version == 4 else IPv6Address  # noqa: PLR2004  # IPv4
    own = sorted((node for node in found if node[1] == BITS[version]), key=lambda node: str(made(node[0])))
    images = [str(made(found[node])) for node in own]
    return images == sorted(images)


_WANTED = (
    ((_are_new, _networks_hold, _keep_order, _keep_text_order), ""),
    ((_are_new, _networks_hold, _keep_order), ""),
    ((_are_new, _networks_hold), ""),  # in order are still those that share their first eight bits
    ((_are_new,), "some networks that were apart are within each other now"),
)
"""What is wanted of pseudonyms, most first, and what is lost where that is all that can be had."""
