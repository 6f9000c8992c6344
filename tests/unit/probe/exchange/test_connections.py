"""What becomes of an exchange when the network or the realserver does not do as it should."""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections import Counter
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from ferryman.model import IcmpReason
from ferryman.probe.exchange import (
    ExchangeLimits,
    Exchanger,
    ExchangeRequest,
    ExchangeVerdict,
    Stage,
    TooBig,
)
from unit.probe.exchange.wire import (
    ACK,
    BODY,
    CONTROL,
    FIN,
    RST,
    SYN,
    SYNCHRONISED,
    VIP,
    WAY_S,
    WEB,
    Site,
    Tcp,
    Wire,
    exchanged,
    http,
    icmp_too_big,
    ip_packet,
    target,
    tcp_packet,
)

if TYPE_CHECKING:
    from ferryman.model import Address

CONNECT = ExchangeRequest("connect")
UPLOAD = ExchangeRequest(method="POST", path="/upload", body_bytes=32_768)
BOTH = pytest.mark.parametrize(("version", "mss", "down"), [(4, 1440, 1460), (6, 1400, 1440)])


def fits(limit: int) -> Site:
    """Packets to it that are longer than this, in bytes, are lost."""
    return Site(http, up=lambda packet, segment: len(packet) <= limit)


def lossy(seed: int, mss: int) -> Site:
    """A third of all packets is lost, in both directions."""
    chance = random.Random(seed)
    return Site(
        lambda request: http(request, bytes(5000)),
        mss=mss,
        up=lambda packet, segment: chance.random() > 1 / 3,
        down=lambda segment: [WAY_S] if chance.random() > 1 / 3 else [],
    )


def small_only(segment: Tcp) -> list[float]:
    return [WAY_S] if len(segment.payload) <= 1200 else []


def test_a_realserver_that_never_answers_a_syn_has_no_connection() -> None:
    result, _ = exchanged(Site(up=lambda packet, segment: False))
    assert (result.verdict, result.stage) == (ExchangeVerdict.NO_CONNECTION, Stage.CONNECT)
    assert result.detail == "no SYN/ACK to 7 SYNs in 5.0 s"
    assert result.retransmissions == 6


def test_a_realserver_on_which_nothing_listens_refuses() -> None:
    result, wire = exchanged(Site(refuses=True))
    assert (result.verdict, result.detail) == (
        ExchangeVerdict.NO_CONNECTION,
        "RST: nothing listens on port 80",
    )
    assert len(wire.sent) == 1, "what was refused is not reset"


def test_a_realserver_to_which_there_is_no_route_is_not_sent_to() -> None:
    class Nowhere(Wire):
        def source_towards(self, address: str) -> IPv4Address:
            raise OSError(errno.ENETUNREACH, "as told")

    wire = Nowhere({})
    [result] = Exchanger(SYNCHRONISED, transport=wire).exchange([target()])
    assert (result.verdict, result.sent) == (ExchangeVerdict.NO_CONNECTION, False)
    assert result.detail == "nothing was sent to 10.10.0.21: Network is unreachable"


def test_a_syn_that_the_own_firewall_forbids_is_told() -> None:
    wire = Wire({WEB[4]: Site()})
    wire.send_errors[0] = OSError(errno.EPERM, "as told")
    [result] = Exchanger(SYNCHRONISED, transport=wire).exchange([target()])
    assert (result.verdict, result.sent) == (ExchangeVerdict.NO_CONNECTION, False)
    assert result.detail == f"nothing was sent to 10.10.0.21: {os.strerror(errno.EPERM)}"


@pytest.mark.parametrize("request_", [ExchangeRequest(), CONNECT], ids=str)
def test_a_connection_of_which_only_the_syn_gets_through_is_half_open(request_: ExchangeRequest) -> None:
    site = Site(http, up=lambda packet, segment: bool(segment.flags & SYN))
    result, _ = exchanged(site, request=request_)
    assert result.verdict is ExchangeVerdict.HALF_OPEN
    assert "sent its SYN/ACK" in result.detail
    assert "INVALID" in result.detail
    assert (result.bytes_up, result.bytes_down) == (0, 0)


@BOTH
def test_an_mtu_black_hole_towards_the_realserver_is_told_from_loss(
    version: int, mss: int, down: int
) -> None:
    site = fits(1450)
    site.mss = mss
    result, _ = exchanged(site, version=version)
    assert result.verdict is ExchangeVerdict.UP_LOST
    assert (
        f"segments of {mss} bytes are never acknowledged, the same bytes in segments of 512" in result.detail
    )
    assert result.status == 200, "in small segments the request was understood all the same"
    assert (result.largest_up, result.wanted_up) == (512, mss)


def test_a_black_hole_is_found_with_an_upload_too_and_the_rest_goes_in_small_segments() -> None:
    result, _ = exchanged(fits(1450), request=UPLOAD)
    assert (result.verdict, result.status) == (ExchangeVerdict.UP_LOST, 200)


def test_full_size_segments_of_which_only_the_acknowledgements_were_lost_are_no_black_hole() -> None:
    heard = Counter[int]()

    def down(segment: Tcp) -> list[float]:
        heard[segment.acknowledgement] += 1
        is_about_full = site.heard[-1][1].payload and len(site.heard[-1][1].payload) == 1440
        return [] if is_about_full and heard.total() < 16 else [WAY_S]

    site = Site(http, down=down)
    result, _ = exchanged(site)
    assert (result.verdict, result.largest_up) == (ExchangeVerdict.COMPLETED, 1440)


@BOTH
def test_a_router_that_says_that_a_full_size_packet_is_too_big_is_quoted(
    version: int, mss: int, down: int
) -> None:
    router = WEB[version] + 200
    wire = Wire({})

    def up(packet: bytes, segment: Tcp) -> bool:
        if len(packet) > 1420:
            wire.arrive(icmp_too_big(packet, 1420, router.packed))
            return False
        return True

    wire.sites = {WEB[version]: Site(http, mss=mss, up=up)}
    [result] = Exchanger(SYNCHRONISED, transport=wire).exchange([target(version)])
    assert (result.verdict, result.too_big) == (ExchangeVerdict.UP_LOST, TooBig(router, 1420))
    assert f"{router} says that packets of 1420 bytes do" in result.detail
    assert result.largest_up == 1420 - (60 if version == 4 else 100), "what does fit is used"
    assert result.status == 200
    assert result.retransmissions == 0


@pytest.mark.parametrize("mtu", [0, 68, 100])
def test_an_error_of_an_mtu_that_cannot_be_cuts_to_small_segments_and_no_smaller(mtu: int) -> None:
    wire = Wire({})

    def up(packet: bytes, segment: Tcp) -> bool:
        if len(packet) > 1420:
            wire.arrive(icmp_too_big(packet, mtu, WEB[4].packed))
        return len(packet) <= 1420

    wire.sites = {WEB[4]: Site(http, up=up)}
    [result] = Exchanger(SYNCHRONISED, transport=wire).exchange([target()])
    assert (result.verdict, result.largest_up) == (ExchangeVerdict.UP_LOST, 512)


def test_an_error_about_a_segment_that_was_never_sent_is_not_believed() -> None:
    wire = Wire({})

    def up(packet: bytes, segment: Tcp) -> bool:
        forged = bytearray(packet)
        forged[44:48] = ((segment.sequence + 77_777) % 2**32).to_bytes(4, "big")
        wire.arrive(icmp_too_big(bytes(forged), 600, WEB[4].packed))
        return True

    wire.sites = {WEB[4]: Site(http, up=up)}
    [result] = Exchanger(SYNCHRONISED, transport=wire).exchange([target()])
    assert (result.verdict, result.too_big, result.largest_up) == (ExchangeVerdict.COMPLETED, None, 1440)


def test_an_icmp_error_to_the_syn_ends_it_with_its_reason() -> None:
    wire = Wire({})

    def up(packet: bytes, segment: Tcp) -> bool:
        body = bytes([3, 2, 0, 0, 0, 0, 0, 0]) + packet[:60]
        wire.arrive(ip_packet(WEB[4].packed, packet[12:16], 1, body))
        return False

    wire.sites = {WEB[4]: Site(up=up)}
    [result] = Exchanger(SYNCHRONISED, transport=wire).exchange([target()])
    assert (result.verdict, result.icmp_reason) == (
        ExchangeVerdict.NO_CONNECTION,
        IcmpReason.NO_TUNNEL_DEVICE,
    )
    assert "ICMP 3/2 from 10.10.0.21 (protocol unreachable" in result.detail


def test_a_full_size_packet_that_the_own_kernel_does_not_take_is_told_with_what_it_takes() -> None:
    wire = Wire({WEB[4]: Site(http)}, mtu=1500)
    wire.send_errors[1441] = OSError(errno.EMSGSIZE, "as told")
    wire.mtu_towards = lambda address: 1440 if wire.sent else 1500  # type: ignore[method-assign]
    [result] = Exchanger(SYNCHRONISED, transport=wire).exchange([target()])
    assert (result.verdict, result.too_big) == (ExchangeVerdict.UP_LOST, TooBig(None, 1440))
    assert "this host's kernel says that packets of 1440 bytes do" in result.detail
    assert result.status == 200


def test_an_own_route_with_a_small_mtu_is_no_fault_of_the_realserver() -> None:
    result, _ = exchanged(Site(http), mtu=1400)
    assert (result.verdict, result.largest_up, result.largest_down) == (ExchangeVerdict.COMPLETED, 1340, 1360)
    assert "this host's own route takes segments of 1340 bytes at most" in result.remarks[0]


def test_an_mss_that_does_not_fit_the_tunnel_loses_full_size_packets() -> None:
    result, _ = exchanged(Site(http, mss=1460))
    assert result.verdict is ExchangeVerdict.UP_LOST
    assert "segments of 1460 bytes, and at most 1440 fit the tunnel" in result.detail


@BOTH
def test_full_size_segments_that_are_lost_on_the_way_back_are_found_by_a_second_connection(
    version: int, mss: int, down: int
) -> None:
    result, wire = exchanged(Site(http, mss=mss, down=small_only), version=version)
    assert result.verdict is ExchangeVerdict.DOWN_LOST
    assert (
        "0 bytes of its answer came, and on a second connection, with an MSS of 512, all of it"
        in result.detail
    )
    assert [segment.mss for segment in wire.segments() if segment.flags & SYN] == [down, 512]
    assert result.total_ms < 7000


def test_a_second_connection_that_gets_more_than_is_read_tells_as_much() -> None:
    site = Site(lambda request: http(request, bytes(300_000)), down=small_only)
    result, _ = exchanged(site)
    assert result.verdict is ExchangeVerdict.DOWN_LOST


def test_a_gap_in_the_answer_that_is_never_filled_is_told() -> None:
    first: list[int] = []

    def down(segment: Tcp) -> list[float]:
        first.extend([segment.sequence] if segment.payload and not first else [])
        return [] if segment.payload and segment.sequence == first[0] else [WAY_S]

    site = Site(http, down=down)
    result, _ = exchanged(site, limits=ExchangeLimits(deadline_s=0.9))
    assert result.verdict is ExchangeVerdict.DOWN_LOST
    assert "from behind a gap of 1460 bytes" in result.detail


def test_a_server_that_says_nothing_after_the_request_is_silent_until_the_deadline() -> None:
    result, wire = exchanged(Site(), limits=ExchangeLimits(deadline_s=4))
    assert (result.verdict, result.stage) == (ExchangeVerdict.SILENT, Stage.ANSWER)
    assert "sent no byte of an answer in 4.0 s, nor on a second connection: it hangs" in result.detail
    assert result.total_ms == pytest.approx(4000, abs=10)
    assert result.request_ms is not None
    assert [segment.flags & RST for segment in wire.segments()[-2:]] == [RST, RST], "nothing is left open"


def test_a_slow_answer_is_an_answer_though_a_second_connection_was_tried_meanwhile() -> None:
    def down(segment: Tcp) -> list[float]:
        return [6.0 if segment.payload else WAY_S]

    site = Site(lambda request: http(request, bytes(3000)), down=down)
    result, _ = exchanged(site)
    assert result.verdict is ExchangeVerdict.COMPLETED


def test_an_answer_that_stops_in_the_middle_is_silent_and_says_how_far_it_got() -> None:
    site = Site(
        lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc" if http(request) else None,
        closes=False,
    )
    result, _ = exchanged(site)
    assert result.verdict is ExchangeVerdict.SILENT
    assert "sent 42 bytes of an answer, but no more" in result.detail


def test_a_window_of_zero_is_asked_about_until_it_opens() -> None:
    site = Site(http, window_at=lambda since: 0 if since < 2 else 64_240)
    result, _wire = exchanged(site)
    assert result.verdict is ExchangeVerdict.COMPLETED
    asked = [segment for _, segment in site.heard if not segment.payload and segment.flags == ACK]
    assert len(asked) >= 4
    assert result.largest_up == 1440


def test_a_window_that_closes_in_the_middle_of_the_request_loses_nothing_of_it() -> None:
    site = Site(http, window_at=lambda since: 64_240 if since < 0.003 or since > 1.5 else 0)
    result, _ = exchanged(site, request=UPLOAD)
    assert (result.verdict, result.bytes_up > 32_768) == (ExchangeVerdict.COMPLETED, True)


def test_a_window_that_stays_at_zero_is_a_process_that_does_not_read() -> None:
    result, _ = exchanged(Site(http, window_at=lambda since: 0 if since > 0.0015 else 64_240))
    assert result.verdict is ExchangeVerdict.SILENT
    assert result.detail == "its receive window stayed at zero for 10.0 s: its process does not read"


def test_a_window_of_a_few_bytes_takes_the_request_piece_by_piece() -> None:
    site = Site(http, window=900)
    result, _ = exchanged(site)
    assert (result.verdict, result.status) == (ExchangeVerdict.COMPLETED, 200)
    assert max(len(segment.payload) for _, segment in site.heard) <= 900


def test_a_rst_in_the_middle_of_the_answer_says_after_how_much() -> None:
    result, _ = exchanged(Site(http, resets_at=5000))
    assert (result.verdict, result.stage) == (ExchangeVerdict.RESET, Stage.ANSWER)
    assert result.detail == "a RST came in the middle of the answer, after 5840 bytes"


def test_a_rst_before_any_answer_says_so() -> None:
    result, _ = exchanged(Site(http, resets_at=0))
    assert (result.verdict, result.detail) == (
        ExchangeVerdict.RESET,
        "a RST came after the request, before any answer",
    )


def test_a_rst_with_a_guessed_number_ends_nothing() -> None:
    def forged(segment: Tcp) -> list[bytes]:
        guesses = [(segment.sequence + 5000) % 2**32, (segment.sequence + 2**31) % 2**32]
        return [
            tcp_packet(VIP[4].packed, CONTROL[4].packed, Tcp(80, segment.port, guess, 0, RST, 0, None, b""))
            for guess in guesses
            if not segment.flags & SYN
        ]

    result, _ = exchanged(Site(http, forged=forged))
    assert result.verdict is ExchangeVerdict.COMPLETED
    assert any("with a RST elsewhere in the stream" in remark for remark in result.remarks)


def test_a_fin_without_an_answer_is_a_bad_answer() -> None:
    result, _ = exchanged(Site(lambda request: b"" if http(request) else None))
    assert (result.verdict, result.detail) == (
        ExchangeVerdict.BAD_ANSWER,
        "the connection was closed without a byte of an answer",
    )


def test_segments_outside_of_the_window_and_false_acknowledgements_are_ignored() -> None:
    def forged(segment: Tcp) -> list[bytes]:
        away = [
            (segment.sequence + 100_000, segment.acknowledgement, b"garbage"),
            (segment.sequence - 100_000, segment.acknowledgement, b"garbage"),
            (segment.sequence, segment.acknowledgement + 100_000, b"garbage"),
        ]
        return [
            tcp_packet(
                VIP[4].packed, CONTROL[4].packed, Tcp(80, segment.port, at, number, ACK, 9, None, said)
            )
            for at, number, said in away
            if not segment.flags & SYN
        ]

    result, _ = exchanged(Site(http, forged=forged))
    assert (result.verdict, result.bytes_down) == (ExchangeVerdict.COMPLETED, len(http(b"\r\n\r\n") or b""))
    assert any("outside of the window" in remark for remark in result.remarks)
    assert any("that acknowledge what was not sent" in remark for remark in result.remarks)


def test_a_syn_ack_that_acknowledges_another_syn_connects_to_nothing_and_is_reset() -> None:
    site = Site(up=lambda packet, segment: False)
    wire = Wire({WEB[4]: site})

    def up(packet: bytes, segment: Tcp) -> bool:
        if segment.flags & SYN:
            stale = Tcp(80, segment.source_port, 5, segment.sequence + 7, SYN | ACK, 9, 1440, b"")
            wire.arrive(tcp_packet(VIP[4].packed, CONTROL[4].packed, stale))
        return False

    site.up = up
    [result] = Exchanger(SYNCHRONISED, transport=wire).exchange([target()])
    assert result.verdict is ExchangeVerdict.NO_CONNECTION
    assert any("of another connection" in remark for remark in result.remarks)
    assert any(segment.flags == RST for segment in wire.segments())


@BOTH
def test_a_third_of_all_packets_may_be_lost_both_ways(version: int, mss: int, down: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(40):
        result, _ = exchanged(lossy(seed, mss), version=version, seed=seed)
        seen[result.verdict.value] += 1
    assert seen["completed"] >= 38, seen
    assert not seen["up-lost"] + seen["down-lost"], "loss of a third is no black hole"


def test_segments_that_overtake_each_other_are_put_in_order() -> None:
    chance = random.Random(7)
    site = Site(http, down=lambda segment: [WAY_S + chance.random() / 50])
    result, _ = exchanged(site)
    assert (result.verdict, result.bytes_down) == (ExchangeVerdict.COMPLETED, len(http(b"\r\n\r\n") or b""))


def test_segments_that_come_twice_count_once() -> None:
    site = Site(http, down=lambda segment: [WAY_S, WAY_S, 0.01])
    result, _ = exchanged(site)
    assert (result.verdict, result.bytes_down) == (ExchangeVerdict.COMPLETED, len(http(b"\r\n\r\n") or b""))


def test_lost_full_size_segments_are_sent_again_at_once_where_the_peer_misses_them() -> None:
    lost: list[int] = []

    def up(packet: bytes, segment: Tcp) -> bool:
        if len(segment.payload) == 1440 and not lost:
            lost.append(segment.sequence)
            return False
        return True

    result, _ = exchanged(Site(http, up=up), request=UPLOAD)
    assert (result.verdict, result.retransmissions) == (ExchangeVerdict.COMPLETED, 1)
    assert result.total_ms < 100, "three duplicate acknowledgements are not waited out"


def test_the_wait_before_a_retransmission_doubles() -> None:
    site = Site(http, up=lambda packet, segment: bool(segment.flags & SYN) or not segment.payload)
    _, wire = exchanged(site, limits=ExchangeLimits(deadline_s=3))
    first = [at for at, packet in wire.sent if b"GET /healthz" in packet]
    waits = [round(later - earlier, 3) for earlier, later in itertools.pairwise(first)]
    assert waits == [0.2, 0.4, 0.8, 1.0]


def test_a_longer_answer_than_is_read_is_left_and_reset() -> None:
    site = Site(lambda request: http(request, bytes(300_000)))
    result, wire = exchanged(site)
    assert (result.verdict, result.is_capped, result.status) == (ExchangeVerdict.COMPLETED, True, 200)
    assert result.bytes_down < 65_536 + 15_000
    assert wire.segments()[-1].flags & RST
    assert "the rest was left" in result.remarks[0]


def test_an_answer_that_still_flows_at_the_deadline_is_a_long_one() -> None:
    site = Site(lambda request: http(request, bytes(3_000_000)), down=lambda segment: [0.5])
    result, _ = exchanged(site, limits=ExchangeLimits(deadline_s=4, answer_bytes=10_000_000))
    assert result.verdict is ExchangeVerdict.COMPLETED


def test_a_connection_without_a_request_is_whole_when_its_fin_is_acknowledged() -> None:
    result, wire = exchanged(Site(), request=CONNECT)
    assert (result.verdict, result.stage, result.bytes_up) == (ExchangeVerdict.COMPLETED, Stage.CLOSED, 0)
    assert [segment.flags & FIN for segment in wire.segments()].count(FIN) == 1


def test_a_banner_is_told_and_cannot_move_the_cursor() -> None:
    result, _ = exchanged(Site(greeting=b"220 mail \x1b[2J\r\nmore"), request=CONNECT)
    assert (result.verdict, result.status_line) == (ExchangeVerdict.COMPLETED, "220 mail \\x1b[2J")


@BOTH
def test_a_healthy_realserver_is_asked_and_answers_with_full_size_segments_and_both_close(
    version: int, mss: int, down: int
) -> None:
    site = Site(http, mss=mss)
    result, wire = exchanged(site, version=version)
    assert (result.verdict, result.stage, result.status_line) == (
        ExchangeVerdict.COMPLETED,
        Stage.CLOSED,
        "HTTP/1.1 200 OK",
    )
    assert (result.largest_up, result.wanted_up, result.largest_down) == (mss, mss, down)
    assert (result.retransmissions, result.remarks) == (0, ())
    assert result.bytes_up == len(b"".join(segment.payload for _, segment in site.heard))
    assert result.handshake_ms == pytest.approx(2 * WAY_S * 1000, abs=0.1)
    assert wire.closed


def test_an_upload_goes_up_in_full_size_segments() -> None:
    result, _ = exchanged(Site(http), request=UPLOAD)
    assert (result.verdict, result.largest_up) == (ExchangeVerdict.COMPLETED, 1440)


def test_three_hundred_realservers_take_as_long_as_the_slowest() -> None:
    addresses = [IPv4Address("10.10.1.0") + number for number in range(300)]
    sites: dict[Address, Site] = {
        address: Site(lambda request: http(request, BODY[:3000])) for address in addresses
    }
    sites[addresses[7]] = Site()
    wire = Wire(sites)
    told: list[str] = []
    results = Exchanger(SYNCHRONISED, transport=wire).exchange(
        [target(realserver=address) for address in addresses],
        lambda result: told.append(str(result.target.target.realserver_address)),
    )
    assert Counter(result.verdict.value for result in results) == {"completed": 299, "silent": 1}
    assert results[7].verdict is ExchangeVerdict.SILENT
    assert told[-1] == str(addresses[7])
    assert wire.clock - 100.0 < 11


def test_what_is_open_is_reset_when_somebody_interrupts() -> None:
    wire = Wire({WEB[4]: Site(refuses=True), WEB[4] + 1: Site()})

    def interrupted(result: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Exchanger(SYNCHRONISED, transport=wire).exchange(
            [target(), target(realserver=WEB[4] + 1)], interrupted
        )
    assert wire.segments()[-1].flags & RST
    assert wire.closed


def test_nothing_to_ask_opens_no_socket() -> None:
    assert Exchanger(SYNCHRONISED, transport=None).exchange([]) == []  # type: ignore[arg-type]
