"""Paths of every kind are told for what they are: with ICMP, without, lossy, limited, forged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

from ferryman.probe.path_mtu import PathMtuVerdict
from unit.probe.path_mtu.path import OWN, Link, Path, measured, read_of, target, too_big

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scapy.packet import Packet

    from ferryman.probe.path_mtu import PathMtuResult

EVERY = [(protocol, version) for protocol in ("icmp", "tcp", "udp") for version in (4, 6)]
each = pytest.mark.parametrize(("protocol", "version"), EVERY)


def one(path: Path, protocol: str = "icmp", version: int = 4) -> PathMtuResult:
    (result,) = measured(path, target(protocol, version))
    return result


@each
def test_a_router_that_says_what_fits_is_believed_once_that_size_is_answered(
    protocol: str, version: int
) -> None:
    path = Path([Link(1500), Link(1460)])
    result = one(path, protocol, version)
    assert (result.verdict, result.mtu) == (PathMtuVerdict.WORKS, 1460)
    assert [(told.mtu, told.size) for told in result.told] == [(1460, 1500), (1460, 1461)]
    assert [len(packet) for packet in path.sent] == [1500, 1460, 1461]
    assert path.clock < 0.1


@each
def test_without_a_word_from_the_router_the_size_is_found_and_it_is_a_black_hole(
    protocol: str, version: int
) -> None:
    path = Path([Link(1500), Link(1460, says=False)])
    result = one(path, protocol, version)
    assert (result.verdict, result.mtu) == (PathMtuVerdict.BLACK_HOLE, 1460)
    assert result.told == ()
    assert path.clock < 20


@pytest.mark.parametrize("mtu", [68, 576, 999, 1279, 1280, 1281, 1377, 1420, 1459, 1499])
def test_a_black_hole_of_any_size_is_found_to_the_byte(mtu: int) -> None:
    result = one(Path([Link(mtu, says=False)]))
    assert (result.verdict, result.mtu) == (PathMtuVerdict.BLACK_HOLE, mtu)


@each
def test_a_path_that_takes_all_that_the_interface_does_is_known_by_one_packet(
    protocol: str, version: int
) -> None:
    path = Path()
    result = one(path, protocol, version)
    assert (result.verdict, result.mtu, result.interface_mtu) == (PathMtuVerdict.LARGER, 1500, 1500)
    assert len(path.sent) == 1


def test_jumbo_frames_are_measured_too() -> None:
    assert one(Path([Link(9000)], interface=9000)).mtu == 9000
    hole = one(Path([Link(9000), Link(8940, says=False)], interface=9000))
    assert (hole.verdict, hole.mtu) == (PathMtuVerdict.BLACK_HOLE, 8940)


@each
def test_whoever_never_answers_is_unanswered_and_no_black_hole(protocol: str, version: int) -> None:
    result = one(Path(answers=frozenset()), protocol, version)
    assert (result.verdict, result.mtu) == (PathMtuVerdict.UNANSWERED, None)


def test_of_a_host_that_says_nothing_a_router_may_still_say_what_fits() -> None:
    result = one(Path([Link(1460)], answers=frozenset()), "udp")
    assert (result.verdict, result.mtu) == (PathMtuVerdict.WORKS, 1460)
    assert "nothing is answered, so whether packets of that size arrive is not known" in result.remarks


@pytest.mark.parametrize("version", [4, 6])
def test_of_two_narrow_links_the_narrower_one_is_found(version: int) -> None:
    result = one(Path([Link(1460), Link(1400)]), "tcp", version)
    assert (result.verdict, result.mtu) == (PathMtuVerdict.WORKS, 1400)
    assert [told.mtu for told in result.told] == [1460, 1400, 1400]
    assert len({told.reporter for told in result.told}) == 2


def test_a_narrow_link_that_swallows_behind_one_that_speaks_is_a_black_hole() -> None:
    result = one(Path([Link(1460), Link(1400, says=False)]))
    assert (result.verdict, result.mtu) == (PathMtuVerdict.BLACK_HOLE, 1400)
    assert "behind it 1401 vanish" in " ".join(result.remarks)


def test_a_narrow_link_that_speaks_behind_one_that_swallows_is_a_black_hole_too() -> None:
    result = one(Path([Link(1460, says=False), Link(1400)]))
    assert (result.verdict, result.mtu) == (PathMtuVerdict.BLACK_HOLE, 1400)
    assert "1500 bytes vanish before" in " ".join(result.remarks)


@each
def test_routers_that_say_little_a_second_are_no_black_hole(protocol: str, version: int) -> None:
    limited = Link(1460, rate=1.0, burst=1, tokens=0)
    result = one(Path([limited]), protocol, version)
    assert (result.verdict, result.mtu) == (PathMtuVerdict.WORKS, 1460)


def test_many_paths_behind_one_router_that_says_little_are_no_black_holes() -> None:
    path = Path([Link(1460, rate=1.0)])
    results = measured(path, *[target(*each) for each in EVERY * 3])
    assert {(result.verdict, result.mtu) for result in results} == {(PathMtuVerdict.WORKS, 1460)}


def test_a_host_that_says_little_a_second_is_measured_all_the_same() -> None:
    path = Path([Link(1430, says=False)], udp_rate=Link(0, rate=1.0, burst=1, tokens=0))
    result = one(path, "udp")
    assert (result.verdict, result.mtu) == (PathMtuVerdict.BLACK_HOLE, 1430)


@pytest.mark.parametrize("says", [True, False])
@pytest.mark.parametrize("loss", [0.1, 0.2])
def test_lost_packets_change_no_verdict(says: bool, loss: float) -> None:
    path = Path([Link(1460, says=says)], loss=loss)
    results = measured(path, *[target(*each) for each in EVERY])
    wanted = PathMtuVerdict.WORKS if says else PathMtuVerdict.BLACK_HOLE
    assert {(result.verdict, result.mtu) for result in results} == {(wanted, 1460)}


def test_a_router_that_does_not_say_how_much_fits_is_told() -> None:
    result = one(Path([Link(1436, says_mtu=0)]))
    assert (result.verdict, result.mtu) == (PathMtuVerdict.WORKS, 1436)
    assert "10.30.0.100 does not say how much fits" in result.remarks


@pytest.mark.parametrize("lie", [40, 1500, 65535])
def test_a_router_that_says_what_cannot_be_is_not_believed(lie: int) -> None:
    result = one(Path([Link(1436, says_mtu=lie)]))
    assert (result.verdict, result.mtu) == (PathMtuVerdict.WORKS, 1436)
    assert {told.mtu for told in result.told} == {0}


def test_a_router_that_says_too_little_is_found_out() -> None:
    result = one(Path([Link(1460, says_mtu=1300)]))
    assert (result.verdict, result.mtu) == (PathMtuVerdict.WORKS, 1460)
    assert "10.30.0.100 says that 1300 bytes fit, but 1460 do" in result.remarks


def test_an_ipv6_router_that_says_less_than_every_link_takes_is_not_believed() -> None:
    result = one(Path([Link(1460, says_mtu=1000)]), version=6)
    assert (result.verdict, result.mtu) == (PathMtuVerdict.WORKS, 1460)


def guessed(sent: Packet) -> Iterator[Packet]:
    """What somebody sends who knows both addresses and the protocol, and guesses ports and numbers."""
    changed = read_of(bytes(sent))
    for layer, name in ((TCP, "seq"), (UDP, "sport"), (ICMP, "seq"), (ICMPv6EchoRequest, "seq")):
        if layer in changed:
            setattr(changed[layer], name, getattr(changed[layer], name) ^ 1)
    yield too_big(changed, 0, 1280)
    elsewhere = read_of(bytes(sent))
    elsewhere.dst = "10.66.6.6" if sent.version == 4 else "fd66::6"
    yield too_big(elsewhere, 0, 1280)
    yield (IP if sent.version == 4 else IPv6)(src=sent.dst, dst=sent.src)


@each
def test_an_error_that_quotes_what_was_not_sent_does_not_count(protocol: str, version: int) -> None:
    result = one(Path(forge=guessed), protocol, version)
    assert (result.verdict, result.mtu, result.told) == (PathMtuVerdict.LARGER, 1500, ())


def test_an_open_port_answers_a_syn_with_data_as_a_closed_one_does() -> None:
    for opened, answer in ((True, "SYN/ACK"), (False, "RST")):
        result = one(Path([Link(1460)], opened=opened), "tcp")
        assert (result.mtu, result.answer) == (1460, answer)


def test_a_host_that_stops_answering_meanwhile_is_no_black_hole() -> None:
    result = one(Path([Link(1460, says=False)], stops_after=3))
    assert result.verdict is PathMtuVerdict.UNANSWERED
    assert "were answered first, and then no more" in " ".join(result.remarks)


def test_what_leaves_is_whole_and_must_not_be_fragmented() -> None:
    path = Path([Link(1460, says=False)])
    measured(path, *[target(*each) for each in EVERY])
    for packet in path.sent:
        raw = bytes(packet)
        again = read_of(raw)
        for layer in (IP, TCP, UDP, ICMP):
            if layer in again:
                del again[layer].chksum
        if ICMPv6EchoRequest in again:
            del again[ICMPv6EchoRequest].cksum
        assert bytes(again) == raw, "its checksums are as scapy has them"
        assert packet.version == 6 or packet.flags == "DF"
    assert {packet.src for packet in path.sent} == {str(own) for own in OWN.values()}


def test_nobody_to_ask_is_nothing_to_send() -> None:
    assert measured_without_a_transport() == []


def measured_without_a_transport() -> list[PathMtuResult]:
    from ferryman.probe.path_mtu import measure_paths  # noqa: PLC0415  # nothing else is needed

    def never(versions: object) -> Path:
        raise AssertionError("no socket is opened")

    return measure_paths([], transport=never)
