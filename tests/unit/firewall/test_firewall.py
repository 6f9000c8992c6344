"""The firewall check on rule sets as real firewalls write them; tests/lab holds them against the kernel."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.firewall import Ruleset, parse_ipsets, parse_nft, parse_save
from ferryman.firewall.nat import NatTable
from ferryman.model import Director, Finding, Kind, Realserver, Role, Service, Verdict
from ferryman.realservers.checks.firewall import firewall
from ferryman.realservers.checks.open_decapsulator import open_decapsulator
from ferryman.realservers.facts.parse import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.realservers.facts import Facts

CASES = Path(__file__).parent / "cases"
FACTS = Path(__file__).parents[1] / "realservers" / "cases"
RS = Realserver("web1", Kind.SERVER, None, None)
NAMED = replace(RS, address=ip_address("10.10.0.21"), address6=ip_address("fd10::21"))  # type: ignore[arg-type]  # one of each version
V4, V6, INGRESS = "10.99.0.1:80", "[fd99::1]:80", "10.99.0.4:30443"
CALICO_SETS = "create cali40all-hosts-net hash:net family inet hashsize 1024 maxelem 1048576\n"


def director(*outer_sources: str) -> Director:
    sources = tuple(ip_address(outer_source) for outer_source in outer_sources)
    return Director("lvs1", Role.PRIMARY, "ipvsadm", {}, None, None, sources)


def rules(name: str, version: int = 4, sets: str = "", tool: str = "iptables-legacy") -> Ruleset:
    """A recorded or composed rule set, by the name of its file."""
    text = (CASES / f"firewall-{name}").read_text()
    if name.endswith(".json"):
        return Ruleset(parse_nft(text))
    return Ruleset(parse_save(text, tool, version, parse_ipsets(sets)))


def saved(*lines: str, policy: str = "ACCEPT", version: int = 4) -> Ruleset:
    """A filter table of iptables with these rules."""
    text = "\n".join(("*filter", f":INPUT {policy} [0:0]", *(f"-A {line}" for line in lines), "COMMIT"))
    return Ruleset(parse_save(text, "iptables-nft", version, {}))


@pytest.fixture(name="host")
def a_host() -> Callable[[Ruleset], Facts]:
    """A healthy host with these rules."""
    healthy = parse("web1", (FACTS / "bullseye-plain.txt").read_text())
    return lambda ruleset: replace(healthy, firewall=ruleset, nat=NatTable(ruleset))


@pytest.fixture(name="judge")
def judgement(
    service_of: Callable[..., Service], host: Callable[[Ruleset], Facts]
) -> Callable[..., list[Finding]]:
    """What the check says of a host with these rules, outer packets first."""

    def judge(
        ruleset: Ruleset, *sources: str, vip: str = V4, realserver: Realserver = NAMED
    ) -> list[Finding]:
        service = replace(service_of(vip.replace("[", "").replace("]", "")), directors=(director(*sources),))
        return list(firewall(service, realserver, host(ruleset)))

    return judge


@dataclass(frozen=True)
class Row:
    """Rules, the directors' outer sources, and the verdicts: of the outer packet, and of what it holds."""

    rules: Ruleset
    sources: tuple[str, ...]
    verdicts: str
    words: str = ""
    vip: str = V4


LBS = ("10.10.0.11", "172.16.1.1")
ROWS = {
    "no rules": Row(Ruleset(), LBS, "pass pass"),
    "Wikimedia's nftables": Row(rules("wikimedia.json"), LBS, "pass pass"),
    "Wikimedia's nftables, IPv6": Row(rules("wikimedia.json"), ("fd10::11", "100::1"), "pass pass", vip=V6),
    "Wikimedia's nftables, one director of another network": Row(
        rules("wikimedia.json"), (*LBS, "10.20.0.11"), "fail pass",
        "IP protocol 4 from 10.20.0.11 is dropped by nft inet base input: policy drop",
    ),
    "Wikimedia's nftables, a director that is blocked": Row(
        rules("wikimedia.json"), ("192.0.2.7",), "fail pass", 'ip saddr @BLOCKED drop comment "abuse"'
    ),
    "Wikimedia's nftables, another port": Row(
        rules("wikimedia.json"), LBS, "pass fail", "tcp 10.99.0.1:8080 is dropped", vip="10.99.0.1:8080"
    ),
    "ipip is 94": Row(
        rules("ipip94.save"), LBS[:1], "fail pass", "ipip is 94; write ipencap or 4 in: -A INPUT"
    ),
    "ipip is 94, in nft": Row(
        rules("ipip94.json"), LBS[:1], "fail pass",
        "ipip is 94; write ipencap or 4 in: ip saddr 10.10.0.0/24 ip protocol ipip accept; or nft insert",
    ),
    "comments that begin with a dash": Row(rules("dashcomment.save"), LBS[:1], "pass pass"),
    "every string that looks like an option": Row(rules("comments.save"), LBS[:1], "pass pass"),
    "ferm": Row(rules("ferm.save"), LBS, "pass pass"),
    "ferm, a director that it does not know": Row(
        rules("ferm.save"), ("10.10.0.12",), "fail pass", "iptables-legacy filter INPUT: policy drop"
    ),
    "ferm, sources unknown": Row(rules("ferm.save"), (), "warn pass", "from anybody"),
    "ufw as it comes": Row(rules("ufw.save"), LBS, "fail pass", "INPUT: policy drop"),
    "ufw, SSH is rate limited": Row(rules("ufw.save"), LBS, "fail warn", vip="10.99.0.1:22"),
    "firewalld as it comes": Row(rules("firewalld.json"), LBS, "fail pass", "filter_IN_public: reject"),
    "firewalld with a rule for the directors": Row(rules("firewalld-open.json"), LBS[:1], "pass pass"),
    "firewalld's reverse path filter of IPv6": Row(
        rules("firewalld.json"), ("fd10::11",), "fail fail", "fib saddr . mark . iif oif missing drop", vip=V6
    ),
    "kube-proxy's nftables": Row(rules("kube-proxy.json"), LBS, "pass pass", vip=INGRESS),
    "kube-proxy's nftables, a service without endpoints": Row(
        rules("kube-proxy.json"), LBS, "pass fail", "service-endpoints-check", vip="10.99.0.5:9200"
    ),
    "Calico, its set not shown": Row(
        rules("calico.save"), LBS, "warn skip", "externalNodesList", vip=INGRESS
    ),
    "Calico, directors in its set": Row(
        rules("calico.save", sets=f"{CALICO_SETS}add cali40all-hosts-net 10.10.0.11\n"), LBS[:1], "pass skip",
        vip=INGRESS,
    ),
    "Calico, directors not in its set": Row(
        rules("calico.save", sets=f"{CALICO_SETS}add cali40all-hosts-net 10.10.0.31\n"), LBS, "fail skip",
        "Drop IPIP packets from non-Calico hosts", vip=INGRESS,
    ),
    "iptables' rules that nft alone was asked for": Row(rules("iptables-dnat.json"), LBS, "pass pass"),
    "rules of the other IP version": Row(rules("ferm.save", version=6), ("10.20.0.1",), "pass pass"),
    "uncertain accept before a policy that drops": Row(
        saved("INPUT -p 4 -m u32 --u32 0x1 -j ACCEPT", "INPUT -p tcp -j ACCEPT", policy="DROP"),
        LBS, "warn pass",
    ),
    "uncertain accept before a policy that accepts": Row(
        saved("INPUT -p 4 -m u32 --u32 0x1 -j ACCEPT"), LBS, "pass pass"
    ),
    "uncertain drop": Row(saved("INPUT -m u32 --u32 0x1 -j DROP"), LBS, "warn warn"),
    "uncertain drop behind a sure accept": Row(
        saved("INPUT -p 4 -j ACCEPT", "INPUT -p tcp -j ACCEPT", "INPUT -m u32 --u32 0x1 -j DROP"),
        LBS, "pass pass",
    ),
    "an uncertain log": Row(saved("INPUT -m u32 --u32 0x1 -j LOG"), LBS, "pass pass"),
    "a queue to a program": Row(saved("INPUT -p 4 -j NFQUEUE --queue-num 1"), LBS, "warn pass"),
    "a target that is not known": Row(saved("INPUT -p 4 -j NEWFANGLED"), LBS, "warn pass"),
    "a ring of chains": Row(saved("INPUT -j A", "A -j B", "B -j A"), LBS, "pass pass"),
    "some clients alone": Row(saved("INPUT -p tcp ! -s 10.0.0.0/8 -j DROP"), LBS, "pass warn"),
    "a blocked network of clients": Row(saved("INPUT -s 192.0.2.0/24 -j DROP"), LBS, "pass pass"),
    "a list of impossible sources": Row(
        saved("INPUT -p tcp -s 203.0.113.0/24 -j DROP", "INPUT -p tcp -s 198.51.100.0/24 -j DROP"),
        LBS, "pass pass",
    ),
}  # fmt: skip
"""Verdicts of the packet from the directors and of what comes out of it."""


@pytest.mark.parametrize("name", ROWS)
def test_each_rule_set_is_judged_as_it_should_be(name: str, judge: Callable[..., list[Finding]]) -> None:
    row = ROWS[name]
    found = judge(row.rules, *row.sources, vip=row.vip)
    assert " ".join(finding.verdict.value for finding in found) == row.verdicts
    assert row.words in " ".join(str(finding) for finding in found)


def test_a_remedy_lets_the_directors_in_and_no_others(judge: Callable[..., list[Finding]]) -> None:
    outer, _ = judge(rules("ufw.save"), *LBS)
    assert outer.remedy.startswith(
        "iptables-legacy -t filter -I INPUT -s 10.10.0.11,172.16.1.1 -p 4 -j ACCEPT;"
    )
    outer, inner = judge(rules("wikimedia.json"), "10.20.0.11", vip="10.99.0.1:8080")
    assert outer.remedy.startswith(
        "nft insert rule inet base input ip saddr { 10.20.0.11 } meta l4proto 4 accept;"
    )
    assert 'iifname "ipip0" ip daddr 10.99.0.1 tcp dport 8080 accept' in inner.remedy


def test_no_remedy_lets_anybody_in_where_the_directors_are_not_known(
    judge: Callable[..., list[Finding]],
) -> None:
    outer, _ = judge(saved("INPUT -p 4 -j DROP"))
    assert outer.verdict is Verdict.FAIL
    assert outer.remedy == "name the directors' outer sources in directors.yaml, and let those in"


def test_rules_that_could_not_be_read_are_unknown(judge: Callable[..., list[Finding]]) -> None:
    found = judge(Ruleset(unread=("nft: Operation not permitted",)), *LBS)
    assert {finding.verdict for finding in found} == {Verdict.UNKNOWN}
    assert "Operation not permitted" in found[0].seen


def test_a_drop_that_was_read_is_a_drop_whatever_was_not(judge: Callable[..., list[Finding]]) -> None:
    outer, inner = judge(replace(saved("INPUT -p 4 -j DROP"), unread=("nft: cut off",)), *LBS)
    assert (outer.verdict, inner.verdict) == (Verdict.FAIL, Verdict.UNKNOWN)


def test_without_the_realservers_address_rules_for_addresses_are_open(
    judge: Callable[..., list[Finding]],
) -> None:
    by_address = saved("INPUT -p 4 -d 10.10.0.21 -j DROP")
    assert judge(by_address, *LBS)[0].verdict is Verdict.FAIL
    assert judge(by_address, *LBS, realserver=RS)[0].verdict is Verdict.WARN
    assert judge(saved("INPUT -p 4 -j DROP"), *LBS, realserver=RS)[0].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("name", "vip"),
    [("4", V4), ("ipencap", V4), ("IP-ENCAP", V4), ("ipv4", V4), ("0x4", V4), ("41", V6), ("ipv6", V6)],
)
def test_the_encapsulation_is_known_by_number_and_by_every_name(
    name: str, vip: str, judge: Callable[..., list[Finding]]
) -> None:
    version, source = (4, "10.10.0.11") if vip == V4 else (6, "fd10::11")
    dropped = saved(f"INPUT -p {name} -j DROP", version=version)
    assert [finding.verdict for finding in judge(dropped, source, vip=vip)] == [Verdict.FAIL, Verdict.PASS]


GUARDED = saved("INPUT -p 4 ! -s 10.10.0.0/24 -j DROP")


@pytest.mark.parametrize(
    ("ruleset", "verdict"),
    [
        (Ruleset(), Verdict.WARN),
        (GUARDED, Verdict.PASS),
        (rules("wikimedia.json"), Verdict.PASS),
        (rules("ferm.save"), Verdict.PASS),
        (rules("ipip94drop.save"), Verdict.WARN),
        (saved("INPUT -s 203.0.113.0/24 -j DROP"), Verdict.WARN),
        (saved("INPUT -p 4 -m u32 --u32 0x1 -j DROP"), Verdict.SKIP),
        (rules("calico.save"), Verdict.SKIP),
        (Ruleset(unread=("nft: cut off",)), Verdict.SKIP),
    ],
)
def test_a_decapsulator_is_open_when_an_unnamed_source_is_let_in_for_sure(
    ruleset: Ruleset, verdict: Verdict, service_of: Callable[..., Service], host: Callable[[Ruleset], Facts]
) -> None:
    service = replace(service_of(V4), directors=(director("10.10.0.11"),))
    (found,) = open_decapsulator(service, NAMED, host(ruleset))
    assert found.verdict is verdict
    assert ("ip saddr != { 10.10.0.11 } drop" in found.remedy) is (verdict is Verdict.WARN)


@pytest.mark.parametrize("release", ["bullseye", "bookworm", "trixie"])
@pytest.mark.parametrize(
    ("source", "vip", "verdicts"),
    [
        ("172.16.1.1", V4, "pass pass"),
        ("fd10::11", V6, "pass pass"),
        ("10.10.0.12", "10.99.0.1:81", "fail fail"),
        ("fd20::11", "[fd99::1]:82", "fail fail"),
    ],
)
def test_nft_of_each_debian_is_understood_alike(
    release: str, source: str, vip: str, verdicts: str, judge: Callable[..., list[Finding]]
) -> None:
    """0.9.8, 1.0.6 and 1.1.3 write masks of flags differently; the rules are the same."""
    found = judge(rules(f"flags-{release}.json"), source, vip=vip)
    assert " ".join(finding.verdict.value for finding in found) == verdicts


@pytest.mark.parametrize(
    "statement",
    [
        None,
        "accept",
        {},
        {"match": {}},
        {
            "match": {
                "op": "==",
                "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                "right": "nonsense",
            }
        },
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "ttl"}}, "right": 64}},
        {"match": {"op": "~", "left": {"meta": {"key": "l4proto"}}, "right": 4}},
        {"match": {"op": "==", "left": {"&": [{"ct": {"key": "state"}}, {"^": 1}]}, "right": "new"}},
        {"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": "@gone"}},
        {"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": [7]}}},
        {"xt": None},
        {"limit": {"rate": 5, "per": "second"}},
        {"newfangled": {"a": 1}},
    ],
)
def test_a_statement_that_is_not_understood_leaves_its_drop_uncertain(
    statement: object, judge: Callable[..., list[Finding]]
) -> None:
    chain = {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0}
    rule = {"family": "ip", "table": "t", "chain": "c", "expr": [statement, {"drop": None}]}
    text = json.dumps(
        {"nftables": [{"table": {"family": "ip", "name": "t"}}, {"chain": chain}, {"rule": rule}]}
    )
    assert {finding.verdict for finding in judge(Ruleset(parse_nft(text)), "10.10.0.11")} == {Verdict.WARN}


@pytest.mark.parametrize(
    "rule",
    [
        "INPUT stray words -j DROP",
        "INPUT -j MARK --set-xmark x/y",
        "INPUT -p 4 -m tos --tos 0x1 -j DROP",
    ],
)
def test_a_rule_of_iptables_that_is_not_understood_leaves_it_uncertain(
    rule: str, judge: Callable[..., list[Finding]]
) -> None:
    assert judge(saved(rule), "10.10.0.11")[0].verdict is Verdict.WARN
