"""Daemons that load a file which an agent writes, PyBal and Liberica: read, restarted, reloaded."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.errors import VerifyError
from ferryman.hosts.verbs.ipvs import TABLE_SCRIPT, IpvsTable, table_in
from ferryman.hosts.verbs.kinds import COUNT, NAMES, PATH, SECONDS, SWITCH, TEXT, URL
from ferryman.hosts.verbs.verb import MIB, ReadVerb, WriteVerb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.hosts.completed import Completed
    from ferryman.hosts.verbs.verb import Included
    from ferryman.ipvs.table import Table

STILL_S = 3
"""Seconds without a packet after which the counters stand still."""
RELOADED = "liberica_cp_configuration_reload_timestamp_seconds"
BEGAN = "process_start_time_seconds"
PEER, ADVERTISED = "bgp_peer_state", "bgp_routes_advertised"
_FILE, _PROCESS = "== file", "== process"
_CURL = "curl -sS -m 3"
_COMMANDS_S = 60.0
"""Seconds for the commands of a restart or a reload, beside what is waited for."""
_NOT_STOPPED, _NOT_STARTED = 66, 67


def _reading(questions: str) -> str:
    """The script that prints the table (``$1``: whether there is one), the file ``$2``, and the answers.

    What becomes of the questions is in the answers, whatever their exit status.
    """
    return f"""\
[ "$1" = no ] || {{ {TABLE_SCRIPT}; }} || exit
echo '{_FILE}'
base64 -w0 -- "$2" || exit
echo
echo '{_PROCESS}'
config=$2
shift 2
{{
{questions}
}} 2>&1 || :
"""


@dataclass(frozen=True, slots=True)
class DaemonReading:
    """What a director with such a daemon was seen to be, in one round trip."""

    table: Table
    """The virtual servers of every service; empty where it was not asked for them."""
    text: str
    """What the daemon's configuration file has in it."""
    answers: Mapping[str, str]
    """What each question about the daemon brought, by its name."""


def _parsed(done: Completed) -> DaemonReading:
    table, _, rest = done.checked().stdout.partition(f"{_FILE}\n")
    file, _, answers = rest.partition(f"\n{_PROCESS}\n")
    text = base64.b64decode(file).decode("utf-8", "surrogateescape")
    parts = (part.partition("\n") for part in f"\n{answers}".split("\n-- ")[1:])
    return DaemonReading(table_in(done, table), text, {name: answer.strip() for name, _, answer in parts})


@dataclass(frozen=True)
class PybalRead(ReadVerb[DaemonReading]):
    """Reads the kernel's table, PyBal's file, and what PyBal says of itself.

    The answers are ``alerts``, ``pool NAME`` for each pool, ``metrics``, and as seconds since the epoch
    ``written`` (the file) and ``started`` (the process).
    """

    name = "pybal-read"
    limit = 32 * MIB
    script = _reading(f"""\
url=$1 started=$2
shift 2
echo '-- alerts'; {_CURL} "$url/alerts"
for pool do
    echo; echo "-- pool $pool"; {_CURL} -H 'Accept: application/json' "$url/pools/$pool"
done
echo; echo '-- metrics'; {_CURL} "$url/metrics"
echo; echo '-- written'; stat -L -c %Y -- "$config"
echo '-- started'; (eval "$started")""")

    config: str = field(metadata=PATH)
    instrumentation: str = field(metadata=URL)
    started: str = field(metadata=TEXT)
    """The operator's command that prints when PyBal began."""
    pools: tuple[str, ...] = field(default=(), metadata=NAMES)

    @property
    def includes(self) -> Included:
        """The table."""
        return ((IpvsTable(), lambda reading: reading.table),)

    @property
    def words(self) -> Sequence[str]:
        """The file, the address, the command, and the pools."""
        return ("yes", self.config, self.instrumentation, self.started, *self.pools)

    def parse(self, done: Completed) -> DaemonReading:
        """What was read."""
        return _parsed(done)


@dataclass(frozen=True)
class PybalRestart(WriteVerb[None]):
    """Restarts PyBal at once."""

    name = "pybal-restart"
    script = f'(eval "$1") >&2 || exit {_NOT_STARTED}'

    restart: str = field(metadata=TEXT)

    @property
    def deadline_s(self) -> float:
        """60 s."""
        return _COMMANDS_S

    @property
    def words(self) -> Sequence[str]:
        """The command."""
        return (self.restart,)

    def parse(self, done: Completed) -> None:
        """Return when it runs."""
        _require_restarted(done)


@dataclass(frozen=True)
class PybalDrain(WriteVerb[None]):
    """Stops PyBal, waits until no packet comes, and starts it; it goes on when its connection breaks.

    The third line of ip_vs_stats is the sum of all virtual servers. Counters that cannot be read never stand
    still: then it is started after ``drain_s`` seconds all the same.
    """

    name = "pybal-drain"
    script = f"""\
trap '' HUP PIPE
(eval "$1") >&2 || exit {_NOT_STOPPED}
before= still=0 waited=0
while [ "$still" -lt {STILL_S} ] && [ "$waited" -lt "$3" ]; do
    now=$(sed -n 3p /proc/net/ip_vs_stats 2>/dev/null)
    if [ -n "$now" ] && [ "$now" = "$before" ]; then still=$((still + 1)); else still=0; fi
    before=$now waited=$((waited + 1))
    sleep 1
done
(eval "$2") >&2 || exit {_NOT_STARTED}
"""

    stop: str = field(metadata=TEXT)
    start: str = field(metadata=TEXT)
    drain_s: float = field(metadata=SECONDS)

    @property
    def deadline_s(self) -> float:
        """60 s more than ``drain``."""
        return self.drain_s + _COMMANDS_S

    @property
    def words(self) -> Sequence[str]:
        """The commands, and the whole seconds of the wait."""
        return (self.stop, self.start, f"{self.drain_s:.0f}")

    def parse(self, done: Completed) -> None:
        """Return when it runs."""
        _require_restarted(done)


def _require_restarted(done: Completed) -> None:
    if done.status in (_NOT_STOPPED, _NOT_STARTED):
        what = "stopped" if done.status == _NOT_STOPPED else "started"
        answer = " / ".join(done.stderr.split("\n")[-5:]).strip(" /")
        raise VerifyError(f"{done.host}: pybal could not be {what}: {answer}")
    done.checked()


@dataclass(frozen=True)
class LibericaRead(ReadVerb[DaemonReading]):
    """Reads the kernel's table where there is one, Liberica's file, and what its daemons say of themselves.

    The answers are ``cp`` and ``bgp`` (metrics) and ``written`` (the file, in seconds since the epoch).
    """

    name = "liberica-read"
    limit = 32 * MIB
    script = _reading(f"""\
echo '-- cp'; {_CURL} "$1" | grep -E '^({RELOADED}|{BEGAN})'
echo '-- bgp'; {_CURL} "$2" | grep -E '^({PEER}|{ADVERTISED})'
echo '-- written'; stat -L -c %Y -- "$config\"""")

    config: str = field(metadata=PATH)
    metrics: str = field(metadata=URL)
    bgp_metrics: str = field(metadata=URL)
    ipvs: bool = field(default=True, metadata=SWITCH)
    """Whether there is a table."""

    @property
    def includes(self) -> Included:
        """The table, where there is one."""
        return ((IpvsTable(), lambda reading: reading.table),) if self.ipvs else ()

    @property
    def words(self) -> Sequence[str]:
        """Whether there is a table, the file, and the addresses."""
        return ("yes" if self.ipvs else "no", self.config, self.metrics, self.bgp_metrics)

    def parse(self, done: Completed) -> DaemonReading:
        """What was read."""
        return _parsed(done)


@dataclass(frozen=True)
class LibericaReload(WriteVerb[None]):
    """Reloads the control plane in a later second of its clock than one: times in metrics may be whole."""

    name = "liberica-reload"
    script = """\
for tick in 1 2 3; do [ "$(date +%s)" -gt "$2" ] && break; sleep 1; done
eval "$1"
"""

    reload: str = field(metadata=TEXT)
    """The operator's command that reloads it."""
    after_s: int = field(metadata=COUNT)

    @property
    def deadline_s(self) -> float:
        """60 s."""
        return _COMMANDS_S

    @property
    def words(self) -> Sequence[str]:
        """The command and the second."""
        return (self.reload, str(self.after_s))

    def parse(self, done: Completed) -> None:
        """Return when the command was content."""
        done.checked()
