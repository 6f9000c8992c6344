"""The state that a tape's hosts were in when the run began, and what changed while it went on.

The first answer of a host counts. Whatever differs in a later one, and was not the run's own doing, struck in
the middle of the run: a lab has no such moment, so from that step on nothing is judged.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.errors import FerrymanError
from ferryman.hosts.verbs.directors import DirectorState
from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.ipvs.table import VirtualServer
from ferryman.model import ProbeResult, Verdict
from ferryman.realservers.facts.sections import Section, sections_of
from ferryman.tape.codec import NotDataError, decode
from ferryman.tape.keys import CallKey
from ferryman.tape.replaying import printed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.hosts.completed import Completed
    from ferryman.ipvs.table import Table
    from ferryman.realservers.facts import Facts
    from ferryman.tape.file import Tape

_STOP = {verdict.value for verdict in Verdict if verdict.stops}
_TABLES = ("director-state", "ipvs-table", "scheduler-state")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a realserver was seen to be: its facts, and the text that they were read from."""

    facts: Facts
    sections: Mapping[str, Section]

    @classmethod
    def of(cls, done: Completed) -> Seen:
        """What a host answered to ``ReadFacts``."""
        return cls(ReadFacts().value(done), sections_of(f"{done.stdout}\n{done.stderr}"))

    @property
    def state(self) -> tuple[object, ...]:
        """What does not change by itself, for comparison with another look."""
        facts = self.facts
        rules = tuple(without_counts(self.rules(version)) for version in (4, 6))
        return facts.devices, facts.settings, facts.listeners, facts.persisted, facts.pods, rules

    def rules(self, version: int) -> str:
        """The rules of a family as iptables-save wrote them; empty where there are none of iptables'."""
        for name in (f"legacy{version}", f"nft{version}"):
            if name in self.sections and self.sections[name].text.strip():
                return self.sections[name].text
        return ""


def without_counts(rules: str) -> tuple[str, ...]:
    """The lines of iptables-save that decide something, for comparison."""
    lines = (line.strip() for line in rules.splitlines())
    return tuple(
        line.partition(" [")[0] if line.startswith(":") else line for line in lines if line and line[0] != "#"
    )


@dataclass
class State:
    """What a tape says of its hosts."""

    realservers: dict[str, Seen] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    """The IPVS table of each director."""
    restless: set[str] = field(default_factory=set)
    """Directors whose table changed by itself, as health checks do it: when they do is a matter of time."""
    unreachable: list[str] = field(default_factory=list)
    """Hosts that could not be reached when they were asked first."""
    meanwhile: list[str] = field(default_factory=list)
    """What happened in the middle of the run, in words."""
    judged_phases: int | None = None
    """How many phases of the run came before that; None: nothing did happen."""


def state_of(tape: Tape) -> State:
    """Read it off the tape.

    Raises:
        NotDataError: An answer is not understood.
    """
    reading = _Reading()
    for entry in tape.entries:
        reading.add(entry.kind, entry.data)
    return reading.state


class _Reading:
    """The tape as far as it was read."""

    def __init__(self) -> None:
        self.state = State()
        self._phase = 0
        self._answered: set[str] = set()
        self._written: set[str] = set()
        self._catalogs: set[str] = set()
        self._probed: dict[str, object] = {}

    def add(self, kind: str, data: Mapping[str, Any]) -> None:
        match kind:
            case "event" if data["event"] == "step-started" and data.get("lane", "run") == "run":
                self._phase += 1
            case "event" if data.get("lane") == "watch" and data.get("verdict") in _STOP:
                self._meanwhile(f"the watch found {data['check']} of {data['host']} otherwise")
            case "signal":
                self._meanwhile(f"the run was sent {data['name']}")
            case "alarm":
                self._meanwhile(f"something beside the run stopped it: {data['error']['message']}")
            case "call":
                self._call(data)

    def _meanwhile(self, what: str) -> None:
        state = self.state
        what = what.splitlines()[0]
        if what not in state.meanwhile:
            state.meanwhile.append(what)
        if state.judged_phases is None:
            state.judged_phases = self._phase

    def _call(self, data: Mapping[str, Any]) -> None:
        match data["port"]:
            case "hosts" if data["host"]:
                self._host(data["host"], data)
            case "probe" if data["verb"] == "syn":
                self._probe(data)
            case "catalog":
                self._catalog(data)
            case "operator" if data.get("value") is False:
                self._meanwhile("the operator said no")
            case "locks" if "error" in data:
                self._meanwhile(f"a lock was held: {data['error']['message']}")

    def _host(self, host: str, data: Mapping[str, Any]) -> None:
        if "error" in data:
            self._failed(host, data["error"])
        elif host in self.state.unreachable:
            self._meanwhile(f"{host}: answered again")
        else:
            self._heard(host, data)
        if data["writes"]:
            self._written.add(host)

    def _failed(self, host: str, error: Mapping[str, Any]) -> None:
        if error["type"] != "UnreachableError" or host in self._answered:
            if host not in self.state.unreachable:
                self._meanwhile(f"{host}: failed: {error['message']}")
        elif host not in self.state.unreachable:
            self.state.unreachable.append(host)

    def _heard(self, host: str, data: Mapping[str, Any]) -> None:
        self._answered.add(host)
        if data["verb"] == ReadFacts.name and isinstance(data["value"], dict) and "$printed" in data["value"]:
            seen = Seen.of(printed(host, ReadFacts(), data["value"]))
            first = self.state.realservers.setdefault(host, seen)
            if first.state != seen.state:
                self._meanwhile(f"{host}: another state than at first")
        elif data["verb"] in _TABLES and (table := _table(data["value"])) is not None:
            known = self.state.tables.setdefault(host, table)
            # What the run itself wrote shows at once, or when a daemon has read it.
            if known != table and host not in self._written:
                self._meanwhile(f"{host}: another IPVS table than at first")
                self.state.restless.add(host)

    def _catalog(self, data: Mapping[str, Any]) -> None:
        """A text that is neither the catalog's first one nor one that the run wrote is somebody else's."""
        if data["verb"] == "write":
            self._catalogs.add(str(data["arguments"].get("sha256")))
        elif data["verb"] == "text" and isinstance(data.get("value"), dict):
            digest = str(data["value"].get("sha256"))
            if self._catalogs and digest not in self._catalogs:
                self._meanwhile("somebody edited the catalog")
            self._catalogs.add(digest)

    def _probe(self, data: Mapping[str, Any]) -> None:
        if "value" not in data:
            return
        key = CallKey(data["port"], data["host"], data["verb"], data["arguments"]).canonical
        found = decode(data["value"])
        verdict = found.verdict if isinstance(found, ProbeResult) else None
        if self._probed.setdefault(key, verdict) != verdict:
            self._meanwhile(f"{data['host']}: a probe ended otherwise than at first")


def _table(encoded: object) -> Table | None:
    with suppress(FerrymanError, NotDataError):
        found = decode(encoded)
        table = found.table if isinstance(found, DirectorState) else getattr(found, "table", found)
        if isinstance(table, tuple) and all(isinstance(each, VirtualServer) for each in table):
            return tuple(each.sorted() for each in table)
    return None
