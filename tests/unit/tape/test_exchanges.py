"""A whole exchange is one answer on the tape, and comes back from it as it was; its packets are not kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from ferryman.config import ProbeConfig
from ferryman.errors import RefusedError
from ferryman.model import VirtualService
from ferryman.probe import Target
from ferryman.probe.exchange import (
    ExchangeLimits,
    ExchangeRequest,
    ExchangeResult,
    ExchangeTarget,
    ExchangeVerdict,
    Stage,
    TlsSeen,
    TooBig,
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
    from collections.abc import Sequence
    from pathlib import Path

    from ferryman.tape.ports import Exchange

VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 443, "wrr")
GET, POST = (
    ExchangeTarget(
        Target("web1", VIRTUAL, IPv4Address("10.10.0.21"), 1440, IPv4Address("10.10.0.11")),
        ExchangeRequest(tls=True, method=method, path="/kept"),
    )
    for method in ("GET", "POST")
)
COMPLETED = ExchangeResult(
    GET,
    ExchangeVerdict.COMPLETED,
    "closed by both",
    Stage.CLOSED,
    status=200,
    status_line="HTTP/1.1 200 OK",
    tls=TlsSeen("TLSv1.3", "TLS_AES_128_GCM_SHA256", "CN=web", datetime(2027, 1, 1, tzinfo=UTC)),
    remarks=("one segment came twice",),
)
UP_LOST = ExchangeResult(
    POST,
    ExchangeVerdict.UP_LOST,
    "full-size segments were not acknowledged",
    Stage.REQUEST,
    too_big=TooBig(IPv4Address("10.10.0.254"), 1400),
)
CONFIG, LIMITS = ProbeConfig(), ExchangeLimits()


def recorded(folder: Path, exchange: Exchange, *targets: ExchangeTarget) -> Tape:
    """The tape of a run that asked for these exchanges, once."""
    recorder = Recorder()
    recorder.start(TapeWriter(folder / "a.tape", HEADER))
    try:
        recording_ports(Ports(exchange=exchange), recorder, set).exchange(CONFIG, LIMITS, targets)
    finally:
        recorder.close({"outcome": "done", "exit_code": 0, "reason": "", "seconds": 0})
    return read(folder / "a.tape")


def answered(
    config: ProbeConfig, limits: ExchangeLimits, targets: Sequence[ExchangeTarget]
) -> list[ExchangeResult]:
    del config, limits
    return [{GET: COMPLETED, POST: UP_LOST}[target] for target in targets]


def test_every_answer_comes_back_equal_and_in_any_order(tmp_path: Path) -> None:
    tape = recorded(tmp_path, answered, GET, POST)
    assert [entry.kind for entry in tape.entries[:-1]] == ["call", "call"], "a packet may hold anything"
    replay = replaying_ports(TapeWorld(tape)).exchange
    assert replay(CONFIG, LIMITS, [POST, GET]) == [UP_LOST, COMPLETED]


def test_another_request_is_another_question(tmp_path: Path) -> None:
    tape = recorded(tmp_path, answered, GET)
    world = TapeWorld(tape)
    other = replace(GET, request=replace(GET.request, path="/other"))
    with pytest.raises(DivergedError):
        replaying_ports(world).exchange(CONFIG, LIMITS, [other])
    assert world.difference is not None
    assert "http" in world.difference.what


def test_a_refusal_is_kept_for_each_that_would_have_been_asked(tmp_path: Path) -> None:
    def refused(
        config: ProbeConfig, limits: ExchangeLimits, targets: Sequence[ExchangeTarget]
    ) -> list[ExchangeResult]:
        del config, limits
        raise RefusedError(f"cannot probe: {len(targets)} ports are not to be had")

    with pytest.raises(RefusedError):
        recorded(tmp_path, refused, GET, POST)
    replay = replaying_ports(TapeWorld(read(tmp_path / "a.tape"))).exchange
    for target in (GET, POST):
        with pytest.raises(RefusedError, match="2 ports"):
            replay(CONFIG, LIMITS, [target])
