"""A fake director in memory: it understands exactly the shell scripts that the drivers send, and no other.

It imitates what those scripts touch: the kernel's IPVS table as ``ipvsadm -Sn`` and ``-Ln --thresholds``
print it, keepalived's files and its reload (which compares a configuration with the one before it, not with
the kernel), PyBal's file, written by an agent from the catalog, and its restart, host routes as iproute2
prints them, and the connection table. A script that was changed is not understood any more, and fails the
test that sent it: then this file has to learn it, and the tests of the drivers, whose scripts run in a real
shell, say whether it learned it right.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.directors.connections import REUSE_MODE
from ferryman.directors.driver import CHANGED
from ferryman.directors.ipvs_listing import READ_TABLE
from ferryman.directors.keepalived_daemon import READ_DAEMON
from ferryman.directors.keepalived_files import FOLLOW, read_these
from ferryman.directors.keepalived_script import REPLACE
from ferryman.directors.routes import _GONE
from ferryman.hosts.hosts import Completed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.hosts.fake import Call


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
        for pattern, run in _SCRIPTS:
            if found := pattern.fullmatch(call.command):
                return Completed(self.host, call.command, *run(self, found, call.stdin))
        raise AssertionError(f"{self.host}: no script that a fake director knows:\n{call.command}")

    def _table(self) -> str:
        """What ``READ_TABLE`` prints."""
        return "\n".join([*self.rules, "==", *self._thresholds(), ""])

    def _thresholds(self) -> Iterator[str]:
        for (named, key), (upper, lower) in self.limits.items():
            yield f"TCP  {named.removeprefix('-t ')} wrr"
            yield f"  -> {key} {upper} {lower}"

    def _read_table(self, _found: re.Match[str], _stdin: str) -> _Ran:
        return 0, self._table(), ""

    def _look(self, found: re.Match[str], _stdin: str) -> _Ran:
        """Everything that is read of a director before anything is changed."""
        ways = "".join(self._shown("get", one) + "\n" for one in re.findall(r"route get (\S+)'", found[0]))
        links = json.dumps([{"ifname": "eth0", "mtu": 1500}])
        return 0, f"{self._table()}== ways\n{ways}== links\n{links}\n== settings\n", ""

    def _look_at_schedule(self, found: re.Match[str], _stdin: str) -> _Ran:
        """Its table, whether it has a scheduler, and how many connections there are in each state."""
        there = "there\n" if found["module"] in self.modules else ""
        lines = self._read_connections(found, "")[1].splitlines()
        states = Counter(line.split()[7] for line in lines)
        counts = "".join(f"{state} {count}\n" for state, count in states.items())
        return 0, f"{self._table()}== module\n{there}== connections\n{counts}", ""

    def _read_table_and_file(self, found: re.Match[str], _stdin: str) -> _Ran:
        path, text = found["path"], self.files[found["path"]].encode("utf-8", "surrogateescape")
        listing = f"640 {len(text)} {path}\n==\n{base64.b64encode(text).decode()}"
        return 0, f"{self._table()}==\n{listing}", ""

    def _read_keepalived(self, found: re.Match[str], _stdin: str) -> _Ran:
        """Table, daemon, and the configuration with what it includes; the named files come before that."""
        more = [path for path in re.findall(r"\[ ! -f (\S+) \]", found["more"] or "") if path in self.files]
        paths = list(dict.fromkeys([found["config"], *more]))
        for path in paths:  # grows meanwhile
            for mask in re.findall(r"^include (\S+)", self.files[path], re.MULTILINE):
                paths += [file for file in sorted(self.files) if fnmatch(file, mask) and file not in paths]
        texts = {path: self.files[path].encode("utf-8", "surrogateescape") for path in paths}
        listing = "".join(f"640 {len(text)} {path}\n" for path, text in texts.items())
        content = base64.b64encode(b"".join(texts.values())).decode()
        daemon = f"Keepalived v2.2.7 (01/16,2022)\n==\nkeepalived -f {self.config}\n==\n"
        return 0, f"{self._table()}==\n{daemon}{listing}==\n{content}", ""

    def _edit_table(self, found: re.Match[str], _stdin: str) -> _Ran:
        ours = [word for word in shlex.split(found["ours"]) if word != "-e"]
        (expected,) = shlex.split(found["expected"])
        now = sorted(line for line in self.rules if any(name in line for name in ours))
        if self.effect(lambda: "\n".join(now) != expected):
            return CHANGED, "", "its table is not the one just read"
        for command in found["commands"].splitlines():
            verb, *words = shlex.split(command)[1:]
            self.effect(partial({"-e": self._edit, "-E": self._edit_server}[verb], *words))
        return 0, self._table(), ""

    def _edit_server(self, *words: str) -> None:
        """``ipvsadm -E``: what is not named is gone, as with the real one; ``-S`` prints flags last."""
        head = f"-A {words[0]} {words[1]} "
        (place,) = (number for number, line in enumerate(self.rules) if line.startswith(head))
        self.rules[place] = head + " ".join(words[2:])

    def _edit(self, *words: str) -> None:
        """``ipvsadm -e``: what is not named is set to its default, as the real one does."""
        named, key, method = f"{words[0]} {words[1]}", words[3], words[4]
        head = f"-a {named} -r {key} "
        (place,) = (number for number, line in enumerate(self.rules) if line.startswith(head))
        given = dict(zip(words[5::2], words[6::2], strict=True))
        tunnel = " --tun-type ipip" if method == "-i" else ""
        self.rules[place] = f"{head}{method} -w {given['-w']}{tunnel}"
        self.limits.pop((named, key), None)
        if "-x" in given:
            self.limits[named, key] = int(given["-x"]), int(given["-y"])

    def _replace_file(self, found: re.Match[str], stdin: str) -> _Ran:
        path, expected, new = found["path"], found["expected"], found["new"]
        assert _sum(stdin) == found["arrived"], "the new text did not arrive whole"
        if self.effect(lambda: _sum(self.files[path]) != expected):
            return CHANGED, "", path
        if expected != new:
            self.effect(lambda: self.files.update({path: stdin}))
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

    def _read_pybal(self, found: re.Match[str], _stdin: str) -> _Ran:
        text = base64.b64encode(self.files[found["path"]].encode()).decode()
        said = f"-- alerts\nOK - all\n-- written\n{self._written}\n-- started\n{self._started}\n"
        return 0, f"{self._table()}== file\n{text}\n== process\n{said}", ""

    def _run_agent(self, _found: re.Match[str], _stdin: str) -> _Ran:
        self.effect(self._write_pybal)
        return 0, "", ""

    def _write_pybal(self) -> None:
        lvs = yaml.safe_load(self.catalog())["service::catalog"]["maps"]["lvs"]
        text = PYBAL_TEXT.replace("False", str("lab" in lvs.get("ipip_encapsulation", [])))
        if text != self.files[PYBAL_FILE]:
            self._ticks = self._written = self._ticks + 1
            self.files[PYBAL_FILE] = text

    def _restart_pybal(self, _found: re.Match[str], _stdin: str) -> _Ran:
        self.effect(self._begin_pybal)
        return 0, "", ""

    def _begin_pybal(self) -> None:
        self._ticks = self._started = self._ticks + 1
        option = "-i" if "tunneling = True" in self.files[PYBAL_FILE] else "-g"
        heads = [line.partition(" -g ")[0].partition(" -i ")[0] + " " for line in self.rules]
        for head in heads:
            if head.startswith("-a -t 10.99.0.2:8080 "):
                self._follow(head, option)

    def _run_routes(self, found: re.Match[str], _stdin: str) -> _Ran:
        return 0, "".join(map(self._run_route_line, found["lines"].splitlines())), ""

    def _run_route_line(self, line: str) -> str:
        if change := _ROUTE.fullmatch(line):
            self.effect(lambda: self._set_route(change))
            return ""
        asked = _ASKED.fullmatch(line)
        assert asked, f"{self.host}: no line that a fake director knows: {line}"
        return self._answers(asked["kind"], shlex.split(asked["questions"]))

    def _set_route(self, one: re.Match[str]) -> None:
        route = {"dst": one["dst"], "gateway": one["via"], "dev": one["dev"], "metric": int(one["metric"])}
        route["protocol"] = one["protocol"]
        self.routes = [each for each in self.routes if each != route]
        if one["verb"] == "replace":
            self.routes.append(route)

    def _answers(self, kind: str, questions: list[str]) -> str:
        addresses = [question.split()[-1].split("/")[0] for question in questions]
        return "".join(f"{line}\n" for line in (kind, *(self._shown(kind, address) for address in addresses)))

    def _shown(self, kind: str, address: str) -> str:
        exact = sorted(
            (route for route in self.routes if route["dst"] == address), key=lambda one: one["metric"]
        )
        used = exact[:1] or [{"dst": address, "dev": "eth0", "prefsrc": self.sources[":" in address]}]
        return json.dumps(used if kind == "get" else exact)

    def _read_connections(self, found: re.Match[str], _stdin: str) -> _Ran:
        asked = re.findall(r'k == "([^"]+)"', found[0])
        lines = [line for line in self.connections if _virtual_service(line) in asked]
        return 0, "".join(f"{line}\n" for line in lines), ""

    def _read_reuse_mode(self, _found: re.Match[str], _stdin: str) -> _Ran:
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

_ASKED = re.compile(
    r"echo (?P<kind>get|show); printf '%s\\n' (?P<questions>.+) \| ip -[46] -j -force -batch - .+"
)
_ROUTE = re.compile(
    r"(gone )?ip -[46] route (?P<verb>replace|del) (?P<dst>\S+)/\d+ via (?P<via>\S+) dev (?P<dev>\S+) onlink"
    r" proto (?P<protocol>\d+) metric (?P<metric>\d+)"
)
_TABLE = re.escape(READ_TABLE)
_FILE = rf"set -e\n{_TABLE}\necho ==\n" + re.escape(read_these(["PATH"])).replace("PATH", r"(?P<path>\S+)")
_KEEPALIVED = (
    rf"set -e\n{_TABLE}\necho ==\n{re.escape(READ_DAEMON)}echo ==\nfresh=(?P<config>\S+)\n"
    rf"(?P<more>(\[ ! -f [^\n]+\n\S+\n)*){re.escape(FOLLOW)}"
)
_EDIT = (
    r"set -eu\nexport LC_ALL=C\nnow=\$\(ipvsadm -Sn \| grep -F (?P<ours>[^|]+) \| sort\)\n"
    rf'if \[ "\$now" != (?P<expected>.+) \]; then\n[^\n]+\n    exit {CHANGED}\nfi\n'
    rf"(?P<commands>ipvsadm -[eE] .+)\n{_TABLE}\n"
)
_REPLACE = (
    r"set -eu\nconfig=\S+\nreload='reload \S+'\narrived=(?P<arrived>\w{64})\n"
    rf"set -- (?P<path>\S+) (?P<expected>\w{{64}}) (?P<new>\w{{64}}) \d+\n{re.escape(REPLACE)}"
)
_SCHEDULE = (
    rf"{_TABLE} \|\| exit\necho '== module'\n"
    r"if \[ -d /sys/module/(?P<module>\w+) \] \|\| modprobe -nq (?P=module); then echo there; fi\n"
    r"echo '== connections'\nawk .+ /proc/net/ip_vs_conn"
)
_ROUTES = rf"(set -eu\n)?({re.escape(_GONE)}\n)?(?P<lines>(ip|gone|echo) .+)"

_SCRIPTS: tuple[tuple[re.Pattern[str], Callable[[FakeDirector, re.Match[str], str], _Ran]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), run)
    for pattern, run in (
        (_TABLE, FakeDirector._read_table),
        (_SCHEDULE, FakeDirector._look_at_schedule),
        (rf"{_TABLE} \|\| exit\necho '== file'\nbase64 -w0 -- (?P<path>\S+) .+", FakeDirector._read_pybal),
        (rf"{_TABLE} \|\| exit\n.+", FakeDirector._look),
        (r"apply-catalog </dev/null", FakeDirector._run_agent),
        (r"\{ restart-pybal\n\} >&2 \|\| exit \d+", FakeDirector._restart_pybal),
        (_FILE, FakeDirector._read_table_and_file),
        (_KEEPALIVED, FakeDirector._read_keepalived),
        (r"awk .+ /proc/net/ip_vs_conn", FakeDirector._read_connections),
        (f"cat {REUSE_MODE}", FakeDirector._read_reuse_mode),
        (_EDIT, FakeDirector._edit_table),
        (_REPLACE, FakeDirector._replace_file),
        (_ROUTES, FakeDirector._run_routes),
    )
)


def _virtual_service(line: str) -> str:
    """Protocol, VIP and port of a line of /proc/net/ip_vs_conn."""
    words = line.split()
    return " ".join((words[0], *words[3:5]))


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


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
