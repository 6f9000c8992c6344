"""The world as a cookbook's steps reach it: what a cookbook is handed, and everything leads out of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ferryman import retry
from ferryman.catalog import SERVICES_FILE
from ferryman.cookbook.connection_drain import ConnectionDrain
from ferryman.cookbook.memory import Memory, key_of
from ferryman.directors import connections_of, driver_for, still_open, with_real_sources
from ferryman.engine.clock import Clock, SystemClock
from ferryman.inventory import Inventory, Needed
from ferryman.kubernetes import node_states
from ferryman.management import agent_for
from ferryman.probe import patient, single_try
from ferryman.probe.exchange import ExchangeLimits
from ferryman.state import RunRequest
from ferryman.tape.ports import Ports
from ferryman.traffic import TrafficCheck

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from ferryman.catalog import Catalog, GitCatalog
    from ferryman.config import Config
    from ferryman.cookbook.overrides import Overrides
    from ferryman.directors import Connection, Driver
    from ferryman.engine.runner import FenceOff
    from ferryman.hosts.hosts import Hosts
    from ferryman.kubernetes import NodeStates
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.management import Agent
    from ferryman.model import Address, Director, Finding, ProbeResult, Service
    from ferryman.probe import Target
    from ferryman.probe.exchange import ExchangeResult, ExchangeTarget
    from ferryman.probe.path_mtu import DnsQuestion, DnsResult, PathMtuResult, PathMtuTarget


EXCHANGE_S = 5.0
"""Seconds that an exchange has at least: less is too little to tell lost packets from a silent server."""
TRIES_AGAIN = 2
"""A probe that failed has had all its tries; this is for its counters."""


_UNNAMED = RunRequest(cookbook="", operator="", run_id="unnamed")


@dataclass(frozen=True, eq=False)
class Ferry:
    """The world as one run may touch it; in a dry run, everything that writes refuses.

    Nothing in it changes while the run lasts: what steps tell each other is in its ``memory``.
    """

    config: Config
    hosts: Hosts
    dry_run: bool = False
    resumed: bool = False
    """Whether another process began this run, and may have edited what this one knows nothing of."""
    irreversible_accepted: bool = False
    """Whether the operator has said yes to changes that nothing undoes."""
    request: RunRequest = _UNNAMED
    """Which run this is, who asked for it and why: what it leaves outside of its journal says so."""
    clock: Clock = field(default_factory=SystemClock)
    fence_off: FenceOff | None = None
    """What keeps late commands of earlier processes of the run from its hosts."""
    loaded_inventory: Inventory | None = None
    """The inventory, where it has been read already."""
    memory: Memory = field(default_factory=Memory)
    ports: Ports = field(default_factory=Ports)
    """How the outside is reached beside the hosts; a tape may answer in its place."""

    def with_overrides(self, **given: Unpack[Overrides]) -> Ferry:
        """The same world, with what the command line says in place of what the configuration says."""
        directors = {} if given.get("drain") is None else {"drain_timeout": given["drain"]}
        watch = {
            name: given[name]
            for name in ("soak", "failures", "flaps", "retries")
            if given.get(name) is not None
        }
        config = self.config.model_copy(
            update={
                "watch": self.config.watch.model_copy(update=watch),
                "directors": self.config.directors.model_copy(update=directors),
            }
        )
        accepted = self.irreversible_accepted or given.get("accept_irreversible", False)
        return replace(self, config=config, irreversible_accepted=accepted)

    @property
    def run_id(self) -> str:
        """The run's id, such as ``20261122-221943-k3vw``; for messages and traces elsewhere."""
        return self.request.run_id

    @cached_property
    def inventory(self) -> Inventory:
        """Services, nodes, directors, hosts: each entry is judged when it is asked for.

        Raises:
            InventoryError: There is no such folder.
        """
        return self.loaded_inventory or Inventory.load(self.config.inventory)

    @cached_property
    def catalog(self) -> Catalog:
        """The service catalog as a file that is edited in place."""
        return self.ports.catalog(self.config.inventory / SERVICES_FILE, self.dry_run)

    @cached_property
    def git_catalog(self) -> GitCatalog:
        """The service catalog as a git repository in which people review every change."""
        return self.ports.git_catalog(
            self.config.inventory / SERVICES_FILE, self.config.catalog, self.dry_run
        )

    def service(self, name: str, site: str, *, only: Sequence[str] = ()) -> Service:
        """One service at one site, with its realservers and directors.

        ``only`` names the realservers that are meant, in the pool or not; empty: those of the pool.

        Raises:
            InventoryError: The inventory does not have it so (names the nearest names), or has faults in the
                entries that it needs; with all of those, and none of others.
        """
        self.memory.needed.append(Needed(name, site, tuple(only)))
        return self.inventory.service(name, site, only=only, begun=self.resumed, resolve=self.ports.resolve)

    def addresses(self, host: str) -> tuple[Address, ...]:
        """The addresses of a host by its name, or of one that is named by its address, of both families.

        Raises:
            InventoryError: Nobody knows the name, or hosts.yaml has faults there.
        """
        self.memory.hosts.append(host)
        return self.inventory.addresses_of(host, self.ports.resolve)

    def driver(self, director: Director, service: Service) -> Driver:
        """The driver that reads, changes and restores this director."""
        return driver_for(director, service, self.hosts, self.agent)

    @cached_property
    def agent(self) -> Agent:
        """The configuration management that brings directors and realservers in line with the catalog."""
        return agent_for(self.config.management)

    def follow_the_catalog(self, service: Service) -> bool:
        """Whether a director or the realservers follow the catalog, so that it must be undone before them."""
        return self.config.management.realservers or any(
            self.driver(director, service).follows_catalog for director in service.directors
        )

    def mark_edited(self, director: Director, service: Service) -> None:
        """Remember that this process edits the service's destinations there, or has begun to."""
        self.memory.edited.add(key_of(director, service))

    def has_edited(self, director: Director, service: Service) -> bool:
        """Whether this process edited the destinations there, or an earlier process of the run may have."""
        return self.resumed or key_of(director, service) in self.memory.edited

    def remember_connections(self, director: Director, service: Service) -> None:
        """Count every connection of now as one from before: the destinations have just been edited."""
        now, closing = self._connections(director, service)
        self.memory.connection_drains[key_of(director, service)] = ConnectionDrain(
            still_open(now, now, closing=closing)
        )

    def old_connections(self, director: Director, service: Service) -> int:
        """How many connections from before may still be used; all that there are, where none is remembered.

        One that its client has ended counts for the two minutes that it lingers, unless the director
        schedules whoever comes back on it anew.
        """
        now, closing = self._connections(director, service)
        drain = self.memory.connection_drains.setdefault(key_of(director, service), ConnectionDrain(now))
        return drain.look(now, closing=closing, without=self.memory.own_connections)

    def _connections(self, director: Director, service: Service) -> tuple[frozenset[Connection], bool]:
        """The service's connections in the director's kernel, and whether those that are over may come back.

        There are none where it forwards without IPVS.
        """
        if not self.driver(director, service).has_ipvs:
            return frozenset(), True
        return connections_of(self.hosts, director, service)

    def wait_for_old_connections(self, director: Director, service: Service) -> int:
        """Wait until none is left or ``directors.drain_timeout`` has passed; how many are left then.

        That is waited for once after an edit, whichever step asks.
        """
        return self.wait_on_directors([director], service)[director.host]

    def wait_on_directors(self, directors: Sequence[Director], service: Service) -> dict[str, int]:
        """As ``wait_for_old_connections``, on all of these at the same time; by host.

        Where they were waited for since the last edit, there is one look and no other wait.
        """
        drains = self.memory.connection_drains
        keys = [key_of(director, service) for director in directors]
        over = all(key in drains and drains[key].waited_for for key in keys)
        left = retry.poll_until(
            lambda: {director.host: self.old_connections(director, service) for director in directors},
            lambda left: not any(left.values()),
            within_s=0.0 if over else self.config.directors.drain_timeout,
            every_s=1.0,
        )
        for key in keys:
            drains[key].waited_for = True
        return left

    def node_states(self, service: Service) -> NodeStates:
        """What the clusters say of the service's nodes; each is asked once in a process."""
        known = self.memory.node_states
        if service.name not in known:
            known[service.name] = node_states(
                service,
                self.inventory.clusters,
                lambda entry: self.ports.cluster(entry, self.dry_run),
            )
        return known[service.name]

    def cluster(self, name: str) -> ClusterClient:
        """A Kubernetes cluster, to be asked by its API server; in a dry run it cannot be written to.

        Raises:
            InventoryError: clusters.yaml does not have it (names the nearest names), it has faults there, or
                no API server.
        """
        known = self.memory.clusters
        if name not in known:
            known[name] = self.ports.cluster(self.inventory.cluster(name), self.dry_run)
        return known[name]

    def clusters_of(self, service: Service) -> dict[str, ClusterClient]:
        """The clusters of a service's realservers, by name, as far as clusters.yaml names an API server."""
        entries = self.inventory.clusters
        names = dict.fromkeys(realserver.cluster for realserver in service.realservers)
        return {
            name: self.cluster(name)
            for name in names
            if name is not None and (entry := entries.get(name)) and entry.has_api_server
        }

    def with_observed_sources(self, service: Service) -> Service:
        """The service with the outer sources that its directors were seen to use, beside those known."""
        return with_real_sources(service, self.memory.director_states.get(service.name, {}))

    def need_raw_sockets(self) -> None:
        """Make sure that probes can be sent at all.

        Raises:
            RefusedError: CAP_NET_RAW is missing.
        """
        self.ports.need_raw_sockets()

    def probe(self, targets: Sequence[Target], *, quick: bool = False) -> list[ProbeResult]:
        """Send encapsulated SYNs to each target; one result for each, in their order.

        ``quick``: give up realservers that stay silent while others answer at once sooner than is configured;
        not for what sends a run back.
        """
        config = self.config.probe
        return self.ports.probe(config if quick else patient(config), targets)

    def probe_briefly(self, targets: Sequence[Target]) -> list[ProbeResult]:
        """One flow and one try for each: what answers is fine, silence says little."""
        return self.ports.probe(single_try(self.config.probe), targets)

    def probe_again(self, targets: Sequence[Target]) -> list[ProbeResult]:
        """Ask what did not answer once more, with fewer tries but their whole time, to find out why."""
        fewer = self.config.probe.model_copy(update={"tries": min(TRIES_AGAIN, self.config.probe.tries)})
        return self.ports.probe(patient(fewer), targets)

    def exchange(self, service: Service, targets: Sequence[ExchangeTarget]) -> list[ExchangeResult]:
        """Make a whole exchange through the tunnel with each target, side by side; a result for each."""
        timeout_s = self.config.traffic_for(service.name).timeout
        limits = ExchangeLimits(deadline_s=max(EXCHANGE_S, timeout_s))
        return self.ports.exchange(self.config.probe, limits, targets)

    def measure_paths(self, targets: Sequence[PathMtuTarget]) -> list[PathMtuResult]:
        """Find the largest packet that gets to each target; one result for each, in their order."""
        return self.ports.measure_paths(targets)

    def ask_dns(self, questions: Sequence[DnsQuestion]) -> list[DnsResult]:
        """Ask DNS servers over UDP; one result for each question, in their order."""
        return self.ports.ask_dns(questions)

    def send_requests(self, service: Service, director: Director | None) -> list[Finding]:
        """Send real requests through the VIPs, by this director where it can be chosen; returns findings."""
        traffic = self.config.traffic_for(service.name)
        check = TrafficCheck(service, traffic, director, self.ports.request)
        try:
            return check.run()
        finally:
            self.memory.own_connections |= check.sent_from

    def locks(self, service: Service) -> list[str]:
        """The names of the locks that one run at a time may hold: one for each virtual service."""
        return [f"{service.site} {virtual_service}" for virtual_service in service.virtual_services]

    def writes(self, service: Service) -> list[str]:
        """The names of the locks on what runs of other services write too: the directors, the catalog.

        Not a catalog in git: there each run has a branch of its own, and people bring them together.
        """
        directors = [f"director {director.host}" for director in service.directors]
        if self.config.catalog.reviewed:
            return directors
        return [*directors, f"catalog {self.catalog.path.resolve()}"]
