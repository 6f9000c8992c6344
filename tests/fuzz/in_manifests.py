"""What stands in manifests and policies: those of files, and what a cluster says of its own."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ferryman.errors import FerrymanError
from ferryman.kubernetes.cluster import Node
from ferryman.kubernetes.objects import Namespace
from ferryman.kubernetes.policies.impact import Comparison
from ferryman.kubernetes.policies.manifests import World, proposal, read_manifests
from ferryman.kubernetes.policies.policy_set import PolicySet, peer_of
from ferryman.kubernetes.policies.selector import UnreadableSelectorError, calico_selector
from ferryman.kubernetes.policies.values import Traffic
from fuzz.in_files import YAML_WORDS
from fuzz.target import Target
from unit.kubernetes.policies.kubernetes_pods import outside, pod_of, pod_value

FILE = Path(tempfile.gettempdir()) / f"ferryman-fuzz-manifests-{os.getpid()}.yaml"
PODS = [pod_value(pod_of("web", f"shop-{n}", {"app": "shop", "n": str(n)}, f"10.0.0.{n}")) for n in (1, 2)]
NAMESPACES = (Namespace("web", {"team": "red"}),)
NODES = (Node("node1", addresses=frozenset({"192.0.2.1"})),)

MANIFESTS = (
    """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: web}
spec:
  podSelector: {matchExpressions: [{key: app, operator: In, values: [shop]}]}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/24]}}, {namespaceSelector: {}, podSelector: {}}]
    ports: [{port: 80, endPort: 90, protocol: TCP}, {port: web}]
""",
    """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: first.b}
spec:
  tier: first
  order: 1
  selector: app == 'shop'
  serviceAccountSelector: all()
  ingress:
  - {action: Allow, protocol: ICMP, icmp: {type: 3, code: 4}, source: {nets: [10.0.0.0/8]}}
  - {action: Pass, notProtocol: 6, destination: {notPorts: [80, "90:99", web]}}
---
apiVersion: crd.projectcalico.org/v1
kind: Tier
metadata: {name: first}
spec: {order: 1, defaultAction: Pass}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: s, labels: {a: b}}
spec: {nets: ["::/0"]}
""",
    """\
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: c}
spec:
  priority: 1
  subject: {namespaces: {}}
  ingress:
  - {action: Deny, from: [{namespaces: {notSameLabels: [team]}}], ports: [{portNumber: {port: 80}}]}
""",
)
SELECTORS = (
    "app == 'shop' && !(has(x) || n in {'1', '2'})",
    "all()",
    'app not in {"a"} || n starts with "1"',
)


def _manifests(text: str) -> object:
    """As a file that would be applied; and, whatever that says of it, as what a cluster has already."""
    FILE.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = read_manifests(FILE)
    finally:
        FILE.unlink()
    there = World(tuple(each.manifest for each in found), NAMESPACES)
    policies = PolicySet.of(there.manifests, NAMESPACES)
    pod = peer_of(PODS[0], {each.name: each for each in NAMESPACES})
    policies.flow(outside("198.51.100.7"), pod, Traffic(6, 80))
    with suppress(FerrymanError):
        Comparison(there, World((), NAMESPACES), PODS, NODES).losses()
    made = proposal(World((), NAMESPACES), found)
    return Comparison(World((), NAMESPACES), made.after, PODS, NODES).losses()


TARGETS: tuple[Target, ...] = (
    Target(
        "manifests",
        _manifests,
        MANIFESTS,
        (*YAML_WORDS, "\n---\n", "policyTypes: ", "tier: ", "selector: ", "nets: ", "ports: "),
        share=1,
    ),
    Target(
        "calico-selector",
        lambda text: calico_selector(text)({"app": "shop"}),
        SELECTORS,
        ("&&", "||", "!", " not in {", " starts with ", "has(", "global()"),
        refuses=UnreadableSelectorError,
    ),
)
