"""The ferry: what a cookbook is handed, and what its steps reach the world through."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

from ferryman import retry
from ferryman.cookbook.connection_drain import ConnectionDrain
from ferryman.cookbook.provenance import Provenance
from ferryman.directors import closing_is_over, driver_for, read_connections, still_open, with_real_sources
from ferryman.inventory import SERVICES_FILE, Catalog, GitCatalog, Inventory
from ferryman.kubernetes import node_states
from ferryman.management import agent_for
from ferryman.probe import Prober, require_raw_sockets, single_try
from ferryman.traffic import TrafficCheck

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Unpack

    from ferryman import directors
    from ferryman.config import Config
    from ferryman.directors import Connection, Driver, Seen, Table
    from ferryman.engine.runner import FenceOff
    from ferryman.events import Occurrence
    from ferryman.hosts.hosts import Hosts
    from ferryman.kubernetes import NodeStates
    from ferryman.management import Agent
    from ferryman.model import Address, Director, Finding, ProbeResult, Service
    from ferryman.probe import Target


@dataclass(frozen=True, slots=True)
class Made:
    """A change of a director that stands."""

    target: directors.Target
    seen_at: datetime
    """When it was last seen to be so, in UTC."""


TRIES_AGAIN = 2
"""A probe that failed has had all its tries; this is for its counters."""


class Overrides(TypedDict, total=False):
    """What of the configuration a run was given other values for; None: as it says.

    Those of ``watch_options`` and ``drain_option``.
    """

    soak: float | None
    failures: int | None
    flaps: int | None
    retries: int | None
    drain: float | None


@dataclass(eq=False)
class Ferry:
    """The world as one run may touch it; in a rehearsal, everything that writes refuses."""

    config: Config
    hosts: Hosts
    rehearsal: bool = False
    resumed: bool = False
    """Whether another process began this run, and may have edited what this one knows nothing of."""
    irreversible_accepted: bool = False
    """Whether the operator has said yes to changes that nothing undoes."""
    fence_off: FenceOff | None = None
    """What keeps late commands of earlier processes of the run from its hosts."""
    provenance: Provenance = field(default_factory=Provenance)
    """Which run this is, and why: for those who find its traces elsewhere."""
    catalog_revision: str = ""
    """The commit that has the catalog's change, where the catalog is kept in git: agents must apply it."""
    stock: Inventory | None = None
    """The inventory, where it has been read already."""
    directors_seen: dict[str, Seen] = field(default_factory=dict)
    """By service: what its directors were seen to be."""
    connection_drains: dict[tuple[str, str], ConnectionDrain] = field(default_factory=dict)
    """By director and service: the connections that existed when its destinations were edited."""
    others_before: dict[tuple[str, str], Table] = field(default_factory=dict)
    """By director and service: the entries of all other services, right before this one's were edited."""
    edited: set[tuple[str, str]] = field(default_factory=set)
    """By director and service: whose destinations this process has edited, or begun to."""
    made: dict[tuple[str, str], Made] = field(default_factory=dict)
    """By director and service: what is changed there now, and verified."""
    not_followed: set[tuple[str, str]] = field(default_factory=set)
    """By director and service: whose way back was begun, and whose director has not followed."""
    host_routes: set[tuple[str, str]] = field(default_factory=set)
    """By director and service: where the plan puts host routes up, and takes them away again."""
    realservers_left: dict[str, str] = field(default_factory=dict)
    """By service: why its realservers could not be fetched back in line."""
    _made_lock: threading.Lock = field(default_factory=threading.Lock)
    """The watch, in its own thread, tells what it saw."""
    _node_states: dict[str, NodeStates] = field(default_factory=dict)
    """By service."""
    own_connections: set[tuple[Address, int]] = field(default_factory=set)
    """Where this run's own requests came from: they are over, whatever a director still remembers of them."""

    @cached_property
    def inventory(self) -> Inventory:
        """Services, nodes, directors, hosts: each entry is judged when it is asked for.

        Raises:
            InventoryError: There is no such folder.
        """
        return self.stock or Inventory.load(self.config.inventory)

    @cached_property
    def catalog(self) -> Catalog:
        """The service catalog's file."""
        return Catalog(self.config.inventory / SERVICES_FILE, rehearsal=self.rehearsal)

    @cached_property
    def git_catalog(self) -> GitCatalog:
        """The service catalog that people review."""
        file, catalog = self.config.inventory / SERVICES_FILE, self.config.catalog
        return GitCatalog(file, catalog, rehearsal=self.rehearsal)

    def hear(self, occurrence: Occurrence) -> None:
        """Learn from what a run tells which run this is."""
        self.provenance = replace(self.provenance, run=occurrence.run)

    def service(self, name: str, site: str, *, only: Sequence[str] = ()) -> Service:
        """One service at one site, with its realservers and directors.

        ``only`` names the realservers that are meant, in the pool or not; empty: those of the pool.

        Raises:
            InventoryError: The inventory does not have it so (names the nearest names), or has faults in the
                entries that it needs; with all of those, and none of others.
        """
        return self.inventory.service(name, site, only=only, begun=self.resumed)

    def driver(self, director: Director, service: Service) -> Driver:
        """What reads, changes and puts back this director."""
        return driver_for(director, service, self.hosts, self.agent)

    @cached_property
    def agent(self) -> Agent:
        """What brings directors and realservers in line with the catalog."""
        return agent_for(self.config.management)

    def follow_the_catalog(self, service: Service) -> bool:
        """Whether a director or the realservers become what the catalog says, so that it goes back first."""
        return self.config.management.realservers or any(
            self.driver(director, service).follows_catalog for director in service.directors
        )

    def mark_edited(self, director: Director, service: Service) -> None:
        """From now on some connections of this service may go one way there, and some the other."""
        self.edited.add((director.host, service.name))

    def has_edited(self, director: Director, service: Service) -> bool:
        """Whether that was said, or may have been, by a process that is gone."""
        return self.resumed or (director.host, service.name) in self.edited

    def seen_as_made(self, key: tuple[str, str], was: Made, now: Made) -> None:
        """Remember that a director was seen as made, unless somebody has begun to change it meanwhile."""
        with self._made_lock:
            if self.made.get(key) == was:
                self.made[key] = now

    def forget_made(self, key: tuple[str, str]) -> None:
        """From now on nobody knows how this director is: it is about to be changed, or put back."""
        with self._made_lock:
            self.made.pop(key, None)

    def remember_connections(self, director: Director, service: Service) -> None:
        """Everything connected now counts as from before: the destinations have just been edited."""
        now, closing = self._connections(director, service), not self._closing_is_over(director, service)
        self.connection_drains[director.host, service.name] = ConnectionDrain(
            still_open(now, now, closing=closing)
        )

    def old_connections(self, director: Director, service: Service) -> int:
        """How many connections from before may still be used; all there are, where nobody remembers.

        One that its client has ended counts for the two minutes that it lingers, unless the director
        schedules whoever comes back on it anew.
        """
        now = self._connections(director, service)
        draining = self.connection_drains.setdefault((director.host, service.name), ConnectionDrain(now))
        closing = not self._closing_is_over(director, service)
        return draining.look(now, closing=closing, without=self.own_connections)

    def _closing_is_over(self, director: Director, service: Service) -> bool:
        return self.driver(director, service).has_ipvs and closing_is_over(self.hosts, director)

    def _connections(self, director: Director, service: Service) -> frozenset[Connection]:
        """Those that the director's kernel forwards; without IPVS nobody can tell."""
        if not self.driver(director, service).has_ipvs:
            return frozenset()
        return read_connections(self.hosts, director, service)

    def wait_for_old_connections(self, director: Director, service: Service) -> int:
        """How many are left once none is, or ``directors.drain_timeout`` has passed."""
        return retry.poll_until(
            lambda: self.old_connections(director, service),
            lambda left: left == 0,
            within_s=self.config.directors.drain_timeout,
            every_s=1.0,
        )

    def node_states(self, service: Service) -> NodeStates:
        """What the clusters say of the service's nodes; each is asked once in a run."""
        if service.name not in self._node_states:
            self._node_states[service.name] = node_states(service, self.inventory.clusters)
        return self._node_states[service.name]

    def with_observed_sources(self, service: Service) -> Service:
        """The service with the outer sources that its directors were seen to use, beside those known."""
        return with_real_sources(service, self.directors_seen.get(service.name, {}))

    def override(self, **said: Unpack[Overrides]) -> None:
        """Take these times, in seconds, and counts in place of what the configuration says."""
        watch = {name: value for name, value in said.items() if name != "drain" and value is not None}
        directors = {} if said.get("drain") is None else {"drain_timeout": said["drain"]}
        self.config = self.config.model_copy(
            update={
                "watch": self.config.watch.model_copy(update=watch),
                "directors": self.config.directors.model_copy(update=directors),
            }
        )

    def need_raw_sockets(self) -> None:
        """Make sure that probes can be sent at all.

        Raises:
            RefusedError: CAP_NET_RAW is missing.
        """
        require_raw_sockets()

    def probe(self, targets: Sequence[Target]) -> list[ProbeResult]:
        """Send encapsulated SYNs to each target; one result for each, in their order."""
        return Prober(self.config.probe).probe(targets)

    def probe_briefly(self, targets: Sequence[Target]) -> list[ProbeResult]:
        """One flow and one try for each: what answers is fine, silence says little."""
        return Prober(single_try(self.config.probe)).probe(targets)

    def probe_again(self, targets: Sequence[Target]) -> list[ProbeResult]:
        """Ask what did not answer once more, with fewer tries, to find out why."""
        fewer = self.config.probe.model_copy(update={"tries": min(TRIES_AGAIN, self.config.probe.tries)})
        return Prober(fewer).probe(targets)

    def send_requests(self, service: Service, director: Director | None) -> list[Finding]:
        """Send real requests through the VIPs, by this director where it can be chosen; the findings."""
        check = TrafficCheck(service, self.config.traffic_for(service.name), director)
        try:
            return check.run()
        finally:
            self.own_connections |= check.sent_from

    def locks(self, service: Service) -> list[str]:
        """What one run at a time may hold: each virtual service."""
        return [f"{service.site} {virtual_service}" for virtual_service in service.virtual_services]

    def writes(self, service: Service) -> list[str]:
        """What runs of other services write too, so that they wait for each other: directors, the catalog.

        Not a catalog in git: there each run has a branch of its own, and people bring them together.
        """
        directors = [f"director {director.host}" for director in service.directors]
        if self.config.catalog.reviewed:
            return directors
        return [*directors, f"catalog {self.catalog.path.resolve()}"]
