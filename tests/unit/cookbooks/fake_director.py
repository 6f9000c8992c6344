"""A fake director in memory: it answers the verbs of the drivers with their values.

It imitates what their scripts touch: the kernel's IPVS table, keepalived's files and its reload (which
compares a configuration with the one before it, not with the kernel), PyBal's file, written by an agent from
the catalog, and its restart, host routes, and the connection table. A verb that is not known fails the test
that asked. The tests of the drivers, whose scripts run in a real shell, say whether a script does what is
imitated here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.hosts.completed import Completed
from ferryman.hosts.verbs.agents import AgentRun
from ferryman.hosts.verbs.changed import changed_error
from ferryman.hosts.verbs.daemons import DaemonReading, PybalRead, PybalRestart
from ferryman.hosts.verbs.directors import (
    DirectorState,
    NextHop,
    ReadDirector,
    ReadScheduler,
    SchedulerState,
)
from ferryman.hosts.verbs.ipvs import OTHER_TABLE, Connections, ConnectionsReading, EditTable, IpvsTable
from ferryman.hosts.verbs.keepalived import (
    FileReading,
    KeepalivedRead,
    KeepalivedReading,
    KeepalivedWrite,
)
from ferryman.hosts.verbs.keepalived_trial import KeepalivedTrial, Said, TrialReading
from ferryman.hosts.verbs.routes import (
    PROTOCOL,
    AddHostRoutes,
    ReadHostRoutes,
    RemoveHostRoutes,
    RoutesReading,
)
from ferryman.ipvs import table
from ferryman.ipvs.connections import Connection, connections
from ferryman.ipvs.listing import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ferryman.directors import Destination, Route, Table, VirtualServer
    from ferryman.errors import WorldChangedError
    from ferryman.hosts.fake import Call, Reply
    from ferryman.hosts.verbs import Verb
    from ferryman.model import Address


@dataclass
class FakeDirector:
    """One director: what its kernel and its disk hold, and the effects that scripts have on them."""

    host: str
    rules: list[str]
    """The lines of ``ipvsadm -Sn``."""
    limits: dict[tuple[str, str], tuple[int, int]]
    """Connection thresholds by virtual service (``-t 192.0.2.1:80``) and destination; others have none."""
    files: dict[str, str]
    effect: Callable[[Callable[[], Any]], Any]
    """Called with each single effect of a script, so that a script can be torn apart between two of them."""
    sources: tuple[str, str] = ("10.10.0.11", "fd10::11")
    """Its own addresses, IPv4 and IPv6."""
    routes: list[dict[str, Any]] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)
    """The lines of /proc/net/ip_vs_conn."""
    config: str = "/etc/keepalived/keepalived.conf"
    """What its keepalived runs with."""
    modules: set[str] = field(default_factory=lambda: {"ip_vs_mh", "ip_vs_sh", "ip_vs_wrr"})
    """Those that its kernel has, or can load."""
    catalog: Callable[[], str] = str
    """The service catalog, as the director's agent sees it."""
    _running: dict[str, str] = field(default_factory=dict)
    """keepalived's files as of its latest reload."""
    _ticks: int = 1
    """A clock that each write of PyBal's file, and each restart, moves on."""
    _written: int = 1
    _started: int = 1

    def __post_init__(self) -> None:
        self._running = dict(self.files)

    @property
    def state(self) -> dict[str, Any]:
        """Everything that a run may change, as a value."""
        return {
            "rules": tuple(self.rules),
            "limits": dict(self.limits),
            "files": dict(self.files),
            "routes": sorted(map(json.dumps, self.routes)),
        }

    def answer(self, call: Call) -> Reply:
        """What a verb's value is, or the error that it ends with."""
        known = _ANSWERS.get(type(call.verb))
        if known is None:
            raise AssertionError(f"{self.host}: nothing that a fake director knows: {call.verb}")
        return known(self, call.verb)

    def _table(self) -> Table:
        """Return the table of all virtual services, as a verb has it."""
        return read_table("\n".join([*self.rules, "==", *self._thresholds(), ""]))

    def _thresholds(self) -> Iterator[str]:
        for (named, key), (upper, lower) in self.limits.items():
            yield f"TCP  {named.removeprefix('-t ')} wrr"
            yield f"  -> {key} {upper} {lower}"

    def _read_table(self, _: IpvsTable) -> Table:
        return self._table()

    def _look(self, verb: ReadDirector) -> DirectorState:
        """Everything that is read of a director before anything is changed."""
        assert verb.ipvs, "a fake director has a table"
        next_hops = {
            address: NextHop(str(used["dev"]), ip_address(self.sources[address.version == IPV6]))
            for address in verb.addresses
            for used in self._routes_to(address)[:1]
        }
        return DirectorState(self._table(), next_hops, {"eth0": 1500})

    def _look_at_schedule(self, verb: ReadScheduler) -> SchedulerState:
        """Its table, whether it has a scheduler, and how many connections there are in each state."""
        there = f"ip_vs_{verb.scheduler}" in self.modules
        states = Counter(connection.state for connection in self._connections_of(verb.virtuals))
        return SchedulerState(self._table(), there, states)

    def _read_keepalived(self, verb: KeepalivedRead) -> KeepalivedReading:
        """Table, daemon, and the configuration with what it includes; the named files come before that."""
        paths = list(dict.fromkeys([verb.config, *(path for path in verb.more if path in self.files)]))
        for path in paths:  # grows meanwhile
            for mask in re.findall(r"^include (\S+)", self.files[path], re.MULTILINE):
                paths += [file for file in sorted(self.files) if fnmatch(file, mask) and file not in paths]
        daemon = "Keepalived v2.2.7 (01/16,2022)", (f"keepalived -f {self.config}",)
        return KeepalivedReading(self._table(), *daemon, self._readings(paths))

    def _readings(self, paths: Iterable[str]) -> dict[str, FileReading]:
        return {path: FileReading(self.files[path], "0640") for path in paths}

    def _is_another_than(self, expected: Table) -> bool:
        lines = sorted(line for server in expected for line in table.rules(server))
        ours = [f"{server.named} " for server in expected]
        return sorted(rule for rule in self.rules if _names(rule, ours)) != lines

    def _edit_table(self, verb: EditTable) -> Table | WorldChangedError:
        if self.effect(lambda: self._is_another_than(verb.now)):
            return changed_error(self.host, [OTHER_TABLE])
        for was, server in zip(verb.now, verb.wanted, strict=True):
            if table.scheduling(was) != table.scheduling(server):
                self.effect(partial(self._edit_server, server))
            for destination in server.destinations:
                if destination not in was.destinations:
                    self.effect(partial(self._edit, server, destination))
        return self._table()

    def _edit_server(self, server: VirtualServer) -> None:
        """Change a virtual service as ``ipvsadm -E`` does."""
        rule, *_ = table.rules(server)
        (place,) = (
            number for number, line in enumerate(self.rules) if line.startswith(f"-A {server.named} ")
        )
        self.rules[place] = rule

    def _edit(self, server: VirtualServer, destination: Destination) -> None:
        """Change a destination as ``ipvsadm -e`` does."""
        _, rule = table.rules(replace(server, destinations=(destination,)))
        head = f"-a {server.named} -r {destination.key} "
        (place,) = (number for number, line in enumerate(self.rules) if line.startswith(head))
        self.rules[place] = rule
        self.limits.pop((server.named, destination.key), None)
        if destination.upper or destination.lower:
            self.limits[server.named, destination.key] = destination.upper, destination.lower

    def _try_files(self, verb: KeepalivedTrial) -> TrialReading | WorldChangedError:
        """Accept every text, as keepalived does whose configuration is sound."""
        if changed := [path for path, text in verb.old.items() if self.files[path] != text]:
            return changed_error(self.host, changed)
        return TrialReading(Said(0, ()), Said(0, ()))

    def _replace_files(self, verb: KeepalivedWrite) -> WorldChangedError | None:
        old, new = verb.old, verb.new
        for path, text in old.items():
            if self.effect(lambda path=path, text=text: self.files[path] != text):  # type: ignore[misc]  # mypy knows no such defaults
                return changed_error(self.host, [path])
        if self.effect(lambda: self._is_another_than(verb.table)):
            return changed_error(self.host, [OTHER_TABLE])
        for path in old:
            if old[path] != new[path]:
                self.effect(partial(self.files.update, {path: new[path]}))
        self.effect(self._reload)
        return None

    def _reload(self) -> None:
        """Make the kernel follow what changed in the files since the latest reload."""
        for path, text in self.files.items():
            before = _methods(self._running[path])
            for head, option in _methods(text).items():
                if before.get(head) != option:
                    self._follow(head, option)
            scheduled = _schedules(self._running[path])
            for head, schedule in _schedules(text).items():
                if scheduled.get(head) != schedule:
                    self._schedule(head, *schedule)
        self._running = dict(self.files)

    def _schedule(self, head: str, scheduler: str, flags: str) -> None:
        """keepalived 2.2.7 edits a virtual server in place, and keeps its persistence."""
        for place, line in enumerate(self.rules):
            if line.startswith(head):
                kept = line.removeprefix(head).partition(" -b ")[0].split()[2:]
                self.rules[place] = head + " ".join(
                    ["-s", scheduler, *kept, *(["-b", flags] if flags else [])]
                )

    def _follow(self, head: str, option: str) -> None:
        tunnel = " --tun-type ipip" if option == "-i" else ""
        for place, line in enumerate(self.rules):
            if line.startswith(head):
                weight = line.split()[line.split().index("-w") + 1]
                self.rules[place] = f"{head}{option} -w {weight}{tunnel}"

    def _read_pybal(self, verb: PybalRead) -> DaemonReading:
        said = {"alerts": "OK - all", "written": str(self._written), "started": str(self._started)}
        return DaemonReading(self._table(), self.files[verb.config], said)

    def _run_agent(self, verb: AgentRun) -> Completed:
        assert verb.argv == (AGENT,)
        self.effect(self._write_pybal)
        return Completed(self.host, AGENT, 0, "", "")

    def _write_pybal(self) -> None:
        lvs = yaml.safe_load(self.catalog())["service::catalog"]["maps"]["lvs"]
        text = PYBAL_TEXT.replace("False", str("lab" in lvs.get("ipip_encapsulation", [])))
        if text != self.files[PYBAL_FILE]:
            self._ticks = self._written = self._ticks + 1
            self.files[PYBAL_FILE] = text

    def _restart_pybal(self, _: PybalRestart) -> None:
        self.effect(self._begin_pybal)

    def _begin_pybal(self) -> None:
        self._ticks = self._started = self._ticks + 1
        option = "-i" if "tunneling = True" in self.files[PYBAL_FILE] else "-g"
        heads = [line.partition(" -g ")[0].partition(" -i ")[0] + " " for line in self.rules]
        for head in heads:
            if head.startswith("-a -t 10.99.0.2:8080 "):
                self._follow(head, option)

    def _read_routes(self, verb: ReadHostRoutes) -> RoutesReading:
        return self._routes_reading(verb.addresses)

    def _routes_reading(self, addresses: Iterable[Address]) -> RoutesReading:
        asked = list(addresses)
        return RoutesReading(
            {address: self._routes_to(address)[:1] for address in asked},
            {address: self._exact(address) for address in asked},
        )

    def _add_routes(self, verb: AddHostRoutes) -> RoutesReading:
        for route in verb.routes:
            self.effect(partial(self._set_route, route, verb.metric, there=True))
        return self._routes_reading(route.address for route in verb.routes)

    def _remove_routes(self, verb: RemoveHostRoutes) -> None:
        for route in verb.routes:
            self.effect(partial(self._set_route, route, verb.metric, there=False))

    def _set_route(self, route: Route, metric: int, *, there: bool) -> None:
        address = str(route.address)
        shown = {"dst": address, "gateway": address, "dev": route.device, "metric": metric}
        shown["protocol"] = str(PROTOCOL)
        self.routes = [known for known in self.routes if known != shown]
        if there:
            self.routes.append(shown)

    def _exact(self, address: Address) -> list[dict[str, Any]]:
        """The routes to this very address, the one that is used first."""
        mine = (route for route in self.routes if route["dst"] == str(address))
        return sorted(mine, key=lambda route: route["metric"])

    def _routes_to(self, address: Address) -> list[dict[str, Any]]:
        return self._exact(address) or [{"dst": str(address), "dev": "eth0"}]

    def _read_connections(self, verb: Connections) -> ConnectionsReading:
        return ConnectionsReading(frozenset(self._connections_of(verb.virtuals)), 3)

    def _connections_of(self, virtuals: Sequence[table.Key]) -> list[Connection]:
        own = {(protocol.upper(), vip, port) for protocol, vip, port in virtuals}
        return [
            connection
            for connection in connections("\n".join(self.connections))
            if (connection.protocol, connection.vip, connection.port) in own
        ]


IPV6 = 6
PYBAL_FILE = "/etc/pybal/pybal.conf"
PYBAL_TEXT = """\
[maps_8080]
ip = 10.99.0.2
port = 8080
scheduler = wrr
tunneling = False
"""

AGENT = "apply-catalog"
"""The command that the fake site's configuration names for its agent."""

_ANSWERS: Mapping[type[Verb[Any]], Callable[..., Any]] = {
    IpvsTable: FakeDirector._read_table,
    ReadDirector: FakeDirector._look,
    ReadScheduler: FakeDirector._look_at_schedule,
    Connections: FakeDirector._read_connections,
    EditTable: FakeDirector._edit_table,
    KeepalivedRead: FakeDirector._read_keepalived,
    KeepalivedTrial: FakeDirector._try_files,
    KeepalivedWrite: FakeDirector._replace_files,
    PybalRead: FakeDirector._read_pybal,
    PybalRestart: FakeDirector._restart_pybal,
    AgentRun: FakeDirector._run_agent,
    ReadHostRoutes: FakeDirector._read_routes,
    AddHostRoutes: FakeDirector._add_routes,
    RemoveHostRoutes: FakeDirector._remove_routes,
}
"""By the class of the verb."""


def _names(rule: str, ours: Iterable[str]) -> bool:
    """Whether a line of the table is about one of these virtual servers (``-t 192.0.2.1:80 ``)."""
    return any(name in rule for name in ours)


def _methods(text: str) -> dict[str, str]:
    """By destination (the beginning of its line in the table): the option of its forwarding method."""
    methods = {}
    for block in text.split("virtual_server ")[1:]:
        vip, port = block.split()[:2]
        option = {"DR": "-g", "TUN": "-i"}[re.findall(r"lvs_method (\S+)", block)[0]]
        for address, its_port in re.findall(r"real_server (\S+) (\d+)", block):
            methods[f"-a -t {_host_port(vip, port)} -r {_host_port(address, its_port)} "] = option
    return methods


def _schedules(text: str) -> dict[str, tuple[str, str]]:
    """By virtual service (the beginning of its line in the table): scheduler, and the words of ``-b``."""
    found = {}
    for block in text.split("virtual_server ")[1:]:
        vip, port = block.split()[:2]
        flags = sorted(re.findall(r"^ *((?:mh|sh)-\w+)$", block, re.MULTILINE))
        found[f"-A -t {_host_port(vip, port)} "] = re.findall(r"lvs_sched (\S+)", block)[0], ",".join(flags)
    return found


def _host_port(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
