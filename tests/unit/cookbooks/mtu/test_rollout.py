"""mtu rollout: owners are restarted one after the other, as budget and strategy allow; or say less.

A restart cannot be undone: wherever it is cut, what a run says of it is true.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from ferryman import waits
from ferryman.errors import UsageError, VerifyError
from ferryman.kubernetes.cluster import ClusterRefusedError, ClusterUnreadableError, EvictionRefusedError
from ferryman.kubernetes.objects import Budget
from ferryman.testing import (
    Cut,
    Cuts,
    Harness,
    Killed,
    OwnPart,
    Scene,
    ThirdParty,
    cut_everywhere,
    meddle_everywhere,
)
from unit.kubernetes.mtu.world import BIG, LIMIT, TurningWaits, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.engine.plan import Plan
    from ferryman.outcomes import RunResult

RESTART = {"cluster": "kube", "restart": True}
LIVE = {"cluster": "kube", "live": True}
ROUTE = "default via 169.254.1.1 dev eth0"
EASED = f"{ROUTE} advmss 1420"


@pytest.fixture(autouse=True)
def time() -> Iterator[TurningWaits]:
    turning = TurningWaits()
    with waits.using(turning):
        yield turning


def plans(world: World, arguments: dict[str, Any]) -> Callable[[], Plan]:
    """What each new process builds for itself; the first one began the run."""
    processes = count()
    return lambda: world.plan("rollout", arguments, resumed=next(processes) > 0)


def scene(cuts: Cuts) -> Scene:
    """The MSS of running pods is lowered; others change a route, and make a pod again."""
    world = World(cuts)
    first = list(world.cluster.pods_now)

    def lines(route: str) -> list[str]:
        alive = [each for each in first if each in world.cluster.pods_now]
        return [f"{each.node}: cni-{each.uid} {route}" for each in alive if world.routes[each.uid] == route]

    def missing() -> list[str]:
        alive = [each for each in first if each in world.cluster.pods_now]
        return [f"{each.node}: cni-{each.uid}" for each in alive if not world.pod(each).says_at_most(4, 1420)]

    def change(route: str) -> None:
        world.routes["uid21"] = route

    others = [
        ThirdParty("says an MSS of 1300", ("cni-uid21",), lambda: change(f"{ROUTE} advmss 1300")),
        ThirdParty("says the same", ("cni-uid21",), lambda: change(EASED)),
        ThirdParty("says none", ("cni-uid21",), lambda: change(ROUTE)),
    ]
    own = OwnPart(in_place=lambda: lines(EASED), missing=missing, rest=lambda: dict(world.mtus))
    return Scene(plans(world, LIVE), lambda: dict(world.routes), others, own)


def restart_scene(cuts: Cuts) -> Scene:
    """Three owners are restarted. Of that nothing can be put back, so what no rollback claims is left out."""
    world = World(cuts)

    def whole() -> list[str]:
        return sorted(f"{each.namespace} {each.owner}" for each in world.cluster.pods_now if each.ready)

    def deploy() -> None:
        """A team deploys a new version of its own: its pods are made again."""
        shop = next(each for each in world.cluster.workloads_now if each.name == "shop")
        before, world.cluster.dry_run, world.cluster.cuts = world.cluster.cuts, False, Cuts()
        world.cluster.restart(shop, "theirs")
        world.cluster.cuts = before

    others = [ThirdParty("deploys the shop", ("web/shop",), deploy)]
    own = OwnPart(in_place=list, missing=world.large, rest=whole)
    return Scene(plans(world, RESTART), whole, others, own)


def run(world: World, arguments: dict[str, Any]) -> RunResult:
    return Harness().perform(plans(world, arguments)())


def findings(world: World, arguments: dict[str, Any], check: str) -> list[str]:
    harness = Harness()
    harness.perform(plans(world, arguments)())
    found = [each.event.as_dict() for each in harness.events if each.event.event == "finding"]
    return [
        f"{each['verdict']} {each['seen']} -> {each['remedy']}" for each in found if each["check"] == check
    ]


# What it is asked for


def test_restart_and_live_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="one of them"):
        World().plan("rollout", RESTART | LIVE)


def test_without_either_nothing_is_restarted_and_each_owner_is_told_with_its_way() -> None:
    world = World()
    lines = findings(world, {"cluster": "kube"}, "restart-needed")
    assert [line.partition(" (")[0] for line in lines] == [
        "warn stage staging: Deployment staging-a/test: staging-a/test-1",
        "warn stage rest: Deployment web/shop: web/shop-1",
        "warn stage rest: StatefulSet web/queue: web/queue-0",
    ]
    assert "kubectl -n staging-a rollout restart deployment/test" in lines[0]
    assert "evict the pods of deployment/shop in web" in lines[1]
    assert world.cluster.written() == []


def test_a_pod_without_an_owner_is_told_too_and_never_touched() -> None:
    world = World()
    world.cluster.pods_now[3] = replace(world.cluster.pods_now[3], owner=None)
    assert "kubectl -n web delete pod queue-0" in findings(world, {"cluster": "kube"}, "restart-needed")[-1]
    assert run(world, RESTART).outcome == "done"
    assert world.large() == ["web/queue-0"]


def test_a_dry_run_says_which_owner_would_be_restarted_how_and_restarts_none() -> None:
    world = World(dry_run=True)
    harness = Harness()
    result = harness.perform(plans(world, RESTART)(), dry_run=True)
    assert result.outcome == "done"
    edits = [each.event.as_dict() for each in harness.events if each.event.event == "change"]
    assert [each["command"] for each in edits] == [
        "kubectl -n staging-a rollout restart deployment/test  # not reversible",
        "evict the pods of deployment/shop in web that are too large, one after the other  # not reversible",
        "kubectl -n web rollout restart statefulset/queue  # not reversible",
    ]
    assert world.cluster.written() == []


# Restarts


def test_new_pods_that_would_be_too_large_as_well_refuse_it_before_anything_is_restarted() -> None:
    world = World(new_mtu=BIG)
    result = run(world, RESTART)
    assert result.outcome == "refused"
    assert "they get 1500 bytes" in result.reason
    assert world.cluster.written() == []


def test_an_owner_that_can_neither_be_evicted_nor_restarted_refuses_it() -> None:
    world = World()
    world.cluster.budgets_now.append(Budget("web", "queue", {"matchLabels": {"app": "queue"}}, 0))
    result = run(world, RESTART)
    assert result.outcome == "refused"
    assert "StatefulSet web/queue: can neither be evicted nor restarted" in result.reason
    assert world.cluster.written() == []


def test_or_is_skipped_where_its_stage_says_so() -> None:
    world = World(blocked="skip")
    world.cluster.budgets_now.append(Budget("web", "queue", {"matchLabels": {"app": "queue"}}, 0))
    assert run(world, RESTART).outcome == "done"
    assert world.large() == ["web/queue-0"]


def test_each_owner_is_restarted_in_its_own_way_stage_by_stage_with_their_soaks(time: TurningWaits) -> None:
    world = World()
    assert run(world, RESTART).outcome == "done"
    assert world.large() == []
    assert world.cluster.written() == [
        "restart Deployment staging-a/test",
        "evict web/shop-1",
        "evict web/shop-2",
        "restart StatefulSet web/queue",
    ]
    assert time.now >= 300 + 30


def test_pods_that_are_small_already_are_left_alone() -> None:
    world = World()
    world.mtus |= {"uid21": LIMIT, "uid11": LIMIT}
    assert run(world, RESTART).outcome == "done"
    assert world.cluster.written() == ["evict web/shop-2", "restart StatefulSet web/queue"]


def test_a_second_rollout_restarts_nothing_and_soaks_nothing(time: TurningWaits) -> None:
    world = World()
    run(world, RESTART)
    written, over = world.cluster.written(), time.now
    assert run(world, RESTART).outcome == "done"
    assert (world.cluster.written(), time.now) == (written, over)


def test_a_budget_that_allows_no_eviction_for_a_while_is_waited_for() -> None:
    world = World()
    world.cluster.fail("evict", EvictionRefusedError("the budget allows none now"), times=5)
    assert run(world, RESTART).outcome == "done"
    assert world.large() == []


def test_but_no_longer_than_the_deadline_and_what_was_restarted_is_not_said_to_be_back() -> None:
    world = World()
    world.cluster.fail("evict", EvictionRefusedError("the budget allows none now"), times=500)
    result = run(world, RESTART)
    assert result.outcome == "rolled-back"
    assert "web/shop-1 cannot be evicted: the budget allows none now" in result.reason
    assert "nothing takes this back, and it stays" in result.reason
    assert "kube: Deployment staging-a/test: its pods that were made again stay" in result.reason
    assert sorted(world.large()) == ["web/queue-0", "web/shop-1", "web/shop-2"]


def test_pods_that_do_not_become_ready_stop_it_at_the_deadline_and_no_later_owner_is_touched() -> None:
    world = World()
    world.cluster.starts_ready = False
    result = run(world, RESTART)
    assert result.outcome == "rolled-back"
    assert "Deployment staging-a/test: not whole after 60 s: 0 of 1 pods are ready" in result.reason
    assert world.cluster.written() == ["restart Deployment staging-a/test"]


def test_pods_that_take_their_time_are_waited_for(time: TurningWaits) -> None:
    world = World()
    world.cluster.starts_ready = False

    def settle() -> None:
        world.cluster.settle()
        world.cluster.budgets_now = [
            replace(each, disruptions_allowed=1) for each in world.cluster.budgets_now
        ]

    time.during = [settle] * 50
    result = run(world, RESTART)
    assert result.outcome == "done", result.reason
    assert world.large() == []


def test_a_new_pod_that_is_too_large_all_the_same_stops_it_after_the_first() -> None:
    world = World()
    world.cluster.on_made = lambda old, new: world.made(new, BIG)
    result = run(world, RESTART)
    assert result.outcome == "rolled-back"
    assert "pods made again are too large too" in result.reason
    assert len(world.cluster.written()) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["evict", "restart"])
def test_an_answer_that_is_lost_is_looked_at_and_nothing_is_done_twice(method: Any, when: Any) -> None:  # noqa: ANN401  # literals of the fake's
    world = World()
    world.cluster.fail(method, ClusterUnreadableError("the answer was lost"), when)
    assert run(world, RESTART).outcome == "done"
    assert world.large() == []
    restarted = {each.name: each.generation for each in world.cluster.workloads_now}
    assert restarted == {"test": 2, "queue": 2, "shop": 1}


def test_a_user_without_the_right_to_restart_is_told_and_it_goes_no_further() -> None:
    world = World()
    world.cluster.fail("restart", ClusterRefusedError("403: patch deployments: forbidden"), times=50)
    result = run(world, RESTART)
    assert "cannot be restarted: 403" in result.reason
    assert len(world.large()) == len(world.cluster.pods_now)


def test_an_owner_that_its_team_restarts_meanwhile_is_passed_over(time: TurningWaits) -> None:
    world = World()

    def deploy() -> None:
        world.cluster.restart(world.cluster.workloads_now[1], "theirs")

    time.during = [deploy]
    assert run(world, RESTART).outcome == "done"
    assert world.large() == []
    assert not any(call.startswith("evict") for call in world.cluster.written())


def test_a_signal_ends_it_after_the_owner_under_way(time: TurningWaits) -> None:
    world = World()
    world.cluster.starts_ready = False

    def stop() -> None:
        signal.raise_signal(signal.SIGTERM)
        world.cluster.settle()

    time.during = [stop]
    result = run(world, RESTART)
    assert result.outcome == "interrupted"
    assert world.cluster.written() == ["restart Deployment staging-a/test"]
    assert "not reversible" in result.reason


def test_a_killed_run_goes_on_where_it_was() -> None:
    calls = Cuts()
    run(World(calls), RESTART)
    world = World(Cuts(Cut(calls.calls // 2, "after", _kill)))
    harness, plan = Harness(), plans(world, RESTART)
    with pytest.raises(Killed):
        harness.perform(plan())
    assert world.large()
    assert harness.recover(plan(), "resume").outcome == "done"
    assert world.large() == []


def test_a_done_rollout_cannot_be_rolled_back_and_says_why() -> None:
    world = World()
    harness, plan = Harness(), plans(world, RESTART)
    harness.perform(plan())
    result = harness.recover(plan(), "rollback")
    assert result.outcome == "refused"
    assert "not reversible: its pods were made again" in result.reason


def test_wherever_a_rollout_is_cut_it_ends_and_leaves_every_owner_whole() -> None:
    assert cut_everywhere(restart_scene, briefly=True) > 0


def test_whatever_a_team_deploys_meanwhile_what_it_says_is_true() -> None:
    assert meddle_everywhere(restart_scene, briefly=True) > 0


@pytest.mark.parametrize("fault", ["refuse", "kill"])
def test_wherever_it_is_cut_it_says_done_of_small_pods_alone_and_names_what_stays(fault: str) -> None:
    calls = Cuts()
    run(World(calls), RESTART)
    for at in range(0, calls.calls, 3):
        world = World(Cuts(Cut(at, "after", _kill if fault == "kill" else _refuse)))
        harness, plan = Harness(), plans(world, RESTART)
        try:
            result = harness.perform(plan())
        except Killed:
            result = harness.recover(plan(), "rollback")
        remade = {str(each.owner) for each in world.cluster.pods_now if "+" in each.uid}
        if result.outcome == "done":
            assert world.large() == []
        else:
            kept = [owner for owner in remade if owner.partition("/")[2] not in result.reason]
            assert kept == [], f"cut at {at}: {result.outcome}: {result.reason}"
            assert "all is as before" not in result.reason or not remade


def _kill() -> None:
    raise Killed


def _refuse() -> None:
    raise VerifyError("the host said no")


# A smaller MSS


def test_only_pods_that_are_too_large_say_less_and_no_device_is_touched() -> None:
    world = World()
    world.mtus["uid21"] = LIMIT
    before = dict(world.mtus)
    assert run(world, LIVE).outcome == "done"
    assert world.routes == {"uid11": EASED, "uid21": ROUTE, "uid22": EASED, "uid31": EASED}
    assert world.mtus == before
    assert {verb.name for verb in world.hosts.written()} == {"edit-pod-routes"}


def test_it_is_told_how_long_that_lasts() -> None:
    assert "lasts until a pod is made again" in findings(World(), LIVE, "pod-mss")[0]


def test_a_second_one_changes_nothing() -> None:
    world = World()
    run(world, LIVE)
    count_before = len(world.hosts.written())
    assert run(world, LIVE).outcome == "done"
    assert len(world.hosts.written()) == count_before


def test_its_rollback_puts_each_route_back_as_it_was() -> None:
    world = World()
    world.routes["uid21"] = f"{ROUTE} advmss 1460"
    before = dict(world.routes)
    harness, plan = Harness(), plans(world, LIVE)
    assert harness.perform(plan()).outcome == "done"
    assert world.routes["uid21"] == EASED
    assert harness.recover(plan(), "rollback").outcome == "rolled-back"
    assert world.routes == before


def test_a_route_that_could_not_be_put_back_as_it_is_refuses_it() -> None:
    world = World()
    world.routes["uid22"] = f"{ROUTE} realm 7"
    result = run(world, LIVE)
    assert result.outcome == "refused"
    assert "cannot be put back as it is" in result.reason
    assert world.hosts.written() == []


def test_a_pod_that_is_made_again_meanwhile_needs_nothing() -> None:
    world = World()
    harness, plan = Harness(), plans(world, LIVE)
    assert harness.perform(plan()).outcome == "done"
    world.cluster.restart(world.cluster.workloads_now[1], "theirs")
    assert harness.recover(plan(), "rollback").outcome == "rolled-back"


def test_lowering_the_mss_is_cut_everywhere() -> None:
    assert cut_everywhere(scene, briefly=True) > 0


def test_and_meddled_with_everywhere() -> None:
    assert meddle_everywhere(scene, briefly=True) > 0
