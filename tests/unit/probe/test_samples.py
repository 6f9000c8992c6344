"""Several flows for each target: the worst decides, losses do not, and at scale nothing stays open."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import TCP

from ferryman.config import ProbeConfig
from ferryman.model import ProbeResult, ProbeVerdict
from ferryman.probe import Prober
from tools import first_of
from unit.probe.network import (
    PROHIBITED,
    PROTOCOL_UNREACHABLE,
    SAMPLED,
    WEB,
    Network,
    Replies,
    address,
    answer,
    asked,
    dead,
    icmp_error,
    probed,
    ready,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from scapy.layers.inet import IP


def only(ports: Callable[[int], bool], behaviour: Callable[[IP], Replies] = ready) -> Callable[[IP], Replies]:
    """A node with pods: which of them a source port reaches decides."""
    return lambda syn: behaviour(syn) if ports(syn[TCP].sport) else []


def every_fourth(port: int) -> bool:
    return port % 4 == 0


def test_each_target_is_asked_from_several_source_ports() -> None:
    network, targets = asked(ready)
    [result], reported = probed(network, targets, SAMPLED)
    assert len({packet[TCP].sport for packet in network.syns_to(address(0))}) == 4
    assert (result.verdict, result.asked, result.accepted, result.detail) == (
        ProbeVerdict.ACCEPTED,
        4,
        4,
        "",
    )
    assert result.outer_source == SAMPLED.outer_source.ipv4
    assert reported == [result]


def test_one_silent_flow_of_four_makes_the_target_silent_and_tells_the_coverage() -> None:
    network, targets = asked(only(lambda port: not every_fourth(port)))
    [result], _ = probed(network, targets, SAMPLED)
    assert (result.verdict, result.asked, result.accepted) == (ProbeVerdict.SILENT, 4, 3)
    assert "3 of 4 source ports answered: a pod behind it may be bad" in result.detail
    assert network.clock == pytest.approx(3.0, abs=0.02)


def mixed(bad: Callable[[IP], Replies]) -> Callable[[IP], Replies]:
    return lambda syn: bad(syn) if every_fourth(syn[TCP].sport) else ready(syn)


def closed(syn: IP) -> Replies:
    return [(0.001, answer(syn, "RA"))]


def too_large(syn: IP) -> Replies:
    return [(0.001, answer(syn, mss=1460))]


def unreachable(syn: IP) -> Replies:
    return [(0.001, icmp_error(syn, PROHIBITED))]


@pytest.mark.parametrize(
    ("bad", "verdict"),
    [
        (too_large, ProbeVerdict.UNSUITABLE),
        (closed, ProbeVerdict.REFUSED),
        (unreachable, ProbeVerdict.UNREACHABLE),
        (dead, ProbeVerdict.SILENT),
    ],
)
def test_the_worst_flow_decides(bad: Callable[[IP], Replies], verdict: ProbeVerdict) -> None:
    network, targets = asked(mixed(bad))
    [result], _ = probed(network, targets, SAMPLED)
    assert (result.verdict, result.accepted) == (verdict, 3)
    assert "3 of 4 source ports" in result.detail


def test_of_two_bad_flows_the_worse_one_decides_and_the_largest_mss_is_told() -> None:
    network, targets = asked(
        lambda syn: [ready, too_large, closed, ready][syn[TCP].sport % 4](syn),
    )
    [result], _ = probed(network, targets, SAMPLED)
    assert (result.verdict, result.mss) == (ProbeVerdict.REFUSED, 1460)
    assert result.detail == "RST: nothing listens on port 80; 2 of 4 source ports were accepted"


def test_silence_beside_an_icmp_error_is_put_down_to_the_reporters_rate_limit() -> None:
    network, targets = asked(only(every_fourth, unreachable))
    [result], _ = probed(network, targets, SAMPLED)
    assert result.verdict is ProbeVerdict.UNREACHABLE


def test_that_no_tunnel_device_takes_one_packet_counts_for_all_to_that_realserver() -> None:
    said = iter([True])
    network, [target] = asked(
        lambda syn: [(0.001, icmp_error(syn, PROTOCOL_UNREACHABLE))] if next(said, False) else []
    )
    other = replace(target, virtual_service=replace(WEB, port=443))
    results, _ = probed(network, [target, other], SAMPLED)
    assert {result.verdict for result in results} == {ProbeVerdict.UNREACHABLE}
    assert network.clock < SAMPLED.timeout


def lossy(chance: random.Random, lost: float) -> Callable[[IP], Replies]:
    """Loses SYNs and answers alike."""
    return lambda syn: [] if chance.random() < lost or chance.random() < lost else ready(syn)


def test_a_network_that_loses_30_percent_of_all_packets_still_passes() -> None:
    network, targets = asked(*[lossy(random.Random(7), 0.3)] * 250)
    results, _ = probed(network, targets, ProbeConfig())
    assert {result.verdict for result in results} == {ProbeVerdict.ACCEPTED}


def test_a_network_that_loses_30_percent_of_all_packets_does_not_hide_a_bad_pod() -> None:
    chance = random.Random(7)
    network, targets = asked(*[only(lambda port: not every_fourth(port), lossy(chance, 0.3))] * 50)
    results, _ = probed(network, targets, ProbeConfig())
    assert {result.verdict for result in results} == {ProbeVerdict.SILENT}


def test_two_thousand_half_open_connections_are_all_closed_when_it_is_interrupted() -> None:
    network, targets = asked(*[dead] * 500, ready)

    def interrupt(result: ProbeResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Prober(SAMPLED, transport=network).probe(targets, interrupt)
    assert half_open(network) == set()
    assert network.closed


@pytest.mark.parametrize("realservers", first_of([50, 500]))
def test_half_open_connections_are_all_closed_in_the_end(realservers: int) -> None:
    network, targets = asked(*[dead, ready] * (realservers // 2))
    probed(network, targets, SAMPLED)
    assert half_open(network) == set()


def half_open(network: Network) -> set[tuple[str, int, int]]:
    """What a realserver still waits for: each SYN without its RST."""

    def numbers(flags: str, added: int) -> set[tuple[str, int, int]]:
        segments = [(packet.dst, packet[TCP]) for _, packet in network.sent if packet[TCP].flags == flags]
        return {(to, segment.sport, (segment.seq + added) % 2**32) for to, segment in segments}

    opened = numbers("S", 1)
    assert opened
    return opened - numbers("R", 0)
