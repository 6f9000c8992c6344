from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.fleet.nat import NatTable, Packet, parse_rules

if TYPE_CHECKING:
    from ferryman.model import Protocol


def a_packet(
    vip: str = "10.99.0.4", port: int = 80, *, local: bool = False, protocol: Protocol = "tcp"
) -> Packet:
    return Packet(protocol, ip_address(vip), port, "ipip0", local)


def by_iptables(*rules: str) -> NatTable:
    return NatTable({4: parse_rules("\n".join(f"-A {rule}" for rule in rules))})


NOBODY = {
    "no rule": [],
    "another address": ["PREROUTING -d 10.99.0.5/32 -j DNAT --to-destination 10.1.1.1"],
    "another port": ["PREROUTING -p tcp --dport 81 -j DNAT --to-destination 10.1.1.1"],
    "another protocol": ["PREROUTING -p udp --dport 80 -j DNAT --to-destination 10.1.1.1"],
    "another way in": ["PREROUTING -i eth0 -p tcp --dport 80 -j DNAT --to-destination 10.1.1.1"],
    "not this address": ["PREROUTING ! -d 10.99.0.4/32 -j DNAT --to-destination 10.1.1.1"],
    "local addresses alone": ["PREROUTING -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.1.1.1"],
    "a chain that nothing jumps to": ["LONELY -p tcp --dport 80 -j DNAT --to-destination 10.1.1.1"],
    "only packets on the way out": ["OUTPUT -p tcp --dport 80 -j DNAT --to-destination 10.1.1.1"],
    "a jump for others": ["PREROUTING -d 10.99.0.5 -j A", "A -j DNAT --to-destination 10.1.1.1"],
    "a ring of chains": ["PREROUTING -j A", "A -j B", "B -j A"],
    "a target that takes nothing": ["PREROUTING -d 10.99.0.4/32 -j MARK --set-xmark 0x1"],
}


@pytest.mark.parametrize("case", NOBODY)
def test_rules_that_do_not_take_the_packet(case: str) -> None:
    assert by_iptables(*NOBODY[case]).taker(a_packet()) is None


TAKEN = {
    "address and port": [
        "PREROUTING -d 10.99.0.4/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.1.1.1"
    ],
    "a network": ["PREROUTING -d 10.99.0.0/24 -j DNAT --to-destination 10.1.1.1"],
    "a range of ports": ["PREROUTING -p tcp --dport 79:81 -j REDIRECT --to-ports 8080"],
    "several ports": ["PREROUTING -p tcp -m multiport --dports 443,80 -j DNAT --to-destination 10.1.1.1"],
    "any device of a kind": ["PREROUTING -i ipip+ -j DNAT --to-destination 10.1.1.1"],
    "not another address": ["PREROUTING ! -d 10.99.0.5/32 -j DNAT --to-destination 10.1.1.1"],
    "over two chains": ["PREROUTING -j A", "A -d 10.99.0.4 -g B", "B -j DNAT --to-destination 10.1.1.1"],
    "with a chance": [
        "PREROUTING -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.1.1.1"
    ],
    "with a comment that has spaces": [
        'PREROUTING -m comment --comment "not -d 10.9.9.9" -d 10.99.0.4 -j DNAT --to-destination 10.1.1.1'
    ],
    "not local addresses": [
        "PREROUTING -m addrtype ! --dst-type LOCAL -j DNAT --to-destination 10.1.1.1",
    ],
    "after a rule for others": [
        "PREROUTING -d 10.99.0.5 -j DNAT --to-destination 10.1.1.1",
        "PREROUTING -d 10.99.0.4 -j DNAT --to-destination 10.1.1.2",
    ],
}


@pytest.mark.parametrize("case", TAKEN)
def test_rules_that_take_the_packet(case: str) -> None:
    assert by_iptables(*TAKEN[case]).taker(a_packet()) == f"-A {TAKEN[case][-1]}"


def test_a_rule_for_local_addresses_takes_a_packet_for_one() -> None:
    table = by_iptables("PREROUTING -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.1.1.1")
    assert table.taker(a_packet(local=True)) is not None


def test_a_rule_of_the_other_family_takes_nothing() -> None:
    rules = parse_rules("-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination [fd10::1]:80")
    assert NatTable({6: rules}).taker(a_packet()) is None
    assert NatTable({6: rules}).taker(a_packet("fd99::1")) is not None


NFT_NOBODY = [
    "ip daddr 10.99.0.4 tcp dport 81 dnat to 10.1.1.1:80",
    "ip daddr 10.99.0.40 tcp dport 80 dnat to 10.1.1.1:8080",
    "ip daddr 10.99.0.4 tcp dport 80 accept",
    "ip saddr 10.1.1.1 tcp dport 80 dnat to 10.1.1.2",
    "elements = { 10.99.0.4 . tcp . 81 : goto service-A, 10.99.0.5 . tcp . 80 : goto service-B }",
    "elements = { 10.99.0.4 . tcp . 80 : goto reject-chain }",
    "elements = { 10.99.0.4 . tcp . 80 : drop }",
    "elements = { 10.99.0.4 . tcp . 80 }",
]


@pytest.mark.parametrize("ruleset", NFT_NOBODY)
def test_nft_statements_that_do_not_take_the_packet(ruleset: str) -> None:
    assert NatTable(nft=ruleset).taker(a_packet()) is None


NFT_TAKEN = [
    "\t\tip daddr 10.99.0.4 tcp dport 80 counter packets 0 bytes 0 dnat to 10.1.1.1:8080",
    "ip daddr { 10.99.0.3, 10.99.0.4 } tcp dport { 80, 443 } dnat to 10.1.1.1",
    "ip daddr 10.99.0.4 tcp dport 80 redirect to :8080",
    "ip daddr 10.99.0.4 tcp dport 80 jump KUBE-EXT",
    "dnat ip to ip daddr . tcp dport map { 10.99.0.4 . 80 : 10.1.1.1 . 8080, 10.99.0.9 . 1 : 10.1.1.2 . 2 }",
    "elements = { 10.96.0.1 . tcp . 443 : goto service-A,\n 10.99.0.4 . tcp . 80 : goto external-B }",
]


@pytest.mark.parametrize("ruleset", NFT_TAKEN)
def test_nft_statements_that_take_the_packet(ruleset: str) -> None:
    assert NatTable(nft=ruleset).taker(a_packet()) is not None


def test_a_named_set_that_is_not_followed_is_told() -> None:
    table = NatTable(nft="chain p {\n  ip daddr @vips tcp dport 80 dnat to 10.1.1.1\n}")
    assert table.taker(a_packet()) is None
    assert table.unfollowed() == "ip daddr @vips tcp dport 80 dnat to 10.1.1.1"
    assert NatTable(nft="ip saddr @lbs accept").unfollowed() is None
