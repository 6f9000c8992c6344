"""How a workload's pods can be made again: by eviction, by its own rollout, or not at all; and why.

A rollout does not ask disruption budgets; an eviction asks them, and never succeeds for a single replica that
has one. So the budget, the number of replicas and the strategy are compared here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.kubernetes.objects import Budget, Pod, Workload

DEFAULTS = {"Deployment": ("25%", "25%"), "StatefulSet": ("1", "0"), "DaemonSet": ("1", "0")}
"""``maxUnavailable`` and ``maxSurge`` where a workload does not say."""


@dataclass(frozen=True, slots=True)
class Way:
    """How its pods are made again, or why they cannot be now."""

    kind: Literal["evict", "restart", "none"]
    reason: str


def way_for(workload: Workload, pods: Sequence[Pod], budgets: Sequence[Budget]) -> Way:
    """The way that keeps to what the workload's owner asked for; ``pods`` are those to be made again."""
    if workload.ready < workload.replicas:
        lacking = f"{workload.ready} of {workload.replicas} pods are ready"
        return Way("none", f"{lacking}: whatever takes one away makes that worse; wait, or repair it")
    if workload.observed_generation < workload.generation or (
        workload.updated < workload.replicas and not _stands_still(workload)
    ):
        return Way("none", "a rollout of it is under way; wait for its end")
    guards = sorted(
        {budget.name: budget for pod in pods for budget in budgets if selects(budget, pod)}.items()
    )
    if len(guards) > 1:
        names = " and ".join(name for name, _ in guards)
        return _by_rollout(workload, f"the budgets {names} both select its pods, which no eviction passes")
    if guards:
        name, budget = guards[0]
        if budget.disruptions_allowed > 0:
            return Way("evict", f"the budget {name} allows {budget.disruptions_allowed} now")
        return _by_rollout(workload, f"the budget {name} allows no disruption though all pods are ready")
    return _unguarded(workload)


def _unguarded(workload: Workload) -> Way:
    if still := _stands_still(workload):
        return Way("evict", f"no budget selects its pods, and {still}")
    if workload.strategy == "Recreate" and workload.replicas > 1:
        return Way("evict", "no budget selects its pods, and Recreate would end all of them at once")
    return Way("restart", f"no budget selects its pods: its own strategy, {workload.strategy}, decides")


def _by_rollout(workload: Workload, obstacle: str) -> Way:
    """A rollout where no eviction goes: only if it starts each new pod before it ends an old one."""
    if still := _stands_still(workload):
        return Way("none", f"{obstacle}, and {still}")
    if workload.strategy == "RollingUpdate" and max_unavailable(workload) == 0:
        return Way("restart", f"{obstacle}; its rollout starts each new pod before it ends an old one")
    return Way(
        "none",
        f"{obstacle}, and a rollout ({_strategy(workload)}) would end pods against that budget; change"
        " either of them, or ask its owners to restart it",
    )


def _stands_still(workload: Workload) -> str:
    """Why a rollout of it would not replace all of its pods; empty where it would."""
    if workload.paused:
        return "it is paused, so that a rollout replaces no pod"
    if workload.strategy == "OnDelete":
        return "its strategy is OnDelete, so that a rollout replaces no pod"
    if workload.partition > 0:
        return f"its partition is {workload.partition}, so that a rollout leaves pods below it"
    return ""


def _strategy(workload: Workload) -> str:
    if workload.strategy != "RollingUpdate":
        return workload.strategy
    return f"RollingUpdate with {max_unavailable(workload)} unavailable"


def max_unavailable(workload: Workload) -> int:
    """How many pods fewer than it should have a rollout may leave ready.

    Shares are rounded down, and those of the surge up; where both come to 0, it is 1.
    """
    unavailable, surge = DEFAULTS.get(workload.kind, DEFAULTS["StatefulSet"])
    down = _number(workload.max_unavailable or unavailable, workload.replicas, math.floor)
    up = _number(workload.max_surge or surge, workload.replicas, math.ceil)
    return 1 if down == up == 0 else down


def _number(value: str, replicas: int, rounded: Any) -> int:  # noqa: ANN401  # floor or ceil
    if found := re.fullmatch(r"(\d{1,3})%", value):
        return int(rounded(replicas * int(found[1]) / 100))
    return int(value) if re.fullmatch(r"\d{1,9}", value) else 1


def selects(budget: Budget, pod: Pod) -> bool:
    """Whether a budget's selector means this pod; one that is not understood does, to be careful."""
    if budget.namespace != pod.namespace:
        return False
    labels: Mapping[str, str] = budget.selector.get("matchLabels") or {}
    expressions = budget.selector.get("matchExpressions") or []
    return labels.items() <= pod.labels.items() and all(_holds(each, pod.labels) for each in expressions)


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key"), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return labels.get(str(key)) in values
        case "NotIn":
            return labels.get(str(key)) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return True
