"""What controllers and kubelets would do, in memory: pods are made again, and counted anew.

A pod that is made again gets another uid and address; of a ReplicaSet or a DaemonSet another name, too, and
of a StatefulSet the same. It is ready at once, or after as many looks at pods as ``lag`` says. A restart
replaces all pods of a workload together, whatever its ``maxUnavailable``: no pace is kept.
"""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doubles.api_server.kinds import BY_KIND
from doubles.api_server.store import Store, matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doubles.api_server.kinds import Manifest

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
HASH = "pod-template-hash"
"""The label that says of which template a pod is; it has another name on some kinds, which nobody reads."""


@dataclass
class Controllers:
    """Keeps the double's objects as a cluster would."""

    store: Store
    lag: int = 0
    """After how many looks at pods one that was made again is ready."""
    made: list[tuple[Manifest, Manifest]] = field(default_factory=list)
    """Pods that are gone, each with the one that was made in its place."""
    _starting: list[tuple[int, Manifest]] = field(default_factory=list)
    _looks: int = 0
    _addresses: int = 0
    _sliced_at: int = 0

    def looked(self) -> None:
        """Note that somebody looked at pods: time passes by that."""
        self._looks += 1
        for due, pod in [*self._starting]:
            if self._looks >= due:
                self._become_ready(due, pod)

    def settle(self) -> None:
        """Make every pod ready that is starting."""
        for due, pod in [*self._starting]:
            self._become_ready(due, pod)

    def evicted(self, pod: Manifest) -> None:
        """Take a pod away; what manages it makes another."""
        manager = next((each for each in owners_of(pod) if each.get("controller")), None)
        self.store.delete(pod)
        if manager is not None:
            self.made.append((pod, self.make_again(pod)))
        self.count()

    def restarted(self, workload: Manifest) -> None:
        """Replace the pods of a workload by those of its new template, as its strategy says."""
        meta, spec = workload["metadata"], workload["spec"]
        workload.setdefault("status", {})["observedGeneration"] = meta["generation"]
        strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
        if spec.get("paused") or strategy.get("type") == "OnDelete":
            self.count()
            return
        pods = self.pods_of(workload)
        if workload["kind"] == "Deployment":
            self.replica_set(workload)
        for pod in pods:
            self.store.delete(pod)
            self.made.append((pod, self.make_again(pod)))
        self.count()

    def make_again(self, pod: Manifest, addresses: Sequence[str] = ()) -> Manifest:
        """A pod as its manager makes it in the place of another one, of its newest template."""
        again = copy.deepcopy(pod)
        meta = again["metadata"]
        manager = next(each for each in owners_of(pod) if each.get("controller"))
        for key in ("uid", "creationTimestamp", "deletionTimestamp", "resourceVersion"):
            meta.pop(key, None)
        top = self.topmost(pod)
        if top is not None and top["kind"] == "Deployment":
            newest = self.replica_set(top)
            manager = owner_of(newest)
            meta["ownerReferences"] = [manager]
        if manager["kind"] != "StatefulSet":
            meta["name"] = f"{manager['name']}-{uuid.uuid4().hex[:5]}"
        if top is not None:
            meta.setdefault("labels", {})[HASH] = template_of(top)
        given = list(addresses) or [self.address() for _ in pod["status"].get("podIPs", ())]
        again["status"] |= {"podIP": given[0], "podIPs": [{"ip": each} for each in given]} if given else {}
        self.store.put(again)
        if self.lag:
            _set_ready(again, False)
            self._starting.append((self._looks + self.lag, again))
        else:
            _set_ready(again, True)
        return again

    def address(self) -> str:
        """An address for a pod."""
        self._addresses += 1
        return f"10.64.{self._addresses >> 8}.{self._addresses & 255}"

    def replica_set(self, deployment: Manifest) -> Manifest:
        """The ReplicaSet of a Deployment's newest template; it is made where there is none."""
        meta = deployment["metadata"]
        name = f"{meta['name']}-{template_of(deployment)}"
        known = self.store.get(BY_KIND["apps/v1", "ReplicaSet"], meta["namespace"], name)
        return known or self.store.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": name,
                    "namespace": meta["namespace"],
                    "ownerReferences": [owner_of(deployment)],
                },
                "spec": {"selector": deployment["spec"]["selector"], "replicas": 1},
            }
        )

    def topmost(self, pod: Manifest) -> Manifest | None:
        """The workload of a pod, if it is one that can be restarted."""
        found = pod
        while (
            manager := next((each for each in owners_of(found) if each.get("controller")), None)
        ) is not None:
            kind, name = manager["kind"], manager["name"]
            if kind not in (*WORKLOADS, "ReplicaSet"):
                return None
            above = self.store.get(BY_KIND["apps/v1", kind], pod["metadata"]["namespace"], name)
            if above is None:
                return None
            found = above
        return found if found["kind"] in WORKLOADS else None

    def pods_of(self, workload: Manifest) -> list[Manifest]:
        """The pods of a workload."""
        namespace = workload["metadata"]["namespace"]
        return [pod for pod in self.store.all("v1", "Pod", namespace) if self.topmost(pod) is workload]

    def count(self) -> None:
        """Count for workloads and budgets how their pods are now."""
        by_workload: dict[str, list[Manifest]] = {}
        pods = self.store.all("v1", "Pod")
        for pod in pods:
            top = self.topmost(pod)
            if top is not None:
                by_workload.setdefault(top["metadata"]["uid"], []).append(pod)
        for kind in WORKLOADS:
            for workload in self.store.all("apps/v1", kind):
                _count(workload, by_workload.get(workload["metadata"]["uid"], []))
        for budget in self.store.all("policy/v1", "PodDisruptionBudget"):
            least = budget["spec"].get("minAvailable")
            if least is not None:
                healthy = sum(is_ready(pod) for pod in guarded_by(budget, pods))
                budget["status"] |= {"currentHealthy": healthy, "desiredHealthy": least}
                budget["status"]["disruptionsAllowed"] = max(0, healthy - least)

    def slices(self) -> None:
        """Write the endpoint slice of each Service that has a selector, as its pods are now."""
        if self._sliced_at == self.store.version:
            return
        pods = self.store.all("v1", "Pod")
        for service in self.store.all("v1", "Service"):
            meta, selector = service["metadata"], service["spec"].get("selector")
            if not selector:
                continue
            found = [
                _endpoint(pod)
                for pod in pods
                if pod["metadata"]["namespace"] == meta["namespace"]
                and matches({"matchLabels": selector}, pod["metadata"].get("labels") or {})
                and pod["status"].get("podIP")
            ]
            self.store.put(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "addressType": "IPv4",
                    "metadata": {
                        "name": f"{meta['name']}-auto",
                        "namespace": meta["namespace"],
                        "labels": {"kubernetes.io/service-name": meta["name"]},
                    },
                    "endpoints": found or None,  # as an API server writes it
                    "ports": service["spec"].get("ports"),
                }
            )

        self._sliced_at = self.store.version

    def _become_ready(self, due: int, pod: Manifest) -> None:
        self._starting.remove((due, pod))
        _set_ready(pod, True)
        self.store.touch(pod)
        self.count()


def owners_of(manifest: Manifest) -> list[Manifest]:
    return manifest["metadata"].get("ownerReferences") or []


def owner_of(manifest: Manifest) -> Manifest:
    """A reference to an object that manages others."""
    meta = manifest["metadata"]
    named = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "name": meta["name"]}
    return {**named, "uid": meta["uid"], "controller": True}


def template_of(workload: Manifest) -> str:
    """What stands for a workload's template: another one after each restart."""
    annotations = workload["spec"]["template"].get("metadata", {}).get("annotations") or {}
    return uuid.uuid5(uuid.NAMESPACE_OID, repr(sorted(annotations.items()))).hex[:9]


def guarded_by(budget: Manifest, pods: Sequence[Manifest]) -> list[Manifest]:
    """The pods that a budget selects."""
    selector = budget["spec"].get("selector")
    return [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == budget["metadata"]["namespace"]
        and selector is not None
        and matches(selector, pod["metadata"].get("labels") or {})
    ]


def is_ready(pod: Manifest) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _set_ready(pod: Manifest, ready: bool) -> None:
    others = [each for each in pod["status"].get("conditions") or () if each["type"] != "Ready"]
    pod["status"]["conditions"] = [*others, {"type": "Ready", "status": "True" if ready else "False"}]


def _count(workload: Manifest, pods: list[Manifest]) -> None:
    status = workload.setdefault("status", {})
    ready = sum(is_ready(pod) for pod in pods)
    updated = sum((pod["metadata"].get("labels") or {}).get(HASH) == template_of(workload) for pod in pods)
    if workload["kind"] == "DaemonSet":
        status |= {"numberReady": ready, "updatedNumberScheduled": updated, "numberAvailable": ready}
        status |= {
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": len(pods),
            "numberMisscheduled": 0,
        }
    else:
        status |= {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready}
        status["updatedReplicas"] = updated


def _endpoint(pod: Manifest) -> Manifest:
    meta = pod["metadata"]
    ends, ready = meta.get("deletionTimestamp") is not None, is_ready(pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "nodeName": pod["spec"].get("nodeName"),
        "conditions": {"ready": ready and not ends, "serving": ready, "terminating": ends},
        "targetRef": {
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        },
    }
