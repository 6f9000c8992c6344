"""A fake director in memory: it answers by what the drivers ask, whatever the text of their scripts is.

It imitates what those scripts touch: the kernel's IPVS table as ``ipvsadm -Sn`` and ``-Ln --thresholds``
print it, keepalived's files and its reload (which compares a configuration with the one before it, not with
the kernel), PyBal's file, written by an agent from the catalog, and its restart, host routes as iproute2
prints them, and the connection table. What is asked is the function that built the script, and its arguments
(``ferryman.hosts.script``); one that is not known fails the test that asked. The tests of the drivers, whose
scripts run in a real shell, say whether a script does what is imitated here.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.directors import ipvsadm, managed, observe, routes
from ferryman.directors.checks import scheduler_impact
from ferryman.directors.driver import CHANGED
from ferryman.ipvs import connections, listing, table
from ferryman.directors.keepalived import files as keepalived_files
from ferryman.directors.keepalived import script as keepalived_script
from ferryman.directors.pybal import driver as pybal
from ferryman.hosts.hosts import Completed
from ferryman.hosts.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ferryman.directors import Destination, Route, SetScheduler, Table, VirtualServer
    from ferryman.hosts.fake import Call
    from ferryman.model import Address, Service


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

    def answer(self, call: Call) -> Completed:
        """Run a script: status, output and errors are those of the real one."""
        script = call.command
        if isinstance(script, Script) and script.builder in _ANSWERS:
            ran = _ANSWERS[script.builder](self, **script.arguments)
        elif script.startswith(AGENT):
            ran = self._run_agent()
        else:
            raise AssertionError(f"{self.host}: nothing that a fake director knows:\n{script}")
        return Completed(self.host, script, *ran)

    def _table(self) -> str:
        """What ``table_command`` prints."""
        return "\n".join([*self.rules, "==", *self._thresholds(), ""])

    def _thresholds(self) -> Iterator[str]:
        for (named, key), (upper, lower) in self.limits.items():
            yield f"TCP  {named.removeprefix('-t ')} wrr"
            yield f"  -> {key} {upper} {lower}"

    def _read_table(self) -> _Ran:
        return 0, self._table(), ""

    def _look(self, service: Service, *, ipvs: bool) -> _Ran:
        """Everything that is read of a director before anything is changed."""
        assert ipvs, "a fake director has a table"
        addresses = (address for _, address in observe.addresses_of(service))
        routes_in_use = "".join(self._shown("get", str(address)) + "\n" for address in addresses)
        links = json.dumps([{"ifname": "eth0", "mtu": 1500}])
        return 0, f"{self._table()}== routes\n{routes_in_use}== links\n{links}\n== settings\n", ""

    def _look_at_schedule(self, service: Service, target: SetScheduler) -> _Ran:
        """Its table, whether it has a scheduler, and how many connections there are in each state."""
        there = "there\n" if f"ip_vs_{target.scheduler}" in self.modules else ""
        states = Counter(line.split()[7] for line in self._connections_of(service))
        counts = "".join(f"{state} {count}\n" for state, count in states.items())
        return 0, f"{self._table()}== module\n{there}== connections\n{counts}", ""

    def _read_again(self, paths: Sequence[str]) -> _Ran:
        return 0, f"{self._table()}==\n{self._printed(paths)}", ""

    def _read_keepalived(self, config: str, more: Sequence[str]) -> _Ran:
        """Table, daemon, and the configuration with what it includes; the named files come before that."""
        paths = list(dict.fromkeys([config, *(path for path in more if path in self.files)]))
        for path in paths:  # grows meanwhile
            for mask in re.findall(r"^include (\S+)", self.files[path], re.MULTILINE):
                paths += [file for file in sorted(self.files) if fnmatch(file, mask) and file not in paths]
        daemon = f"Keepalived v2.2.7 (01/16,2022)\n==\nkeepalived -f {self.config}\n==\n"
        return 0, f"{self._table()}==\n{daemon}{self._printed(paths)}", ""

    def _printed(self, paths: Iterable[str]) -> str:
        """Files as keepalived's driver reads them: a listing, and their contents."""
        texts = {path: self.files[path].encode("utf-8", "surrogateescape") for path in paths}
        listing = "".join(f"640 {len(text)} {path}\n" for path, text in texts.items())
        return f"{listing}==\n{base64.b64encode(b''.join(texts.values())).decode()}"

    def _edit_table(self, now: Table, wanted: Table) -> _Ran:
        expected = sorted(line for server in now for line in table.rules(server))
        ours = [f"{server.named} " for server in now]
        if self.effect(lambda: sorted(rule for rule in self.rules if _names(rule, ours)) != expected):
            return CHANGED, "", "its table is not the one just read"
        for was, server in zip(now, wanted, strict=True):
            if table.scheduling(was) != table.scheduling(server):
                self.effect(partial(self._edit_server, server))
            for destination in server.destinations:
                if destination not in was.destinations:
                    self.effect(partial(self._edit, server, destination))
        return 0, self._table(), ""

    def _edit_server(self, server: VirtualServer) -> None:
        """``ipvsadm -E``."""
        rule, *_ = table.rules(server)
        (place,) = (
            number for number, line in enumerate(self.rules) if line.startswith(f"-A {server.named} ")
        )
        self.rules[place] = rule

    def _edit(self, server: VirtualServer, destination: Destination) -> None:
        """``ipvsadm -e``."""
        _, rule = table.rules(replace(server, destinations=(destination,)))
        head = f"-a {server.named} -r {destination.key} "
        (place,) = (number for number, line in enumerate(self.rules) if line.startswith(head))
        self.rules[place] = rule
        self.limits.pop((server.named, destination.key), None)
        if destination.upper or destination.lower:
            self.limits[server.named, destination.key] = destination.upper, destination.lower

    def _replace_files(
        self, config: str, reload: str, old: Mapping[str, str], new: Mapping[str, str]
    ) -> _Ran:
        del config, reload
        for path, text in old.items():
            if self.effect(lambda path=path, text=text: self.files[path] != text):  # type: ignore[misc]  # mypy knows no such defaults
                return CHANGED, "", path
        for path in old:
            if old[path] != new[path]:
                self.effect(partial(self.files.update, {path: new[path]}))
        self.effect(self._reload)
        return 0, "", ""

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

    def _read_pybal(self, config: str, questions: str, *, ipvs: bool) -> _Ran:
        assert ipvs, "PyBal has a table"
        del questions
        text = base64.b64encode(self.files[config].encode()).decode()
        said = f"-- alerts\nOK - all\n-- written\n{self._written}\n-- started\n{self._started}\n"
        return 0, f"{self._table()}== file\n{text}\n== process\n{said}", ""

    def _run_agent(self) -> _Ran:
        self.effect(self._write_pybal)
        return 0, "", ""

    def _write_pybal(self) -> None:
        lvs = yaml.safe_load(self.catalog())["service::catalog"]["maps"]["lvs"]
        text = PYBAL_TEXT.replace("False", str("lab" in lvs.get("ipip_encapsulation", [])))
        if text != self.files[PYBAL_FILE]:
            self._ticks = self._written = self._ticks + 1
            self.files[PYBAL_FILE] = text

    def _restart_pybal(self, restart: str) -> _Ran:
        del restart
        self.effect(self._begin_pybal)
        return 0, "", ""

    def _begin_pybal(self) -> None:
        self._ticks = self._started = self._ticks + 1
        option = "-i" if "tunneling = True" in self.files[PYBAL_FILE] else "-g"
        heads = [line.partition(" -g ")[0].partition(" -i ")[0] + " " for line in self.rules]
        for head in heads:
            if head.startswith("-a -t 10.99.0.2:8080 "):
                self._follow(head, option)

    def _read_routes(self, addresses: Sequence[Address]) -> _Ran:
        lines = [
            line
            for kind in ("get", "show")
            for version in (4, 6)
            for line in (kind, *(self._shown(kind, str(to)) for to in addresses if to.version == version))
        ]
        return 0, "".join(f"{line}\n" for line in lines), ""

    def _add_routes(self, routes: Sequence[Route], metric: int) -> _Ran:
        for route in routes:
            self.effect(partial(self._set_route, route, metric, there=True))
        return self._read_routes([route.address for route in routes])

    def _remove_routes(self, routes: Sequence[Route], metric: int) -> _Ran:
        for route in routes:
            self.effect(partial(self._set_route, route, metric, there=False))
        return 0, "", ""

    def _set_route(self, route: Route, metric: int, *, there: bool) -> None:
        address = str(route.address)
        shown = {"dst": address, "gateway": address, "dev": route.device, "metric": metric}
        shown["protocol"] = str(routes.PROTOCOL)
        self.routes = [known for known in self.routes if known != shown]
        if there:
            self.routes.append(shown)

    def _shown(self, kind: str, address: str) -> str:
        exact = sorted(
            (route for route in self.routes if route["dst"] == address), key=lambda one: one["metric"]
        )
        used = exact[:1] or [{"dst": address, "dev": "eth0", "prefsrc": self.sources[":" in address]}]
        return json.dumps(used if kind == "get" else exact)

    def _read_connections(self, service: Service) -> _Ran:
        return 0, "".join(f"{line}\n" for line in self._connections_of(service)), ""

    def _connections_of(self, service: Service) -> list[str]:
        """The service's lines of /proc/net/ip_vs_conn."""
        own = {(virtual.protocol.upper(), virtual.vip, virtual.port) for virtual in service.virtual_services}
        return [
            line
            for line in self.connections
            for connection in connections.parse(line)
            if (connection.protocol, connection.vip, connection.port) in own
        ]

    def _read_reuse_mode(self) -> _Ran:
        return 0, "3\n", ""


PYBAL_FILE = "/etc/pybal/pybal.conf"
PYBAL_TEXT = """\
[maps_8080]
ip = 10.99.0.2
port = 8080
scheduler = wrr
tunneling = False
"""

_Ran = tuple[int, str, str]
"""Status, standard output, standard error."""

AGENT = "apply-catalog"
"""The command that the fake site's configuration names for its agent."""

_ANSWERS: Mapping[Callable[..., Script], Callable[..., _Ran]] = {
    listing.table_command: FakeDirector._read_table,
    observe.read_command: FakeDirector._look,
    scheduler_impact.read_command: FakeDirector._look_at_schedule,
    connections.command: FakeDirector._read_connections,
    connections.reuse_mode_command: FakeDirector._read_reuse_mode,
    ipvsadm.edit_script: FakeDirector._edit_table,
    keepalived_files.look_script: FakeDirector._read_keepalived,
    keepalived_files.read_again_script: FakeDirector._read_again,
    keepalived_script.replace_script: FakeDirector._replace_files,
    managed.state_script: FakeDirector._read_pybal,
    pybal.restart_script: FakeDirector._restart_pybal,
    routes.read_script: FakeDirector._read_routes,
    routes.add_script: FakeDirector._add_routes,
    routes.remove_script: FakeDirector._remove_routes,
}
"""By the function that builds what is asked."""


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
