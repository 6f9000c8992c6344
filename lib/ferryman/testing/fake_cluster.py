"""A cluster in memory, for tests of everything that asks an API server or has it replace pods."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeVar

from ferryman.errors import DryRunError
from ferryman.kubernetes.cluster import ClusterRefusedError, EvictionRefusedError
from ferryman.kubernetes.mtu.way import selects
from ferryman.testing.fakes import Cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Budget, ClusterService, Manifest, Namespace, Pod, Workload
    from ferryman.model import Address

T = TypeVar("T")
Method = Literal[
    "nodes",
    "pods",
    "pod",
    "services",
    "workloads",
    "workload",
    "budgets",
    "namespaces",
    "policies",
    "felix_configurations",
    "config_map",
    "evict",
    "restart",
]
When = Literal["before", "after"]
"""Whether a call fails before it takes effect, or after: then it was the answer that got lost."""


@dataclass
class FakeCluster:
    """A cluster that makes pods again, as a ``ClusterClient``.

    It is a fake because no API server runs here, and one with kubelets and controllers, which would make pods
    again, runs nowhere in a test. How the real client speaks to an API server is tested over HTTP, by a
    double that does not know what a pod is; what a rollout makes of pods that come and go is tested here.

    A pod that is evicted, or whose workload is restarted, is made again at once: with another uid and
    address, of a Deployment or DaemonSet also with another name. ``starts_ready`` says whether it is ready
    then, or only after ``settle``. Tests change ``pods_now`` and the like as a third party would.
    """

    nodes_now: Sequence[Node] = ()
    pods_now: list[Pod] = field(default_factory=list)
    workloads_now: list[Workload] = field(default_factory=list)
    budgets_now: list[Budget] = field(default_factory=list)
    services_now: Sequence[ClusterService] = ()
    namespaces_now: Sequence[Namespace] = ()
    policies_now: Sequence[Manifest] = ()
    felix_configurations_now: Sequence[Manifest] = ()
    config_maps: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    """By namespace and name."""
    dry_run: bool = False
    cuts: Cuts = field(default_factory=Cuts)
    """Every call goes through them."""
    on_made: Callable[[Pod, Pod], object] | None = None
    """Told of each pod that is made again: the one that is gone, and the new one."""
    starts_ready: bool = True
    now: Callable[[], datetime] = lambda: datetime(2026, 11, 22, 22, 19, 43, tzinfo=UTC)
    calls: list[str] = field(default_factory=list)
    """Each call, as ``evict web/shop-1``."""
    _failures: list[tuple[Method, When, Exception]] = field(default_factory=list)
    _made: int = 0

    def fail(self, method: Method, error: Exception, when: When = "before", times: int = 1) -> None:
        """Have the next calls of this method raise an error, before or after they took effect."""
        self._failures += [(method, when, error)] * times

    def settle(self) -> None:
        """Make all pods ready, and count their workloads' pods anew."""
        self.pods_now = [replace(pod, ready=True) for pod in self.pods_now]
        self.workloads_now = [
            replace(workload, ready=workload.replicas, updated=workload.replicas)
            for workload in self.workloads_now
        ]

    def written(self) -> list[str]:
        """The calls that changed something."""
        return [call for call in self.calls if call.startswith(("evict ", "restart "))]

    def nodes(self) -> tuple[Node, ...]:
        """As ``ClusterClient.nodes``."""
        return self._call("nodes", "", lambda: tuple(self.nodes_now))

    def pods(self, *, node: str | None = None, namespace: str | None = None) -> tuple[Pod, ...]:
        """As ``ClusterClient.pods``."""
        asked = " ".join(filter(None, (node, namespace)))
        return self._call(
            "pods",
            asked,
            lambda: tuple(
                pod
                for pod in self.pods_now
                if node in (None, pod.node) and namespace in (None, pod.namespace)
            ),
        )

    def pod(self, namespace: str, name: str) -> Pod | None:
        """As ``ClusterClient.pod``."""
        full = f"{namespace}/{name}"
        return self._call(
            "pod", full, lambda: next((pod for pod in self.pods_now if pod.full_name == full), None)
        )

    def services(self) -> tuple[ClusterService, ...]:
        """As ``ClusterClient.services``."""
        return self._call("services", "", lambda: tuple(self.services_now))

    def workloads(self) -> tuple[Workload, ...]:
        """As ``ClusterClient.workloads``."""
        return self._call("workloads", "", lambda: tuple(self.workloads_now))

    def workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        """As ``ClusterClient.workload``."""
        key = (kind, namespace, name)
        return self._call("workload", f"{kind} {namespace}/{name}", lambda: self._workload(key))

    def budgets(self) -> tuple[Budget, ...]:
        """As ``ClusterClient.budgets``."""
        return self._call("budgets", "", lambda: tuple(self.budgets_now))

    def namespaces(self) -> tuple[Namespace, ...]:
        """As ``ClusterClient.namespaces``."""
        return self._call("namespaces", "", lambda: tuple(self.namespaces_now))

    def policies(self) -> tuple[Manifest, ...]:
        """As ``ClusterClient.policies``."""
        return self._call("policies", "", lambda: tuple(self.policies_now))

    def felix_configurations(self) -> tuple[Manifest, ...]:
        """As ``ClusterClient.felix_configurations``."""
        return self._call("felix_configurations", "", lambda: tuple(self.felix_configurations_now))

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """As ``ClusterClient.config_map``."""
        return self._call(
            "config_map", f"{namespace}/{name}", lambda: self.config_maps.get((namespace, name))
        )

    def evict(self, pod: Pod) -> None:
        """As ``ClusterClient.evict``; a budget is asked as the API server asks it."""
        self._require_write(f"evict {pod.full_name}")
        self._call("evict", pod.full_name, lambda: self._evict(pod))

    def restart(self, workload: Workload, stamp: str) -> None:
        """As ``ClusterClient.restart``; all pods are replaced at once, unless its strategy is OnDelete."""
        name = f"{workload.kind} {workload.namespace}/{workload.name}"
        self._require_write(f"restart {name}")
        self._call("restart", name, lambda: self._restart(workload, stamp))

    def _call(self, method: Method, asked: str, effect: Callable[[], T]) -> T:
        self.calls.append(f"{method} {asked}".strip())

        def whole() -> T:
            self._fail(method, "before")
            value = effect()
            self._fail(method, "after")
            return value

        return self.cuts.call(whole)

    def _fail(self, method: Method, when: When) -> None:
        for failure in self._failures:
            if failure[:2] == (method, when):
                self._failures.remove(failure)
                raise failure[2]

    def _require_write(self, what: str) -> None:
        if self.dry_run:
            raise DryRunError(f"the cluster: a dry run tried to {what}; nothing was asked")

    def _workload(self, key: tuple[str, str, str]) -> Workload | None:
        found = (each for each in self.workloads_now if (each.kind, each.namespace, each.name) == key)
        return next(found, None)

    def _evict(self, pod: Pod) -> None:
        if not any(each.uid == pod.uid for each in self.pods_now):
            return
        guards = [budget for budget in self.budgets_now if selects(budget, pod)]
        if len(guards) > 1:
            why = f"{pod.full_name}: two budgets select it, which is never allowed"
            raise EvictionRefusedError(why, for_good=True)
        for budget in guards:
            if budget.disruptions_allowed < 1:
                raise EvictionRefusedError(f"{pod.full_name}: budget {budget.name} allows no disruption now")
            if not self.starts_ready:
                place = self.budgets_now.index(budget)
                self.budgets_now[place] = replace(budget, disruptions_allowed=budget.disruptions_allowed - 1)
        self._make_again(pod)

    def _restart(self, workload: Workload, stamp: str) -> None:
        known = self._workload((workload.kind, workload.namespace, workload.name))
        if known is None or known.resource_version != workload.resource_version:
            raise ClusterRefusedError(f"{workload.namespace}/{workload.name}: it is another one by now")
        replaced = not known.paused and known.strategy != "OnDelete"
        self.workloads_now[self.workloads_now.index(known)] = replace(
            known,
            restarted_at=stamp,
            resource_version=f"{known.resource_version}+",
            generation=known.generation + 1,
            observed_generation=known.generation + 1,
            updated=known.replicas if replaced else 0,
            ready=known.ready if self.starts_ready or not replaced else 0,
        )
        if replaced:
            for pod in [each for each in self.pods_now if self._is_of(each, known)]:
                self._make_again(pod)

    @staticmethod
    def _is_of(pod: Pod, workload: Workload) -> bool:
        return (pod.namespace, pod.owner) == (workload.namespace, workload.owner)

    def _make_again(self, pod: Pod) -> None:
        """Take a pod away, and make it again as its owner does; without an owner it stays away."""
        place = next(number for number, each in enumerate(self.pods_now) if each.uid == pod.uid)
        old = self.pods_now.pop(place)
        if old.owner is None:
            return
        self._made += 1
        kept = old.owner.kind == "StatefulSet"
        new = replace(
            old,
            name=old.name if kept else f"{old.owner.name}-new{self._made}",
            uid=f"{old.uid.partition('+')[0]}+{self._made}",
            addresses=tuple(_next(address, self._made) for address in old.addresses),
            created=self.now(),
            ready=self.starts_ready,
        )
        self.pods_now.insert(place, new)
        if self.on_made is not None:
            self.on_made(old, new)


def _next(address: Address, number: int) -> Address:
    """An address that no pod had before, as long as a test has fewer than some thousand pods."""
    return type(address)(int(address) + (number << 8) + 0x10000)
