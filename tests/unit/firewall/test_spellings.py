"""What a rule says, in each of the spellings that iptables-save prints and iptables-restore takes.

What the kernel makes of them was asked of iptables 1.8.9, of both kinds, and of nft 1.0.6.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.firewall import (
    Packet,
    PacketVerdict,
    Ruleset,
    parse_ipsets,
    parse_nft,
    parse_save,
    protocols_of,
)
from ferryman.firewall.protocols import STANDARD, protocol_number
from ferryman.firewall.save_lines import parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

DROP, ACCEPT, UNKNOWN = PacketVerdict.DROP, PacketVerdict.ACCEPT, PacketVerdict.UNKNOWN
OUTER = Packet(
    "ipencap", ip_address("10.10.0.21"), None, "eth0", True, ip_address("10.10.0.11"), holder="eth0"
)
INNER = Packet("tcp", ip_address("10.99.0.1"), 80, "ipip0", True, unwrapped=True, holder="lo")
OLD_FILE = "ip 0 IP\nipencap 4 IP-ENCAP # IP in IP\ntcp 6 TCP\n"


def by_iptables(
    *rules: str, sets: str = "", protocols: Mapping[str, int | None] = STANDARD, before: str = ""
) -> Ruleset:
    lines = "\n".join(rules)
    text = f"*filter\n:INPUT ACCEPT [0:0]\n{before}{lines}\nCOMMIT\n"
    return Ruleset(parse_save(text, "iptables-legacy", 4, parse_ipsets(sets)), protocols=protocols)


def by_nft(*statements: object, named: tuple[object, ...] = ()) -> Ruleset:
    chain = {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input", "prio": 0}
    rule = {"family": "inet", "table": "t", "chain": "c", "expr": [*statements, {"drop": None}]}
    objects = [{"table": {"family": "inet", "name": "t"}}, *named, {"chain": chain}, {"rule": rule}]
    return Ruleset(parse_nft(json.dumps({"nftables": objects})))


def matches(left: object, right: object, operator: str = "==") -> dict[str, object]:
    return {"match": {"op": operator, "left": left, "right": right}}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ipencap", 4), ("IP-ENCAP", 4), ("ipv4", 4), ("4", 4), ("0x4", 4), ("04", 4), ("010", 8),
        ("ipip", 94), ("IPIP", 94), ("94", 94), ("encap", 98), ("ipv6", 41), ("IPv6", 41), ("41", 41),
        ("ipv6-icmp", 58), ("icmpv6", 58), ("ipv6-nonxt", 59), ("IPv6-NoNxt", 59), ("esp", 50), ("ah", 51),
        ("gre", 47), ("sctp", 132), ("udplite", 136), ("ip", 0), ("hopopt", 0),
        ("ip4", None), ("ipinip", None), ("08", None), ("4 ", 4), ("", None), ("0xg", None), ("²", None),
    ],
)  # fmt: skip
def test_a_protocol_has_the_number_that_its_name_has_in_etc_protocols(name: str, number: int | None) -> None:
    assert protocol_number(name) == number


def test_a_hosts_own_names_are_what_its_rules_are_written_in() -> None:
    """iptables-save prints names by the host's file: one in which ipip is 4 prints 4 so."""
    own = protocols_of("ipip 4 IPIP\nother 94\n")
    assert by_iptables("-A INPUT -p ipip -j DROP", protocols=own).traverse(OUTER).verdict is DROP
    assert by_iptables("-A INPUT -p ipip -j DROP").traverse(OUTER).verdict is ACCEPT


def test_a_name_that_a_host_gives_to_two_numbers_is_unknown() -> None:
    own = protocols_of("ipip 4\nipip 94\n")
    assert by_iptables("-A INPUT -p ipip -j DROP", protocols=own).traverse(OUTER).verdict is UNKNOWN


def test_what_a_hosts_file_does_not_have_is_as_elsewhere() -> None:
    assert protocols_of(OLD_FILE)["ipip"] == 94
    assert protocols_of("") is STANDARD
    assert protocols_of("garbled\nip²\nx ²\n\0") is STANDARD


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("-p ipip", ACCEPT), ("! -p ipip", DROP), ("-p ipencap", DROP), ("! -p ipencap", ACCEPT),
        ("-p ! ipencap", ACCEPT), ("--protocol 4", DROP), ("--proto=4", DROP), ("-p all", DROP),
        ("-p 0", DROP), ("-p ip", DROP), ("-p newfangled", UNKNOWN), ("! -p newfangled", UNKNOWN),
        ("-s 10.10.0.0/24", DROP), ("! -s 10.10.0.0/24", ACCEPT), ("-s ! 10.10.0.0/24", ACCEPT),
        ("--source 10.10.0.0/255.255.255.0", DROP), ("--src 10.10.0.12", ACCEPT),
        ("--sou 10.10.0.11", UNKNOWN), ("--in-int eth0", DROP),
        ("-s 10.0.0.0/255.0.255.0", UNKNOWN), ("-s 192.0.2.1,10.10.0.11", DROP),
        ("-i eth+", DROP), ("! -i eth0", ACCEPT), ("-i lo", ACCEPT), ("-o eth0", ACCEPT), ("! -o eth0", DROP),
        ("-f", ACCEPT), ("! -f", DROP), ("-p 4 -m conntrack --ctstate NEW,RELATED", DROP),
        ("-m state ! --state NEW", ACCEPT), ("-m conntrack --ctdir REPLY", ACCEPT),
        ("-m addrtype --dst-type LOCAL --limit-iface-in", DROP), ("-m mark --mark 0x1", ACCEPT),
        ("-m connmark --mark 0x1", UNKNOWN), ("-m connmark ! --mark 0x1", UNKNOWN), ("-c 1 2 -p 4", DROP),
        ("-m policy --dir in --pol ipsec --proto esp", UNKNOWN),
        ("-m newfangled --what -x --next -p 4", UNKNOWN),
    ],
)  # fmt: skip
def test_an_outer_packet_is_judged_by_whatever_way_a_rule_is_written(
    rule: str, verdict: PacketVerdict
) -> None:
    assert by_iptables(f"-A INPUT {rule} -j DROP").traverse(OUTER).verdict is verdict


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("-p tcp --dport 80", DROP), ("-p tcp --destination-port 80", DROP), ("-p tcp --dpor 80", DROP),
        ("-p tcp -m multiport --dpor 80,81", DROP), ("-p tcp -m tcp --dport 80:90", DROP),
        ("-p tcp -m multiport --ports 80", DROP), ("-p tcp -m multiport ! --dports 80", ACCEPT),
        ("-p tcp --syn", DROP), ("-p tcp ! --syn", ACCEPT), ("-p tcp --tcp-flags ALL SYN", DROP),
        ("-p tcp --tcp-flags ALL NONE", ACCEPT), ("-p tcp --tcp-flags SYN,ACK SYN", DROP),
        ("-p tcp ! --tcp-flags SYN,ACK SYN", ACCEPT), ("-p udp --dport 80", ACCEPT), ("-p 6", DROP),
        ("-m rpfilter --invert", DROP), ("-m rpfilter", ACCEPT), ("-m rpfilter --loose --invert", ACCEPT),
        ("-m addrtype --dst-type LOCAL", DROP), ("-m addrtype ! --dst-type LOCAL --limit-iface-in", DROP),
        ("-p tcp --dport 80 --bogus", UNKNOWN), ("-p tcp --tcp-flags SYN", UNKNOWN), ("stray", UNKNOWN),
    ],
)  # fmt: skip
def test_an_inner_packet_is_judged_by_whatever_way_a_rule_is_written(
    rule: str, verdict: PacketVerdict
) -> None:
    assert by_iptables(f"-A INPUT {rule} -j DROP").traverse(INNER).verdict is verdict


@pytest.mark.parametrize(
    "argument",
    [
        "-j", "-g", "-s", "--", "-x", '""', '"!"', '"-j DROP"', '"! -p 4"', '"-- load balancers --"',
        r'"it\'s \"-p tcp\" \\ -j DROP"',
        '"two\nlines -j DROP"', '"\n-A INPUT -j DROP\n"', '"a\u2028b\x85c\x0cd"',
        '"[0:0] -A INPUT -j DROP"', '"COMMIT"', '"#"', '"*nat"',
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "option", ["-m comment --comment", "-m string --algo bm --string", "-m recent --rcheck --name"]
)
def test_a_string_is_never_an_option(option: str, argument: str) -> None:
    """As iptables-save quotes it: only what has another character than letters, digits, ``_`` and ``-``."""
    rules = by_iptables(f"-A INPUT -s 10.10.0.11 {option} {argument} -p 4 -j DROP", "-A INPUT -p 4 -j DROP")
    parts = parts_of(rules.tables[0].chains["INPUT"].rules[0].text)
    assert (parts.jump, parts.target, parts.details) == ("-j", "DROP", ())
    assert [option.name for option in parts.matches if option.name in ("-s", "-p")] == ["-s", "-p"]
    assert len(rules.tables[0].chains["INPUT"].rules) == 2


def test_the_options_of_a_target_are_no_matches_but_those_of_iptables_itself_are() -> None:
    logged = by_iptables(
        '-A INPUT -j LOG --log-prefix "-s 1.2.3.4" --log-uid -p 4', "-A INPUT -j DROP -s 10.10.0.11"
    )
    assert logged.traverse(OUTER).verdict is DROP
    parts = parts_of('-A INPUT -j LOG --log-prefix "-s 1.2.3.4" --log-uid -p 4')
    assert [option.name for option in parts.matches] == ["-p"]
    assert [option.name for option in parts.details] == ["--log-prefix", "--log-uid"]


def test_counters_and_the_words_of_iptables_restore_are_understood() -> None:
    rules = by_iptables(
        "[5:300] -A INPUT -p 4 -j A", "-A A -j RETURN", "-I INPUT 2 -p 4 -j DROP", "-P INPUT DROP"
    )
    assert [rule.text for rule in rules.tables[0].chains["INPUT"].rules] == [
        "-A INPUT -p 4 -j A",
        "-A INPUT -p 4 -j DROP",
    ]
    assert not rules.tables[0].chains["INPUT"].accepts


@pytest.mark.parametrize("line", ["-F INPUT", "-X", "words", ":INPUT", '-A INPUT -m comment --comment "open'])
def test_a_line_that_is_not_understood_leaves_the_rules_unread(line: str) -> None:
    with pytest.raises(ValueError, match=r"not a line|quotes|unpack"):
        by_iptables(line)


@pytest.mark.parametrize(
    ("kind", "member", "sides", "verdict"),
    [
        ("hash:ip", "10.10.0.11", "src", DROP), ("hash:net", "10.10.0.0/24", "src", DROP),
        ("hash:ip", "10.10.0.12", "src", ACCEPT), ("hash:ip,port", "10.10.0.11,ipencap:0", "src,dst", DROP),
        ("hash:ip,port", "10.10.0.11,4:0", "src,dst", DROP),
        ("hash:ip,port", "10.10.0.11,ipip:0", "src,dst", ACCEPT),
        ("hash:ip,port", "10.10.0.11,new:0", "src,dst", UNKNOWN),
        ("hash:ip,port", "10.10.0.11,tcp:80", "src,dst", ACCEPT), ("bitmap:port", "80", "dst", UNKNOWN),
        ("hash:net,iface", "10.10.0.0/24,eth0", "src,src", DROP),
        ("hash:mac", "00:00:5e:00:53:01", "src", UNKNOWN),
        ("hash:net,iface", "10.10.0.0/24,eth1", "src,src", ACCEPT),
        ("hash:ip,port", "10.10.0.11", "src,dst", UNKNOWN),
        ("hash:ip,port", "10.10.0.11,ipencap:0", "src", UNKNOWN),
        ("hash:ip", "10.0.0.0/8 nomatch", "src", UNKNOWN),
    ],
)  # fmt: skip
def test_a_set_of_any_type_is_asked_for_its_parts(
    kind: str, member: str, sides: str, verdict: PacketVerdict
) -> None:
    sets = f"create s {kind} family inet\nadd s {member}\n"
    rules = by_iptables(f"-A INPUT -m set --match-set s {sides} -j DROP", sets=sets)
    assert rules.traverse(OUTER).verdict is verdict


def test_ports_in_a_set_are_of_their_protocol() -> None:
    sets = "create s hash:ip,port family inet\nadd s 10.99.0.1,tcp:80-90\n"
    sets += "create p bitmap:port range 0-99\nadd p 80\n"
    for rule in ("--match-set s dst,dst", "--match-set p dst"):
        rules = by_iptables(f"-A INPUT -m set {rule} -j DROP", sets=sets)
        assert rules.traverse(INNER).verdict is DROP
    negated = by_iptables("-A INPUT -m set ! --match-set s dst,dst -j DROP", sets=sets)
    assert negated.traverse(INNER).verdict is ACCEPT


def test_lists_of_sets_are_looked_into_once_and_lists_of_lists_never() -> None:
    sets = "create in hash:net\nadd in 10.10.0.0/24\ncreate out list:set\nadd out in\n"
    sets += "create l list:set\nadd l l\n"
    assert (
        by_iptables("-A INPUT -m set --match-set out src -j DROP", sets=sets).traverse(OUTER).verdict is DROP
    )
    assert (
        by_iptables("-A INPUT -m set --match-set l src -j DROP", sets=sets).traverse(OUTER).verdict is UNKNOWN
    )


PROTOCOL, NEXT = {"payload": {"protocol": "ip", "field": "protocol"}}, {"meta": {"key": "l4proto"}}


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        (matches(PROTOCOL, "ipip"), ACCEPT), (matches(PROTOCOL, "ipencap"), DROP),
        (matches(PROTOCOL, 4), DROP),
        (matches(PROTOCOL, "ipencap", "!="), ACCEPT), (matches(PROTOCOL, "ipip", "!="), DROP),
        (matches(NEXT, "ipip"), ACCEPT), (matches(NEXT, {"set": ["ipip", "ipencap"]}), DROP),
        (matches(NEXT, {"range": ["ipip", "ipip"]}), ACCEPT), (matches(NEXT, "new"), UNKNOWN),
        (matches(NEXT, {"range": [3, "ipv6"]}), DROP), (matches(NEXT, "@protocols"), DROP),
        ({"vmap": {"key": NEXT, "data": {"set": [["ipip", {"accept": None}]]}}}, DROP),
        ({"vmap": {"key": NEXT, "data": {"set": [["ipencap", {"accept": None}]]}}}, ACCEPT),
        (matches({"payload": {"base": "nh", "offset": 72, "len": 8}}, 4), DROP),
        (matches({"payload": {"base": "nh", "offset": 96, "len": 32}}, 4), UNKNOWN),
        (matches({"meta": {"key": "nfproto"}}, "ipv4"), DROP),
        (matches({"meta": {"key": "nfproto"}}, "ipv6"), ACCEPT),
        (matches({"meta": {"key": "oifname"}}, "eth0"), ACCEPT),
        (matches({"fib": {"result": "type", "flags": ["daddr", "iif"]}}, "local", "!="), ACCEPT),
        (matches({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False), ACCEPT),
    ],
)  # fmt: skip
def test_an_outer_packet_is_judged_by_what_nft_prints(
    statement: dict[str, object], verdict: PacketVerdict
) -> None:
    named = {"set": {"family": "inet", "table": "t", "name": "protocols", "elem": ["ipencap", "ipip"]}}
    assert by_nft(statement, named=(named,)).traverse(OUTER).verdict is verdict


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        (matches({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False), DROP),
        (matches({"fib": {"result": "oif", "flags": ["saddr", "mark", "iif"]}}, False), DROP),
        (matches({"fib": {"result": "oif", "flags": "saddr"}}, False), ACCEPT),
        (matches({"fib": {"result": "type", "flags": ["daddr", "iif"]}}, "local", "!="), DROP),
        (matches({"fib": {"result": "type", "flags": "daddr"}}, "local", "!="), ACCEPT),
        (matches({"payload": {"base": "th", "offset": 16, "len": 16}}, 80), DROP),
        (matches({"payload": {"base": "th", "offset": 16, "len": 16}}, 81), ACCEPT),
        (matches({"payload": {"protocol": "th", "field": "dport"}}, {"set": [80, 443]}), DROP),
        (matches({"ct": {"key": "state"}}, ["established", "related"], "in"), ACCEPT),
        (matches({"ct": {"key": "state"}}, ["new", "untracked"], "in"), DROP),
        ({"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["new", {"accept": None}]]}}}, ACCEPT),
        ({"synproxy": {"mss": 1460}}, UNKNOWN), ({"flow": {"op": "add", "flowtable": "@f"}}, DROP),
        ({"queue": {"num": 1}}, UNKNOWN),
    ],
)  # fmt: skip
def test_an_inner_packet_is_judged_by_what_nft_prints(
    statement: dict[str, object], verdict: PacketVerdict
) -> None:
    assert by_nft(statement).traverse(INNER).verdict is verdict


def test_a_comment_of_nft_is_no_statement_and_no_end_of_a_line() -> None:
    comment = "-j DROP; } ip protocol 4 drop # \u2028 \x85"
    rule = {"family": "ip", "table": "t", "chain": "c", "comment": comment, "expr": [{"counter": None}]}
    chain = {"family": "ip", "table": "t", "name": "c", "hook": "input", "type": "filter", "prio": 0}
    objects = [{"table": {"family": "ip", "name": "t"}}, {"chain": chain}, {"rule": rule}]
    text = json.dumps({"nftables": objects}, ensure_ascii=False)
    assert Ruleset(parse_nft(text)).traverse(OUTER).verdict is ACCEPT
