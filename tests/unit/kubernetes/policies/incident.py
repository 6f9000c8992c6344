"""The incident: a GlobalNetworkPolicy that allows ICMP was extended to kube-system, and taken back.

It has rules for ICMP alone. Pods that no policy was about before were closed by it to all but ICMP; those
that policies of Kubernetes were about got ICMP, and lost it again when it was taken back.
"""

from __future__ import annotations

from typing import Any

from unit.kubernetes.policies.kubernetes_pods import pod_of

Manifest = dict[str, Any]

NAMESPACES: list[Manifest] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"name": name}}}
    for name in ("kube-system", "web")
]
PODS: list[Manifest] = [
    pod_of("kube-system", "coredns-1", {"k8s-app": "kube-dns"}, "10.0.0.2"),
    pod_of("kube-system", "coredns-2", {"k8s-app": "kube-dns"}, "10.0.0.3"),
    pod_of("kube-system", "calico-kube-controllers-1", {"k8s-app": "calico-kube-controllers"}, "10.0.0.4"),
    pod_of("web", "shop-1", {"app": "shop"}, "10.0.1.4"),
]
COREDNS: Manifest = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "coredns", "namespace": "kube-system"},
    "spec": {
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}],
        "egress": [{}],
    },
}
SHOP: Manifest = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "shop", "namespace": "web"},
    "spec": {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": 80}]}],
        "egress": [{}],
    },
}


def allow_all_icmp(namespaces: str) -> Manifest:
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "allow-all-icmp"},
        "spec": {
            "order": 1,
            "selector": "all()",
            "namespaceSelector": namespaces,
            "types": ["Ingress", "Egress"],
            "ingress": [{"action": "Allow", "protocol": "ICMP"}],
            "egress": [{"action": "Allow", "protocol": "ICMP"}],
        },
    }


def narrow() -> list[Manifest]:
    return [allow_all_icmp("name != 'kube-system'"), COREDNS, SHOP]


def wide() -> list[Manifest]:
    return [allow_all_icmp("name in {'kube-system', 'web'}"), COREDNS, SHOP]
