"""The kinds that the double serves, and how it tells clients of them (discovery)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of objects."""

    version: str
    """Of its group: ``v1`` or ``apps/v1``."""
    kind: str
    plural: str
    namespaced: bool = True
    subresources: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.version.rpartition("/")[0]

    @property
    def full(self) -> str:
        """As messages name it, such as ``deployments.apps``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_POLICIES = (
    ("Tier", "tiers", False),
    ("NetworkPolicy", "networkpolicies", True),
    ("GlobalNetworkPolicy", "globalnetworkpolicies", False),
    ("StagedNetworkPolicy", "stagednetworkpolicies", True),
    ("StagedGlobalNetworkPolicy", "stagedglobalnetworkpolicies", False),
    ("StagedKubernetesNetworkPolicy", "stagedkubernetesnetworkpolicies", True),
    ("NetworkSet", "networksets", True),
    ("GlobalNetworkSet", "globalnetworksets", False),
    ("FelixConfiguration", "felixconfigurations", False),
    ("IPPool", "ippools", False),
)
CALICO = ("projectcalico.org/v3", "crd.projectcalico.org/v1")
"""Groups that only a cluster with Calico has."""
ADMIN = "policy.networking.k8s.io/v1alpha1"
EXTENSIONS = (*CALICO, ADMIN)
"""Groups that are served only where there is an object of them."""
KINDS = (
    Kind("v1", "Node", "nodes", namespaced=False),
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "Pod", "pods", subresources=("eviction",)),
    Kind("v1", "Service", "services"),
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("apps/v1", "ReplicaSet", "replicasets"),
    Kind("apps/v1", "StatefulSet", "statefulsets"),
    Kind("apps/v1", "DaemonSet", "daemonsets"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("batch/v1", "CronJob", "cronjobs"),
    Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind(ADMIN, "AdminNetworkPolicy", "adminnetworkpolicies", namespaced=False),
    Kind(ADMIN, "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", namespaced=False),
    *(Kind(version, *each) for version in CALICO for each in _POLICIES),
)
_SHORT = {
    "pods": "po",
    "nodes": "no",
    "services": "svc",
    "deployments": "deploy",
    "poddisruptionbudgets": "pdb",
}
BY_PLURAL = {(kind.version, kind.plural): kind for kind in KINDS}
BY_KIND = {(kind.version, kind.kind): kind for kind in KINDS}


def discovered(path: str, groups: set[str]) -> Manifest | None:
    """What discovery answers to a path; ``groups`` are the versions of groups that are served."""
    words = [word for word in path.split("/") if word]
    match words:
        case ["version"]:
            return {"major": "1", "minor": "32", "gitVersion": "v1.32.0", "platform": "linux/amd64"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(groups)}
        case ["api", version]:
            return _resources(version) if version in groups else None
        case ["apis", group, version]:
            return _resources(f"{group}/{version}") if f"{group}/{version}" in groups else None
    return None


def _groups(versions: set[str]) -> list[Manifest]:
    listed = []
    for version in sorted(each for each in versions if "/" in each):
        group, _, number = version.partition("/")
        served = {"groupVersion": version, "version": number}
        listed.append({"name": group, "versions": [served], "preferredVersion": served})
    return listed


def _resources(version: str) -> Manifest:
    found: list[Manifest] = []
    for kind in (kind for kind in KINDS if kind.version == version):
        verbs = ["get", "list", "patch", "delete"]
        named = {"name": kind.plural, "singularName": kind.kind.lower(), "namespaced": kind.namespaced}
        short = [_SHORT[kind.plural]] if kind.plural in _SHORT else []
        found.append({**named, "kind": kind.kind, "verbs": verbs, "shortNames": short})
        found.extend(
            {
                "name": f"{kind.plural}/{sub}",
                "singularName": "",
                "namespaced": True,
                "group": "policy",
                "version": "v1",
                "kind": sub.capitalize(),
                "verbs": ["create"],
            }
            for sub in kind.subresources
        )
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}
