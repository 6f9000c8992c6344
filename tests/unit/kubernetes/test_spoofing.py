"""What an API server says of pods that may send from addresses not their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest

from ferryman.kubernetes.cluster import ClusterUnreadableError, Node
from ferryman.kubernetes.objects import Manifest, Pod
from ferryman.kubernetes.spoofing import ANNOTATION, spoofing_findings
from ferryman.model import Finding, Kind, Realserver, Service, Verdict
from ferryman.testing import FakeCluster

NODE1, NODE2 = (
    Realserver(f"node{number}", Kind.KUBERNETES, IPv4Address(f"10.10.0.3{number}"), None, cluster="staging")
    for number in (1, 2)
)
SERVER = Realserver("web1", Kind.SERVER, IPv4Address("10.10.0.21"), None)
SERVICE = Service("ingress", "lab", False, "low-traffic", False, (), (NODE1, NODE2, SERVER), ())
POD = Pod("web", "shop-1", "1", "node1", (), {}, datetime(2026, 11, 1, tzinfo=UTC))
OPEN = {"metadata": {"name": "default"}, "spec": {"workloadSourceSpoofing": "Any"}}
ANNOTATED = replace(POD, annotations={ANNOTATION: '["10.0.0.0/8"]'})


def cluster(*pods: Pod, felix: tuple[Manifest, ...] = ()) -> FakeCluster:
    return FakeCluster(
        nodes_now=(Node("node1"), Node("n2.example", hostname="node2")),
        pods_now=list(pods),
        felix_configurations_now=felix,
    )


def found(of: FakeCluster) -> list[Finding]:
    return spoofing_findings(SERVICE, {"staging": of})


def test_an_open_configuration_is_told_with_the_command_that_shuts_it() -> None:
    (finding,) = found(cluster(POD, felix=(OPEN,)))
    assert (finding.check, finding.host, finding.verdict) == ("pod-spoofing", "staging", Verdict.WARN)
    assert finding.seen.startswith("FelixConfiguration default: workloadSourceSpoofing is Any")
    assert """-p '{"spec":{"workloadSourceSpoofing":"Disabled"}}'""" in finding.remedy


def test_annotated_pods_are_told_by_node_and_that_they_may_do_so_now() -> None:
    _, finding = found(cluster(ANNOTATED, felix=(OPEN,)))
    assert (finding.host, finding.verdict) == ("node1", Verdict.WARN)
    assert finding.seen.startswith('web/shop-1 (["10.0.0.0/8"]): have the annotation')
    assert finding.seen.endswith("and may send from there")


def test_an_annotation_that_counts_for_nothing_yet_is_told_as_that() -> None:
    (finding,) = found(cluster(replace(ANNOTATED, node="n2.example")))
    assert (finding.host, finding.verdict) == ("node2", Verdict.WARN)
    assert finding.seen.endswith("which counts as soon as workloadSourceSpoofing is Any")


def test_many_are_one_finding() -> None:
    (finding,) = found(cluster(*(replace(ANNOTATED, name=f"shop-{number}") for number in range(8))))
    assert "shop-4" in finding.seen
    assert "shop-5" not in finding.seen
    assert "and 3 more" in finding.seen


@pytest.mark.parametrize(
    "felix", [(), ({"metadata": {"name": "default"}, "spec": {}},), ({"spec": None},), ({"metadata": None},)]
)
def test_pods_of_other_nodes_and_a_configuration_that_says_nothing_are_fine(
    felix: tuple[Manifest, ...],
) -> None:
    (finding,) = found(cluster(POD, replace(ANNOTATED, node="node9"), felix=felix))
    assert finding.verdict is Verdict.PASS


def test_a_cluster_that_cannot_be_asked_is_skipped_and_says_why() -> None:
    silent = cluster()
    silent.fail("pods", ClusterUnreadableError("403 Forbidden"))
    (finding,) = found(silent)
    assert (finding.verdict, finding.host) == (Verdict.SKIP, "staging")
    assert "403 Forbidden" in finding.seen


def test_clusters_without_an_api_server_are_left_to_the_nodes_rules() -> None:
    assert spoofing_findings(SERVICE, {}) == []
