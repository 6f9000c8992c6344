"""How a workload is restarted: what its budget, its number of replicas and its strategy leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ferryman.kubernetes.mtu.stages import Stage, assigned
from ferryman.kubernetes.mtu.way import max_unavailable, selects, way_for
from ferryman.kubernetes.objects import Budget, Owner
from unit.kubernetes.mtu.world import pod, workload

SHOP = Owner("Deployment", "shop")
POD = pod("web/shop-1", number=1, owner=SHOP)


def budget(allowed: int, name: str = "shop", **selector: Any) -> Budget:  # noqa: ANN401  # a LabelSelector's keys
    return Budget("web", name, selector or {"matchLabels": {"app": "shop"}}, allowed)


def way(kind: str = "Deployment", replicas: int = 2, budgets: Any = (), **more: Any) -> tuple[str, str]:  # noqa: ANN401  # as above
    found = way_for(workload(kind, "web/shop", replicas, **more), [POD], budgets)
    return found.kind, found.reason


def test_a_budget_that_allows_it_is_kept_to_by_evictions() -> None:
    assert way(budgets=[budget(1)]) == ("evict", "the budget shop allows 1 now")


def test_a_single_replica_with_a_budget_is_never_evicted_but_its_rollout_starts_the_new_pod_first() -> None:
    kind, reason = way(replicas=1, budgets=[budget(0)])
    assert kind == "restart"
    assert "starts each new pod before it ends an old one" in reason


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("StatefulSet", {}),
        ("Deployment", {"strategy": "Recreate"}),
        ("Deployment", {"max_unavailable": "1", "max_surge": "0"}),
        ("Deployment", {"paused": True}),
        ("StatefulSet", {"strategy": "OnDelete"}),
        ("StatefulSet", {"partition": 1, "max_unavailable": "0"}),
    ],
)
def test_where_neither_keeps_to_the_budget_neither_is_done_and_it_says_why(kind: str, more: Any) -> None:  # noqa: ANN401  # as above
    found, reason = way(kind, 1, [budget(0)], **more)
    assert found == "none"
    assert reason.startswith("the budget shop allows no disruption though all pods are ready, and ")


def test_two_budgets_let_no_eviction_through_ever() -> None:
    kind, reason = way(
        replicas=4, budgets=[budget(1), budget(1, "other")], max_unavailable="0", max_surge="1"
    )
    assert kind == "restart"
    assert "the budgets other and shop both select its pods" in reason


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, "restart"),
        ({"strategy": "Recreate"}, "evict"),
        ({"strategy": "OnDelete"}, "evict"),
        ({"paused": True}, "evict"),
    ],
)
def test_without_a_budget_its_own_strategy_decides_unless_that_ends_all_at_once_or_none(
    more: Any,  # noqa: ANN401  # as above
    wanted: str,
) -> None:
    assert way(replicas=3, **more)[0] == wanted


def test_one_that_is_not_whole_is_left_alone() -> None:
    broken = workload("Deployment", "web/shop", 3)
    assert way_for(replace(broken, ready=2), [POD], ()).kind == "none"
    assert "a rollout of it is under way" in way_for(replace(broken, updated=1), [POD], ()).reason


@pytest.mark.parametrize(
    ("replicas", "unavailable", "surge", "wanted"),
    [
        (1, "", "", 0),
        (4, "", "", 1),
        (3, "25%", "25%", 0),
        (10, "25%", "", 2),
        (5, "2", "0", 2),
        (5, "0", "0", 1),
    ],
)
def test_shares_are_rounded_as_kubernetes_rounds_them(
    replicas: int, unavailable: str, surge: str, wanted: int
) -> None:
    given = workload("Deployment", "web/shop", replicas, max_unavailable=unavailable, max_surge=surge)
    assert max_unavailable(given) == wanted


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ({}, True),
        ({"matchLabels": {"app": "shop"}}, True),
        ({"matchLabels": {"app": "other"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["shop"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["shop"]}]}, False),
        ({"matchExpressions": [{"key": "gone", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "gone", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Unheard"}]}, True),
    ],
)
def test_a_budget_selects_as_label_selectors_do(selector: Any, wanted: bool) -> None:  # noqa: ANN401  # as above
    assert selects(Budget("web", "x", selector, 1), POD) is wanted
    assert not selects(Budget("other", "x", selector, 1), POD)


def test_each_workload_is_in_the_first_stage_that_takes_its_pods() -> None:
    stages = (
        Stage("staging", namespaces=("staging-*",)),
        Stage("auxiliary", selector=(("tier", "aux"),)),
        Stage("rest"),
    )
    owners = [Owner("Deployment", name) for name in ("test", "cron", "shop")]
    pods = [
        pod("staging-a/test-1", number=1, owner=owners[0]),
        pod("web/cron-1", number=2, owner=owners[1], labels={"tier": "aux"}),
        pod("web/shop-1", number=3, owner=owners[2]),
        pod("web/agent-1", number=4, owner=Owner("DaemonSet", "agent"), host_network=True),
    ]
    workloads = [
        workload("Deployment", "web/shop"),
        workload("Deployment", "web/cron"),
        workload("Deployment", "staging-a/test"),
        workload("DaemonSet", "web/agent"),
    ]
    found = assigned(stages, workloads, pods)
    assert {stage.name: [each.name for each in each_of] for stage, each_of in found.items()} == {
        "staging": ["test"],
        "auxiliary": ["cron"],
        "rest": ["shop"],
    }
