"""Pods and namespaces of cases: as manifests, as the values of the client, and as policies see them."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from ferryman.kubernetes.objects import Namespace, Owner, Pod
from ferryman.kubernetes.policies.policy_set import peer_of
from ferryman.kubernetes.policies.values import PROTOCOLS, Peer, Traffic

Manifest = dict[str, Any]


def pod_of(namespace: str, name: str, labels: dict[str, str], address: str) -> Manifest:
    """A pod's manifest; its port ``web`` is TCP 80."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "image": "i",
                    "ports": [{"name": "web", "containerPort": 80, "protocol": "TCP"}],
                }
            ],
            "serviceAccountName": "default",
        },
        "status": {"podIP": address, "hostIP": "192.0.2.1"},
    }


def namespaces_of(manifests: list[Manifest]) -> dict[str, Namespace]:
    found = (manifest["metadata"] for manifest in manifests)
    return {meta["name"]: Namespace(meta["name"], meta.get("labels", {})) for meta in found}


def pod_value(manifest: Manifest) -> Pod:
    meta, spec = manifest["metadata"], manifest["spec"]
    ports = {
        port["name"]: (port["protocol"], port["containerPort"])
        for container in spec.get("containers", [])
        for port in container.get("ports", [])
    }
    return Pod(
        meta["namespace"],
        meta["name"],
        uid=f"{meta['namespace']}-{meta['name']}",
        node="node1",
        addresses=(ip_address(manifest["status"]["podIP"]),),
        labels=meta.get("labels", {}),
        created=datetime(2026, 1, 1, tzinfo=UTC),
        owner=Owner("Deployment", meta["name"].rpartition("-")[0] or meta["name"]),
        ports=ports,
        service_account=spec.get("serviceAccountName", ""),
        host_network=spec.get("hostNetwork", False),
    )


def peers_of(pods: list[Manifest], namespaces: list[Manifest]) -> dict[str, Peer]:
    known = namespaces_of(namespaces)
    found = [peer_of(pod_value(manifest), known) for manifest in pods]
    return {peer.name: peer for peer in found}


def traffic_of(text: str) -> Traffic:
    """``TCP 80``, ``ICMP 3/4`` or ``protocol 47``."""
    protocol, _, rest = text.partition(" ")
    if protocol == "ICMP":
        kind, _, code = rest.partition("/")
        return Traffic(1, icmp=(int(kind), int(code)))
    if protocol == "protocol":
        return Traffic(int(rest))
    return Traffic(PROTOCOLS[protocol.lower()], int(rest))


def outside(address: str) -> Peer:
    return Peer("outside", address, (ip_address(address),))
