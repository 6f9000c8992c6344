"""How long is waited: by the round trips of the same probe, and as configured where those might mislead."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from ferryman.config import ProbeConfig
from ferryman.model import ProbeVerdict
from ferryman.probe import Prober, patient
from ferryman.probe.patience import LEAST_SILENCE_S, LEAST_WAIT_S, Patience
from tools import first_of
from unit.probe.network import Network, Replies, address, answer, asked, dead, probed, ready

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.probe.sockets import Arrival

DEFAULTS = ProbeConfig()
ALL_S = DEFAULTS.give_up_after_s


def after(seconds: float) -> Callable[[IP], Replies]:
    """A realserver that takes so long to answer each SYN."""
    return lambda syn: [(seconds, answer(syn))]


def deaf_for(network: Network, seconds: float) -> Callable[[IP], Replies]:
    """A realserver that hears nothing before so many seconds have passed."""
    return lambda syn: ready(syn) if network.clock >= seconds else []


def test_a_dead_realserver_among_live_ones_is_given_up_soon_and_told_why() -> None:
    network, targets = asked(ready, dead, ready)
    results, _ = probed(network, targets, DEFAULTS)
    assert [result.verdict.value for result in results] == ["accepted", "silent", "accepted"]
    assert network.clock == pytest.approx(LEAST_SILENCE_S, abs=0.01)
    assert results[1].detail.startswith(
        "no answer to 3 SYNs from each of 4 source ports in 0.38 s, while others took 2 ms; "
    )
    assert len(network.syns_to(address(1))) == DEFAULTS.tries * DEFAULTS.samples


def test_its_tries_follow_as_soon_as_their_patience_is_over() -> None:
    network, targets = asked(ready, dead)
    probed(network, targets, DEFAULTS)
    times = [at for at, packet in network.sent if packet.dst == str(address(1)) and packet[TCP].flags == "S"]
    assert times[:: DEFAULTS.samples] == pytest.approx([0, LEAST_WAIT_S, 3 * LEAST_WAIT_S], abs=0.01)


def test_where_nobody_answers_each_try_takes_its_configured_time() -> None:
    network, targets = asked(dead, dead)
    results, _ = probed(network, targets, DEFAULTS)
    assert {result.verdict for result in results} == {ProbeVerdict.SILENT}
    assert network.clock == pytest.approx(ALL_S, abs=0.01)
    assert "no answer to 3 SYNs from each of 4 source ports in 3.5 s;" in results[0].detail


@pytest.mark.parametrize("late_s", [0.051, 0.15, 0.3, 0.365])
def test_a_slow_realserver_among_fast_ones_is_accepted_and_has_lost_nothing(late_s: float) -> None:
    network, targets = asked(*[ready] * 20, after(late_s), *[ready] * 20)
    results, _ = probed(network, targets, DEFAULTS)
    assert {result.verdict for result in results} == {ProbeVerdict.ACCEPTED}
    assert {result.retried for result in results} == {0}


def test_after_one_late_answer_everybody_else_has_the_configured_time() -> None:
    network, targets = asked(ready, after(0.1), after(1.4), dead)
    results, _ = probed(network, targets, DEFAULTS)
    assert [result.verdict.value for result in results] == ["accepted", "accepted", "accepted", "silent"]
    assert network.clock == pytest.approx(ALL_S, abs=0.01)
    assert "no answer to 5 SYNs from each of 4 source ports in 3.5 s;" in results[3].detail


def test_answers_that_only_further_tries_bring_are_waited_for_but_not_for_ever() -> None:
    network, targets = asked(ready, dead, dead)
    network.realservers[address(1)] = deaf_for(network, 3.4)
    network.realservers[address(2)] = deaf_for(network, 5.4)
    results, _ = probed(network, targets, patient(DEFAULTS))
    assert [result.verdict.value for result in results] == ["accepted", "silent", "silent"]
    network, targets = asked(ready, dead, dead)
    network.realservers[address(1)] = lambda syn: deaf_for(network, 1.5 + syn[TCP].sport % 4)(syn)
    results, _ = probed(network, targets, patient(DEFAULTS))
    assert [result.verdict.value for result in results] == ["accepted", "accepted", "silent"]
    assert network.clock == pytest.approx(7.5, abs=0.02)


def test_one_lost_syn_gives_everybody_else_the_configured_time() -> None:
    network, targets = asked(ready, dead, dead)
    network.realservers[address(1)] = deaf_for(network, 0.05)
    network.realservers[address(2)] = deaf_for(network, 1.2)
    results, _ = probed(network, targets, DEFAULTS)
    assert {result.verdict for result in results} == {ProbeVerdict.ACCEPTED}
    assert [result.retried for result in results] == [0, 4, 4]


def test_a_realserver_of_which_some_flows_answer_has_the_configured_time() -> None:
    network, targets = asked(ready, lambda syn: ready(syn) if syn[TCP].sport % 4 else [])
    [_, result], _ = probed(network, targets, DEFAULTS)
    assert result.verdict is ProbeVerdict.SILENT
    assert network.clock == pytest.approx(ALL_S, abs=0.01)


def test_a_patient_probe_waits_as_configured_though_others_answer_at_once() -> None:
    network, targets = asked(ready, dead)
    network.realservers[address(1)] = deaf_for(network, 1.4)
    results, _ = probed(network, targets, patient(DEFAULTS))
    assert {result.verdict for result in results} == {ProbeVerdict.ACCEPTED}
    times = [at for at, packet in network.sent if packet.dst == str(address(1)) and packet[TCP].flags == "S"]
    assert times[:: DEFAULTS.samples] == pytest.approx([0, 0.5, 1.5], abs=0.01)


@pytest.mark.parametrize("way_s", [0.1, 0.3, 0.45])
def test_where_everybody_is_far_away_nobody_is_asked_twice(way_s: float) -> None:
    network, targets = asked(*[after(way_s)] * 20)
    results, _ = probed(network, targets, DEFAULTS)
    assert {result.verdict for result in results} == {ProbeVerdict.ACCEPTED}
    assert {result.tries for result in results} == {1}


@given(st.lists(st.floats(0.0001, 0.365), min_size=1, max_size=12), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_whoever_answers_within_the_least_silence_is_accepted_whatever_others_do(
    delays: list[float], samples: int
) -> None:
    network, targets = asked(*map(after, delays), dead)
    results, _ = probed(network, targets, DEFAULTS.model_copy(update={"samples": samples}))
    assert {result.verdict for result in results[:-1]} == {ProbeVerdict.ACCEPTED}
    assert results[-1].verdict is ProbeVerdict.SILENT
    assert network.clock <= ALL_S + 0.01


def test_the_estimate_is_that_of_rfc_6298() -> None:
    patience = Patience(DEFAULTS)
    assert patience.wait_s(0) == DEFAULTS.timeout
    patience.answered(0.100, tries=1)
    assert patience.usual_s == pytest.approx(0.100 + 4 * 0.050)
    patience.answered(0.060, tries=1)
    assert patience.usual_s == pytest.approx(0.095 + 4 * (0.75 * 0.050 + 0.25 * 0.040))
    assert patience.wait_s(1) == pytest.approx(2 * patience.usual_s)


@pytest.mark.parametrize(("seen_s", "first_s"), [(0.0002, LEAST_WAIT_S), (10.0, DEFAULTS.timeout)])
def test_a_wait_has_a_floor_and_the_configured_one_as_its_ceiling(seen_s: float, first_s: float) -> None:
    patience = Patience(DEFAULTS)
    patience.answered(seen_s, tries=1)
    assert patience.wait_s(0) == first_s
    assert patience.give_up_after_s <= ALL_S


def test_a_configured_time_that_is_shorter_than_the_least_silence_holds() -> None:
    network, targets = asked(ready, dead)
    probed(network, targets, ProbeConfig(timeout=0.1, tries=2, backoff=1))
    assert network.clock == pytest.approx(0.2, abs=0.01)


@dataclass
class LinuxServer:
    """Answers as Linux does, over a network that loses a third of the packets each way.

    A SYN that comes again is answered again, but not twice within half a second (tcp_invalid_ratelimit), and
    the answer is sent again by itself after one, three and seven seconds.
    """

    network: Network
    chance: random.Random
    lost: float = 1 / 3
    answered_again: dict[int, float] = field(default_factory=dict)

    def __call__(self, syn: IP) -> Replies:
        if self.chance.random() < self.lost:
            return []
        port, now = syn[TCP].sport, self.network.clock
        if port not in self.answered_again:
            self.answered_again[port] = -1.0
            delays = [0.0002, 1.0002, 3.0002]
        elif now < self.answered_again[port] + 0.5:
            delays = []
        else:
            self.answered_again[port] = now
            delays = [0.0002]
        return [(delay, answer(syn)) for delay in delays if self.chance.random() >= self.lost]


@pytest.mark.parametrize("seed", first_of(list(range(12)), 2))
def test_a_network_that_loses_a_third_each_way_hides_no_live_realserver(seed: int) -> None:
    network, targets = asked(*[dead] * 50)
    chance = random.Random(seed)
    network.realservers = dict.fromkeys(network.realservers)  # type: ignore[assignment]  # filled below
    for realserver in network.realservers:
        network.realservers[realserver] = LinuxServer(network, chance)
    network.realservers[address(49)] = dead
    *live, last = probed(network, targets, DEFAULTS)[0]
    assert {result.verdict for result in live} == {ProbeVerdict.ACCEPTED}
    assert last.verdict is ProbeVerdict.SILENT


def test_rsts_are_not_charged_to_the_rate() -> None:
    network, targets = asked(*[ready] * 300)
    probed(network, targets, DEFAULTS.model_copy(update={"rate": 1000, "samples": 1}))
    assert network.clock == pytest.approx(0.3, abs=0.02)
    assert sum(packet[TCP].flags == "R" for _, packet in network.sent) == 300


def test_rsts_behind_silence_are_for_no_answer_paces_them() -> None:
    network, targets = asked(*[dead] * 300)
    probed(network, targets, DEFAULTS.model_copy(update={"rate": 1000, "samples": 1, "tries": 1}))
    times = [at for at, packet in network.sent if packet[TCP].flags == "R"]
    assert len(times) == 300
    assert times[-1] - times[0] == pytest.approx(0.3, abs=0.02)


@dataclass
class Oversleeping(Network):
    """A network whose control host stands still for a while, once, after its first answers."""

    asleep_s: float = 2.0

    def receive(self, within_s: float) -> Sequence[Arrival]:
        arrivals = super().receive(within_s)
        if arrivals and self.asleep_s:
            self.clock, self.asleep_s = self.clock + self.asleep_s, 0.0
        return arrivals


def test_what_had_arrived_when_this_host_woke_up_too_late_has_come_in_time() -> None:
    network = Oversleeping({address(0): ready, address(1): after(0.05)})
    _, targets = asked(ready, ready)
    results, _ = probed(network, targets, DEFAULTS)
    assert [(result.verdict.value, result.tries) for result in results] == [("accepted", 1)] * 2


@dataclass
class Flooded(Network):
    """A network in which packets that are none of ours come without a pause."""

    noise: bytes = b""

    def receive(self, within_s: float) -> Sequence[Arrival]:
        self.clock += 0.001
        return [*super().receive(min(within_s, 0.001)), (self.noise, self.now_ns())]


def test_a_flood_of_packets_that_are_no_answers_does_not_keep_it_for_ever() -> None:
    network = Flooded({address(0): ready, address(1): dead}, noise=b"\x45 no packet")
    _, targets = asked(ready, dead)
    results = Prober(DEFAULTS, transport=network).probe(targets)
    assert [result.verdict.value for result in results] == ["accepted", "silent"]
    assert network.clock < LEAST_SILENCE_S + 0.3
