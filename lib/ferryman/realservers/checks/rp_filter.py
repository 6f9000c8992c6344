"""Checks ``rp-filter``, ``rp-filter-default``, ``rp-filter-pods``, ``rp-filter-ipv6``: source validation now.

The kernel must not drop what comes out of the tunnel because the route back to its source is by another
device; a Kubernetes node must still do that to its pods. What is so after a reboot is for
``rp_filter_persisted.py``.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ferryman.firewall import Effect
from ferryman.firewall.tracking import PacketState
from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.checks.decapsulation import (
    IP6IP6,
    IPIP,
    decapsulator_name,
    key,
    tunnels,
)
from ferryman.realservers.checks.vip import packet_for
from ferryman.realservers.facts import ALL, DEFAULT, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.firewall import Packet
    from ferryman.firewall.rules import Chain, Hook, Rule
    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts

OFF, STRICT = 0, 1
"""RFC 3704's modes, as ip-sysctl.rst numbers them."""
WANTED = "0 in force on the tunnel device, or 2 with an address there: the larger of all and its own"
SHOWN_DEVICES = 5
_ON_THE_WAY_IN: tuple[Hook, ...] = ("prerouting", "input")


def effective_rp_filter(facts: Facts, device: str) -> int | Unknown:
    """The reverse path filter in force on a device: the larger of its own and that of all.

    Source: Documentation/networking/ip-sysctl.rst, rp_filter; all nine combinations measured.
    """
    for_all, own = facts.setting("rp_filter", ALL), facts.setting("rp_filter", device)
    if isinstance(for_all, Unknown):
        return for_all
    return own if isinstance(own, Unknown) else max(for_all, own)


def is_loose(value: int) -> bool:
    """Whether a value makes the filter loose.

    Source: __fib_validate_source in net/ipv4/fib_frontend.c: 1 is strict, and what else is not 0 is loose.
    """
    return value not in (OFF, STRICT)


def rp_filter(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """The larger of all's rp_filter and the tunnel device's is 0, or 2; with 1 every packet is dropped.

    Sources: Documentation/networking/ip-sysctl.rst; all nine combinations measured, each drop counted in
    TcpExtIPReversePathFilter. IPv6 has no rp_filter.
    """
    finding = partial(_finding, "rp-filter", realserver, WANTED)
    if IPIP not in tunnels(service):
        yield finding(Verdict.SKIP, "IPv6 alone, which has no rp_filter")
        return
    device = decapsulator_name(IPIP, facts)
    if not isinstance(facts.devices, Unknown) and device not in facts.devices:
        yield finding(Verdict.SKIP, f"no {device} yet; {_inherited(facts)}")
        return
    effective = effective_rp_filter(facts, device)
    if isinstance(effective, Unknown):
        yield finding(Verdict.UNKNOWN, effective.reason)
    else:
        yield finding(*_judged(device, facts, effective))


def _judged(device: str, facts: Facts, effective: int) -> tuple[Verdict, str, str]:
    """Verdict, what was seen, and the remedy."""
    if effective == OFF:
        return Verdict.PASS, f"all and {device} are 0", ""
    decisive = [name for name in (ALL, device) if facts.setting("rp_filter", name) == effective]
    if is_loose(effective):
        keys = " and ".join(key(name) for name in decisive)
        return (
            Verdict.PASS,
            f"{keys} = {effective}: loose, which needs an address on {device} and a route to every client",
            "",
        )
    if len(decisive) > 1:
        seen = f"{key(ALL)} = {effective} and {key(device)} = {effective}"
    else:
        other = device if decisive == [ALL] else ALL
        seen = f"{key(decisive[0])} = {effective} overrides {other}'s {facts.setting('rp_filter', other)}"
    return Verdict.FAIL, seen, _remedy(decisive, device)


def _remedy(decisive: list[str], device: str) -> str:
    """Both remedies when ``all`` decides: turning it off everywhere, or loose mode on the one device."""
    off = f"sysctl -w {shlex.join(f'{key(name)}=0' for name in decisive)}"
    keep = "; keep it in sysctl.d, after 50-default.conf"
    if ALL not in decisive:
        return f"{off}{keep}"
    loose = f"sysctl -w {shlex.quote(f'{key(device)}=2')}"
    return f"{off}, or with an address on {device} leave all as it is: {loose}{keep}"


def _inherited(facts: Facts) -> str:
    """Source: a new device takes net.ipv4.conf.default's values when it is made (measured)."""
    default = facts.setting("rp_filter", DEFAULT)
    if isinstance(default, Unknown):
        return "a new one takes over default.rp_filter, which could not be read"
    return f"a new one takes over {key(DEFAULT)} = {default}"


def rp_filter_default(_: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """On a Kubernetes node ``default`` stays 1: a new pod's device takes it over, and cannot spoof then.

    Source: devinet.c copies ``default`` to a new device; Calico's felix reads it at its start. IPIP needs
    it nowhere else but on the tunnel device, which has a setting of its own.
    """
    finding = partial(_finding, "rp-filter-default", realserver, f"{key(DEFAULT)} = 1 on a node")
    if realserver.kind is not Kind.KUBERNETES:
        yield finding(Verdict.SKIP, "no pods are made here")
        return
    default = facts.setting("rp_filter", DEFAULT)
    if isinstance(default, Unknown):
        yield finding(Verdict.UNKNOWN, default.reason)
        return
    seen = f"{key(DEFAULT)} = {default}"
    if default == STRICT:
        yield finding(Verdict.PASS, seen)
    else:
        remedy = f"sysctl -w {key(DEFAULT)}=1, with {key('ipip0')}=0 set for itself; keep both in sysctl.d"
        yield finding(Verdict.WARN, f"{seen}: new pods may send with any source", remedy)


def rp_filter_pods(_: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """On a Kubernetes node 1 is in force on each ``cali`` device.

    Source: Documentation/networking/ip-sysctl.rst (the larger of all's and its own). A change of ``default``
    does not reach devices that are there, and felix sets theirs from what it read at its start.
    """
    finding = partial(_finding, "rp-filter-pods", realserver, "rp_filter 1 in force on each cali device")
    if realserver.kind is not Kind.KUBERNETES:
        yield finding(Verdict.SKIP, "no pods are here")
        return
    settings = {} if isinstance(facts.settings, Unknown) else facts.settings
    devices = [name for setting, name in settings if setting == "rp_filter" and name.startswith("cali")]
    lax = [name for name in devices if effective_rp_filter(facts, name) != STRICT]
    if not devices:
        yield finding(Verdict.SKIP, "no cali devices are to be seen")
    elif not lax:
        yield finding(Verdict.PASS, f"1 is in force on all {len(devices)} cali devices")
    else:
        more = f" and {len(lax) - SHOWN_DEVICES} more" if len(lax) > SHOWN_DEVICES else ""
        seen = f"1 is not in force on {', '.join(lax[:SHOWN_DEVICES])}{more}, of {len(devices)}"
        remedy = f"restart felix once {key(DEFAULT)} is 1, or: sysctl -w {shlex.quote(f'{key(lax[0])}=1')}"
        yield finding(Verdict.WARN, f"{seen}: these pods may send with any source", remedy)


def rp_filter_ipv6(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """No rule of nft (``fib saddr . iif oif``) or ip6tables (``rpfilter``) drops what ipip60 unwraps.

    Source: IPv6 has no rp_filter setting; nft(8), FIB expressions, and iptables-extensions(8), rpfilter. What
    comes out of ipip60 goes back by another device. firewalld has such a rule, with IPv6_rpfilter=strict.
    """
    finding = partial(_finding, "rp-filter-ipv6", realserver, "no reverse path filter for IPv6")
    if IP6IP6 not in tunnels(service):
        yield finding(Verdict.SKIP, "no VIP is IPv6")
        return
    found = next(_ipv6_rules(service, facts), None)
    if found is None:
        unread = facts.firewall.unread
        yield finding(Verdict.SKIP, unread[0]) if unread else finding(Verdict.PASS, "no such rule")
        return
    where, text, sure = found
    remedy = (
        f"accept what comes in by {IP6IP6.device} before it, or take it away (firewalld: IPv6_rpfilter=no)"
    )
    yield finding(Verdict.FAIL if sure else Verdict.WARN, f"{where}: {text}", remedy)


def _ipv6_rules(service: Service, facts: Facts) -> Iterator[tuple[str, str, bool]]:
    """Rules that drop by the device of the route back: where, what, and whether for every incoming packet.

    They are told from others by what they do to a packet of any client and device that came out of a tunnel,
    and do not do to the same packet that did not: however they are written.
    """
    for virtual in service.virtual_services:
        if virtual.vip.version != IP6IP6.version:
            continue
        unwrapped = replace(packet_for(virtual, facts), unwrapped=True)
        for table in facts.firewall.tables:
            for chain in table.chains.values() if IP6IP6.version in table.versions else ():
                for rule in chain.rules:
                    if _asks_for_the_way_back(facts, rule, chain, unwrapped):
                        anyones = replace(unwrapped, device=None)
                        drops = facts.firewall.choices(rule, anyones, chain.hook)
                        sure = chain.hook == "prerouting" and all(len(choice) == 1 for choice in drops)
                        yield f"{table} {chain.name}", rule.text, sure


def _asks_for_the_way_back(facts: Facts, rule: Rule, chain: Chain, unwrapped: Packet) -> bool:
    """Whether a rule may drop a packet of any device for having come out of a tunnel.

    One that wants a mark, as Calico's for its pods does, counts where other rules give that to the packet.
    Source: StaticRawPreroutingChain in projectcalico felix, rules/static.go; measured.
    """
    anyones = replace(unwrapped, device=None)
    if not _may_drop(facts, rule, chain, anyones) or _may_drop(
        facts, rule, chain, replace(anyones, unwrapped=False)
    ):
        return False
    return _may_drop(facts, rule, chain, anyones, mark=0) or _is_end(facts, rule, chain, unwrapped)


def _is_end(facts: Facts, rule: Rule, chain: Chain, packet: Packet) -> bool:
    """Whether the rule is where the packet's way through all rules may end."""
    state = PacketState()
    return any(
        (end.effect, end.chain, end.text) == (Effect.DROP, chain.name, rule.text)
        for hook in _ON_THE_WAY_IN
        for ends in facts.firewall.ends(hook, packet, state)
        for end in ends
    )


def _may_drop(facts: Facts, rule: Rule, chain: Chain, packet: Packet, mark: int | None = None) -> bool:
    choices = facts.firewall.choices(rule, packet, chain.hook, mark)
    return any(action.effect is Effect.DROP for choice in choices for action in choice)


def _finding(  # noqa: PLR0913, PLR0917  # what a finding has
    check: str, realserver: Realserver, wanted: str, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    return Finding(check, realserver.host, verdict, seen, wanted, remedy)
