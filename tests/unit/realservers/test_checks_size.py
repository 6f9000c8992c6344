"""What keeps full-size packets small enough for the tunnel, and the way back to direct routing."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_interface
from typing import TYPE_CHECKING

import pytest

from ferryman.firewall import Ruleset, parse_nft, parse_save
from ferryman.model import Kind, MssStrategy
from ferryman.realservers.facts import Device, Pod
from ferryman.realservers.facts.clamper import Arguments, Clamper
from unit.realservers.rows import (
    BARE_LO,
    ETH0,
    FAIL,
    LO,
    NO,
    PASS,
    SKIP,
    UNKNOWN,
    V4,
    V6,
    WARN,
    Row,
    assert_says,
    facts,
    gone,
    judge,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.model import Service

NODE, JUMBO, POD_MTU = Kind.KUBERNETES, MssStrategy.JUMBO, MssStrategy.POD_MTU


def mangle(rule: str, version: int = 4) -> Ruleset:
    chains = "".join(f":{name} ACCEPT [0:0]\n" for name in ("PREROUTING", "FORWARD", "OUTPUT", "POSTROUTING"))
    text = f"*mangle\n{chains}{rule}\nCOMMIT\n"
    tool = "iptables-legacy" if version == 4 else "ip6tables-legacy"
    return Ruleset(parse_save(text, tool, version, {}))


def clamp(mss: int, match: str = "-s 192.0.2.1/32 -p tcp --sport 80", chain: str = "OUTPUT") -> Ruleset:
    return mangle(f"-A {chain} {match} -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {mss}")


def clamper(
    line: str = "--ipv4-mss 1440 --ipv6-mss 1400 -s 192.0.2.1:80,[fd99::1]:80 -i eth0,lo",
    *,
    running: str | None = "as configured",
    active: bool = True,
    enabled: bool = True,
    stale: bool = False,
) -> Clamper:
    started = line if running == "as configured" else running
    words = None if started is None else Arguments(("tcp-mss-clamper", *started.split()))
    return Clamper(active, enabled, stale, Arguments(("tcp-mss-clamper", *line.split())), words)


LIST, OLD_LIST = "--ipv4-mss 1440 -s 192.0.2.1:80 -i eth0", "--ipv4-mss 1440 -s 192.0.2.9:80 -i eth0"

MSS = {
    "nothing lowers it": Row(
        facts(), WARN, "the MTU of eth0 is 1500, so the MSS is 1460, which is too large", "--set-mss 1440"
    ),
    "nothing lowers it for IPv6": Row(
        facts(), WARN, "MSS is 1440, which is too large", "--set-mss 1400", vips=(V6,)
    ),
    "a rule sets one byte too much": Row(
        facts(firewall=clamp(1441)), WARN, "a rule sets 1441", "--set-mss 1440"
    ),
    "a rule for another address": Row(facts(firewall=clamp(1440, "-s 192.0.2.9/32 -p tcp")), WARN),
    "a comment about a rule": Row(
        facts(firewall=mangle('-A OUTPUT -p tcp -m comment --comment "TCPMSS --set-mss 1400" -j ACCEPT')),
        WARN,
    ),
    "a rule for SYNs alone": Row(facts(firewall=clamp(1440, "-p tcp -m tcp ! --tcp-flags ACK ACK")), WARN),
    "a rule for another port": Row(facts(firewall=clamp(1440, "-p tcp --sport 8080")), WARN),
    "a rule on the way in": Row(facts(firewall=clamp(1440, "-p tcp", "PREROUTING")), WARN),
    "a rule for what a node itself sends": Row(facts(firewall=clamp(1440)), WARN, kind=NODE),
    "a rule for IPv6": Row(facts(firewall=mangle("-A OUTPUT -p tcp -j TCPMSS --set-mss 1400", 6)), WARN),
    "a rule that clamps to the path MTU": Row(
        facts(firewall=mangle("-A OUTPUT -p tcp -j TCPMSS --clamp-mss-to-pmtu")), WARN
    ),
    "a narrower path": Row(facts(firewall=clamp(1440)), WARN, "1440", "--set-mss 1340", path_mtu=1400),
    "the clamper has stopped": Row(facts(clamper=clamper(active=False, running=None)), WARN),
    "the clamper runs with an old list": Row(facts(clamper=clamper(LIST, running=OLD_LIST)), WARN),
    "the clamper is at another device": Row(
        facts(clamper=clamper("--ipv4-mss 1440 -s 192.0.2.1:80 -i eth1")), WARN
    ),
    "the devices could not be read": Row(facts(devices=NO), WARN, "nothing is to be seen"),
    "a rule for the VIP and its port": Row(facts(firewall=clamp(1440)), PASS, "a rule sets 1440"),
    "a rule for its network": Row(facts(firewall=clamp(1400, "-s 192.0.2.0/24 -p tcp")), PASS),
    "a rule for everybody": Row(facts(firewall=clamp(1400, "-p tcp", "POSTROUTING")), PASS),
    "a rule for what a node forwards": Row(facts(firewall=clamp(1400, "-p tcp", "FORWARD")), PASS, kind=NODE),
    "a rule for several ports": Row(facts(firewall=clamp(1400, "-p tcp -m multiport --sports 80,443")), PASS),
    "the clamper": Row(facts(clamper=clamper()), PASS, "tcp-mss-clamper sets 1440"),
    "the clamper for IPv6": Row(facts(clamper=clamper()), PASS, "sets 1400", vips=(V6,)),
    "looks wrong, is right: its device is small": Row(facts(replace(ETH0, mtu=1480)), PASS, "MSS is 1440"),
    "looks wrong, is right: the path is wide": Row(facts(), PASS, "MSS is 1460", path_mtu=1520),
    "looks wrong, is right: a rule beside one that sets too much": Row(
        facts(firewall=Ruleset(clamp(1460).tables + clamp(1440).tables)), PASS, "sets 1440"
    ),
    "looks wrong, is right: the clamper's unit is old, what runs is right": Row(
        facts(clamper=clamper(OLD_LIST, running=LIST)), PASS
    ),
    "looks wrong, is right: jumbo": Row(facts(), SKIP, "jumbo", mss=JUMBO),
    "looks wrong, is right: pods": Row(facts(), SKIP, "pod_mtu", mss=POD_MTU, kind=NODE),
}

CLAMPER = {
    "it does not run": Row(
        facts(clamper=clamper(active=False, running=None)), FAIL, "it does not run", "enable --now"
    ),
    "it serves an old list": Row(
        facts(clamper=clamper(LIST, running=OLD_LIST, stale=False), firewall=clamp(1440)),
        WARN,
        "what runs is not what its unit would start now",
        "systemctl restart tcp-mss-clamper.service",
    ),
    "its unit's list is without the VIP": Row(
        facts(clamper=clamper(OLD_LIST)), FAIL, "does not serve tcp 192.0.2.1:80", "give it tcp 192.0.2.1:80"
    ),
    "it sets too much": Row(facts(clamper=clamper(LIST.replace("1440", "1460"))), FAIL, "sets 1460 bytes"),
    "it is at another device": Row(
        facts(clamper=clamper("--ipv4-mss 1440 -s 192.0.2.1:80 -i eth1")), FAIL, "not at eth0, only at eth1"
    ),
    "it leaves IPv6 alone": Row(facts(clamper=clamper(LIST)), FAIL, "does not serve", vips=(V6,)),
    "it is not enabled": Row(
        facts(clamper=clamper(enabled=False)), WARN, "not after the next boot", "enable"
    ),
    "its unit has changed on disk": Row(
        facts(clamper=clamper(stale=True)), WARN, "not what its unit", "daemon-reload"
    ),
    "it has stopped, but a rule clamps": Row(
        facts(clamper=clamper(active=False, running=None), firewall=clamp(1440)), WARN, "does not run"
    ),
    "it runs where pods' MTU counts": Row(
        facts(clamper=clamper()), WARN, "pod_mtu is what keeps", "disable --now", mss=POD_MTU, kind=NODE
    ),
    "systemd could not be asked": Row(facts(clamper=NO), WARN, "no such tool", "systemctl status"),
    "it runs as it should": Row(facts(clamper=clamper()), PASS),
    "looks wrong, is right: its command line could not be read": Row(
        facts(clamper=clamper(running=None)), PASS
    ),
    "looks wrong, is right: at every device": Row(
        facts(clamper=clamper("--ipv4-mss 1440 -s 192.0.2.1:80")), PASS
    ),
    "looks wrong, is right: less than needs be": Row(
        facts(clamper=clamper(LIST.replace("1440", "1200"))), PASS
    ),
    "there is none": Row(facts(), SKIP, "there is none"),
    "stopped where pods' MTU counts": Row(
        facts(clamper=clamper(active=False, running=None)), SKIP, mss=POD_MTU, kind=NODE
    ),
}

CALI = [Device(f"cali{n}", "veth", up=True, mtu=1460, index=10 + n, peer=2, namespace=n) for n in (1, 2)]


def says(pod: Pod, mss: int) -> Pod:
    """A pod whose IPv4 default route has it say this MSS."""
    return replace(pod, routes={4: f"default via 169.254.1.1 dev eth0 advmss {mss}"})


def pod(number: int, mtu: int, address: str = "10.67.1.4/32") -> Pod:
    eth0 = Device(
        "eth0", "veth", up=True, mtu=mtu, index=2, peer=10 + number, addresses=(ip_interface(address),)
    )
    return Pod(f"pod{number}", number, {"lo": LO, "eth0": eth0})


DNAT = """*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.1/32 -p tcp --dport 80 -j DNAT --to-destination 10.67.1.4:8080
COMMIT
"""
TO_POD = Ruleset(parse_save(DNAT, "iptables-legacy", 4, {}))
PODS = {
    "one pod is too large, and a rule hands it the packets": Row(
        facts(*CALI, pods=(pod(1, 1460, "10.67.1.5/32"), pod(2, 1500)), firewall=TO_POD),
        FAIL,
        "pod2 (cali2, 1500); a rule",
        "restart these pods",
    ),
    "one pod is too large, and no rule is to be seen": Row(
        facts(*CALI, pods=(pod(1, 1460), pod(2, 1500))),
        WARN,
        "pod2 (cali2, 1500); the probe's MSS",
        "restart",
    ),
    "one pod is too large, and a rule names another": Row(
        facts(*CALI, pods=(pod(1, 1460), pod(2, 1500, "10.67.1.44/32")), firewall=TO_POD), WARN, "pod2"
    ),
    "too large, and its route says a smaller MSS": Row(
        facts(CALI[1], pods=(says(pod(2, 1500), 1440),), firewall=TO_POD),
        WARN,
        "pod2 (cali2, 1500); but their default routes say a smaller MSS",
        "restart these pods",
    ),
    "its route says one byte too much": Row(
        facts(CALI[1], pods=(says(pod(2, 1500), 1441),), firewall=TO_POD), FAIL, "a rule"
    ),
    "its route says so for the other family alone": Row(
        facts(CALI[1], pods=(says(pod(2, 1500), 1440),), firewall=TO_POD),
        FAIL,
        "a rule",
        vips=(V4, V6),
    ),
    "one says so and another does not": Row(
        facts(*CALI, pods=(says(pod(1, 1500), 1440), pod(2, 1500))),
        WARN,
        "pod2 (cali2, 1500); the probe",
    ),
    "one byte too large": Row(facts(CALI[0], pods=(pod(1, 1481),)), WARN, "1481"),
    "one byte too large for IPv6": Row(facts(CALI[0], pods=(pod(1, 1461),)), WARN, "1461", vips=(V6,)),
    "one byte too large for the one of two families": Row(
        facts(CALI[0], pods=(pod(1, 1461),)), WARN, "1461", vips=(V4, V6)
    ),
    "one pod cannot be seen": Row(
        facts(*CALI, pods=(pod(1, 1460),)),
        WARN,
        "ends of 1 devices cannot be seen; the probe's MSS decides",
        "nsenter",
    ),
    "this host's ends show it already": Row(
        facts(replace(CALI[0], mtu=1500)), WARN, "this host's ends are too large: cali1 (1500)", "nsenter"
    ),
    "the pods could not be read": Row(facts(*CALI, pods=NO), WARN, "no such tool"),
    "there are no cali devices": Row(facts(), WARN, "no cali devices"),
    "a pod of the same number elsewhere": Row(
        facts(CALI[0], pods=(replace(pod(1, 1460), namespace=7),)), WARN, "cannot be seen"
    ),
    "all fit": Row(facts(*CALI, pods=(pod(1, 1460), pod(2, 1480))), PASS, "2 pods, 1480 bytes at most"),
    "looks wrong, is right: this host's end alone is 1500": Row(
        facts(replace(CALI[0], mtu=1500), pods=(pod(1, 1460),)), PASS
    ),
    "looks wrong, is right: 1500 on a wide path": Row(
        facts(CALI[0], pods=(pod(1, 1500),)), PASS, path_mtu=1520
    ),
    "new pods will be too large": Row(
        facts(CALI[0], pods=(pod(1, 1460),), cni_mtu={"/etc/cni/net.d/10-c": 1480}), PASS
    ),
}

NIC = {
    "smaller than the path": Row(facts(replace(ETH0, mtu=1400)), FAIL, "eth0 takes 1400", "mtu 1500"),
    "jumbo on a device of 1500": Row(facts(), FAIL, "1500", "mtu 9000", mss=JUMBO, path_mtu=9000),
    "its address is nowhere": Row(facts(gone("eth0")), WARN, "10.10.0.21 is on no device", "hosts.yaml"),
    "devices could not be read": Row(facts(devices=NO), UNKNOWN, "no such tool"),
    "as large": Row(facts(), PASS, "eth0 takes 1500"),
    "larger": Row(facts(replace(ETH0, mtu=9000)), PASS, mss=JUMBO, path_mtu=1520),
    "looks wrong, is right: ipip0 is smaller": Row(facts(Device("ipip0", "ipip", up=True, mtu=1480)), PASS),
}

ARP_OFF = {("arp_ignore", "all"): 0, ("arp_announce", "all"): 0}


def arp(**values: int) -> dict[tuple[str, str], int]:
    named = {("arp_ignore" if key[0] == "i" else "arp_announce", key[2:]): n for key, n in values.items()}
    return ARP_OFF | {("arp_ignore", "eth0"): 0, ("arp_announce", "eth0"): 0} | named


ARP = {
    "it answers for the VIP": Row(
        facts(settings=arp(a_all=2)),
        WARN,
        "arp_ignore of eth0 is 0: it answers for 192.0.2.1",
        "all.arp_ignore=1",
    ),
    "it asks as the VIP": Row(
        facts(settings=arp(i_all=1)), WARN, "arp_announce of eth0 is 0", "arp_announce=2"
    ),
    "1 does not always keep it from asking so": Row(facts(settings=arp(i_all=1, a_all=1)), WARN, "eth0 is 1"),
    "4 to 7 mean nothing": Row(facts(settings=arp(i_all=4, a_all=2)), WARN, "arp_ignore of eth0 is 4"),
    "set for all": Row(facts(settings=arp(i_all=1, a_all=2)), PASS),
    "looks wrong, is right: set for eth0 alone": Row(facts(settings=arp(i_eth0=1, a_eth0=2)), PASS),
    "looks wrong, is right: 8": Row(facts(settings=arp(i_all=8, a_all=2)), PASS),
    "looks wrong, is right: the VIP is not here": Row(facts(BARE_LO, settings=arp()), SKIP, kind=NODE),
    "looks wrong, is right: IPv6 has no ARP": Row(facts(settings=arp()), SKIP, vips=(V6,)),
}

TABLES = {"mss": MSS, "clamper": CLAMPER, "pod-mtu": PODS, "nic-mtu": NIC, "arp": ARP}


@pytest.mark.parametrize(
    ("check", "name"), [(check, name) for check, rows in TABLES.items() for name in rows]
)
def test_each_host_is_judged_as_it_should_be(
    check: str, name: str, service_of: Callable[..., Service]
) -> None:
    row = TABLES[check][name]
    if check == "pod-mtu":
        row = replace(row, mss=POD_MTU, kind=NODE)
    found = judge(check, row, service_of)
    assert_says(found[:1], row)


def test_a_clamper_that_was_not_restarted_blocks_when_its_old_list_lacks_the_vip(
    service_of: Callable[..., Service],
) -> None:
    row = Row(facts(clamper=clamper(LIST, running=OLD_LIST)), PASS)
    pending, missing = judge("clamper", row, service_of)
    assert (pending.verdict, missing.verdict) == (WARN, FAIL)
    assert "its unit would" in missing.seen
    assert missing.remedy == "systemctl daemon-reload && systemctl restart tcp-mss-clamper.service"


def test_new_pods_that_will_be_too_large_are_told_beside_those_that_are_there(
    service_of: Callable[..., Service],
) -> None:
    there = facts(CALI[0], pods=(pod(1, 1460),), cni_mtu={"/etc/cni/net.d/10-calico.conflist": 1500})
    now, later = judge("pod-mtu", Row(there, PASS, kind=NODE, mss=POD_MTU), service_of)
    assert (now.verdict, later.verdict) == (PASS, WARN)
    assert later.seen == "/etc/cni/net.d/10-calico.conflist gives new pods 1500 bytes"
    assert later.remedy.startswith("set its mtu to 1480")


def test_of_many_pods_that_are_too_large_the_first_are_named(service_of: Callable[..., Service]) -> None:
    devices = [replace(CALI[0], name=f"cali{n}", index=10 + n, namespace=n) for n in range(1, 9)]
    there = facts(*devices, pods=tuple(pod(n, 1500) for n in range(1, 9)))
    (found,) = judge("pod-mtu", Row(there, PASS, kind=NODE, mss=POD_MTU), service_of)
    assert "pod5 (cali5, 1500) and 3 more" in found.seen


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        ("ip saddr 192.0.2.1 tcp sport 80", PASS),
        ("ip saddr 192.0.2.9", WARN),
        ("ip saddr != 192.0.2.9", PASS),
        ("tcp sport 443", WARN),
    ],
)
def test_a_rule_of_nft_that_sets_the_maximum_segment_size_is_read(
    statement: str, verdict: object, service_of: Callable[..., Service]
) -> None:
    text = nft(statement)
    (found,) = judge("mss", Row(facts(firewall=Ruleset(parse_nft(text))), PASS), service_of)
    assert found.verdict is verdict


def nft(statement: str) -> str:
    """What ``nft -j list ruleset`` prints of a rule in the hook output that clamps to 1440 bytes."""
    words = statement.split()
    field = {"payload": {"protocol": words[0], "field": words[1]}}
    match = {"op": "!=" if "!=" in words else "==", "left": field, "right": _value(words[-1])}
    expressions = [{"match": match}] if len(words) <= 4 else _both(words)
    option = {"mangle": {"key": {"tcp option": {"name": "maxseg", "field": "size"}}, "value": 1440}}
    chain = {"family": "inet", "table": "t", "name": "c", "type": "route", "hook": "output", "prio": -150}
    rule = {"family": "inet", "table": "t", "chain": "c", "expr": [*expressions, option]}
    table = {"family": "inet", "name": "t"}
    return json.dumps(
        {"nftables": [{"table": table}, {"chain": {**chain, "policy": "accept"}}, {"rule": rule}]}
    )


def _value(word: str) -> str | int:
    return int(word) if word.isdigit() else word


def _both(words: list[str]) -> list[object]:
    pairs = [words[:3], words[3:]]
    return [
        {"match": {"op": "==", "left": {"payload": {"protocol": a, "field": b}}, "right": _value(c)}}
        for a, b, c in pairs
    ]


def test_a_udp_service_is_told_that_nothing_protects_it(service_of: Callable[..., Service]) -> None:
    (found,) = judge("udp", Row(facts(), PASS, protocol="udp"), service_of)
    assert found.verdict is WARN
    assert "1480 bytes at most" in found.remedy
    assert judge("mss", Row(facts(), PASS, protocol="udp"), service_of) == []


def test_a_tcp_service_hears_nothing_of_udp(service_of: Callable[..., Service]) -> None:
    assert judge("udp", Row(facts(), PASS), service_of) == []
