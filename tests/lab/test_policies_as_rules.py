"""Generated policy sets as rules in real namespaces: packets go where the evaluator says, and nowhere else.

The rules are an independent translation (``policy_rules``): a namespace for each pod and for somebody
outside, and a router between them that has the rules, with tiers in every third set.
"""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.kubernetes.policies.policy_set import PolicySet
from ferryman.kubernetes.policies.values import Answer
from lab.policy_pods import Flow, Pods
from lab.policy_rules import Rules
from tools import require_tool
from unit.kubernetes.policies.generated import cluster, policies
from unit.kubernetes.policies.kubernetes_pods import namespaces_of, outside, peers_of, traffic_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and rules"),
]

SETS, BLOCK = 72, 12
CONNECTED = "TCP 80"
"""A real connection; the others are single packets."""
TRAFFICS = (
    CONNECTED,
    "TCP 443",
    "TCP 9999",
    "UDP 80",
    "UDP 5353",
    "SCTP 80",
    "ICMP 8/0",
    "ICMP 3/4",
    "ICMP 11/0",
)
OUTSIDE = ("198.51.100.10", "198.51.100.70", "198.51.100.200", "203.0.113.5", "203.0.113.99", "192.0.2.77")


@pytest.fixture(scope="module", name="made")
def made_pods() -> Iterator[Pods]:
    """The namespaces: the pods' names and addresses are those of every seed."""
    require_tool("ip", package="iproute2")
    require_tool("nft", package="nftables")
    _, pods = cluster(0)
    ends = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": (pod["status"]["podIP"],) for pod in pods
    }
    with ExitStack() as stack:
        built = Pods({**ends, "outside": OUTSIDE}, stack)
        built.make()
        yield built


def policies_of(seed: int) -> list[dict[str, Any]]:
    """Of the generated set, those of Calico's in tiers where the seed is of a third kind."""
    made = policies(seed, calico=seed % 2 == 1)
    if seed % 3:
        return made
    chance = random.Random(seed)
    tiers = [
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "Tier",
            "metadata": {"name": name},
            "spec": {"order": order, "defaultAction": chance.choice(("Deny", "Pass"))},
        }
        for name, order in (("first", 10), ("last", 2_000_000))
    ]
    for policy in made:
        if policy["apiVersion"].startswith("projectcalico"):
            policy["spec"]["tier"] = chance.choice(("first", "default", "last"))
    return [*tiers, *made]


def compare(made: Pods, seed: int) -> int:
    """Send every traffic between every pair; how many packets were judged."""
    namespaces, pods = cluster(seed)
    manifests = policies_of(seed)
    made.rules(Rules(namespaces, pods, manifests).text())
    evaluated = PolicySet.of(manifests, namespaces_of(namespaces).values())
    peers = peers_of(pods, namespaces) | {address: outside(address) for address in OUTSIDE}
    ends = [(name, address) for name, addresses in made.addresses.items() for address in addresses]
    wanted: set[int] = set()
    connections: set[int] = set()
    sent: dict[int, tuple[str, str, str]] = {}
    for source, own in ends:
        for end, address in ends:
            if source == end:
                continue
            names = [
                address if name == "outside" else name for name, address in ((source, own), (end, address))
            ]
            for traffic in TRAFFICS:
                probe = len(sent) + 1
                sent[probe] = (names[0], names[1], traffic)
                if traffic == CONNECTED:
                    connections.add(probe)
                    made.connect(source, Flow(own, address, probe, 30_000 + seed), 80)
                else:
                    made.send(source, Flow(own, address, probe, 10_000 + seed), traffic)
                answer = evaluated.flow(peers[names[0]], peers[names[1]], traffic_of(traffic)).answer
                assert answer is not Answer.UNKNOWN
                if answer is Answer.ALLOW:
                    wanted.add(probe)
    arrived = made.arrived()
    answered = made.answered(wanted & connections)
    assert {sent[probe] for probe in arrived ^ wanted} == set(), f"seed {seed}"
    assert answered == wanted & connections, f"seed {seed}"
    return len(sent)


@pytest.mark.parametrize("first", range(0, SETS, BLOCK))
def test_packets_go_where_the_evaluator_says(made: Pods, first: int) -> None:
    for seed in range(first, first + BLOCK):
        assert compare(made, seed) > 800
