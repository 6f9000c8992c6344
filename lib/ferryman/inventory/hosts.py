"""A service's realservers and directors as values, with what hosts.yaml leaves out looked up or defaulted."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from ferryman.encapsulation import ETHERNET_MTU
from ferryman.inventory.dns import Resolve, addresses_of, first_of
from ferryman.model import Director, Kind, MssStrategy, Realserver, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.inventory.folder import Folder
    from ferryman.inventory.problems import Problem
    from ferryman.inventory.schema import ClusterEntry, DirectorEntry, HostEntry
    from ferryman.model import Address

Family = type[IPv4Address] | type[IPv6Address]
_BY_KIND = {Kind.SERVER: MssStrategy.CLAMP, Kind.KUBERNETES: MssStrategy.POD_MTU}


@dataclass(frozen=True, slots=True)
class HostBuilder:
    """Makes the hosts of one service; addresses of hosts.yaml win, only missing ones are looked up in DNS."""

    folder: Folder
    families: frozenset[Family]
    """Those of the service's VIPs."""
    resolve: Resolve

    def director(self, entry: DirectorEntry) -> Director:
        """A director; one that cannot be looked up has no address, for it is reached by its name."""
        found = self._addresses(entry.host)
        return Director(
            entry.host,
            Role(entry.role),
            entry.driver,
            dict(entry.model_extra or {}),
            found.four,
            found.six,
            tuple(entry.outer_sources),
            entry.ipip_enabled,
        )

    def realserver(self, host: str) -> Realserver | Problem:
        """A realserver, or what keeps it from having an address for each VIP."""
        found = self._addresses(host)
        missing = [family for family in _sorted(self.families) if found.of(family) is None]
        if missing:
            lacking = f"{host} has no {' and no '.join(map(_word, missing))}"
            return self._unreachable(host, found.trouble or lacking, missing)
        entry = self.folder.hosts.read(host)
        kind = _kind(entry)
        cluster = entry.cluster if entry else None
        mss, path_mtu = room_of(entry, self.folder.clusters.read(cluster) if cluster else None)
        return Realserver(host, kind, found.four, found.six, cluster, mss, path_mtu)

    def _addresses(self, host: str) -> _Addresses:
        entry = self.folder.hosts.read(host)
        known = _Addresses(entry.address, entry.address6) if entry else _Addresses()
        if all(known.of(family) is not None for family in self.families):
            return known
        try:
            return known.filled_from(addresses_of(host, self.resolve), self.families)
        except OSError as error:
            trouble = f"{host} cannot be looked up ({error.strerror or error})"
            return _Addresses(known.four, known.six, trouble)

    def _unreachable(self, host: str, what: str, missing: list[Family]) -> Problem:
        keys = " and ".join("address" if family is IPv4Address else "address6" for family in missing)
        message = f"{what}, expected one for the service's VIP; give {keys} of {host} here, or in DNS"
        return self.folder.problem("hosts.yaml", (host,), message)


@dataclass(frozen=True, slots=True)
class _Addresses:
    """A host's addresses, as far as they are known."""

    four: IPv4Address | None = None
    six: IPv6Address | None = None
    trouble: str = ""
    """Why the name could not be looked up."""

    def of(self, family: Family) -> Address | None:
        return self.four if family is IPv4Address else self.six

    def filled_from(self, found: Sequence[Address], families: frozenset[Family]) -> _Addresses:
        """The same, with what is missing of these families taken from what the resolver found."""
        four, six = (
            self.of(family) or (first_of(found, family) if family in families else None)
            for family in (IPv4Address, IPv6Address)
        )
        assert not isinstance(four, IPv6Address)
        assert not isinstance(six, IPv4Address)
        return _Addresses(four, six)


def _kind(entry: HostEntry | None) -> Kind:
    """The kind of a realserver; one that is a bastion beside that is a server."""
    return Kind.KUBERNETES if entry is not None and entry.kind == Kind.KUBERNETES.value else Kind.SERVER


def room_of(host: HostEntry | None, cluster: ClusterEntry | None) -> tuple[MssStrategy, int]:
    """MSS strategy and path MTU in bytes: the host's own, else its cluster's, else its kind's."""
    entries = [entry for entry in (host, cluster) if entry is not None]
    mss = next((entry.mss for entry in entries if entry.mss is not None), None)
    path_mtu = next((entry.path_mtu for entry in entries if entry.path_mtu is not None), ETHERNET_MTU)
    by_kind = _BY_KIND[_kind(host)]
    return MssStrategy(mss) if mss else by_kind, path_mtu


def _sorted(families: frozenset[Family]) -> list[Family]:
    return sorted(families, key=lambda family: family.__name__)


def _word(family: Family) -> str:
    return "IPv4 address" if family is IPv4Address else "IPv6 address"
