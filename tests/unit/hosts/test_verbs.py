"""What holds for every verb: its arguments, its script, and that nothing else is ever sent to a host."""

from __future__ import annotations

import ast
import os
import re
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from functools import partial
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import ArgumentError, BusyError, VerifyError
from ferryman.hosts import fence
from ferryman.hosts.completed import Completed
from ferryman.hosts.fence import Fence
from ferryman.hosts.verbs import ReadVerb, Verb, WriteVerb, kinds
from ferryman.hosts.verbs.agents import (
    AgentRevision,
    AgentRun,
    CheckoutRevision,
    PuppetRun,
    PuppetState,
)
from ferryman.hosts.verbs.daemons import (
    LibericaRead,
    LibericaReload,
    PybalDrain,
    PybalRead,
    PybalRestart,
)
from ferryman.hosts.verbs.directors import ReadDirector, ReadScheduler
from ferryman.hosts.verbs.fence import TakeOver
from ferryman.hosts.verbs.ipvs import Connections, EditTable, IpvsTable
from ferryman.hosts.verbs.keepalived import KeepalivedRead, KeepalivedWrite
from ferryman.hosts.verbs.keepalived_trial import KeepalivedTrial
from ferryman.hosts.verbs.operator import OperatorCommand, OperatorQuestion
from ferryman.hosts.verbs.pods import EditPodRoutes, ReadPodNetworks, RouteEdit
from ferryman.hosts.verbs.realservers import ReadCounters, ReadFacts
from ferryman.hosts.verbs.registry import ALL, VERBS
from ferryman.hosts.verbs.routes import AddHostRoutes, ReadHostRoutes, RemoveHostRoutes, Route
from ferryman.hosts.verbs.sudo import SudoCheck
from ferryman.ipvs.listing import read_table
from ferryman.ipvs.table import from_json, to_json
from ferryman.realservers.facts.routing import Lookup
from ferryman.testing import run_here
from unit.directors.world import RULES
from unit.hosts.test_framing import HOSTILE
from verbs_page import PAGE, with_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.ipvs.table import Key, Table

PACKAGE = Path(__file__).parents[3] / "lib" / "ferryman"
WEB1 = ip_address("10.10.0.21")
TABLE = read_table(RULES)
KEYS: tuple[Key, ...] = (("tcp", ip_address("10.99.0.1"), 80),)
SAMPLES: tuple[Verb[Any], ...] = (
    TakeOver(),
    ReadFacts(lookups=(Lookup(ip_address("10.10.0.11"), WEB1),)),
    ReadCounters(),
    ReadDirector((WEB1,)),
    ReadScheduler(KEYS, "mh"),
    IpvsTable(),
    Connections(KEYS),
    EditTable(TABLE, TABLE),
    ReadHostRoutes((WEB1,)),
    AddHostRoutes((Route(WEB1, "eth0"),), 7),
    RemoveHostRoutes((Route(WEB1, "eth0"),), 7),
    ReadPodNetworks(),
    EditPodRoutes(
        "cni-none",
        WEB1,
        (RouteEdit(4, "default via 169.254.1.1 dev eth0", "default via 169.254.1.1 dev eth0 advmss 1420"),),
    ),
    KeepalivedRead("/nowhere/keepalived.conf", ("/nowhere/web.conf",)),
    KeepalivedTrial("/nowhere/k.conf", {"/nowhere/web.conf": "old"}, {"/nowhere/web.conf": "new"}),
    KeepalivedWrite("/nowhere/k.conf", "true", {"/nowhere/web.conf": "old"}, {"/nowhere/web.conf": "new"}),
    PybalRead("/nowhere/pybal.conf", "http://localhost:9090", "true", ("web_80",)),
    PybalRestart("true"),
    PybalDrain("true", "true", 0),
    LibericaRead("/nowhere/config.yaml", "http://localhost:3003/metrics", "http://localhost:3010/metrics"),
    LibericaReload("true", 0),
    PuppetState(),
    PuppetRun(("true",), 1),
    AgentRun(("true",), 1),
    AgentRevision(("true",)),
    CheckoutRevision("/nowhere"),
    OperatorQuestion(("true",)),
    OperatorCommand(("true",), given="typed"),
    SudoCheck(("facts",), ("{}",)),
)
"""One of each verb."""
MOST_RUN = 8
"""Hostile values of one argument with which the script itself runs; those that run something come first."""
RUN_BY_DESIGN = {"reload", "started", "restart", "stop", "start", "argv"}
"""Arguments that are commands of the operator's: whatever they say is run."""
TOOLS = (
    "ipvsadm",
    "ip",
    "keepalived",
    "ps",
    "curl",
    "puppet",
    "modprobe",
    "unshare",
    "mount",
    "sleep",
    "git",
    "sudo",
)


def test_the_samples_are_one_of_each_verb() -> None:
    assert [type(sample) for sample in SAMPLES] == list(VERBS)
    assert len(ALL) == len(VERBS)


@pytest.mark.parametrize("verb", VERBS, ids=list(ALL))
def test_a_verb_has_a_name_a_kind_for_each_argument_and_reads_or_writes(verb: type[Verb[Any]]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", verb.name)
    assert is_dataclass(verb)
    assert verb.__doc__
    assert issubclass(verb, ReadVerb if verb.reads else WriteVerb)
    for argument in fields(verb):
        assert isinstance(argument.metadata["kind"], kinds.Kind), argument.name


def test_the_page_of_verbs_is_that_of_the_code() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "python -m tests.verbs_page writes it anew"


def hostile_values(value: object, text: str) -> Iterator[Any]:
    """A value's likes with a hostile text in them, wherever one can be."""
    yield text
    match value:
        case str():
            yield f"{value}{text}"
            yield f"/{text}"
        case tuple():
            yield (text,)
            yield (*value, text)
            for place, item in enumerate(value):
                for other in hostile_values(item, text):
                    yield (*value[:place], other, *value[place + 1 :])
        case dict():
            yield {text: text}
            yield {f"/{text}": text}
            yield dict.fromkeys(value, text)
        case _ if is_dataclass(value) and not isinstance(value, type):
            for item in fields(value):
                yield from (
                    replace(value, **{item.name: other})
                    for other in hostile_values(getattr(value, item.name), text)
                )


@pytest.fixture(name="tools", scope="module")
def tools_that_do_nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    for tool in TOOLS:
        (folder / tool).write_text("#!/bin/sh\nexit 0\n")
        (folder / tool).chmod(0o755)
    return folder


@pytest.mark.parametrize("sample", SAMPLES, ids=list(ALL))
def test_a_hostile_value_is_refused_or_is_a_value_and_nothing_else(
    sample: Verb[Any], tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every argument; the scripts really run, by sh and bash, on tools that do nothing."""
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    for argument in fields(sample):
        verbs = list(accepted(sample, argument.name))
        assert not any("\0" in word for verb in verbs for word in verb.words)
        if argument.name in RUN_BY_DESIGN:
            continue
        for verb, shell in zip(verbs[:MOST_RUN], cycle(("sh", "bash")), strict=False):
            run_here(verb, env=environment, shell=shell)
            assert not list(tmp_path.rglob("canary")), f"{argument.name}: {verb}"


def accepted(sample: Verb[Any], name: str) -> Iterator[Verb[Any]]:
    """The verb with each hostile value that one of its arguments takes."""
    for text in (*HOSTILE, "a\0b", "\x1b]52;c;\x07", "x" * 100_000):
        for value in hostile_values(getattr(sample, name), text):
            with suppress(ArgumentError):
                yield replace(sample, **{name: value})


WRITES = [sample for sample in SAMPLES if not sample.reads]


@pytest.mark.parametrize("sample", WRITES, ids=[sample.name for sample in WRITES])
def test_a_late_command_of_an_earlier_holder_does_nothing(
    sample: Verb[Any], tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "FOLDER", str(tmp_path / "run"))
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    earlier, later = (partial(Fence("run1", token).around, "here") for token in (1, 2))
    run_here(TakeOver(), guarded=later).checked()
    done = run_here(sample, env=environment, guarded=earlier)
    assert done.status == fence.OVERTAKEN
    with pytest.raises(BusyError, match="here: run1 was resumed by another process"):
        Fence("run1", 1).judged(done)


@pytest.mark.parametrize(
    "change",
    [
        {"scheduler": "wrr; touch x"},
        {"options": ("-p", "300\n-E")},
        {"port": "80; touch x"},
        {"vip": ip_address("fe80::1%$(id)")},
    ],
)
def test_a_table_that_came_back_from_a_journal_is_looked_at_again(change: dict[str, Any]) -> None:
    table: Table = (replace(TABLE[0], **change), *TABLE[1:])
    with pytest.raises(ArgumentError, match=r"edit-table: wanted is .*; nothing was sent to a host"):
        EditTable(TABLE, table)


@pytest.mark.parametrize(
    "value",
    [
        [{}],
        [{**to_json(TABLE)[0], "vip": "10.99.0.1; touch x"}],
        [{**to_json(TABLE)[0], "destinations": [{"address": 7}]}],
        [None],
        7,
    ],
)
def test_a_table_of_a_journal_that_is_none_is_no_bug(value: Any) -> None:  # noqa: ANN401  # it may be anything
    with pytest.raises(ArgumentError, match="a table out of the journal is not understood"):
        from_json(value)


def test_a_text_that_no_host_could_have_written_is_refused() -> None:
    with pytest.raises(ArgumentError, match="given is"):
        OperatorCommand(("true",), given="\ud800")


def test_no_message_shows_a_text_that_may_have_a_password_in_it() -> None:
    with pytest.raises(ArgumentError) as caught:
        KeepalivedWrite("/k.conf", "reload", {"web.conf": "auth_pass s3cret"}, {})
    assert "s3cret" not in str(caught.value)
    assert "old is a dict that is not shown here, expected texts by absolute path" in str(caught.value)


def test_an_answer_that_a_parser_trips_over_names_host_and_verb() -> None:
    with pytest.raises(VerifyError, match=r"lvs1: keepalived-read: the answer is not understood: ValueError"):
        KeepalivedRead("/a").value(Completed("lvs1", "", 0, "nothing", ""))


SHELL = re.compile(r"\$\(|>&2|2>/dev/null|\|\| exit|; then$|; then\n|\bset -e|<<'")
ELSEWHERE = {
    "lab": "makes hosts, and provisions them",
    "tape/in_lab": "provisions them with a recorded state",
    "hosts/framing.py": "puts scripts into frames",
    "hosts/bundle.py": "puts several of them behind each other",
    "hosts/fence.py": "puts guards around them",
    "hosts/helper/on_host.py": "runs them on a host",
    "directors/pybal/driver.py": "the default of a command that is the operator's",
}
"""Where shell text stands outside of the verbs, and why."""


def strings_of(file: Path) -> Iterator[str]:
    """The texts of a module that are no docstrings."""
    tree = ast.parse(file.read_text())
    docs = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            yield node.value


def test_no_shell_text_stands_outside_of_the_verbs() -> None:
    found = {
        str(path): text
        for file in PACKAGE.rglob("*.py")
        if not str(path := file.relative_to(PACKAGE)).startswith(("hosts/verbs/", *ELSEWHERE))
        for text in strings_of(file)
        if SHELL.search(text)
    }
    assert found == {}


def test_no_verb_stands_outside_of_their_folder() -> None:
    found = [
        str(path)
        for file in PACKAGE.rglob("*.py")
        if not str(path := file.relative_to(PACKAGE)).startswith("hosts/verbs/")
        and re.search(r"^class \w+\((?:\w+, )?(?:Read|Write)?Verb\b", file.read_text(), re.MULTILINE)
    ]
    assert found == []
