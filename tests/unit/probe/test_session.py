"""The whole probe: tries, answers, pace, and what it leaves behind."""

from __future__ import annotations

import errno
from dataclasses import replace
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import TCP

from ferryman.errors import RefusedError
from ferryman.model import ProbeResult, ProbeVerdict, VirtualService
from ferryman.probe import Prober, Target
from unit.probe.network import (
    CONTROL,
    PROBE,
    SAMPLED,
    WAY_MS,
    WEB,
    Network,
    address,
    answer,
    asked,
    dead,
    probed,
    ready,
    without_tunnel,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.model import Address


def test_a_dead_realserver_is_silent_after_all_tries_and_their_time() -> None:
    network, targets = asked(dead)
    [result], reported = probed(network, targets)
    assert result.verdict is ProbeVerdict.SILENT
    assert result.detail == (
        "no answer to 3 SYNs in 3 s; "
        "look at rp_filter, the firewall, whether the tunnel device is up, and the VIP"
    )
    assert network.clock == pytest.approx(3.0, abs=0.02)
    assert reported == [result]


def test_only_the_unanswered_are_asked_again() -> None:
    network, targets = asked(ready, dead, ready)
    results, _ = probed(network, targets)
    assert [result.verdict.value for result in results] == ["accepted", "silent", "accepted"]
    assert [len(network.syns_to(target.realserver_address)) for target in targets] == [1, 3, 1]


def test_a_targets_own_outer_source_is_what_it_is_asked_with() -> None:
    network, [target, other] = asked(without_tunnel, without_tunnel)
    ours, configured = probed(network, [replace(target, outer_source=CONTROL), other])[0]
    assert (ours.verdict, ours.outer_source) == (ProbeVerdict.UNREACHABLE, CONTROL)
    assert "ICMP 3/2 from 10.10.0.0 (protocol unreachable, no tunnel device takes it)" in ours.detail
    assert (configured.verdict, configured.outer_source) == (ProbeVerdict.SILENT, PROBE.outer_source.ipv4)
    assert {packet.src for packet in network.syns_to(address(0))} == {str(CONTROL)}


def test_a_late_answer_counts_and_ends_the_wait() -> None:
    replies = iter([[1.5], [], []])
    network, targets = asked(lambda syn: [(after, answer(syn)) for after in next(replies)])
    [result], _ = probed(network, targets)
    assert result.verdict is ProbeVerdict.ACCEPTED
    assert network.clock < 1.6


def test_of_a_syn_that_was_sent_twice_no_round_trip_is_told() -> None:
    replies = iter([[], [0.004]])
    network, targets = asked(lambda syn: [(after, answer(syn)) for after in next(replies)], ready)
    twice, once = probed(network, targets)[0]
    assert (twice.verdict, twice.rtt_ms) == (ProbeVerdict.ACCEPTED, None)
    assert once.rtt_ms == pytest.approx(WAY_MS, abs=0.1)


def test_each_try_waits_longer_by_the_backoff() -> None:
    network, targets = asked(dead)
    probed(network, targets, PROBE.model_copy(update={"backoff": 3}))
    assert [at for at, packet in network.sent if packet[TCP].flags == "S"] == pytest.approx(
        [0, 1, 4], abs=0.02
    )
    assert network.clock == pytest.approx(13, abs=0.02)


def test_a_try_again_is_the_same_syn_so_that_it_meets_the_same_pod() -> None:
    network, targets = asked(dead)
    probed(network, targets)
    first, *others = (bytes(packet) for packet in network.syns_to(address(0)))
    assert others == [first] * 2


def test_a_forged_answer_does_not_count_and_is_told() -> None:
    network, targets = asked(lambda syn: [(0.001, answer(syn, added=2))])
    [result], _ = probed(network, targets)
    assert result.verdict is ProbeVerdict.SILENT
    assert "not counted: SYN/ACK from 10.99.0.1:80" in result.detail


def test_a_flood_of_forged_answers_neither_counts_nor_fills_the_detail() -> None:
    network, targets = asked(lambda syn: [(0.001, answer(syn, added=n)) for n in range(2, 90)] + ready(syn))
    [result], _ = probed(network, targets)
    assert result.verdict is ProbeVerdict.ACCEPTED
    assert result.detail.count("not counted") == 3


def test_a_second_answer_is_told_and_changes_nothing() -> None:
    network, targets = asked(lambda syn: [*ready(syn), (0.003, answer(syn, "RA"))], dead)
    (result, _), reported = probed(network, targets)
    assert result.verdict is ProbeVerdict.ACCEPTED
    assert "not counted: a second answer to the same SYN: refused" in result.detail
    assert [result.host for result in reported] == ["web0", "web1"]
    assert len(network.rsts_to(address(0))) == 1


def test_each_is_told_as_soon_as_it_is_known() -> None:
    network, targets = asked(dead, ready)
    when: list[tuple[str, float]] = []
    Prober(PROBE, transport=network).probe(targets, lambda result: when.append((result.host, network.clock)))
    assert [host for host, _ in when] == ["web1", "web0"]
    assert [at for _, at in when] == pytest.approx([0.002, 0.375], abs=0.02)


def test_what_answered_is_reset_at_once_and_the_rest_at_the_end() -> None:
    network, targets = asked(ready, dead)
    probed(network, targets)
    [syn] = network.syns_to(address(0))
    [(at, rst)] = [
        (at, packet)
        for at, packet in network.sent
        if packet.dst == str(address(0)) and packet[TCP].flags == "R"
    ]
    assert rst[TCP].seq == (syn[TCP].seq + 1) % 2**32
    assert (rst[TCP].sport, rst.payload.src) == (syn[TCP].sport, str(CONTROL))
    assert at < 0.01
    assert len(network.rsts_to(address(1))) == 1


def test_what_answered_is_reset_at_once_even_while_sending_lags_behind() -> None:
    network, targets = asked(*[ready] * 10)
    network.send_takes = 0.005
    probed(network, targets)
    flags = "".join(str(packet[TCP].flags) for _, packet in network.sent)
    assert flags.startswith("SSSSSR")  # five packets are a batch at this rate


def test_a_closed_port_needs_no_reset() -> None:
    network, targets = asked(lambda syn: [(0.001, answer(syn, "RA"))])
    [result], _ = probed(network, targets)
    assert result.verdict is ProbeVerdict.REFUSED
    assert network.rsts_to(address(0)) == []


def test_an_interrupted_probe_still_closes_what_it_opened() -> None:
    network, targets = asked(ready, dead)

    def interrupt(result: ProbeResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Prober(PROBE, transport=network).probe(targets, interrupt)
    assert len(network.rsts_to(address(0))) == 1
    assert len(network.rsts_to(address(1))) == 1
    assert network.closed


def test_no_two_flows_share_a_port_while_there_are_enough() -> None:
    network, targets = asked(*[dead] * 20)
    probed(network, targets, SAMPLED)
    ports = {packet[TCP].sport for _, packet in network.sent}
    assert len(ports) == 20 * SAMPLED.samples


def test_beyond_the_pool_sequence_numbers_tell_realservers_apart() -> None:
    network, targets = asked(*[ready] * 300)
    results, _ = probed(network, targets, PROBE.model_copy(update={"rate": 100_000}))
    assert {result.verdict for result in results} == {ProbeVerdict.ACCEPTED}
    assert len(network.listening or ()) == 256


@pytest.mark.parametrize(("rate", "batch"), [(100, 1), (4000, 20), (100_000, 500)])
def test_syns_leave_no_faster_than_the_rate_and_what_it_gives_in_five_milliseconds(
    rate: int, batch: int
) -> None:
    network, targets = asked(*[dead] * 200)
    probed(network, targets, PROBE.model_copy(update={"rate": rate, "tries": 1}))
    times = [at for at, _ in network.sent]
    assert all(
        number <= batch + (times[first + number - 1] - times[first]) * rate + 0.001
        for first in range(0, len(times), 7)
        for number in range(1, len(times) - first + 1)
    )


def test_a_full_queue_is_waited_for() -> None:
    network, targets = asked(ready)
    network.send_errors.extend([errno.ENOBUFS, errno.EAGAIN, errno.ENOBUFS])
    [result], _ = probed(network, targets)
    assert result.verdict is ProbeVerdict.ACCEPTED
    assert result.rtt_ms == pytest.approx(WAY_MS, abs=0.1)


def test_a_queue_that_stays_full_is_told_as_such() -> None:
    network, targets = asked(ready)
    network.send_errors.extend([errno.ENOBUFS] * 1000)
    [result], _ = probed(network, targets)
    assert result.verdict is ProbeVerdict.UNREACHABLE
    assert result.detail == "nothing was sent to 10.10.0.0: the interface's queue stayed full"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "this host's own firewall forbids it"),
        (errno.ENETUNREACH, "this host has no route to it"),
        (errno.ENETDOWN, "the interface is down"),
        (errno.EMSGSIZE, "Message too long"),
    ],
)
def test_a_packet_that_could_not_be_sent_says_why_and_the_others_go_on(number: int, words: str) -> None:
    network, targets = asked(ready, ready)
    network.send_errors.append(number)
    (lost, reached), _ = probed(network, targets)
    assert (lost.verdict, lost.detail) == (
        ProbeVerdict.UNREACHABLE,
        f"nothing was sent to 10.10.0.0: {words}",
    )
    assert reached.verdict is ProbeVerdict.ACCEPTED


def test_a_realserver_without_a_route_is_told_before_anything_is_sent() -> None:
    network, targets = asked(ready)

    def no_route(to: Address) -> Address:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    network.routes = no_route
    [result], reported = probed(network, targets)
    assert result.detail == "nothing was sent to 10.10.0.0: this host has no route to it"
    assert (result.outer_source, result.asked) == (None, 0)
    assert reported == [result]
    assert network.sent == []


def test_a_receive_buffer_that_overflowed_is_told_with_the_silence() -> None:
    network, targets = asked(dead)
    network.dropped = 7
    [result], _ = probed(network, targets)
    assert "7 answers were lost here" in result.detail


def test_nobody_to_ask_opens_nothing() -> None:
    def refuse(versions: Iterable[int]) -> Network:
        raise RefusedError("no raw sockets")

    assert Prober(PROBE, transport=refuse).probe([], lambda _: None) == []


def test_without_raw_sockets_nothing_is_called_a_failed_probe() -> None:
    def refuse(versions: Iterable[int]) -> Network:
        raise RefusedError("cannot probe: no raw sockets")

    _, targets = asked(ready)
    reported: list[ProbeResult] = []
    with pytest.raises(RefusedError, match="cannot probe"):
        Prober(PROBE, transport=refuse).probe(targets, reported.append)
    assert reported == []


def test_both_families_are_asked_for() -> None:
    seen: list[set[int]] = []

    def remember(versions: Iterable[int]) -> Network:
        seen.append(set(versions))
        raise RefusedError("enough")

    six = VirtualService("web", "weblb6", "tcp", IPv6Address("fd99::1"), 80, "wrr")
    targets = [Target("web1", WEB, address(1), 1440), Target("web1", six, IPv6Address("fd10::21"), 1400)]
    with pytest.raises(RefusedError):
        Prober(PROBE, transport=remember).probe(targets, lambda _: None)
    assert seen == [{4, 6}]
