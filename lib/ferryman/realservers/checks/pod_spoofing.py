"""Check ``pod-spoofing``: no pod of a node may send from addresses that are not its own.

``rp_filter`` on the pods' devices keeps IPv4 ones from it, and Calico's rules in the table raw those of both
families. Three things open that, and all end in rules of one chain: the annotation
``cni.projectcalico.org/allowedSourcePrefixes`` of a pod, where FelixConfiguration's
``workloadSourceSpoofing`` is ``Any``, and whoever writes there. What the cluster's API server says of it is
for ``kubernetes/spoofing.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "pod-spoofing"
WANTED = "no pod that may send from other addresses than its own"
SKIP_CHAIN = "cali-rpf-skip"
"""Where Calico lets packets of pods past its reverse path filter; with nftables its name has more in front.

Source: ChainRpfSkip in projectcalico felix, rules/rule_defs.go.
"""
REMEDY = (
    "see which pods are meant and why: kubectl get pods -A -o yaml | grep allowedSourcePrefixes;"
    " kubectl get felixconfigurations default -o yaml | grep workloadSourceSpoofing"
)


def pod_spoofing(_: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """Calico's chain of packets that its reverse path filter passes over has no rule.

    Source: updateRPFSkipChain in projectcalico felix, dataplane/linux/endpoint_mgr.go: a rule that accepts
    for each allowed prefix and pod. Its rules that drop (``fib saddr . mark . iif oif 0 drop``,
    ``-m rpfilter --validmark --invert``) are for the pods' devices alone, by a mark.
    """
    if realserver.kind is not Kind.KUBERNETES:
        yield _finding(realserver, Verdict.SKIP, "no pods are here")
        return
    chains = [
        (f"{table} {chain.name}", rule.text)
        for table in facts.firewall.tables
        for chain in table.chains.values()
        if chain.name.endswith(SKIP_CHAIN)
        for rule in chain.rules
    ]
    if chains:
        where, text = chains[0]
        more = f", and {len(chains) - 1} more rules there" if len(chains) > 1 else ""
        seen = f"{where}: {text}{more}: these pods may send from those addresses"
        yield _finding(realserver, Verdict.WARN, seen, REMEDY)
    elif facts.firewall.unread:
        yield _finding(realserver, Verdict.SKIP, facts.firewall.unread[0])
    else:
        yield _finding(realserver, Verdict.PASS, "no rule lets a pod past Calico's reverse path filter")


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, WANTED, remedy)
