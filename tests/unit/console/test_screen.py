"""What people see of a run, where it is no terminal, and what programs read of it."""

from __future__ import annotations

import io
import json
import sys
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from ferryman.console import formatting
from ferryman.console.json_lines import JsonLines
from ferryman.console.screen import Screen
from ferryman.events import (
    CannotTell,
    ChangeMade,
    Difference,
    Event,
    FindingMade,
    ForetoldCompared,
    NoChangeNeeded,
    Occurrence,
    ProbeAnswered,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
)
from ferryman.model import Edit, Finding, ProbeResult, ProbeVerdict, Verdict, VirtualService

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("192.0.2.1"), 80, "wrr")
FAILING = Finding(
    "rp-filter", "rs1", Verdict.FAIL, "net.ipv4.conf.all.rp_filter = 1", "0 or 2", "sysctl -w x=0"
)
RUN: list[Event] = [
    RunStarted("migrate", {"service": "web", "site": "lab"}, False, "ops@here", ("Ready", "Flipped")),
    StepStarted(0, "Ready", "check"),
    FindingMade(0, Finding("vip", "rs1", Verdict.PASS, "192.0.2.1 on lo", "it there")),
    FindingMade(0, FAILING),
    ProbeAnswered(0, ProbeResult("rs1", VIRTUAL, ProbeVerdict.ACCEPTED, 0.41, 1440)),
    StepFinished(0, "check", "failed"),
    StepStarted(1, "Flipped", "do"),
    ChangeMade(1, Edit("catalog", "services.yaml", diff="--- a\n+++ b\n@@ -1 +1,2 @@\n+  - lab\n"), True),
    ChangeMade(1, Edit("director", "lvs1", command="ipvsadm -e …"), True),
    StepFinished(1, "do", "ok"),
    RunFinished("rolled-back", 4, 12.34, "lvs1 did not follow; all is as before, verified"),
]


def played(screen: object) -> None:
    assert callable(screen)
    for event in RUN:
        screen(Occurrence("2026-01-01T00:00:00.000Z", "r1", event))


def test_a_finding_that_fails_says_what_is_what_was_wanted_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    played(Screen())
    shown = capsys.readouterr().out
    assert "rs1 rp-filter: net.ipv4.conf.all.rp_filter = 1" in shown
    assert "wanted: 0 or 2" in shown
    assert "do:     sysctl -w x=0" in shown


def test_findings_that_pass_are_counted_and_shown_only_when_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    played(Screen())
    brief = capsys.readouterr().out
    assert "192.0.2.1 on lo" not in brief
    assert "1 pass 1 fail" in brief
    played(Screen(verbose=True))
    assert "192.0.2.1 on lo" in capsys.readouterr().out


def test_the_same_warning_of_many_hosts_is_told_once_and_then_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Screen()
    played(screen)
    for host, seen in (("rs1", "open"), ("rs2", "open"), ("rs3", "open, otherwise")):
        warned = FindingMade(0, Finding("open-decapsulator", host, Verdict.WARN, seen, "shut", "shut it"))
        screen(Occurrence("2026-01-01T00:00:00.000Z", "r1", warned))
    for host in ("rs1", "rs2"):
        failed = FindingMade(0, Finding("vip", host, Verdict.FAIL, "it is nowhere", "there", "add it"))
        screen(Occurrence("2026-01-01T00:00:00.000Z", "r1", failed))
    shown = capsys.readouterr().out
    assert "rs2 open-decapsulator: as on rs1\n" in shown
    assert shown.count("shut it") == 2, "rs1's and rs3's, whose words differ"
    assert shown.count("it is nowhere") == 2, "what stops a run is shown whole for each host"


def test_the_end_says_outcome_exit_code_and_what_was_changed(capsys: pytest.CaptureFixture[str]) -> None:
    played(Screen())
    end = capsys.readouterr().out.partition("rolled-back")[2]
    assert "exit code 4" in end
    assert "changed and put back:" in end
    assert "catalog services.yaml" in end
    assert "director lvs1" in end


def test_no_control_sequence_reaches_what_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    played(Screen())
    assert "\x1b" not in capsys.readouterr().out


def test_people_read_standard_error_when_programs_read_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    played(Screen(to_stderr=True))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "rolled-back" in shown.err


class Unread(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        """Raise what a terminal raises whose other end is gone."""
        raise BrokenPipeError(32, "Broken pipe")


def test_a_reader_that_is_gone_fails_nothing_and_keeps_no_picture_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Unread())
    played(Screen(picture=tmp_path / "run.svg"))
    monkeypatch.undo()
    assert "rolled-back" in (tmp_path / "run.svg").read_text()


def test_a_picture_has_what_was_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played(Screen(picture=tmp_path / "run.svg"))
    picture = (tmp_path / "run.svg").read_text()
    assert picture.startswith("<svg")
    assert "rolled-back" in picture
    assert "url(" not in picture.replace("url(#", ""), "opening it must fetch nothing"


def test_every_event_is_one_line_of_json_with_time_run_and_event() -> None:
    stream = io.StringIO()
    played(JsonLines(stream))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [event.event for event in RUN]
    assert all({"time", "run", "event"} <= line.keys() for line in lines)


def test_the_keys_of_each_event_are_the_contract() -> None:
    keys = {event.event: set(event.as_dict()) for event in RUN}
    assert keys == {
        "run-started": {"cookbook", "arguments", "dry_run", "operator", "plan"},
        "step-started": {"step", "title", "phase"},
        "finding": {"step", "check", "host", "verdict", "seen", "wanted", "remedy"},
        "probe": {"step", "host", "vip", "port", "protocol", "verdict", "rtt_ms", "mss", "detail"},
        "change": {"step", "kind", "target", "command", "applied"},
        "step-finished": {"step", "phase", "outcome"},
        "run-finished": {"outcome", "exit_code", "seconds", "reason"},
    }


def shown(capsys: pytest.CaptureFixture[str], events: list[Event], *, verbose: bool = False) -> str:
    screen = Screen(verbose=verbose)
    for event in events:
        screen(Occurrence("2026-01-01T00:00:00.000Z", "r1", event))
    return capsys.readouterr().out


DRY_RUN = RunStarted(
    "migrate", {}, True, "ops@here", ("Ready", "Flipped", "Follows", "Stays"), frozenset({1, 2, 3})
)
RELOAD = Edit("director", "lvs1", command="reload")


def test_a_dry_run_ticks_no_change_off_and_says_one_thing_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    looked = [
        event
        for step, title in enumerate(DRY_RUN.plan)
        for event in (StepStarted(step, title, "check"), StepFinished(step, "check", "ok"))
    ]
    text = shown(
        capsys,
        [
            DRY_RUN,
            *looked,
            ChangeMade(1, Edit("host", "a", command="set"), applied=False),
            CannotTell(2, "the catalog is changed", (RELOAD,)),
            NoChangeNeeded(3, "it is so already"),
        ],
    )
    ticked = [line for line in text.splitlines() if "✓" in line]
    assert ticked == ["✓  1. Ready: checked"]
    assert "·  3. Follows: looked at" in text
    assert "cannot tell Follows\n          before: the catalog is changed\n" in text
    assert "          maybe:  director lvs1: reload" in text
    assert "no change Stays: it is so already" in text
    assert "would   host a: set" in text


def test_what_cannot_be_told_is_never_green() -> None:
    mark, style = formatting.MARKS[formatting.CANNOT_TELL]
    assert (mark, "green" in style) == ("?", False)
    spans = formatting.cannot_tell("Follows", CannotTell(2, "then", (RELOAD,))).spans
    assert not any("green" in str(span.style) for span in spans)


def test_a_run_says_where_it_went_differently_and_how_old_the_dry_run_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed = Difference("other-edit", "Flipped", "lvs1", "ipvsadm -e a", "ipvsadm -e b\nipvsadm -e c")
    verdicts = [Difference("verdict", "Ready", f"rp-filter web{n}", "pass", "warn") for n in range(10)]
    compared = ForetoldCompared("r0", 7_300.0, (changed, *verdicts))
    brief = shown(capsys, [DRY_RUN, compared])
    assert "differently from what the dry run r0, 2 hours old, foretold:" in brief
    assert "lvs1: made otherwise than foretold (Flipped)" in brief
    assert "          foretold: ipvsadm -e a\n          it was:   ipvsadm -e b\n" in brief
    assert "and 3 more: -v shows them" in brief
    whole = shown(capsys, [DRY_RUN, compared], verbose=True)
    assert "rp-filter web9: another verdict than foretold (Ready)" in whole


def test_a_run_as_foretold_says_that_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "as the dry run r0, 1 minute old, foretold" in shown(
        capsys, [DRY_RUN, ForetoldCompared("r0", 61.0, ())]
    )
