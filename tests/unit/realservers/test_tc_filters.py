"""The filters of tc(8) that a packet meets: followed where that can be, and not sure where it cannot."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.realservers.checks.tc_filters import Fate, IpPacket, met_by
from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.early import dropped_by, filters_of
from ferryman.realservers.facts.parse import parse

if TYPE_CHECKING:
    from collections.abc import Callable

from ferryman.realservers.facts.early import Way

DIRECTOR, OWN, VIP = map(ip_address, ("10.10.0.11", "10.10.0.22", "10.99.0.1"))
OUTER = IpPacket(DIRECTOR, OWN, 4)
ANSWER = IpPacket(VIP, None, 6, (80, None))
GACT = "\taction order 1: gact action {}\n\t random type none pass val 0\n\tAction statistics:\n"
COUNT = "\tSent 0 bytes 0 pkt (dropped {}, overlimits 0 requeues 0) \n"


def shown(*filters: str, way: Way = "ingress") -> str:
    """As ``tc -s filter show`` prints them, each after the line that tells of its kind alone."""
    return "\n".join((f"device eth0 {way}", *filters, ""))


def u32(*matches: str, action: str = "drop", pref: int = 1, chain: int = 0, dropped: int = 0) -> str:
    head = f"filter protocol ip pref {pref} u32 chain {chain}"
    keys = "".join(f"  match {match} (success 0 ) \n" for match in matches)
    first = f"{head} \n{head} fh 800: ht divisor 1 \n"
    return (
        f"{first}{head} fh 800::{800 + pref} order 2048 key ht 800 bkt 0 terminal flowid not_in_hw"
        f" (rule hit 4 success 0)\n{keys}{GACT.format(action)}{COUNT.format(dropped)}"
    )


def other(
    kind: str, *keys: str, actions: str = GACT.format("drop"), protocol: str = "ip", pref: int = 1
) -> str:
    lines = "".join(f"  {key}\n" for key in keys)
    return f"filter protocol {protocol} pref {pref} {kind} chain 0 handle 0x1 \n{lines}{actions}"


def fates(text: str, packet: IpPacket = OUTER, way: Way = "ingress") -> list[Fate]:
    return [met.fate for met in met_by(packet, filters_of(text), "eth0", way)]


PROTOCOL_4, PROTOCOL_6 = "00040000/00ff0000 at 8", "00060000/00ff0000 at 8"


@pytest.mark.parametrize(
    "text",
    [
        u32(PROTOCOL_4),
        u32(PROTOCOL_4, "0a0a000b/ffffffff at 12"),
        u32("0a0a0000/ffff0000 at 12"),
        u32("00000000/00000000 at 0"),
        u32(PROTOCOL_4, action="trap"),
        other("matchall"),
        other("matchall", protocol="all"),
        other("matchall", actions="\taction order 1: mirred (Egress Redirect to device lo) stolen\n"),
        u32(PROTOCOL_6, action="pass") + u32(PROTOCOL_4, pref=2),
        u32("0a0a0000/ffff0000 at 12", action="goto chain 7") + u32(PROTOCOL_4, pref=2, chain=7),
    ],
)
def test_a_filter_that_surely_drops_it_is_found(text: str) -> None:
    assert fates(shown(text)) == [Fate.DROPS]


@pytest.mark.parametrize(
    "text",
    [
        "",
        u32(PROTOCOL_6),
        u32("c0000200/ffffff00 at 12"),
        u32(PROTOCOL_4, action="pass"),
        u32(PROTOCOL_4, action="pass") + u32(PROTOCOL_4, pref=2),
        u32(PROTOCOL_4, pref=2, chain=7),
        u32(PROTOCOL_6, action="goto chain 7") + u32(PROTOCOL_4, pref=2, chain=7),
        other("matchall", actions="\taction order 1: mirred (Egress Mirror to device lo) pipe\n"),
        other("matchall", protocol="ipv6"),
        other("matchall", protocol="arp"),
        other("flower", "eth_type ipv4", "ip_proto udp"),
        other("bpf", actions=GACT.format("pass")),
    ],
)
def test_a_filter_that_lets_it_pass_is_none(text: str) -> None:
    assert fates(shown(text)) == []


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        (u32("00000000/00000001 at 4"), Fate.MAY_DROP),
        (u32("00040000/00ff0000 at nexthdr+8"), Fate.MAY_DROP),
        (u32("00000800/0000ffff at -4"), Fate.MAY_DROP),
        (other("flower", "eth_type ipv4", "ip_proto 04"), Fate.MAY_DROP),
        (other("matchall", protocol="802.1Q"), Fate.UNKNOWABLE),
        (other("bpf", "cil_from_netdev direct-action", actions=""), Fate.UNKNOWABLE),
        (other("bpf"), Fate.UNKNOWABLE),
        (other("fw"), Fate.UNKNOWABLE),
        (other("basic", "cmp(u8 at 9 layer 1 eq 4)"), Fate.UNKNOWABLE),
        (
            other("matchall", actions=" police 0x1 rate 1Mbit burst 10Kb mtu 2Kb action drop overhead 0b \n"),
            Fate.UNKNOWABLE,
        ),
        (
            other(
                "matchall",
                actions="\taction order 1: gact action pass\n\t random type netrand drop val 3\n",
            ),
            Fate.MAY_DROP,
        ),
    ],
)
def test_what_cannot_be_told_is_said_to_be_so(text: str, fate: Fate) -> None:
    assert fates(shown(text)) == [fate]


def test_what_one_device_or_way_drops_is_no_matter_of_another() -> None:
    text = shown(u32(PROTOCOL_4)) + shown(u32(PROTOCOL_6), way="egress")
    assert fates(text, ANSWER, "ingress") == []
    assert met_by(OUTER, filters_of(text), "eth1", "ingress") == []


def test_what_tc_shows_for_both_ways_is_not_sure_to_be_of_either() -> None:
    text = shown(u32(PROTOCOL_4)) + shown(u32(PROTOCOL_4), way="egress")
    assert fates(text) == [Fate.MAY_DROP]


def test_an_answer_is_told_by_its_vip_and_port() -> None:
    vip, port = "0a630001/ffffffff at 12", "00500000/ffff0000 at 20"
    assert fates(shown(u32(PROTOCOL_6, vip, port), way="egress"), ANSWER, "egress") == [Fate.DROPS]
    assert fates(shown(u32(PROTOCOL_6, vip, "01bb0000/ffff0000 at 20"), way="egress"), ANSWER, "egress") == []


def test_a_chain_that_leads_to_itself_ends() -> None:
    text = u32(PROTOCOL_4, action="goto chain 7") + u32(PROTOCOL_4, action="goto chain 7", pref=2, chain=7)
    assert fates(shown(text)) == []


def test_drops_are_counted_by_filter() -> None:
    found = filters_of(shown(u32(PROTOCOL_4, dropped=3), u32(PROTOCOL_6, pref=2, dropped=5)))
    assert dropped_by(found) == {
        "tc filter dev eth0 ingress pref 1 u32": 3,
        "tc filter dev eth0 ingress pref 2 u32": 5,
    }


def test_what_is_taken_elsewhere_is_counted_too() -> None:
    redirect = "\taction order 1: mirred (Egress Redirect to device lo) stolen\n"
    actions = f"{redirect}\tSent 90 bytes 7 pkt (dropped 0, overlimits 0 requeues 0) \n"
    assert dropped_by(filters_of(shown(other("matchall", actions=actions)))) == {
        "tc filter dev eth0 ingress pref 1 matchall": 7
    }


def test_recorded_filters_are_followed(case: Callable[[str], str]) -> None:
    facts = parse("web2", case("lab-web-tc"))
    assert isinstance(facts.filters, tuple)
    met = met_by(OUTER, facts.filters, "eth0", "ingress")
    assert [(each.filter.kind, each.filter.pref, each.fate) for each in met] == [
        ("bpf", 5, Fate.UNKNOWABLE),
        ("u32", 6, Fate.UNKNOWABLE),
    ]
    out = met_by(ANSWER, facts.filters, "eth0", "egress")
    assert [(each.filter.pref, each.fate) for each in out] == [(1, Fate.MAY_DROP)]
    assert not isinstance(facts.counted, Unknown)
    assert facts.counted["tc filter dev eth0 ingress pref 5 bpf"] == 0


@pytest.mark.parametrize(
    "garbage", ["device eth0 ingress", "device eth0 ingress\nfilter", "filter protocol ip", "\x00"]
)
def test_garbage_is_no_filter(garbage: str) -> None:
    assert filters_of(garbage) == ()


def test_chains_that_lead_to_each_other_are_walked_once() -> None:
    unclear = "00000000/00000001 at 4"
    gotos = [
        u32(unclear, action=f"goto chain {chain + 1}", pref=pref, chain=chain)
        for chain in range(8)
        for pref in range(1, 40)
    ]
    assert fates(shown(*gotos, u32(PROTOCOL_4, pref=99, chain=8))) == [Fate.MAY_DROP]
