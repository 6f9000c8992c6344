"""Reading scenarios: every file is judged before anything is booted; all that is wrong is told at once."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.errors import UsageError
from ferryman.inventory.document import Unreadable, bytes_of, parse_mapping
from ferryman.inventory.problems import KeyPath, Problem, nearest, shown
from ferryman.inventory.schema import checked
from ferryman.inventory.yaml_nodes import STR_TAG, duplicates
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
    from pathlib import Path

SUFFIXES = (".yaml", ".yml")
_KEY_LIKE_A_BOOLEAN = "on"
"""What YAML 1.1 takes for ``true``, though it is a word of ours."""


@dataclass(frozen=True, slots=True)
class Known:
    """What there is beside the scenarios, by which their names are judged."""

    hosts: Sequence[str]
    """The lab's hosts and pods."""
    directors: Sequence[str]
    faults: Mapping[str, Sequence[str]]
    """The lab's faults, each with the hosts that it fits."""
    services: Sequence[str]
    parse: Callable[[Sequence[str]], Parsed]
    """Reads the words behind ``ferryman``."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command line as the command itself reads it."""

    problem: str = ""
    """What is wrong with it; empty when nothing is."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    asks: bool = False
    """Whether it asks before the first change: there is nobody to answer in a rehearsal."""


@dataclass(frozen=True, slots=True)
class Line:
    """A command of a scenario: its words behind ``ferryman``, and the control host that it runs on."""

    words: tuple[str, ...]
    control: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that can be played."""

    name: str
    path: Path
    file: ScenarioFile
    strikes: tuple[Strike, ...]
    lines: tuple[Line, ...]
    service: str | None
    """The service that the first command is about, and the site; None when it names none."""
    site: str | None
    known: Known


def read(paths: Sequence[Path], known: Known) -> list[Scenario]:
    """The scenarios in these files and folders, in the order of their names in each folder.

    Raises:
        UsageError: A file cannot be used; with everything that is wrong with any of them.
    """
    problems: list[Problem] = []
    scenarios: list[Scenario] = []
    for file in dict.fromkeys(_files(paths, problems)):
        found = _read_file(file, known)
        if isinstance(found, Scenario):
            scenarios.append(found)
        else:
            problems += found
    _judge_names(scenarios, problems)
    if problems:
        raise UsageError("\n".join(map(str, sorted(set(problems)))))
    return scenarios


def _files(paths: Sequence[Path], problems: list[Problem]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        if not files:
            problems.append(Problem(str(path), 0, "", "has no scenario, expected files NAME.yaml"))
        yield from files


def _judge_names(scenarios: Sequence[Scenario], problems: list[Problem]) -> None:
    """A scenario's name is that of its file: reports tell scenarios apart by it."""
    first: dict[str, Path] = {}
    for scenario in scenarios:
        if (other := first.setdefault(scenario.name, scenario.path)) != scenario.path:
            message = f"has the name of {other}; a scenario's name is that of its file, give one another"
            problems.append(Problem(str(scenario.path), 0, "", message))


def _read_file(path: Path, known: Known) -> Scenario | list[Problem]:
    try:
        document = parse_mapping(bytes_of(path, str(path)), str(path), 1)
        _name_keys(document.root)
        value = document.value(document.root)
    except Unreadable as error:
        return list(error.problems)
    problems = [*document.twice(duplicates(document.root)), *(cut.problem for cut in document.cuts)]
    file, faults = checked(ScenarioFile, value)
    problems += [document.problem(place, message) for place, message in faults]
    listed = value.get("faults")
    strikes = []
    for index, item in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(item, dict):
            strike, wrong = _strike(item, known)
            problems += [document.problem(("faults", index, *place), message) for place, message in wrong]
            strikes.append(strike)
    if file is not None:
        whole = [strike for strike in strikes if strike is not None]
        wrong = [*_of_commands(file, known), *_of_strikes(file, strikes), *_of_end(file, known)]
        problems += [document.problem(place, message) for place, message in wrong]
        if not problems:
            return _scenario(path, file, whole, known)
    return problems


def _scenario(path: Path, file: ScenarioFile, strikes: Sequence[Strike], known: Known) -> Scenario:
    lines = tuple(Line(words_of(command.command, known), command.on) for command in file.run)
    service, site = _subject(file, known)
    return Scenario(path.stem, path, file, tuple(strikes), lines, service, site, known)


def words_of(line: str, known: Known) -> tuple[str, ...]:
    """The words of a command line behind ``ferryman``; it does not ask, for nobody would answer."""
    words = shlex.split(line)[1:]
    return (*words, "--yes") if known.parse(words).asks else tuple(words)


def _subject(file: ScenarioFile, known: Known) -> tuple[str | None, str | None]:
    try:
        arguments = known.parse(shlex.split(file.run[0].command)[1:]).arguments
    except ValueError:  # it cannot be split into words, which is told where commands are judged
        return None, None
    service, site = arguments.get("service"), arguments.get("site")
    return (service, site) if isinstance(service, str) and isinstance(site, str) else (None, None)


def _name_keys(root: yaml.Node) -> None:
    """Let a key ``on`` be the word that it is."""
    todo, seen = [root], set()
    while todo:
        node = todo.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value == _KEY_LIKE_A_BOOLEAN:
                    key.tag = STR_TAG
                todo.append(value)
        else:
            todo += node.value


Wrong = tuple[KeyPath, str]


def _strike(item: Mapping[str, Any], known: Known) -> tuple[Strike | None, list[Wrong]]:
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


def _of_strike(strike: Strike, known: Known) -> Iterator[Wrong]:
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


def _host(path: KeyPath, host: str, known: Known) -> Iterator[Wrong]:
    if host not in known.hosts:
        yield path, f"is {shown(host)}, which is no host of the lab; {nearest(host, known.hosts)}"


def _command(path: KeyPath, line: str, known: Known) -> Iterator[Wrong]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        yield path, f"is {shown(line)}, which cannot be split into words: {error}"
        return
    if words[:1] != ["ferryman"] or len(words) == 1:
        yield path, f"is {shown(line)}, expected a command line that begins with ferryman"
    elif problem := known.parse(words[1:]).problem:
        yield path, f"is {shown(line)}: {problem}"


def _of_commands(file: ScenarioFile, known: Known) -> Iterator[Wrong]:
    for index, command in enumerate(file.run):
        yield from _command(("run", index, "command"), command.command, known)
        if command.on != "control1" and file.state != "etcd":
            yield ("run", index, "on"), f"is {shown(command.on)}, which wants state: etcd"
    codes, commands = len(file.expect.exit), len(file.run)
    if codes not in (1, commands):
        message = f"has {codes} exit codes, expected one, or one for each of {commands} commands"
        yield ("expect", "exit"), message


def _of_strikes(file: ScenarioFile, strikes: Sequence[Strike | None]) -> Iterator[Wrong]:
    for index, strike in enumerate(strikes):
        if isinstance(strike, Merge) and file.catalog != "git":
            yield ("faults", index, "merge"), "wants catalog: git, where people merge what the run proposes"
        on = strike.on if isinstance(strike, Kill | Meanwhile) else None
        if on not in (None, "control1") and file.state != "etcd":
            yield ("faults", index, "on"), f"is {shown(on)}, which wants state: etcd"
        moment, last = strike.moment if strike is not None else None, len(file.run)
        if moment is not None and moment.when == "command" and not 1 < (moment.number or 0) <= last:
            yield ("faults", index, "at"), f"is {str(moment)!r}, expected a command from 2 to {last}"


def _of_end(file: ScenarioFile, known: Known) -> Iterator[Wrong]:
    places = ["catalog", *known.directors]
    for host in file.expect.end if isinstance(file.expect.end, dict) else ():
        if host not in places:
            yield ("expect", "end", host), f"is no director of the lab; {nearest(host, places)}"
    if (isinstance(file.expect.end, dict) or file.expect.end == "all new") and _subject(file, known)[
        0
    ] is None:
        yield ("expect", "end"), "wants a first command that names a service and a site"
    if file.load is not None and _subject(file, known)[0] is None:
        yield ("load",), "wants a first command that names a service and a site"
    if file.expect.lost_requests is not None and file.load is None:
        yield ("expect", "lost_requests"), "wants a load: nobody counts requests that are not sent"
