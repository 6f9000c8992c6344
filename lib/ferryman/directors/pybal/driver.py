"""The driver of a director whose IPVS table PyBal fills.

PyBal reads ``pybal.conf`` when it starts and at no other time, so it loads it by a restart: each virtual
server is deleted and added, and its realservers follow as their monitors come up. It hands its commands to
``ipvsadm -R`` and does not look at what came of them (``pybal/ipvs.py``), and its monitors connect to the
realservers themselves, not through the tunnel: so what it says of itself is not enough, and IPVS is read
back.

A PyBal that stops withdraws its routes, and the routers send everything to the other director; IPVS goes on
forwarding what still arrives. So the restart is a stop, a wait for the packet counters to stand still, and a
start: nothing is on its way through a table that is taken apart. Where no router listens the counters never
stand still: then it is started after ``drain`` seconds all the same. All that is one script on the director,
which goes on when the connection to it breaks: no PyBal remains stopped.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from ferryman.directors.managed import ConfigManagedDriver, State
from ferryman.directors.metrics import samples
from ferryman.directors.pybal.conf import PybalConf
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.hosts.verbs.daemons import PybalDrain, PybalRead, PybalRestart
from ferryman.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.hosts.verbs import WriteVerb
    from ferryman.ipvs.table import Table

_SESSION = "pybal_bgp_session_established"
_ALERTS, _POOL, _METRICS, _WRITTEN, _STARTED = "alerts", "pool", "metrics", "written", "started"


class PybalDriver(ConfigManagedDriver):
    """Runs the agent, restarts PyBal without a packet in its table, and reads IPVS back.

    Its keys beside those of every follower: ``instrumentation``, ``restart``, ``stop``, ``start``, ``drain``,
    ``started``.
    """

    targets = (SetForwarding, SetScheduler)

    default_config = "/etc/pybal/pybal.conf"

    def _read_options(self) -> None:
        super()._read_options()
        self.instrumentation = self.options.url("instrumentation", "http://localhost:9090").rstrip("/")
        self.restart = self.options.command("restart", "systemctl restart pybal")
        self.stop = self.options.command("stop", "systemctl stop pybal")
        self.start = self.options.command("start", "systemctl start pybal")
        self.drain_s = self.options.seconds("drain", 10.0)
        self.started = self.options.command("started", _STARTED_BY_SYSTEMD)

    @property
    def reload_command(self) -> str:
        """The restart as people read it: at once, or with the wait for the last packets between."""
        if not self.drain_s:
            return self.restart
        return f"{self.stop}; sleep until no packet comes, {self.drain_s:g} s at most; {self.start}"

    @property
    def _question(self) -> PybalRead:
        return PybalRead(self.config, self.instrumentation, self.started, tuple(self._pools()))

    def _pools(self) -> Iterator[str]:
        """The service's pools, as Wikimedia's Puppet names them; one that is named otherwise is not seen."""
        for virtual_service in self.service.virtual_services:
            name = virtual_service.service if virtual_service.label == "default" else virtual_service.label
            yield f"{name}_{virtual_service.port}" + ("_udp" if virtual_service.protocol == "udp" else "")

    def _table_from_file(self, text: str, table: Table) -> Table:
        return self._conf(text).configured(table)

    def _conf(self, text: str) -> PybalConf:
        return PybalConf.read(text, f"{self.host}: {self.config}")

    def _reload(self) -> None:
        verb: WriteVerb[None] = PybalRestart(self.restart)
        if self.drain_s:
            verb = PybalDrain(self.stop, self.start, self.drain_s)
        self.hosts.write(self.host, verb)

    def _pending_reload(self, state: State) -> str | None:
        answers = state.answers
        written, started = (numeral(answers.get(key, "")) for key in (_WRITTEN, _STARTED))
        if started is None:
            return f"pybal does not run: {self.started!r} says {answers.get(_STARTED, '') or 'nothing'}"
        if written is None or started < written:
            return (
                f"{self.config} is of {_clock(written)}, and the running pybal began at {_clock(started)}: "
                "it cannot have read it"
            )
        return None

    def _health_problems(self, state: State) -> list[str]:
        """A pool in trouble, a realserver that is down, no session with any router.

        ``WARNING`` is no trouble: a pool that is too small to depool from says so all its life.
        """
        answers = state.answers
        return [
            *self._alerts(answers.get(_ALERTS, "")),
            *(line for name in self._pools() for line in _down(name, answers.get(f"{_POOL} {name}", ""))),
            *(_sessions(answers.get(_METRICS, "")) if self._conf(state.text).speaks_bgp else ()),
        ]

    def _alerts(self, answer: str) -> list[str]:
        if answer.startswith(("OK", "WARNING")):
            return []
        return [f"pybal: {self.instrumentation}/alerts: {answer or 'no answer'}"]


_STARTED_BY_SYSTEMD = (
    "systemctl is-active --quiet pybal && "
    'date +%s -d "$(systemctl show -p ActiveEnterTimestamp --value pybal)"'
)


def _down(pool: str, answer: str) -> Iterator[str]:
    """The hosts of a pool that should serve and do not."""
    try:
        hosts = json.loads(answer)
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        return
    for host, state in hosts.items() if isinstance(hosts, dict) else ():
        if isinstance(state, dict) and state.get("enabled") and not state.get("up"):
            yield f"pybal: pool {pool}: {host} is enabled and not up"


def _sessions(metrics: str) -> Iterator[str]:
    """The autonomous systems that no router has a session with."""
    sessions = [
        (session.labels.get("local_asn", ""), session.value) for session in samples(metrics, _SESSION)
    ]
    if not sessions:
        yield "pybal: bgp is on, and /metrics tells of no session"
    up = {asn for asn, value in sessions if value == 1.0}
    for asn in sorted({asn for asn, _ in sessions} - up):
        yield f"pybal: no BGP session of AS {asn} is established: no router sends anything here"


def _clock(seconds: int | None) -> str:
    if seconds is None:
        return "no known time"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
