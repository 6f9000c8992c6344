"""mtu status: which pods are too large is told by node, owner and age, and so is what new ones get."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import InventoryError, UnreachableError
from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.realservers.facts.pods import CniFile, CniState
from ferryman.testing import Cuts, Harness, OwnPart, Scene, ThirdParty
from unit.kubernetes.mtu.world import BIG, CONFLIST, LIMIT, NOW, World

if TYPE_CHECKING:
    from ferryman.outcomes import RunResult


def scene(cuts: Cuts) -> Scene:
    """It only reads."""
    world = World(cuts)
    others = [ThirdParty("makes a pod small", ("web/shop-1",), lambda: world.mtus.update(uid21=LIMIT))]
    own = OwnPart(in_place=list, missing=list, rest=lambda: dict(world.mtus))
    plan = partial(world.plan, "status", {"cluster": "kube"})
    return Scene(plan, lambda: dict(world.mtus), others, own)


def told(world: World, check: str) -> list[str]:
    return findings(world, check)[1]


def findings(world: World, check: str) -> tuple[RunResult, list[str]]:
    harness = Harness()
    result = harness.perform(world.plan("status", {"cluster": "kube"}))
    found = [each.event.as_dict() for each in harness.events if each.event.event == "finding"]
    lines = [f"{each['verdict']} {each['host']}: {each['seen']}" for each in found if each["check"] == check]
    return result, lines


def test_a_cluster_that_is_not_in_the_inventory_is_named_with_the_nearest() -> None:
    with pytest.raises(InventoryError, match="kubee"):
        World().plan("status", {"cluster": "kubee"}).steps[0].look(None)  # type: ignore[union-attr,arg-type]


def test_an_api_server_that_cannot_be_asked_ends_it() -> None:
    world = World()
    world.cluster.fail("nodes", ClusterUnreadableError("it does not answer"), times=9)
    result, _ = findings(world, "pods-mtu")
    assert result.outcome == "refused"
    assert "it does not answer" in result.reason


def test_a_node_that_cannot_be_asked_is_unknown_and_never_green() -> None:
    world = World()
    world.hosts.down("node2", UnreachableError("node2: connect: refused; nothing ran"))
    result, lines = findings(world, "pods-mtu")
    assert result.outcome == "refused"
    assert lines[1] == "unknown node2: 2 pods not seen: node2: connect: refused; nothing ran"


def test_a_node_that_the_inventory_does_not_name_is_not_connected_to() -> None:
    world = World()
    world.cluster.pods_now[0] = world.cluster.pods_now[0].__class__(
        "x", "y", "uid99", "evil.example", (), {}, NOW
    )
    world.mtus["uid99"] = BIG
    findings(world, "pods-mtu")
    assert {call.host for call in world.hosts.calls} == {"node1", "node2"}


def test_pods_that_are_too_large_are_told_by_node_with_owner_and_age() -> None:
    lines = told(World(), "pods-mtu")
    assert lines[0] == (
        "warn node1: 2 of 2 pods are too large: staging-a/test-1 (1500 bytes, Deployment/test, 30 d old),"
        " web/shop-1 (1500 bytes, Deployment/shop, 30 d old)"
    )


def test_and_by_owner() -> None:
    assert told(World(), "pods-of-owner") == [
        "warn staging-a: Deployment/test: 1 of 1 pods are too large, the oldest 30 d old, on node1",
        "warn web: Deployment/shop: 2 of 2 pods are too large, the oldest 30 d old, on node1, node2",
        "warn web: StatefulSet/queue: 1 of 1 pods are too large, the oldest 30 d old, on node2",
    ]


def test_how_the_number_shrank_is_told_by_the_ages_of_the_new_ones() -> None:
    world = World()
    world.cluster.now = lambda: NOW - timedelta(hours=3)
    world.cluster.evict(world.cluster.pods_now[1])
    assert told(world, "pods-shrunk")[0].startswith(
        "warn kube: 3 of 4 pods are too large; at most 4 30 d ago, 4 7 d ago, 4 1 d ago, 3 1 h ago"
    )


def test_a_host_end_that_takes_more_than_the_pod_s_is_a_fault_of_its_own() -> None:
    world = World()
    world.mtus = dict.fromkeys(world.mtus, LIMIT)
    world.host_mtus["uid21"] = BIG
    assert told(world, "pod-host-end") == [
        "warn node1: web/shop-1: cali0 takes 1500 bytes, and the pod's own end 1460"
    ]


def test_a_setting_of_the_chart_without_effect_is_told_with_who_owns_the_file() -> None:
    world = World()
    world.cni = CniState((CniFile(CONFLIST, BIG, valid=True, plugins=("calico",), writers=("Puppet",)),))
    world.cluster.config_maps = {("kube-system", "calico-config"): {"veth_mtu": "1460"}}
    owned, without_effect = told(world, "cni-configuration")[:2]
    assert owned == (
        f"warn node1: {CONFLIST}, the first by name, gives new pods 1500 bytes; it is owned by Puppet"
    )
    assert without_effect == (
        f"warn node1: kube-system/calico-config says veth_mtu 1460, and the node uses 1500 of {CONFLIST}:"
        " the former has no effect here"
    )


def test_the_first_file_by_name_counts_and_the_others_are_named() -> None:
    world = World()
    world.cni = CniState(
        (
            CniFile("/etc/cni/net.d/05-old.conf", BIG, valid=True),
            CniFile(CONFLIST, LIMIT, valid=True, plugins=("calico",)),
        )
    )
    assert told(world, "cni-configuration")[0] == (
        "warn node1: /etc/cni/net.d/05-old.conf, the first by name, gives new pods 1500 bytes; nobody claims"
        " it; not used: 10-calico.conflist"
    )
