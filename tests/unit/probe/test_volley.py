"""The whole probe over a network that is made up: a clock that moves when somebody waits, and realservers."""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.packet import Raw

from ferryman.config import OuterSource, ProbeConfig
from ferryman.errors import RefusedError
from ferryman.model import ProbeResult, ProbeVerdict, VirtualService
from ferryman.probe import Prober, Target
from ferryman.probe.wire import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.model import Address

CONTROL = IPv4Address("10.30.0.2")
WEB = VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
PROBE = ProbeConfig(timeout=1.0, tries=3, rate=1000)
WAY_MS = 2.0
EPOCH_NS = 1_700_000_000_000_000_000

Replies = list[tuple[float, bytes]]
"""Seconds from now, and the packet."""


@dataclass
class Network:
    """A wire whose far end is a function for each realserver: from the SYN to its replies."""

    realservers: dict[Address, Callable[[IP], Replies]]
    routes: Callable[[Address], Address] = lambda address: CONTROL
    clock: float = 0.0
    sent: list[tuple[float, IP]] = field(default_factory=list)
    coming: list[tuple[float, bytes]] = field(default_factory=list)
    send_errors: deque[int] = field(default_factory=deque)
    next_port: int = 40000
    listening: set[int] | None = None
    dropped: int = 0
    send_takes: float = 0.0
    closed: bool = False

    def __call__(self, versions: Iterable[int]) -> Network:
        return self

    def source_towards(self, address: Address) -> Address:
        return self.routes(address)

    def reserve(self, source: Address) -> int:
        self.next_port += 1
        return self.next_port

    def listen(self, ports: Iterable[int]) -> None:
        self.listening = set(ports)

    def send(self, packet: bytes, destination: Address) -> None:
        if self.send_errors and (number := self.send_errors.popleft()):
            raise OSError(number, "as told")
        assert self.listening is not None, "sent before anybody listened"
        self.clock += self.send_takes
        read = IP(packet)
        assert read[TCP].sport in self.listening
        assert read.dst == str(destination)
        self.sent.append((self.clock, read))
        if read[TCP].flags == "S":
            replies = self.realservers[destination](read)
            self.coming += [(self.clock + after, reply) for after, reply in replies]

    def receive(self, within_s: float) -> Sequence[Arrival]:
        end = self.clock + max(0.0, within_s)
        first = min((at for at, _ in self.coming), default=end)
        self.clock = max(self.clock, min(end, first))
        here = sorted(one for one in self.coming if one[0] <= self.clock)
        self.coming = [one for one in self.coming if one[0] > self.clock]
        return [Arrival(packet, EPOCH_NS + round(at * 1e9)) for at, packet in here]

    def lost(self) -> int:
        return self.dropped

    def monotonic(self) -> float:
        return self.clock

    def now_ns(self) -> int:
        return EPOCH_NS + round(self.clock * 1e9)

    def close(self) -> None:
        self.closed = True

    def syns_to(self, address: Address) -> list[IP]:
        return [one for _, one in self.sent if one.dst == str(address) and one[TCP].flags == "S"]

    def rsts_to(self, address: Address) -> list[IP]:
        return [one for _, one in self.sent if one.dst == str(address) and one[TCP].flags == "R"]


def answer(asked: IP, flags: str = "SA", *, added: int = 1, mss: int = 1440) -> bytes:
    syn = asked[TCP]
    reply = IP(src=asked.payload.dst, dst=asked.payload.src) / TCP(
        sport=syn.dport, dport=syn.sport, ack=(syn.seq + added) % 2**32, flags=flags, options=[("MSS", mss)]
    )
    return bytes(reply)


def protocol_unreachable(asked: IP) -> bytes:
    return bytes(IP(src=asked.dst, dst=asked.src) / ICMP(type=3, code=2) / Raw(bytes(asked)))


def ready(asked: IP) -> Replies:
    return [(WAY_MS / 1000, answer(asked))]


def dead(asked: IP) -> Replies:
    return []


def without_tunnel(asked: IP) -> Replies:
    return [(WAY_MS / 1000, protocol_unreachable(asked))] if asked.src == str(CONTROL) else []


def address(number: int) -> IPv4Address:
    return IPv4Address("10.10.0.0") + number


def asked(*behaviours: Callable[[IP], Replies]) -> tuple[Network, list[Target]]:
    network = Network({address(number): one for number, one in enumerate(behaviours)})
    return network, [Target(f"web{number}", WEB, address(number), 1440) for number in range(len(behaviours))]


def probed(
    network: Network, targets: Sequence[Target], probe: ProbeConfig = PROBE
) -> tuple[list[ProbeResult], list[ProbeResult]]:
    told: list[ProbeResult] = []
    return Prober(probe, wire=network).probe(targets, told.append), told


def test_a_dead_realserver_is_silent_after_all_tries_and_their_time() -> None:
    network, targets = asked(dead)
    [result], told = probed(network, targets)
    assert result.verdict is ProbeVerdict.SILENT
    assert result.detail == (
        "no answer to 3 SYNs, 1 s each; "
        "look at rp_filter, the firewall, whether the tunnel device is up, and the VIP"
    )
    assert network.clock == pytest.approx(3.0, abs=0.02)
    assert told == [result]


def test_only_the_unanswered_are_asked_again() -> None:
    network, targets = asked(ready, dead, ready)
    results, _ = probed(network, targets)
    assert [result.verdict.value for result in results] == ["accepted", "silent", "accepted"]
    assert [len(network.syns_to(target.realserver_address)) for target in targets] == [1, 3 + 1, 1]


def test_the_diagnosis_asks_the_silent_alone_and_adds_no_time() -> None:
    network, targets = asked(ready, without_tunnel)
    (_, silent), _ = probed(network, targets)
    assert silent.verdict is ProbeVerdict.SILENT
    assert "asked with this host's own outer source: ICMP 3/2 from 10.10.0.1" in silent.detail
    assert network.clock == pytest.approx(3.0, abs=0.02)
    assert [one.src for one in network.syns_to(address(1))] == ["172.16.1.1"] * 3 + [str(CONTROL)]


def test_an_answer_to_our_own_outer_source_alone_does_not_make_it_accepted() -> None:
    network, targets = asked(lambda syn: ready(syn) if syn.src == str(CONTROL) else [])
    [result], _ = probed(network, targets)
    assert result.verdict is ProbeVerdict.SILENT
    assert "something drops what comes from 172.16.1.1" in result.detail


def test_with_our_own_outer_source_protocol_unreachable_decides_and_nothing_is_diagnosed() -> None:
    network, targets = asked(without_tunnel, dead)
    own = PROBE.model_copy(update={"outer_source": OuterSource(ipv4=CONTROL)})
    (result, _), _ = probed(network, targets, own)
    assert result.verdict is ProbeVerdict.UNREACHABLE
    assert len(network.syns_to(address(1))) == 3


def test_a_late_answer_counts_for_the_try_that_it_belongs_to() -> None:
    replies = iter([[1.5], [], []])
    network, targets = asked(lambda syn: [(after, answer(syn)) for after in next(replies)])
    [result], _ = probed(network, targets)
    assert result.verdict is ProbeVerdict.ACCEPTED
    assert result.rtt_ms == pytest.approx(1500, abs=1)
    assert network.clock < 1.6


def test_an_answer_to_a_later_try_says_which() -> None:
    replies = iter([[], [0.004]])
    network, targets = asked(lambda syn: [(after, answer(syn)) for after in next(replies)])
    [result], _ = probed(network, targets)
    assert (result.verdict, result.detail) == (ProbeVerdict.ACCEPTED, "try 2 of 3 was answered")
    assert result.rtt_ms == pytest.approx(4, abs=0.1)


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
    (result, _), told = probed(network, targets)
    assert result.verdict is ProbeVerdict.ACCEPTED
    assert "not counted: a second answer to the same SYN: refused" in result.detail
    assert [one.host for one in told] == ["web0", "web1"]
    assert len(network.rsts_to(address(0))) == 1


def test_each_is_told_as_soon_as_it_is_known() -> None:
    network, targets = asked(dead, ready)
    when: list[tuple[str, float]] = []
    Prober(PROBE, wire=network).probe(targets, lambda result: when.append((result.host, network.clock)))
    assert [host for host, _ in when] == ["web1", "web0"]
    assert [at for _, at in when] == pytest.approx([0.003, 3.0], abs=0.02)


def test_what_answered_is_reset_at_once_and_the_rest_at_the_end() -> None:
    network, targets = asked(ready, dead)
    probed(network, targets)
    [syn] = network.syns_to(address(0))
    [(at, rst)] = [
        (at, one) for at, one in network.sent if one.dst == str(address(0)) and one[TCP].flags == "R"
    ]
    assert rst[TCP].seq == (syn[TCP].seq + 1) % 2**32
    assert (rst[TCP].sport, rst.payload.src) == (syn[TCP].sport, str(CONTROL))
    assert at < 0.01
    assert len(network.rsts_to(address(1))) == len(network.syns_to(address(1)))


def test_what_answered_is_reset_at_once_even_while_sending_lags_behind() -> None:
    network, targets = asked(*[ready] * 10)
    network.send_takes = 0.005
    probed(network, targets)
    assert [one[TCP].flags for _, one in network.sent[:4]] == ["S", "S", "S", "R"]


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
        Prober(PROBE, wire=network).probe(targets, interrupt)
    assert len(network.rsts_to(address(0))) == 1
    assert len(network.rsts_to(address(1))) == 1
    assert network.closed


def test_no_two_tries_and_no_two_realservers_share_a_port_while_there_are_enough() -> None:
    network, targets = asked(*[dead] * 20)
    probed(network, targets)
    ports = [one[TCP].sport for _, one in network.sent if one[TCP].flags == "S"]
    assert len(ports) == len(set(ports)) == 20 * 4


def test_beyond_the_pool_sequence_numbers_tell_realservers_apart() -> None:
    network, targets = asked(*[ready] * 300)
    results, _ = probed(network, targets, PROBE.model_copy(update={"rate": 100_000}))
    assert {result.verdict for result in results} == {ProbeVerdict.ACCEPTED}
    assert len(network.listening or ()) == 256


def test_packets_leave_no_faster_than_the_rate() -> None:
    network, targets = asked(*[dead] * 50)
    probed(network, targets, PROBE.model_copy(update={"rate": 100, "tries": 1}))
    times = [at for at, _ in network.sent]
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.0099


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
    [result], told = probed(network, targets)
    assert result.detail == "nothing was sent to 10.10.0.0: this host has no route to it"
    assert told == [result]
    assert network.sent == []


def test_a_receive_buffer_that_overflowed_is_told_with_the_silence() -> None:
    network, targets = asked(dead)
    network.dropped = 7
    [result], _ = probed(network, targets)
    assert "7 answers were lost here" in result.detail


def test_nobody_to_ask_opens_nothing() -> None:
    def refuse(versions: Iterable[int]) -> Network:
        raise RefusedError("no raw sockets")

    assert Prober(PROBE, wire=refuse).probe([], lambda _: None) == []


def test_without_raw_sockets_nothing_is_called_a_failed_probe() -> None:
    def refuse(versions: Iterable[int]) -> Network:
        raise RefusedError("cannot probe: no raw sockets")

    _, targets = asked(ready)
    told: list[ProbeResult] = []
    with pytest.raises(RefusedError, match="cannot probe"):
        Prober(PROBE, wire=refuse).probe(targets, told.append)
    assert told == []


def test_both_families_are_asked_for() -> None:
    seen: list[set[int]] = []

    def remember(versions: Iterable[int]) -> Network:
        seen.append(set(versions))
        raise RefusedError("enough")

    six = VirtualService("web", "weblb6", "tcp", IPv6Address("fd99::1"), 80, "wrr")
    targets = [Target("web1", WEB, address(1), 1440), Target("web1", six, IPv6Address("fd10::21"), 1400)]
    with pytest.raises(RefusedError):
        Prober(PROBE, wire=remember).probe(targets, lambda _: None)
    assert seen == [{4, 6}]
