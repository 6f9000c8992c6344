"""The facts that one script reads of a lab's host, against what a command of its own says of each."""

from __future__ import annotations

import json
import re
import shlex
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from ferryman.hosts.completed import Completed
from ferryman.hosts.verbs.realservers import ReadCounters, ReadFacts
from ferryman.realservers.facts import Pod, Unknown
from ferryman.realservers.facts.devices import devices_of
from ferryman.realservers.facts.routing import Lookup, NoRoute, Route
from ferryman.realservers.facts.values import LocalRoute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.hosts.verbs import Verb
    from ferryman.realservers.facts import Facts
    from lab.running import RunningLab

pytestmark = pytest.mark.lab

LOOKUPS = tuple(
    Lookup(ip_address(to), ip_address(of))
    for to, of in (
        ("203.0.113.9", "10.99.0.1"),
        ("10.10.0.11", "10.99.0.1"),
        ("10.20.0.2", "10.99.0.1"),
        ("fd20::2", "fd99::1"),
    )
)
SETTINGS = ("rp_filter", "arp_ignore", "arp_announce", "disable_ipv6")
SWITCHES = ("src_valid_mark", "accept_local", "tcp_l3mdev_accept", "udp_l3mdev_accept", "tcp_fwmark_accept")
ODD = """
ip rule add pref 77 fwmark 5 lookup 9
ip -6 rule add pref 78 from fd99::7 lookup 9
ip route add prohibit 203.0.113.0/24
ip addr add 10.99.7.7/32 dev lo
sysctl -qw net.ipv4.conf.eth0.src_valid_mark=1
iptables-legacy -A INPUT -s 203.0.113.7 -j ACCEPT
tc qdisc add dev eth0 clsact
tc filter add dev eth0 ingress protocol ip pref 7 u32 match ip src 203.0.113.7/32 action pass
tc filter add dev eth0 egress protocol ip pref 9 matchall action pass
"""
USUAL = """
ip rule del pref 77; ip -6 rule del pref 78; ip route del prohibit 203.0.113.0/24
ip addr del 10.99.7.7/32 dev lo; sysctl -qw net.ipv4.conf.eth0.src_valid_mark=0
iptables-legacy -D INPUT -s 203.0.113.7 -j ACCEPT; tc qdisc del dev eth0 clsact; :
"""


def answered(lab: RunningLab, host: str, verb: Verb[object]) -> Completed:
    mark = "standard error follows"
    script = shlex.join(["sh", "-c", verb.script, "verb", *verb.words])
    said = lab.console(
        host, f"set +e\n{script} 2>/tmp/said\nprintf '\\n{mark}\\n'; cat /tmp/said; rm /tmp/said"
    )
    out, _, err = said.rpartition(f"\n{mark}\n")
    return Completed(host, verb.shown, 0, out, err)


@pytest.fixture(name="host", params=["web2", "node1"])
def odd_host(lab: RunningLab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A host with something of everything that is asked for."""
    name: str = request.param
    lab.console(name, ODD)
    yield name
    lab.console(name, f"set +e\n{USUAL}")


@pytest.fixture(name="facts")
def all_facts(lab: RunningLab, host: str) -> Facts:
    """What the one script says of it."""
    verb = ReadFacts(lookups=LOOKUPS)
    return verb.value(answered(lab, host, verb))


def lines(lab: RunningLab, host: str, command: str) -> list[list[str]]:
    """What a command prints, as words."""
    return [line.split() for line in lab.console(host, command).splitlines()]


def test_one_script_says_what_single_commands_say(lab: RunningLab, host: str, facts: Facts) -> None:
    assert facts.devices == devices_of(json.loads(lab.console(host, "ip -j -d addr show")))
    local = lines(
        lab, host, "ip -4 route show table local type local; ip -6 route show table local type local"
    )
    assert not isinstance(facts.local_routes, Unknown)
    assert set(facts.local_routes) >= {
        LocalRoute(ip_network(words[1]), words[3]) for words in local if words[0] == "local"
    }
    assert len([route for route in facts.local_routes if route.prefix.version == 4]) == len(
        [words for words in local if ":" not in words[1]]
    )
    told = dict(line for line in lines(lab, host, "sysctl -a 2>/dev/null | sed 's/ = / /'") if len(line) == 2)
    devices = {
        name.removesuffix(".rp_filter").rpartition(".")[2] for name in told if name.endswith(".rp_filter")
    }
    settings = {
        (key, device): int(told[name])
        for key in SETTINGS
        for device in devices
        if (name := f"net.ipv{6 if key == 'disable_ipv6' else 4}.conf.{device}.{key}") in told
    }
    assert facts.settings == settings
    assert facts.routing.read
    switches = {
        (key, device): int(told[name])
        for key in SWITCHES
        for device in (["", *devices])
        if (name := f"net.ipv4.conf.{device}.{key}" if device else f"net.ipv4.{key}") in told
    }
    assert facts.routing.switches == switches
    assert facts.routing.switches["src_valid_mark", "eth0"] == 1
    assert facts.kernel == lab.console(host, "uname -r").strip()
    assert not isinstance(facts.listeners, Unknown)
    assert len(facts.listeners) == len(lines(lab, host, "ss -Hltun"))


def test_routes_and_rules_are_those_of_single_commands(lab: RunningLab, host: str, facts: Facts) -> None:
    for version in (4, 6):
        priorities = [int(words[0].rstrip(":")) for words in lines(lab, host, f"ip -{version} rule show")]
        assert [rule["priority"] for rule in facts.routing.rules[version]] == priorities
    assert {rule.get("fwmark") for rule in facts.routing.rules[4]} >= {"0x5"}
    for lookup in LOOKUPS:
        said = lab.console(host, f"ip -j {lookup.words} 2>&1 || :").strip()
        route = json.loads(said)[0] if said.startswith("[") else None
        assert facts.routing.found[lookup] == (
            NoRoute(said.rpartition(": ")[2]) if route is None else Route(route["dst"], (route["dev"],))
        )
    assert isinstance(facts.routing.found[LOOKUPS[0]], NoRoute)
    assert isinstance(facts.routing.found[LOOKUPS[1]], Route) == (host == "web2")


def test_rules_filters_pods_counters_are_those_of_single_commands(
    lab: RunningLab, host: str, facts: Facts
) -> None:
    assert facts.firewall.unread == ()
    written = lab.console(host, "iptables-legacy-save; ip6tables-legacy-save")
    rules = [
        rule for table in facts.firewall.tables for chain in table.chains.values() for rule in chain.rules
    ]
    assert len(rules) == len(re.findall("^-A", written, re.MULTILINE)) > 0
    assert isinstance(facts.filters, tuple)
    assert [(each.way, each.pref, each.kind) for each in facts.filters] == [
        ("ingress", 7, "u32"),
        ("egress", 9, "matchall"),
    ]
    assert not isinstance(facts.counted, Unknown)
    for name, value in lines(lab, host, "nstat -asz | sed 1d | awk '{print $1, $2}'"):
        if name.startswith(("TcpExt", "IpExt", "Ip6", "IpIn")):
            assert facts.counted[name] <= int(value)
    counters = ReadCounters().value(answered(lab, host, ReadCounters()))
    assert counters.keys() == facts.counted.keys()
    pods = lines(lab, host, "ip netns list-id | sed -n 's/^nsid \\([0-9]*\\).*name: \\(.*\\))$/\\1 \\2/p'")
    expected = [
        Pod(
            name,
            int(number),
            devices_of(json.loads(lab.console(host, f"ip -j -n {name} addr show"))),
            {
                version: lab.console(host, f"ip -{version} -n {name} route show default").strip()
                for version in (4, 6)
            },
        )
        for number, name in pods
    ]
    assert facts.pods == (tuple(expected) if host == "node1" else ())
