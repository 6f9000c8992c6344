"""Which workloads a stage of a rollout has: each belongs to the first stage that takes its pods."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.inventory.schema import ClusterEntry
    from ferryman.kubernetes.objects import Pod, Workload

SOAK_S = 300.0
DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Some of a cluster's workloads, that are restarted after those of the stages before."""

    name: str
    namespaces: tuple[str, ...] = ()
    """Patterns such as ``staging-*``; empty: any namespace."""
    selector: tuple[tuple[str, str], ...] = ()
    """Labels that its pods have; empty: any pod."""
    soak_s: float = SOAK_S
    """Seconds without trouble after its last restart."""
    blocked: Literal["refuse", "skip"] = "refuse"
    """What a workload comes to that can neither be evicted nor restarted."""

    def takes(self, pod: Pod) -> bool:
        """Whether a pod is of this stage, as far as its own keys say."""
        in_namespace = not self.namespaces or any(
            fnmatchcase(pod.namespace, pattern) for pattern in self.namespaces
        )
        return in_namespace and all(pod.labels.get(key) == value for key, value in self.selector)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A cluster's stages, and how long a workload may take."""

    stages: tuple[Stage, ...] = (Stage("all"),)
    deadline_s: float = DEADLINE_S
    """Seconds until the pods of a workload must be ready again."""


def rollout_of(entry: ClusterEntry) -> Rollout:
    """The rollout that clusters.yaml describes; one stage with everything where it does not."""
    given = entry.rollout
    if given is None:
        return Rollout()
    stages = (
        Stage(
            stage.name,
            tuple(stage.namespaces or ()),
            tuple(sorted((stage.selector or {}).items())),
            stage.soak,
            stage.blocked,
        )
        for stage in given.stages
    )
    return Rollout(tuple(stages), given.deadline)


def assigned(
    stages: Sequence[Stage], workloads: Iterable[Workload], pods: Iterable[Pod]
) -> dict[Stage, list[Workload]]:
    """The workloads of each stage, by namespace and name; one without a pod of its own network has none."""
    first: dict[tuple[str, str, str], Pod] = {}
    for pod in sorted(pods, key=lambda pod: pod.full_name):
        if pod.owner is not None and not pod.host_network:
            first.setdefault((pod.namespace, pod.owner.kind, pod.owner.name), pod)
    found: dict[Stage, list[Workload]] = {stage: [] for stage in stages}
    for workload in sorted(workloads, key=key_of):
        example = first.get((workload.namespace, workload.kind, workload.name))
        stage = next((each for each in stages if example is not None and each.takes(example)), None)
        if stage is not None:
            found[stage].append(workload)
    return found


def key_of(workload: Workload) -> tuple[str, str, str]:
    """Namespace, kind and name: what a workload is known by while it is made anew."""
    return workload.namespace, workload.kind, workload.name


def members(pods: Iterable[Pod], key: tuple[str, str, str]) -> list[Pod]:
    """The pods of a workload, by name."""
    return sorted((pod for pod in pods if _key(pod) == key), key=lambda pod: (pod.name, pod.uid))


def _key(pod: Pod) -> tuple[str, str, str]:
    owner = pod.owner
    return ("", "", "") if owner is None else (pod.namespace, owner.kind, owner.name)
