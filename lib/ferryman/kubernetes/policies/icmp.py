"""The check ``icmp-to-pods``: which pods behind a service are cut off from ICMP by policies.

A NetworkPolicy of Kubernetes cannot name ICMP, so a pod that one is about gets none unless a policy of
Calico's lets it in. What the pod's own node sends still arrives, and "fragmentation needed" for what comes
through the tunnel is sent there; so it is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.kubernetes.nodes import serves
from ferryman.kubernetes.policies.manifests import World
from ferryman.kubernetes.policies.universe import (
    ECHO,
    FRAGMENTATION_NEEDED,
    IPV6,
    called,
    compared,
    node_parties,
    outside_parties,
    pod_parties,
)
from ferryman.kubernetes.policies.values import Answer
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.objects import Pod
    from ferryman.kubernetes.policies.policy_set import Decision, PolicySet
    from ferryman.kubernetes.policies.universe import Party
    from ferryman.kubernetes.policies.values import Traffic
    from ferryman.model import Service

CHECK = "icmp-to-pods"
WANTED = "ICMP that says a packet is too big reaches the pods from everywhere"
_NODE_SENDS = (
    "what the pod's own node sends still arrives, and that is what matters for packets that come through the"
    " tunnel; what a router elsewhere sends does not, unless connection tracking on the node knows it as"
    " RELATED"
)


def icmp_findings(name: str, service: Service, client: ClusterClient) -> Iterator[Finding]:
    """What becomes of ICMP to the pods behind a service, in one of its clusters.

    Raises:
        ClusterUnreadableError: The cluster could not be asked.
    """
    behind = pods_behind(service, client)
    if not behind:
        yield Finding(
            CHECK,
            name,
            Verdict.SKIP,
            f"no Service of {name} takes the traffic of {service.name} to a pod",
            WANTED,
        )
        return
    policies, namespaces = compared(World(client.policies(), client.namespaces()))
    yield from remarks(name, policies)
    nodes = client.nodes()
    parties = pod_parties(behind, [(policies, namespaces)])
    families = {family for party in parties for family in party.families}
    senders = [*outside_parties([policies], families), *node_parties(nodes, [policies])]
    found = [finding for party in parties for finding in _of_pods(name, party, senders, policies)]
    yield from found
    if not found:
        pods = called([pod for party in parties for pod in party.pods])
        yield Finding(
            CHECK,
            name,
            Verdict.PASS,
            f"it reaches {pods or 'pods that use the network of their nodes'}",
            WANTED,
        )


def remarks(name: str, policies: PolicySet) -> Iterator[Finding]:
    """What of the cluster's policies is not judged; where that matters, the judgement itself is unknown."""
    for remark in policies.remarks:
        yield Finding("policy-not-judged", name, Verdict.WARN, remark, "policies that are judged whole")


def pods_behind(service: Service, client: ClusterClient) -> list[Pod]:
    """The pods that take a service's traffic, by the endpoints of its Services."""
    names = {
        endpoint.pod
        for each in client.services()
        if serves(each, service)
        for endpoint in each.endpoints
        if endpoint.pod
    }
    return [pod for pod in client.pods() if pod.full_name in names] if names else []


@dataclass(frozen=True, slots=True)
class _Closed:
    """ICMP of a kind that does not arrive, or may not."""

    what: str
    beside: str
    family: int
    senders: dict[str, Decision]
    """From whom, and why."""


def _of_pods(name: str, party: Party, senders: Sequence[Party], policies: PolicySet) -> Iterator[Finding]:
    for family in sorted(party.families):
        too_big = _closed(party, senders, policies, FRAGMENTATION_NEEDED[family])
        echo = _closed(party, senders, policies, ECHO[family])
        if too_big:
            what = "packet too big" if family == IPV6 else "fragmentation needed"
            beside = "echo as well" if echo else "echo is let through"
            yield _finding(name, party, policies, _Closed(what, beside, family, too_big))
        elif echo:
            yield _finding(name, party, policies, _Closed("echo", "so ping tells nothing", family, echo))


def _closed(
    party: Party, senders: Sequence[Party], policies: PolicySet, traffic: Traffic
) -> dict[str, Decision]:
    """The senders whose ICMP does not arrive, or of whom that is not known, and why."""
    decisions = {
        sender.name: policies.side(party.peers[0], "ingress", sender.peers[0], traffic)
        for sender in senders
        if traffic.family in sender.families
    }
    return {name: each for name, each in decisions.items() if each.answer is not Answer.ALLOW}


def _finding(name: str, party: Party, policies: PolicySet, closed: _Closed) -> Finding:
    known = any(each.answer is Answer.DENY for each in closed.senders.values())
    isolating = ", ".join(str(policy) for policy in policies.isolating(party.peers[0], "ingress"))
    first, decision = next(iter(closed.senders.items()))
    word = "is dropped" if known else "may be dropped"
    protocol = "ICMPv6" if closed.family == IPV6 else "ICMP"
    return Finding(
        CHECK,
        name,
        Verdict.WARN if known else Verdict.UNKNOWN,
        f"{protocol} {closed.what} to {called(party.pods)} from {', '.join(closed.senders)} {word}"
        f" ({closed.beside}), isolated by {isolating}; from {first}: {'; '.join(decision.steps)};"
        f" {_NODE_SENDS}",
        WANTED,
        f"no NetworkPolicy of Kubernetes can name {protocol}: a Calico policy about these pods alone, before"
        f" the others, that allows {protocol} and passes on the rest would let it in; judge it first with"
        " ferryman policy impact, for a policy that is about a pod closes it to all that it does not allow",
    )
