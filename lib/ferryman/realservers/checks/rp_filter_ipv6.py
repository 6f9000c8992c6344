"""Check ``rp-filter-ipv6``: no rule does to IPv6 what rp_filter would do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import IP6IP6, tunnels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "rp-filter-ipv6"
BY_DEVICE = re.compile(r"fib saddr[ .\w]*\biif\b[ .\w]*|rpfilter(?!.*--loose)")
"""A match that asks by which device the way back goes; without ``iif``, or with --loose, any will do."""
DROPS = re.compile(r"\b(drop|DROP|reject|REJECT)\b")
NARROWED = re.compile(r"\b(iif|iifname|saddr|daddr) |(^| )-[isd] ")


def rp_filter_ipv6(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """No rule of nft (``fib saddr . iif oif``) or ip6tables (``rpfilter``) drops what ipip60 unwraps.

    Source: IPv6 has no rp_filter setting; nft(8), FIB expressions, and iptables-extensions(8), rpfilter. What
    comes out of ipip60 goes back by another device. firewalld has such a rule, with IPv6_rpfilter=strict.
    """
    if IP6IP6 not in tunnels(service):
        yield _finding(realserver, Verdict.SKIP, "no VIP is IPv6")
        return
    found = next(_rules(facts), None)
    if found is None:
        unread = facts.firewall.unread
        verdict = Verdict.SKIP if unread else Verdict.PASS
        yield _finding(realserver, verdict, unread[0] if unread else "no such rule")
        return
    where, text, sure = found
    seen = f"{where}: {text}"
    remedy = (
        f"accept what comes in by {IP6IP6.device} before it, or take it away (firewalld: IPv6_rpfilter=no)"
    )
    yield _finding(realserver, Verdict.FAIL if sure else Verdict.WARN, seen, remedy)


def _rules(facts: Facts) -> Iterator[tuple[str, str, bool]]:
    """Rules that drop by the way back: where, what, and whether they are for every packet that comes in."""
    for table in facts.firewall.tables:
        if IP6IP6.version not in table.versions:
            continue
        for chain in table.chains.values():
            for rule in chain.rules:
                if BY_DEVICE.search(rule.text) and DROPS.search(rule.text):
                    rest = BY_DEVICE.sub("", rule.text)
                    sure = chain.hook == "prerouting" and not NARROWED.search(rest)
                    yield f"{table} {chain.name}", rule.text, sure


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, "no reverse path filter for IPv6", remedy)
