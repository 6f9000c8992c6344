"""Measured paths and DNS answers are on the tape, each by itself, and come back from it as they were."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import RefusedError
from ferryman.probe.path_mtu import (
    DnsQuestion,
    DnsResult,
    DnsVerdict,
    PathMtuResult,
    PathMtuTarget,
    PathMtuVerdict,
    TooBigTold,
)
from ferryman.tape.appending import TapeWriter
from ferryman.tape.file import Tape, read
from ferryman.tape.ports import Ports
from ferryman.tape.recorder import Recorder
from ferryman.tape.recording import recording_ports
from ferryman.tape.replaying import replaying_ports
from ferryman.tape.world import DivergedError, TapeWorld
from unit.tape.samples import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ECHO, TCP = (
    PathMtuTarget("web1", ip_address("fd10::21"), protocol, port)
    for protocol, port in (("icmp", None), ("tcp", 443))
)
MEASURED = {
    ECHO: PathMtuResult(
        ECHO, PathMtuVerdict.WORKS, 1460, (TooBigTold(ip_address("fd30::1"), 1460, 1500),), 1500, 1460,
        "echo reply", 3, ("a remark",),
    ),
    TCP: PathMtuResult(TCP, PathMtuVerdict.UNANSWERED, None),
}  # fmt: skip
QUESTION = DnsQuestion("dns1", ip_address("10.10.0.53"), "example.org")
ANSWERED = DnsResult(QUESTION, DnsVerdict.FRAGMENTED, 3000, 3, code=0)


def measured(targets: Sequence[PathMtuTarget]) -> list[PathMtuResult]:
    return [MEASURED[target] for target in targets]


def answered(questions: Sequence[DnsQuestion]) -> list[DnsResult]:
    return [replace(ANSWERED, question=question) for question in questions]


def recorded(folder: Path, ports: Ports, run: Callable[[Ports], object]) -> Tape:
    """The tape of a run that did this at its ports."""
    recorder = Recorder()
    recorder.start(TapeWriter(folder / "a.tape", HEADER))
    try:
        run(recording_ports(ports, recorder, set))
    finally:
        recorder.close({"outcome": "done", "exit_code": 0, "reason": "", "seconds": 0})
    return read(folder / "a.tape")


def test_every_answer_comes_back_equal_and_in_any_order(tmp_path: Path) -> None:
    def run(ports: Ports) -> None:
        ports.measure_paths([ECHO, TCP])
        ports.ask_dns([QUESTION])

    tape = recorded(tmp_path, Ports(measure_paths=measured, ask_dns=answered), run)
    replay = replaying_ports(TapeWorld(tape))
    assert replay.ask_dns([QUESTION]) == [ANSWERED]
    assert replay.measure_paths([TCP, ECHO]) == [MEASURED[TCP], MEASURED[ECHO]]


def test_another_size_is_another_question(tmp_path: Path) -> None:
    tape = recorded(tmp_path, Ports(ask_dns=answered), lambda ports: ports.ask_dns([QUESTION]))
    with pytest.raises(DivergedError):
        replaying_ports(TapeWorld(tape)).ask_dns([replace(QUESTION, size=1232)])


def test_a_refusal_is_kept_for_each_that_would_have_been_measured(tmp_path: Path) -> None:
    def refused(targets: Sequence[PathMtuTarget]) -> list[PathMtuResult]:
        raise RefusedError(f"cannot probe: {len(targets)} ports are not to be had")

    with pytest.raises(RefusedError):
        recorded(tmp_path, Ports(measure_paths=refused), lambda ports: ports.measure_paths([ECHO, TCP]))
    replay = replaying_ports(TapeWorld(read(tmp_path / "a.tape"))).measure_paths
    for target in (ECHO, TCP):
        with pytest.raises(RefusedError, match="2 ports"):
            replay([target])
