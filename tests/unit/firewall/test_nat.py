from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.firewall import Ruleset, parse_nft, parse_save
from ferryman.firewall.nat import NatTable, Packet

if TYPE_CHECKING:
    from ferryman.model import Protocol

MAPPED = "dnat to ip daddr . tcp dport map { 10.99.0.9 . 1 : 10.1.1.2 . 2, 10.99.0.8 . 80 : 10.1.1.1 . 8080 }"
CASES = Path(__file__).parent / "cases"


def a_packet(
    vip: str = "10.99.0.4", port: int = 80, *, local: bool = False, protocol: Protocol = "tcp"
) -> Packet:
    return Packet(protocol, ip_address(vip), port, "ipip0", local)


def by_iptables(*rules: str) -> NatTable:
    return saved("\n".join(f"-A {rule}" for rule in rules))


def saved(rules: str, version: int = 4) -> NatTable:
    text = f"*nat\n:PREROUTING ACCEPT [0:0]\n{rules}\nCOMMIT\n"
    return NatTable(Ruleset(parse_save(text, "iptables-legacy", version, {})))


def by_nft(name: str) -> NatTable:
    return NatTable(Ruleset(parse_nft((CASES / f"firewall-{name}.json").read_text())))


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
    assert by_iptables(*NOBODY[case]).dnat_rule(a_packet()) is None


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
    assert by_iptables(*TAKEN[case]).dnat_rule(a_packet()) == f"-A {TAKEN[case][-1]}"


def test_a_rule_for_local_addresses_takes_a_packet_for_one() -> None:
    table = by_iptables("PREROUTING -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.1.1.1")
    assert table.dnat_rule(a_packet(local=True)) is not None


def test_a_rule_of_the_other_family_takes_nothing() -> None:
    table = saved("-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination [fd10::1]:80", version=6)
    assert table.dnat_rule(a_packet()) is None
    assert table.dnat_rule(a_packet("fd99::1")) is not None


@pytest.mark.parametrize(
    ("vip", "port", "rule"),
    [
        ("10.99.0.4", 80, "ip daddr 10.99.0.4 tcp dport 80 dnat to 10.1.1.1:8080"),
        ("10.99.1.1", 80, "ip daddr 10.99.1.0/24 tcp dport 80 dnat to 10.1.1.1"),
        ("10.99.2.2", 443, "ip daddr { 10.99.2.1-10.99.2.9, 10.99.3.3 } tcp dport 443 dnat to 10.1.1.1"),
        ("10.99.4.1", 8080, "ip daddr @vips tcp dport 8000-8100 dnat to 10.1.1.1"),
        ("10.99.0.9", 1, MAPPED),
        ("10.99.5.5", 25, "tcp dport 25 redirect to :2525"),
    ],
)  # fmt: skip
def test_rules_of_nft_that_take_the_packet(vip: str, port: int, rule: str) -> None:
    """Prefixes, ranges, sets with and without names, and maps are followed."""
    assert by_nft("nat").dnat_rule(a_packet(vip, port)) == rule


@pytest.mark.parametrize(
    ("vip", "port"),
    [("10.99.0.4", 82), ("10.99.0.40", 80), ("10.99.2.10", 80), ("10.99.0.8", 1), ("10.99.4.9", 80)],
)
def test_rules_of_nft_that_do_not_take_the_packet(vip: str, port: int) -> None:
    assert by_nft("nat").dnat_rule(a_packet(vip, port)) is None


@pytest.mark.parametrize(
    ("vip", "port", "taken"),
    [
        ("10.99.0.4", 30443, True),
        ("10.10.0.31", 30443, True),
        ("10.99.0.4", 30444, False),
        ("10.99.0.5", 9200, False),
        ("10.99.0.6", 8080, False),
    ],
)
def test_kube_proxys_maps_of_verdicts_are_followed(vip: str, port: int, taken: bool) -> None:
    """A service with endpoints leads to a pod, by its address or by the node's; one without is dropped."""
    assert (by_nft("kube-proxy").dnat_rule(a_packet(vip, port)) is not None) is taken


def test_a_rule_of_iptables_that_nft_cannot_say_may_take_the_packet() -> None:
    assert by_nft("iptables-dnat").dnat_rule(a_packet()) == "meta l4proto tcp xt multiport xt DNAT"
