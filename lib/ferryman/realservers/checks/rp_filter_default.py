"""Check ``rp-filter-default``: pods that are made from now on are kept from spoofing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.checks.decapsulation import key
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "rp-filter-default"
STRICT = 1


def rp_filter_default(_: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """On a Kubernetes node ``default`` stays 1: a new pod's device takes it over, and cannot spoof then.

    Source: devinet.c copies ``default`` to a new device; Calico's felix reads it at its start. IPIP needs
    it nowhere else but on the tunnel device, which has a setting of its own.
    """
    if realserver.kind is not Kind.KUBERNETES:
        yield _finding(realserver, Verdict.SKIP, "no pods are made here")
        return
    default = facts.setting("rp_filter", "default")
    if isinstance(default, Unknown):
        yield _finding(realserver, Verdict.UNKNOWN, default.reason)
        return
    seen = f"{key('default')} = {default}"
    if default == STRICT:
        yield _finding(realserver, Verdict.PASS, seen)
    else:
        remedy = f"sysctl -w {key('default')}=1, with {key('ipip0')}=0 set for itself; keep both in sysctl.d"
        yield _finding(realserver, Verdict.WARN, f"{seen}: new pods may send with any source", remedy)


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, f"{key('default')} = 1 on a node", remedy)
