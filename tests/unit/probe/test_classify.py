"""What each answer means. A case is a file: a packet in hexadecimal, from its IP header on, and verdicts."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.model import IcmpReason, ProbeVerdict
from ferryman.probe.classify import Flow, Judgement, Syn, SynIndex, classify
from ferryman.probe.dissect import Unreadable, dissect
from ferryman.probe.fast_path import fast_judgement

US, VIP, REALSERVER = IPv4Address("10.30.0.2"), IPv4Address("10.99.0.1"), IPv4Address("10.10.0.21")
US6, VIP6, REALSERVER6 = IPv6Address("fd30::2"), IPv6Address("fd99::1"), IPv6Address("fd10::21")
SOURCE, SOURCE6 = IPv4Address("172.16.1.1"), IPv6Address("100::1")

OUT = {
    "v4": Syn(0, Flow(US, 40000, VIP, 80), 1000, REALSERVER, SOURCE, 1440),
    "v4-other": Syn(1, Flow(US, 40000, VIP, 80), 9000, ip_address("10.10.0.22"), SOURCE, 1440),
    "v4-last-number": Syn(2, Flow(US, 40001, VIP, 443), 2**32 - 1, REALSERVER, SOURCE, 1440),
    "v6": Syn(3, Flow(US6, 40000, VIP6, 80), 2000, REALSERVER6, SOURCE6, 1400),
}
CASES = sorted(Path(__file__).with_name("cases").glob("*.json"))


def judged(packet: bytes) -> list[Judgement]:
    answer = dissect(packet)
    if answer is None or isinstance(answer, Unreadable):
        return []
    return classify(answer, SynIndex(OUT.values()))


def wanted(case: dict[str, Any]) -> list[Judgement]:
    return [
        Judgement(
            OUT[judgement["syn"]],
            judgement["verdict"] and ProbeVerdict(judgement["verdict"]),
            judgement["mss"],
            judgement["detail"],
            IcmpReason(judgement["icmp_reason"]) if "icmp_reason" in judgement else None,
        )
        for judgement in case["judgements"]
    ]


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_an_answer_means_what_its_case_says(file: Path) -> None:
    case = json.loads(file.read_text())
    assert judged(bytes.fromhex(case["packet"])) == wanted(case)


@pytest.mark.parametrize(
    "verdict", [verdict for verdict in ProbeVerdict if verdict is not ProbeVerdict.SILENT]
)
def test_every_verdict_that_an_answer_can_bring_has_a_case(verdict: ProbeVerdict) -> None:
    assert any(f'"verdict": "{verdict.value}"' in file.read_text() for file in CASES)


@given(st.binary(max_size=120))
def test_no_bytes_make_the_judgement_raise(packet: bytes) -> None:
    judged(packet)


PLAIN = {
    "ipv6-syn-ack-that-fits",
    "ipv6-syn-ack-too-large",
    "ipv6-rst",
    "rst",
    "syn-ack-that-fits",
    "syn-ack-too-large",
}
"""Cases that must not cost a dissection, for most answers are like these."""


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_what_is_read_plainly_is_judged_as_what_is_dissected(file: Path) -> None:
    packet = bytes.fromhex(json.loads(file.read_text())["packet"])
    plainly = fast_judgement(packet, SynIndex(OUT.values()))
    if plainly is not None or file.stem in PLAIN:
        assert [plainly] == judged(packet)


damage = given(st.sampled_from(CASES), st.integers(0, 119), st.integers(1, 255), st.integers(0, 119))


@damage
def test_no_damage_to_a_true_packet_makes_the_two_ways_of_reading_differ(
    file: Path, at: int, flip: int, cut: int
) -> None:
    packet = bytearray.fromhex(json.loads(file.read_text())["packet"])
    if at < len(packet):
        packet[at] ^= flip
    damaged = bytes(packet[: len(packet) - cut % 40])
    dissected = judged(damaged)
    plainly = fast_judgement(damaged, SynIndex(OUT.values()))
    assert plainly is None or [plainly] == dissected


@given(st.integers(0, 2**32 - 1))
def test_no_wrong_acknowledgement_is_ever_counted(number: int) -> None:
    right = {syn.acknowledgement for syn in OUT.values()}
    fitting = json.loads(next(file for file in CASES if file.stem == "syn-ack-that-fits").read_text())[
        "packet"
    ]
    packet = bytearray.fromhex(fitting)
    packet[28:32] = number.to_bytes(4, "big")
    if number not in right:
        assert fast_judgement(bytes(packet), SynIndex(OUT.values())) is None
        assert all(judgement.verdict is None for judgement in judged(bytes(packet)))
