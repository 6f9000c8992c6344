"""Nothing that others say reaches a terminal, a log, a report or a message as a control character.

The walk makes each kind of event with hostile text in each place that has text, whatever kinds there are: a
new one, or a new field, is covered by itself.
"""

from __future__ import annotations

import collections.abc
import io
import json
import logging
import sys
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Address
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import pytest

from ferryman import events, model, outcomes
from ferryman.cli.crash_report import record
from ferryman.cli.printed_log import make_printable
from ferryman.config.hooks import AlertmanagerConfig, LogConfig, Matcher, WebhookConfig
from ferryman.console import tables
from ferryman.console.json_lines import JsonLines
from ferryman.console.screen import Screen
from ferryman.console.tape import shown
from ferryman.events import Occurrence, RunStarted
from ferryman.hooks import RunNotice
from ferryman.hooks.alertmanager import Alertmanager
from ferryman.hooks.log import Log
from ferryman.hooks.web import Server
from ferryman.hooks.webhook import Webhook
from ferryman.junit import Result, xml_of
from ferryman.printable import is_harmless, json_line, printable
from ferryman.rehearsal.report import page
from ferryman.rehearsal.results import Result as Rehearsed
from ferryman.rehearsal.results import Step
from ferryman.state import RunRequest
from ferryman.tape.file import Entry, Header, Tape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = {
    "a line of its own": "a\x1b]52;c;ZXZpbA==\x07b",
    "the screen cleared": "a\x1b[2J\x1b[Hb",
    "C1 as UTF-8": "a\x9b2Jb\x9d52;x\x9c",
    "C1 as a raw byte": b"a\x9b2J".decode("utf-8", "surrogateescape"),
    "written over": "fail\rpass\x08\x08\x7f",
    "letters turned around": "a\u202ebc\u2066d\u2069\u200f",
    "without width": "a\u200b\u200d\u2060\ufeff\u00ad\u3164b",
    "lines of their own": "a\u2028b\u2029c\x85d\x0b\x0ce",
    "of no plane": "a\ue000\U000e0041\ufff9b",
}
KINDS: list[type[Any]] = list(get_args(events.Event))


def harmful(text: str, but: str = "\n") -> list[str]:
    return sorted({each for each in text if each not in but and not is_harmless(each)})


def filled(kind: Any, text: str) -> Any:  # noqa: ANN401, PLR0911  # a value of whatever type
    """A value of a type that has the text wherever it has any."""
    if kind is str or kind is Any:
        return text
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return arguments[0]
    if origin in (typing.Union, UnionType):
        wanted = [each for each in arguments if each is not NoneType]
        return filled(wanted[0], text)
    if origin is tuple:
        return tuple(filled(each, text) for each in arguments if each is not ...)
    if origin in (frozenset, list, set):
        return origin([filled(arguments[0], text)])
    if origin is not None:  # a mapping
        return {text: filled(arguments[1], text)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if isinstance(kind, type) and is_dataclass(kind):
        hints = hints_of(kind)
        return kind(**{field.name: filled(hints[field.name], text) for field in fields(kind) if field.init})
    if kind in (IPv4Address, int, float, bool):
        return IPv4Address("192.0.2.1") if kind is IPv4Address else kind(0)
    raise AssertionError(f"the walk knows no value of {kind}")


def hints_of(kind: type) -> dict[str, Any]:
    known = {**vars(typing), **vars(collections.abc), **vars(model), **vars(events), **vars(outcomes)}
    return get_type_hints(kind, globalns={**vars(sys.modules[kind.__module__]), **known})


def run_of(event: Any, text: str) -> Iterator[Occurrence]:  # noqa: ANN401  # one of the union
    """The event within a run of one step."""
    yield Occurrence("2026-11-30T12:00:00Z", text, RunStarted(text, {text: text}, False, text, (text,)))
    yield Occurrence("2026-11-30T12:00:00Z", text, event)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("is_terminal", [False, True])
def test_no_event_moves_a_cursor(
    kind: type, text: str, is_terminal: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen, lines = io.StringIO(), io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "dumb")
    shows = Screen(verbose=True, picture=tmp_path / "picture.svg")
    told = JsonLines(lines)
    for occurrence in run_of(filled(kind, text), text):
        shows(occurrence)
        told(occurrence)
    if shows._live is not None:
        shows._live.stop()
    shows.ask([model.Edit("host", text, diff=text), model.Edit("host", text, command=text)], bool)
    own = "\n\x1b" if is_terminal else "\n"
    assert harmful(screen.getvalue(), own) == []
    assert "]52;" not in screen.getvalue().replace("\\x1b]52;", "")
    assert harmful(lines.getvalue()) == []
    for line, occurrence in zip(lines.getvalue().split("\n"), run_of(filled(kind, text), text), strict=False):
        assert json.loads(line) == json.loads(json.dumps(occurrence.as_dict()))
    if (tmp_path / "picture.svg").exists():
        assert harmful((tmp_path / "picture.svg").read_text(), "\n\xa0") == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_table_and_no_sentence_moves_a_cursor(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        tables.show([{"run": text, "what": text}], ["run", "what"], as_json=as_json, empty="")
    tables.show_one({"run": text})
    tables.say(text)
    tables.say(text, error=True)
    printed = capsys.readouterr()
    assert harmful(printed.out) == []
    assert harmful(printed.err) == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_tape_moves_a_cursor(text: str, tmp_path: Path) -> None:
    header = filled(Header, text)
    entries = (
        Entry(0, "event", {"event": "finding", **dict.fromkeys(("host", "check", "seen"), text)}),
        Entry(0, "event", {"event": text, text: text}),
        Entry(0, "signal", {"name": text}),
    )
    lines = shown(Tape(header, entries, whole=True, path=tmp_path), whole=True)
    assert [line for line in lines if harmful(line.plain)] == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_report_has_a_control_character(text: str, tmp_path: Path) -> None:
    results = [Result(text, 1.0, text, output=text), Result(text, 1, None, text)]
    assert harmful(xml_of(text, results).decode()) == []
    rehearsed = Rehearsed(text, tmp_path, text, steps=[Step(text, failed=True, seen=text)])
    assert harmful(page([rehearsed])) == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_hook_sends_a_control_character(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    def ask(_: Server, _method: str, _below: str = "", body: object = None) -> str:
        sent.append(body)
        return "[]"

    monkeypatch.setattr(Server, "ask", ask)
    request = RunRequest(cookbook=text, arguments={"service": text}, operator=text, reason=text, task=text)
    finished = events.RunFinished("done", 0, 1.0, f"{text}\n{text}")
    notice = RunNotice(run="r", request=request, operator=text, action="begins", finished=finished)
    config = AlertmanagerConfig(url="http://x", matchers=("a=b",))  # type: ignore[arg-type]
    alertmanager = Alertmanager(config, 1)
    alertmanager._read = lambda *_: []  # type: ignore[method-assign]  # no server answers here
    alertmanager._make(notice, [{"name": Matcher.parsed("a=b").name}])
    for hook in (Webhook(WebhookConfig(url="http://x"), 1), Log(LogConfig(file=tmp_path / "log"))):  # type: ignore[arg-type]
        hook.begun(notice)
        hook.ended(notice)
    texts = [each for body in sent if body for each in (body.get("text"), body.get("comment")) if each]
    assert len(texts) == 3
    assert harmful("\n".join([*texts, (tmp_path / "log").read_text()])) == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_error_and_no_log_moves_a_cursor(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ferryman.cli import main  # noqa: PLC0415  # it is what is tested

    for words in (["--config", f"/{text}/ferryman.toml", "runs"], [text], ["runs", "--limit", text]):
        with pytest.raises(SystemExit):
            main([word.replace("\udc9b", "\x9b") for word in words])
    assert harmful(capsys.readouterr().err) == []
    make_printable()
    assert logging.lastResort is not None
    line = logging.lastResort.format(logging.makeLogRecord({"msg": "%s", "args": (text,)}))
    assert harmful(line) == []
    message = printable(record(ValueError(text)))
    assert harmful(message) == []


def test_a_secret_in_a_file_that_is_edited_is_in_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    """The journal needs the file to put it back; its ``auth_pass`` is of nobody's concern."""
    edit = model.Edit("director", "lvs1", diff=" vrrp {\n-  auth_pass hunter2\n+  auth_pass hunter3\n")
    lines = io.StringIO()
    shows, told = Screen(), JsonLines(lines)
    for occurrence in run_of(events.ChangeMade(0, edit, applied=True), "run"):
        shows(occurrence)
        told(occurrence)
    shows.ask([edit], bool)
    printed = capsys.readouterr().out + lines.getvalue()
    assert "auth_pass" in printed
    assert "hunter" not in printed


def test_text_of_people_stays_as_it_is() -> None:
    text = "é ß 漢字 ✓ →\n\tx"
    assert printable(text) == text
    assert printable("a\nb", keep="") == "a\\nb"
    assert json_line({"a": text}) == json.dumps({"a": text}, ensure_ascii=False)
