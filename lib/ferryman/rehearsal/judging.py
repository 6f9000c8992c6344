"""Judging what a scenario names: hosts, faults, services, commands, moments; each complaint has its key."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.inventory.problems import KeyPath, nearest, shown
from ferryman.inventory.schema import checked
from ferryman.lab import faults
from ferryman.lab.topology import DEFAULT
from ferryman.rehearsal.schema import (
    STRIKES,
    ClearFault,
    EditCatalog,
    Kill,
    Meanwhile,
    Merge,
    PutFault,
    RunOnHost,
    ScenarioFile,
    Signal,
    Strike,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.lab import Topology

Wrong = tuple[KeyPath, str]
"""Where something is wrong in a file, and what."""


@dataclass(frozen=True, slots=True)
class Known:
    """What there is beside the scenarios, by which their names are judged."""

    services: Sequence[str]
    """The services of the inventory in force, which a scenario has unless it has a topology of its own."""
    parse: Callable[[Sequence[str]], Parsed]
    """Reads the words behind ``ferryman``."""


@dataclass(frozen=True, slots=True)
class Names:
    """What there is in the lab of one scenario, by which its names are judged."""

    known: Known
    hosts: Sequence[str]
    """The lab's hosts and pods."""
    directors: Sequence[str]
    faults: Mapping[str, Sequence[str]]
    """The lab's faults, each with the hosts that it fits."""
    services: Sequence[str]

    @classmethod
    def of(cls, lab: Topology, known: Known) -> Names:
        """The names of a lab of this topology."""
        return cls(
            known,
            [*lab.by_name, *(pod.name for pod in lab.pods)],
            [director.name for director in lab.directors],
            {fault.name: fault.hosts(lab) for fault in faults.ALL},
            known.services if lab == DEFAULT else [service.name for service in lab.services],
        )


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command line as the command itself reads it."""

    problem: str = ""
    """What is wrong with it; empty when nothing is."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    asks: bool = False
    """Whether it asks before the first change: there is nobody to answer in a rehearsal."""


def words_of(line: str, known: Known) -> tuple[str, ...]:
    """The words of a command line behind ``ferryman``; it does not ask, for nobody would answer."""
    words = shlex.split(line)[1:]
    return (*words, "--yes") if known.parse(words).asks else tuple(words)


def subject(file: ScenarioFile, known: Known) -> tuple[str | None, str | None]:
    """The service and the site that the first command is about; None and None when it names no service."""
    try:
        arguments = known.parse(shlex.split(file.run[0].command)[1:]).arguments
    except ValueError:  # it cannot be split into words, which is told where commands are judged
        return None, None
    service, site = arguments.get("service"), arguments.get("site")
    return (service, site) if isinstance(service, str) and isinstance(site, str) else (None, None)


def strike_of(item: Mapping[str, Any], known: Names) -> tuple[Strike | None, list[Wrong]]:
    """One entry of ``faults`` as what it is, and everything that is wrong with it."""
    kinds = [key for key in STRIKES if key in item]
    if len(kinds) != 1:
        what = f"has {' and '.join(kinds)}" if kinds else f"has {', '.join(map(str, item)) or 'nothing'}"
        unknown = next((str(key) for key in item if key not in ("at", "on", "then", "exit")), "")
        near = f"; {nearest(unknown, STRIKES)}" if not kinds and unknown else ""
        return None, [((), f"{what}, expected one of {', '.join(STRIKES)}{near}")]
    strike, wrong = checked(STRIKES[kinds[0]], dict(item))
    if strike is None:
        return None, wrong
    return strike, [*_of_moment(strike), *_of_strike(strike, known)]


def _of_moment(strike: Strike) -> Iterator[Wrong]:
    moment = strike.moment
    if isinstance(strike, Kill | Signal) and not moment.in_a_process:
        yield ("at",), f"is {str(moment)!r}, expected a moment at which the run has a process"
    if isinstance(strike, Merge) and moment.when != "review":
        yield (
            ("at",),
            f"is {str(moment)!r}, expected 'in review': there is nothing to merge at another moment",
        )


def _of_strike(strike: Strike, known: Names) -> Iterator[Wrong]:
    match strike:
        case PutFault(put=fault, on=host) | ClearFault(clear=fault, on=host):
            key = "put" if isinstance(strike, PutFault) else "clear"
            if fault not in known.faults:
                near = nearest(fault, known.faults)
                yield (key,), f"is {shown(fault)}, which is no fault of the lab; {near}"
            elif host is not None and host not in known.faults[fault]:
                yield from _host(("on",), host, known)
                if host in known.hosts:
                    fits = ", ".join(known.faults[fault])
                    yield ("on",), f"is {shown(host)}, but {fault} fits {fits} alone"
        case RunOnHost(run=there):
            yield from _host(("run", "on"), there.on, known)
        case EditCatalog(entry=entry) if entry not in known.services:
            yield ("entry",), f"is {shown(entry)}, which is no service; {nearest(entry, known.services)}"
        case Meanwhile(meanwhile=line):
            yield from _command(("meanwhile",), line, known)
        case _:
            pass


def _host(path: KeyPath, host: str, known: Names) -> Iterator[Wrong]:
    if host not in known.hosts:
        yield path, f"is {shown(host)}, which is no host of the lab; {nearest(host, known.hosts)}"


def _command(path: KeyPath, line: str, known: Names) -> Iterator[Wrong]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        yield path, f"is {shown(line)}, which cannot be split into words: {error}"
        return
    if words[:1] != ["ferryman"] or len(words) == 1:
        yield path, f"is {shown(line)}, expected a command line that begins with ferryman"
    elif problem := known.known.parse(words[1:]).problem:
        yield path, f"is {shown(line)}: {problem}"


def of_commands(file: ScenarioFile, known: Names) -> Iterator[Wrong]:
    """What is wrong with the commands, and with what is expected of their exit codes."""
    for index, command in enumerate(file.run):
        yield from _command(("run", index, "command"), command.command, known)
        if command.on != "control1" and file.state != "etcd":
            yield ("run", index, "on"), f"is {shown(command.on)}, which wants state: etcd"
    codes, commands = len(file.expect.exit), len(file.run)
    if codes not in (1, commands):
        message = f"has {codes} exit codes, expected one, or one for each of {commands} commands"
        yield ("expect", "exit"), message


def of_strikes(file: ScenarioFile, strikes: Sequence[Strike | None]) -> Iterator[Wrong]:
    """What the strikes want of the rest of the scenario, and that has not."""
    for index, strike in enumerate(strikes):
        if isinstance(strike, Merge) and file.catalog != "git":
            yield ("faults", index, "merge"), "wants catalog: git, where people merge what the run proposes"
        on = strike.on if isinstance(strike, Kill | Meanwhile) else None
        if on not in (None, "control1") and file.state != "etcd":
            yield ("faults", index, "on"), f"is {shown(on)}, which wants state: etcd"
        moment, last = strike.moment if strike is not None else None, len(file.run)
        if moment is not None and moment.when == "command" and not 1 < (moment.number or 0) <= last:
            yield ("faults", index, "at"), f"is {str(moment)!r}, expected a command from 2 to {last}"


def of_end(file: ScenarioFile, known: Names) -> Iterator[Wrong]:
    """What is wrong with what is expected of the end, and with the load."""
    places = ["catalog", *known.directors]
    for host in file.expect.end if isinstance(file.expect.end, dict) else ():
        if host not in places:
            yield ("expect", "end", host), f"is no director of the lab; {nearest(host, places)}"
    has_service = subject(file, known.known)[0] is not None
    if (isinstance(file.expect.end, dict) or file.expect.end == "all new") and not has_service:
        yield ("expect", "end"), "wants a first command that names a service and a site"
    if file.load is not None and not has_service:
        yield ("load",), "wants a first command that names a service and a site"
    if file.expect.lost_requests is not None and file.load is None:
        yield ("expect", "lost_requests"), "wants a load: nobody counts requests that are not sent"
