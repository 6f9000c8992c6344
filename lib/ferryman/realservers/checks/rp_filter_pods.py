"""Check ``rp-filter-pods``: the pods that are there are kept from spoofing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.checks.decapsulation import effective_rp_filter, key
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "rp-filter-pods"
STRICT = 1
SHOWN = 5


def rp_filter_pods(_: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """On a Kubernetes node 1 is in force on each ``cali`` device.

    Source: Documentation/networking/ip-sysctl.rst (the larger of all's and its own). A change of ``default``
    does not reach devices that are there, and felix sets theirs from what it read at its start.
    """
    if realserver.kind is not Kind.KUBERNETES:
        yield _finding(realserver, Verdict.SKIP, "no pods are here")
        return
    settings = {} if isinstance(facts.settings, Unknown) else facts.settings
    devices = [name for setting, name in settings if setting == "rp_filter" and name.startswith("cali")]
    lax = [name for name in devices if effective_rp_filter(facts, name) != STRICT]
    if not devices:
        yield _finding(realserver, Verdict.SKIP, "no cali devices are to be seen")
    elif not lax:
        yield _finding(realserver, Verdict.PASS, f"1 is in force on all {len(devices)} cali devices")
    else:
        more = f" and {len(lax) - SHOWN} more" if len(lax) > SHOWN else ""
        seen = f"1 is not in force on {', '.join(lax[:SHOWN])}{more}, of {len(devices)}"
        remedy = f"restart felix once {key('default')} is 1, or: sysctl -w {key(lax[0])}=1"
        yield _finding(realserver, Verdict.WARN, f"{seen}: these pods may send with any source", remedy)


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, "rp_filter 1 in force on each cali device", remedy)
