"""mtu check: pods behind a service that are too large are named; which nodes count, its policy says."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.kubernetes.objects import Endpoint
from ferryman.testing import Cuts, Harness, OwnPart, Scene, ThirdParty
from unit.kubernetes.mtu.world import LIMIT, World

if TYPE_CHECKING:
    from ferryman.outcomes import RunResult

WEB = {"service": "web", "site": "lab"}


def scene(cuts: Cuts) -> Scene:
    """It only reads; all pods are small."""
    world = World(cuts)
    world.mtus = dict.fromkeys(world.mtus, LIMIT)
    others = [ThirdParty("makes a pod large", ("web/shop-1",), lambda: world.mtus.update(uid21=1500))]
    own = OwnPart(in_place=list, missing=list, rest=lambda: dict(world.mtus))
    return Scene(partial(world.plan, "check", WEB), lambda: dict(world.mtus), others, own)


def check(world: World) -> tuple[RunResult, list[str]]:
    harness = Harness()
    result = harness.perform(world.plan("check", WEB))
    found = [each.event.as_dict() for each in harness.events if each.event.event == "finding"]
    return result, [f"{each['verdict']} {each['host']}: {each['seen']}" for each in found]


def test_pods_that_are_too_large_are_refused_and_named() -> None:
    result, lines = check(World())
    assert result.outcome == "refused"
    behind = "behind web/shop (externalTrafficPolicy: Cluster), too large"
    assert lines == [
        f"fail node1: {behind}: web/shop-1 (1500 bytes, Deployment/shop, on node1, 30 d old)",
        f"fail node2: {behind}: web/shop-2 (1500 bytes, Deployment/shop, on node2, 30 d old)",
    ]


def test_with_half_of_them_made_again_the_other_half_is_named() -> None:
    world = World()
    world.mtus["uid21"] = 1480
    result, lines = check(world)
    assert result.outcome == "refused"
    assert [line.partition(",")[0] for line in lines] == [
        "fail node2: behind web/shop (externalTrafficPolicy: Cluster)"
    ]


def test_of_an_ipv4_service_1480_bytes_are_small_enough() -> None:
    world = World()
    world.mtus |= {"uid21": 1480, "uid22": 1480}
    result, lines = check(world)
    assert result.outcome == "done"
    assert lines == [
        "pass kube: behind web/shop (externalTrafficPolicy: Cluster): 2 pods, 1480 bytes at most"
    ]


def test_pods_of_others_do_not_count() -> None:
    world = World()
    world.mtus |= {"uid21": LIMIT, "uid22": LIMIT}
    assert world.large() == ["staging-a/test-1", "web/queue-0"]
    assert check(world)[0].outcome == "done"


def test_with_the_policy_local_a_pod_on_a_node_outside_the_pool_does_not_count() -> None:
    world = World()
    world.cluster.nodes_now = [*world.cluster.nodes_now, replace(world.cluster.nodes_now[0], name="node3")]
    world.cluster.pods_now[2] = replace(world.cluster.pods_now[2], node="node3")
    world.mtus["uid21"] = LIMIT
    service = world.service("Local")
    first, second = service.endpoints
    world.cluster.services_now = [replace(service, endpoints=(first, replace(second, node="node3")))]
    assert check(world)[1] == [
        f"pass kube: behind web/shop (externalTrafficPolicy: Local): 1 pods, {LIMIT} bytes at most"
    ]


def test_a_pod_that_ends_and_still_serves_counts() -> None:
    world = World()
    world.mtus["uid21"] = LIMIT
    service = world.service()
    ending = Endpoint(ip_address("10.244.0.22"), "node2", "web/shop-2", ready=False, terminating=True)
    world.cluster.services_now = [replace(service, endpoints=(service.endpoints[0], ending))]
    assert check(world)[0].outcome == "refused"
    gone = replace(ending, serving=False)
    world.cluster.services_now = [replace(service, endpoints=(service.endpoints[0], gone))]
    assert check(world)[0].outcome == "done"


def test_pods_whose_routes_say_a_small_mss_are_a_warning_that_says_how_long_that_lasts() -> None:
    world = World()
    world.routes |= dict.fromkeys(("uid21", "uid22"), "default via 169.254.1.1 dev eth0 advmss 1440")
    result, lines = check(world)
    assert result.outcome == "done"
    assert lines[0].startswith(
        "warn kube: behind web/shop (externalTrafficPolicy: Cluster), too large, but they"
    )


def test_a_cluster_that_cannot_be_asked_is_unknown() -> None:
    world = World()
    world.cluster.fail("services", ClusterUnreadableError("503"))
    result, lines = check(world)
    assert result.outcome == "refused"
    assert lines == ["unknown kube: 503"]


def test_no_service_that_takes_the_traffic_is_a_warning() -> None:
    world = World()
    world.cluster.services_now = []
    assert check(world)[1] == ["warn kube: no Service of kube takes web's traffic"]
