"""What becomes of the reverse path filter later, and elsewhere than on the tunnel device."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman.firewall import Ruleset, parse_nft, parse_save
from ferryman.model import Kind
from ferryman.realservers.facts import Device
from ferryman.realservers.facts.sysctl_d import SysctlFiles
from unit.realservers.rows import (
    BARE,
    FAIL,
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

NODE = Kind.KUBERNETES
GLOB = "net.ipv4.conf.*.rp_filter = 2\n"
SHIPPED = f"net.ipv4.conf.default.rp_filter = 2\n{GLOB}-net.ipv4.conf.all.rp_filter\n"
"""The lines for rp_filter of Debian 13's 50-default.conf."""
BEFORE, AFTER, THEIRS = (
    "/etc/sysctl.d/10-x.conf",
    "/etc/sysctl.d/70-x.conf",
    "/usr/lib/sysctl.d/50-default.conf",
)


def lines(*, systemd: bool = True, theirs: str = "", before: str = "", after: str = "") -> SysctlFiles:
    named = {BEFORE: before, AFTER: after, THEIRS: theirs}
    expanded = {path: _keys(text) for path, text in named.items() if text}
    return SysctlFiles(expanded, systemd)


def _keys(text: str) -> str:
    """``ipip0=0`` is short for its whole key; other lines are taken as they are."""
    words = [word for part in text.split("\n") for word in part.split("; ")]
    short = [word.partition("=") for word in words]
    return "\n".join(
        f"net.ipv4.conf.{name}.rp_filter = {value}" if name.isalnum() else whole
        for whole, (name, _, value) in zip(words, short, strict=True)
    )


PERSISTED = {
    "ipip0 is 1": Row(
        facts(persisted=lines(after="ipip0=1")), FAIL, f"{AFTER}:1", f"sed -i '1s/=.*/= 0/' {AFTER}"
    ),
    "all is 1": Row(facts(persisted=lines(after="all=1; ipip0=0")), FAIL, "all will be 1", f"= 0/' {AFTER}"),
    "only default is 1": Row(
        facts(persisted=lines(after="default=1; all=0")),
        FAIL,
        "ipip0 will be 1, inherited from default",
        "echo 'net.ipv4.conf.ipip0.rp_filter = 0' >>/etc/sysctl.d/99-ipip.conf",
    ),
    "a glob of theirs is 1": Row(
        facts(persisted=lines(theirs="net.ipv4.conf.*.rp_filter = 1")), FAIL, THEIRS, "conf.all.rp_filter = 0"
    ),
    "an explicit line of theirs is 1": Row(
        facts(persisted=lines(theirs="ipip0=1")), FAIL, THEIRS, "echo 'net.ipv4.conf.ipip0.rp_filter = 0'"
    ),
    "-ipip0 leaves it to default, which is 1": Row(
        facts(persisted=lines(after="default=1; all=0\n-net.ipv4.conf.ipip0.rp_filter", theirs=SHIPPED)),
        FAIL,
        "inherited from default",
    ),
    "our 0 below their 1": Row(
        facts(persisted=lines(before="default=0; all=0", theirs="default=1")), FAIL, f"{THEIRS}:1"
    ),
    "2, and ipip0 has no address": Row(
        facts(BARE, persisted=lines(theirs=SHIPPED)), FAIL, "will be 2", "99-ipip.conf"
    ),
    "nothing persisted, and default is 1 now": Row(
        facts(rp={"default": 1}, persisted=lines()), FAIL, "breaks when ipip0 is made again", "99-ipip.conf"
    ),
    "it is 1 already and stays so": Row(facts(rp={"ipip0": 1}, persisted=lines(after="ipip0=1")), FAIL),
    "all will be 2 only after the reboot, and ipip0 gets 1 before": Row(
        facts(persisted=lines(after="all=2; ipip0=1")), FAIL, "breaks when ipip0 is made again"
    ),
    "procps: sysctl.conf has the last word": Row(
        facts(
            persisted=SysctlFiles(
                {AFTER: "net.ipv4.conf.all.rp_filter=0", "/etc/sysctl.conf": "net.ipv4.conf.all.rp_filter=1"},
                systemd=False,
            )
        ),
        FAIL,
        "/etc/sysctl.conf:1",
    ),
    "it could not be read": Row(facts(persisted=NO), UNKNOWN, "no such tool", "systemd-sysctl --cat-config"),
    "all 0, ipip0 0": Row(facts(persisted=lines(after="all=0; ipip0=0")), PASS, "ipip0: 0, /etc"),
    "looks wrong, is right: nothing persisted": Row(
        facts(persisted=lines()), PASS, "the kernel's own default"
    ),
    "looks wrong, is right: all 1, ipip0 2": Row(facts(persisted=lines(after="all=1; ipip0=2")), PASS),
    "looks wrong, is right: all 2, ipip0 1": Row(
        facts(rp={"all": 2}, persisted=lines(after="all=2; ipip0=1")), PASS
    ),
    "looks wrong, is right: Debian 13's file with an address": Row(
        facts(persisted=lines(theirs=SHIPPED)), PASS, "ipip0: 2"
    ),
    "looks wrong, is right: an explicit line before a later glob": Row(
        facts(BARE, persisted=lines(before="ipip0=0; all=0", theirs=SHIPPED)), PASS, f"ipip0: 0, {BEFORE}:1"
    ),
    "looks wrong, is right: -all keeps the glob's 1 from all": Row(
        facts(
            persisted=lines(
                after="-net.ipv4.conf.all.rp_filter; ipip0=0", theirs="net.ipv4.conf.*.rp_filter=1"
            )
        ),
        PASS,
    ),
    "looks wrong, is right: default 1, but ipip0 has a line": Row(
        facts(rp={"default": 1}, persisted=lines(after="all=0; default=1; ipip0=0")), PASS
    ),
    "looks wrong, is right: 1 for eth0": Row(facts(persisted=lines(after="eth0=1")), PASS),
    "looks wrong, is right: now 1, later 0": Row(
        facts(rp={"ipip0": 1}, persisted=lines(after="ipip0=0")), PASS
    ),
    "looks wrong, is right: no systemd, default is 1 now": Row(
        facts(rp={"default": 1}, persisted=lines(after="ipip0=0", systemd=False)), PASS
    ),
    "looks wrong, is right: a value that is no number": Row(facts(persisted=lines(after="ipip0=off")), PASS),
    "looks wrong, is right: 1 for IPv6 alone": Row(facts(persisted=lines(after="all=1")), SKIP, vips=(V6,)),
}

ORDER = {
    "our default below theirs": Row(
        facts(persisted=lines(before="default=0", theirs="default=2")),
        WARN,
        f"{BEFORE}:1",
        "/etc/sysctl.d/90-x.conf",
    ),
    "our default below their glob": Row(
        facts(persisted=lines(before="default=0", theirs=GLOB)), WARN, f"gives way to {THEIRS}:1"
    ),
    "our glob below theirs": Row(
        facts(persisted=lines(before="net.ipv4.conf.ipip*.rp_filter = 0", theirs=GLOB)), WARN
    ),
    "our all below theirs": Row(facts(persisted=lines(before="all=0", theirs="all=1")), WARN, f"{THEIRS}:1"),
    "our all=2 taken out by -all": Row(facts(persisted=lines(before="all=2", theirs=SHIPPED)), WARN, "-net"),
    "one file of ours below another": Row(facts(persisted=lines(before="ipip0=0", after="ipip0=2")), WARN),
    "a node's default below theirs": Row(
        facts(persisted=lines(before="default=1; all=0; ipip0=0", theirs=SHIPPED)), WARN, "default", kind=NODE
    ),
    "looks wrong, is right: our explicit line below their glob": Row(
        facts(persisted=lines(before="ipip0=0; all=0", theirs=SHIPPED)), PASS
    ),
    "looks wrong, is right: our default gives way, but ipip0 has a line": Row(
        facts(persisted=lines(before="ipip0=0; default=0", theirs="default=2")), PASS
    ),
    "looks wrong, is right: the same value": Row(
        facts(persisted=lines(before="default=2", theirs=SHIPPED)), PASS
    ),
    "looks wrong, is right: theirs gives way to ours": Row(
        facts(persisted=lines(theirs=SHIPPED, after="default=0; ipip0=0; all=0")), PASS
    ),
    "looks wrong, is right: two lines in one file": Row(
        facts(persisted=lines(after="ipip0=1; ipip0=0")), PASS
    ),
    "looks wrong, is right: -all and the kernel's own 0": Row(
        facts(persisted=lines(before="all=0; ipip0=0", theirs=SHIPPED)), PASS
    ),
    "nothing persisted": Row(facts(persisted=lines()), PASS),
    "it could not be read": Row(facts(persisted=NO), SKIP),
}

CALI1, CALI2 = Device("cali1", "veth", up=True, mtu=1460), Device("cali2", "veth", up=True, mtu=1460)
DEFAULT = {
    "a node's is 0": Row(facts(), WARN, "default.rp_filter = 0", "rp_filter=1", kind=NODE),
    "a node's is 2": Row(facts(rp={"default": 2}), WARN, "= 2", kind=NODE),
    "a node's could not be read": Row(facts(settings=NO), UNKNOWN, "no such tool", kind=NODE),
    "a node's is 1": Row(facts(rp={"default": 1}), PASS, kind=NODE),
    "looks wrong, is right: a server's is 0": Row(facts(), SKIP),
}
PODS = {
    "one pod is 0": Row(
        facts(CALI1, CALI2, rp={"cali1": 1}),
        WARN,
        "not in force on cali2, of 2",
        "cali2.rp_filter=1",
        kind=NODE,
    ),
    "one pod is 2": Row(facts(CALI1, rp={"cali1": 2}), WARN, "cali1", kind=NODE),
    "all is 2": Row(facts(CALI1, rp={"cali1": 1, "all": 2}), WARN, "cali1", kind=NODE),
    "both are 1": Row(facts(CALI1, CALI2, rp={"cali1": 1, "cali2": 1}), PASS, "all 2", kind=NODE),
    "looks wrong, is right: 0, but all is 1": Row(facts(CALI1, rp={"all": 1}), PASS, kind=NODE),
    "no pods to be seen": Row(facts(), SKIP, kind=NODE),
    "a server": Row(facts(CALI1), SKIP),
}


def saved(table: str, *rules: str, version: int = 6) -> Ruleset:
    chains = "".join(f":{name} ACCEPT [0:0]\n" for name in ("PREROUTING", "OUTPUT"))
    text = f"*{table}\n{chains}:mine - [0:0]\n" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"
    return Ruleset(parse_save(text, "ip6tables-legacy" if version == 6 else "iptables-legacy", version, {}))


def nft(  # what such a rule has
    flags: list[str],
    *others: object,
    hook: str = "prerouting",
    verdict: str = "drop",
    missing: object = False,
    operator: str = "==",
) -> Ruleset:
    """A rule that asks for the way back, as firewalld has it."""
    fib = {"match": {"op": operator, "left": {"fib": {"result": "oif", "flags": flags}}, "right": missing}}
    where = {"family": "inet", "table": "firewalld"}
    chain = {**where, "name": "filter", "type": "filter", "hook": hook, "prio": -290, "policy": "accept"}
    rule = {**where, "chain": "filter", "expr": [*others, fib, {verdict: None}]}
    table = {"family": "inet", "name": "firewalld"}
    return Ruleset(parse_nft(json.dumps({"nftables": [{"table": table}, {"chain": chain}, {"rule": rule}]})))


FOR_IPV6 = {"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv6"}}
FROM_ETH1 = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth1"}}
CALICO = (
    "-A PREROUTING -j cali-PREROUTING",
    "-A cali-PREROUTING -j MARK --set-xmark 0x0/0xf0000",
    "-A cali-PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000",
    "-A cali-PREROUTING -m mark --mark 0x40000/0x40000 -j cali-rpf-skip",
    "-A cali-PREROUTING -m mark --mark 0x40000/0x40000 -m rpfilter --validmark --invert -j DROP",
)
"""What felix 3.26 writes into raw, without its comments."""
SKIPPED = "-A cali-rpf-skip -s fd66::/64 -i cali1 -j ACCEPT"


def calico(*others: str) -> Ruleset:
    """Calico's rules for IPv6, with these before the one that drops."""
    chains = "".join(f":{name} - [0:0]\n" for name in ("cali-PREROUTING", "cali-rpf-skip"))
    lines = "".join(f"{line}\n" for line in (*CALICO[:-1], *others, CALICO[-1]))
    text = f"*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{chains}{lines}COMMIT\n"
    return Ruleset(parse_save(text, "ip6tables-legacy", 6, {}))


def calico_nft(*, for_all: bool = False) -> Ruleset:
    """What felix 3.29 has of it in nft; ``for_all`` marks every packet, as no felix does."""
    where = {"family": "ip6", "table": "calico", "chain": "raw-PREROUTING"}
    chain = {**where, "name": "raw-PREROUTING", "type": "filter", "hook": "prerouting", "prio": -300}
    pods = [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "cali*"}}]
    key = {"meta": {"key": "mark"}}
    mark = {"mangle": {"key": key, "value": {"|": [key, 0x40000]}}}
    marked = {"match": {"op": "==", "left": {"&": [key, 0x40000]}, "right": 0x40000}}
    fib = {"fib": {"result": "oif", "flags": ["saddr", "mark", "iif"]}}
    dropped = [marked, {"match": {"op": "==", "left": fib, "right": 0}}, {"drop": None}]
    rules = [[*(() if for_all else pods), mark], dropped]
    found = [
        {"table": {"family": "ip6", "name": "calico"}},
        {"chain": {**chain, "policy": "accept"}},
        *({"rule": {**where, "expr": expr}} for expr in rules),
    ]
    return Ruleset(parse_nft(json.dumps({"nftables": found})))


STRICT = "-A PREROUTING -m rpfilter --invert -j DROP"
IPV6 = {
    "ip6tables drops": Row(
        facts(firewall=saved("raw", STRICT)), FAIL, "--invert -j DROP", "ipip60", vips=(V6,)
    ),
    "a chain of its own may": Row(
        facts(firewall=saved("raw", "-A mine -m rpfilter --invert -j DROP")), WARN, "mine", vips=(V6,)
    ),
    "from one device alone": Row(
        facts(firewall=saved("raw", "-A PREROUTING -i eth1 -m rpfilter --invert -j DROP")), WARN, vips=(V6,)
    ),
    "firewalld drops": Row(
        facts(firewall=nft(["saddr", "mark", "iif"], FOR_IPV6)),
        FAIL,
        "fib saddr . mark . iif oif missing drop",
        vips=(V6,),
    ),
    "nft drops what comes in by one device": Row(
        facts(firewall=nft(["saddr", "iif"], FROM_ETH1)), WARN, vips=(V6,)
    ),
    "nft drops in the hook input": Row(facts(firewall=nft(["saddr", "iif"], hook="input")), WARN, vips=(V6,)),
    "looks wrong, is right: nft lets any way back do": Row(facts(firewall=nft(["saddr"])), PASS, vips=(V6,)),
    "looks wrong, is right: nft accepts such packets": Row(
        facts(firewall=nft(["saddr", "iif"], verdict="accept")), PASS, vips=(V6,)
    ),
    "nft drops where the device is 0": Row(
        facts(firewall=nft(["saddr", "iif"], missing="0")), FAIL, "fib saddr . iif oif 0 drop", vips=(V6,)
    ),
    "nft drops where there is no route": Row(
        facts(firewall=nft(["saddr", "iif"], missing=True, operator="!=")), FAIL, "exists", vips=(V6,)
    ),
    "looks wrong, is right: a comment": Row(
        facts(firewall=saved("raw", '-A PREROUTING -s fd66::1 -m comment --comment "no rpfilter" -j DROP')),
        PASS,
        vips=(V6,),
    ),
    "looks wrong, is right: Calico's own, for its pods": Row(
        facts(firewall=calico()), PASS, vips=(V6,), kind=NODE
    ),
    "looks wrong, is right: Calico's own in nft": Row(
        facts(firewall=calico_nft()), PASS, vips=(V6,), kind=NODE
    ),
    "nft gives every packet the mark that Calico's rule wants": Row(
        facts(firewall=calico_nft(for_all=True)), WARN, "fib saddr . mark . iif oif 0 drop", vips=(V6,)
    ),
    "the tunnel's packets get the mark that Calico's rule wants": Row(
        facts(firewall=calico("-A cali-PREROUTING -i ipip60 -j MARK --set-xmark 0x40000/0x40000")),
        WARN,
        "--invert -j DROP",
        vips=(V6,),
    ),
    "no such rule": Row(facts(), PASS, vips=(V6,)),
    "looks wrong, is right: any way back will do": Row(
        facts(firewall=saved("raw", "-A PREROUTING -m rpfilter --loose --invert -j DROP")), PASS, vips=(V6,)
    ),
    "looks wrong, is right: it only logs": Row(
        facts(firewall=saved("raw", "-A PREROUTING -m rpfilter --invert -j LOG")), PASS, vips=(V6,)
    ),
    "looks wrong, is right: for IPv4": Row(facts(firewall=saved("raw", STRICT, version=4)), PASS, vips=(V6,)),
    "looks wrong, is right: for an IPv4 service": Row(facts(firewall=saved("raw", STRICT)), SKIP, vips=(V4,)),
    "the rules could not be read": Row(
        facts(firewall=Ruleset(unread=("nft: no",))), SKIP, "nft: no", vips=(V6,)
    ),
}
SPOOFING = {
    "a rule lets a pod past": Row(
        facts(firewall=calico(SKIPPED)), WARN, "cali-rpf-skip: -A cali-rpf-skip -s fd66::/64", kind=NODE
    ),
    "several rules do": Row(
        facts(firewall=calico(SKIPPED, SKIPPED.replace("66", "67"))), WARN, "and 1 more", kind=NODE
    ),
    "Calico's rules alone": Row(facts(firewall=calico()), PASS, kind=NODE),
    "without Calico": Row(facts(), PASS, kind=NODE),
    "a server": Row(facts(firewall=calico(SKIPPED)), SKIP),
    "the rules could not be read": Row(
        facts(firewall=Ruleset(unread=("nft: no",))), SKIP, "nft: no", kind=NODE
    ),
}
TABLES = {
    "pod-spoofing": SPOOFING,
    "rp-filter-persisted": PERSISTED,
    "sysctl-order": ORDER,
    "rp-filter-default": DEFAULT,
    "rp-filter-pods": PODS,
    "rp-filter-ipv6": IPV6,
}


@pytest.mark.parametrize(
    ("check", "name"), [(check, name) for check, rows in TABLES.items() for name in rows]
)
def test_each_host_is_judged_as_it_should_be(
    check: str, name: str, service_of: Callable[..., Service]
) -> None:
    row = TABLES[check][name]
    assert_says(judge(check, row, service_of), row)


@pytest.mark.parametrize("for_all", [0, 1, 2])
@pytest.mark.parametrize("own", [0, 1, 2])
def test_what_is_persisted_fails_in_the_combinations_that_drop(
    for_all: int, own: int, service_of: Callable[..., Service]
) -> None:
    row = Row(facts(rp={"all": for_all}, persisted=lines(after=f"all={for_all}; ipip0={own}")), PASS)
    (found,) = judge("rp-filter-persisted", row, service_of)
    assert found.verdict is (FAIL if max(for_all, own) == 1 else PASS)


def test_without_ipip0_what_a_new_one_will_get_is_foretold(service_of: Callable[..., Service]) -> None:
    row = Row(facts(gone("ipip0"), rp={"default": 1}, persisted=lines(after="all=0")), FAIL)
    (found,) = judge("rp-filter-persisted", row, service_of)
    assert "inherited from net.ipv4.conf.default.rp_filter as it is now" in found.seen
