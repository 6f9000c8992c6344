"""Reading scenarios: every file is judged before anything is booted; all that is wrong is told at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.errors import InventoryError, LabError, UsageError
from ferryman.inventory.document import Unreadable, bytes_of, parse_mapping
from ferryman.inventory.problems import KeyPath, Problem
from ferryman.inventory.schema import checked
from ferryman.inventory.yaml_nodes import STR_TAG, duplicates
from ferryman.lab.topology import DEFAULT, from_data
from ferryman.rehearsal.judging import (
    Known,
    Names,
    Wrong,
    of_commands,
    of_end,
    of_strikes,
    strike_of,
    subject,
    words_of,
)
from ferryman.rehearsal.schema import ScenarioFile, Strike

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ferryman.inventory.document import Document
    from ferryman.lab import Topology

SUFFIXES = (".yaml", ".yml")
_PLACE = "\0"
"""Before the number of a place in what is told of a topology: no message has it."""
_KEY_LIKE_A_BOOLEAN = "on"
"""What YAML 1.1 takes for ``true``, though it is a word of ours."""


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
    topology: Topology
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
    file, wrong = checked(ScenarioFile, value)
    problems += [document.problem(place, message) for place, message in wrong]
    lab = _topology(value.get("topology", {"like": "lab"}), path, document, problems)
    names = Names.of(lab, known)
    listed = value.get("faults")
    strikes = []
    for index, item in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(item, dict):
            strike, faulty = strike_of(item, names)
            problems += [document.problem(("faults", index, *place), message) for place, message in faulty]
            strikes.append(strike)
    if (judged := file or _rest(value, wrong)) is not None:
        wrong = [*of_commands(judged, names), *of_strikes(judged, strikes), *of_end(judged, names)]
        problems += [document.problem(place, message) for place, message in wrong]
    if file is not None and not problems:
        return _scenario(path, file, lab, [strike for strike in strikes if strike is not None], known)
    return problems


def _rest(value: Mapping[str, Any], wrong: Sequence[Wrong]) -> ScenarioFile | None:
    """What of a file is sound, so that it is judged too; None without commands: the rest is about them."""
    faulty = {place[0] for place, _ in wrong if place}
    rest = {key: item for key, item in value.items() if key not in faulty}
    if "run" not in rest:
        return None
    return checked(ScenarioFile, {"title": "-", "expect": {"exit": 0}, **rest})[0]


def _scenario(
    path: Path, file: ScenarioFile, lab: Topology, strikes: Sequence[Strike], known: Known
) -> Scenario:
    lines = tuple(Line(words_of(command.command, known), command.on) for command in file.run)
    service, site = subject(file, known)
    return Scenario(path.stem, path, file, lab, tuple(strikes), lines, service, site, known)


def _topology(data: object, path: Path, document: Document, problems: list[Problem]) -> Topology:
    """The lab that a scenario asks for; what is wrong with it is added, and the default one taken for it."""
    places: list[KeyPath] = []

    def where(place: KeyPath) -> str:
        places.append(place)
        return f"{_PLACE}{len(places) - 1}"

    try:
        return from_data(data, where, folder=path.parent)
    except (LabError, InventoryError) as error:
        for line in str(error).splitlines():
            number, _, message = line.removeprefix(_PLACE).partition(": ")
            named = line.startswith(_PLACE)
            place = places[int(number)] if named else ()
            problems.append(document.problem(("topology", *place), message if named else line))
    return DEFAULT


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
