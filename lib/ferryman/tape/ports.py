"""The world's ports beside the hosts: every way in which a run asks the outside, or changes it.

Each is a function or a class that has a place here, so that a recorder can listen and a tape can answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ferryman.catalog import Catalog, GitCatalog
from ferryman.inventory.dns import system_resolver
from ferryman.kubernetes.api import cluster_client
from ferryman.probe import Prober, own_source, require_raw_sockets
from ferryman.probe.exchange import Exchanger
from ferryman.tape.heard_transport import HeardTransport
from ferryman.traffic.http_request import exchange as request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ferryman.config import CatalogConfig, ProbeConfig
    from ferryman.inventory.dns import Resolve
    from ferryman.inventory.schema import ClusterEntry
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.model import Address, ProbeResult
    from ferryman.probe import Target
    from ferryman.probe.exchange import ExchangeLimits, ExchangeResult, ExchangeTarget
    from ferryman.tape.heard_transport import HearPacket
    from ferryman.traffic.http_request import Request, Result


class Probe(Protocol):
    """Sends probes."""

    def __call__(
        self, config: ProbeConfig, targets: Sequence[Target], heard: HearPacket | None = None
    ) -> list[ProbeResult]:
        """Send encapsulated SYNs to each target; one result for each, in their order.

        ``heard`` gets every packet that is sent and received.
        """


def probe(
    config: ProbeConfig, targets: Sequence[Target], heard: HearPacket | None = None
) -> list[ProbeResult]:
    """Send probes from this host; as ``Probe``."""
    if heard is None:
        return Prober(config).probe(targets)
    return Prober(config, transport=partial(HeardTransport, heard=heard)).probe(targets)


class Exchange(Protocol):
    """Makes whole exchanges through the tunnel."""

    def __call__(
        self, config: ProbeConfig, limits: ExchangeLimits, targets: Sequence[ExchangeTarget]
    ) -> list[ExchangeResult]:
        """Make an exchange with each target, side by side; one result for each, in their order."""


def exchange(
    config: ProbeConfig, limits: ExchangeLimits, targets: Sequence[ExchangeTarget]
) -> list[ExchangeResult]:
    """Make exchanges from this host; as ``Exchange``."""
    return Exchanger(config, limits).exchange(targets)


def catalog_file(file: Path, dry_run: bool) -> Catalog:  # one of two
    """The service catalog as a file that is edited in place."""
    return Catalog(file, dry_run=dry_run)


def git_catalog(file: Path, config: CatalogConfig, dry_run: bool) -> GitCatalog:  # one of two
    """The service catalog as a git repository in which people review every change."""
    return GitCatalog(file, config, dry_run=dry_run)


@dataclass(frozen=True)
class Ports:
    """How the outside is reached; by default it is the outside itself."""

    probe: Probe = probe
    need_raw_sockets: Callable[[], None] = require_raw_sockets
    """Raises RefusedError where no probe can be sent from here."""
    own_source: Callable[[Address], Address] = own_source
    """The own address that packets to another one leave with; raises OSError where there is no route."""
    exchange: Exchange = exchange
    request: Callable[[Request], Result] = request
    """Sends one HTTP request through a VIP."""
    cluster: Callable[[ClusterEntry, bool], ClusterClient] = cluster_client
    """The API server of a cluster, for a dry run or not."""
    resolve: Resolve = system_resolver
    catalog: Callable[[Path, bool], Catalog] = catalog_file
    """The catalog of a path, for a dry run or not."""
    git_catalog: Callable[[Path, CatalogConfig, bool], GitCatalog] = git_catalog
