"""Check ``rp-filter``: the kernel does not throw unwrapped packets away for coming in at the wrong device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import (
    IPIP,
    decapsulator_name,
    effective_rp_filter,
    key,
    tunnels,
)
from ferryman.realservers.facts import ALL, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "rp-filter"
WANTED = "0 in force on the tunnel device, or 2 with an address there: the larger of all and its own"
OFF, STRICT, LOOSE = 0, 1, 2
"""RFC 3704's modes, as ip-sysctl.rst numbers them."""


def rp_filter(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """The larger of all's rp_filter and the tunnel device's is 0, or 2; with 1 every packet is dropped.

    Sources: Documentation/networking/ip-sysctl.rst; all nine combinations measured, each drop counted in
    TcpExtIPReversePathFilter. IPv6 has no rp_filter.
    """
    if IPIP not in tunnels(service):
        yield _finding(realserver, Verdict.SKIP, "IPv6 alone, which has no rp_filter")
        return
    device = decapsulator_name(IPIP, facts)
    if _missing(facts, device):
        yield _finding(realserver, Verdict.SKIP, f"no {device} yet; {_inheritance(facts)}")
        return
    effective = effective_rp_filter(facts, device)
    if isinstance(effective, Unknown):
        yield _finding(realserver, Verdict.UNKNOWN, effective.reason)
    else:
        yield _judged(realserver, device, facts, effective)


def _judged(realserver: Realserver, device: str, facts: Facts, effective: int) -> Finding:
    culprits = [one for one in (ALL, device) if facts.setting("rp_filter", one) == effective]
    if effective == OFF:
        return _finding(realserver, Verdict.PASS, f"all and {device} are 0")
    keys = " and ".join(key(culprit) for culprit in culprits)
    if effective == LOOSE:
        return _finding(
            realserver,
            Verdict.PASS,
            f"{keys} = 2: loose, which needs an address on {device} and a route to every client",
        )
    return _finding(
        realserver, Verdict.FAIL, _blame(culprits, device, facts, effective), _remedy(culprits, device)
    )


def _blame(culprits: list[str], device: str, facts: Facts, effective: int) -> str:
    if len(culprits) > 1:
        return f"{key(ALL)} = {effective} and {key(device)} = {effective}"
    other = device if culprits == [ALL] else ALL
    return f"{key(culprits[0])} = {effective} overrides {other}'s {facts.setting('rp_filter', other)}"


def _remedy(culprits: list[str], device: str) -> str:
    """Both ways out when ``all`` is to blame: turning it off everywhere, or loose mode on the one device."""
    off = f"sysctl -w {' '.join(f'{key(culprit)}=0' for culprit in culprits)}"
    keep = "; keep it in sysctl.d, after 50-default.conf"
    if ALL not in culprits:
        return f"{off}{keep}"
    return f"{off}, or with an address on {device} leave all as it is: sysctl -w {key(device)}=2{keep}"


def _missing(facts: Facts, device: str) -> bool:
    return not isinstance(facts.devices, Unknown) and device not in facts.devices


def _inheritance(facts: Facts) -> str:
    """Source: a new device takes net.ipv4.conf.default's values when it is made (measured)."""
    default = facts.setting("rp_filter", "default")
    if isinstance(default, Unknown):
        return "a new one takes over default.rp_filter, which could not be read"
    return f"a new one takes over {key('default')} = {default}"


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, WANTED, remedy)
