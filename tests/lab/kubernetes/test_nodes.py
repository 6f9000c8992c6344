"""What the API server says of nodes beside what they do: cordoned, without a pod, open to forgery."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman.kubernetes.spoofing import ANNOTATION

if TYPE_CHECKING:
    from typing import Any

    from lab.kubernetes.cluster import LabCluster
    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def findings(lab: RunningLab, service: str, check: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code of a check, and its findings of this id by host."""
    done = lab.ferryman("--output", "json", "check", service, "--site", "lab")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    found = [event for event in events if event.get("event") == "finding" and event["check"] == check]
    return done.returncode, {finding["host"]: finding for finding in found}


def test_a_cordoned_node_that_answers_is_told_and_does_not_block(
    nodes: RunningLab, cluster: LabCluster
) -> None:
    cluster.cordon("node2")
    code, found = findings(nodes, "shop", "node-state")
    assert code == 0
    assert (found["node1"]["verdict"], found["node2"]["verdict"]) == ("pass", "warn")
    assert "cordoned" in found["node2"]["seen"]


def test_a_node_without_a_pod_under_local_is_expected_to_be_silent(
    nodes: RunningLab, cluster: LabCluster
) -> None:
    del cluster
    _, found = findings(nodes, "bare", "node-state")
    assert found["node3"]["verdict"] == "warn"
    assert "no ready endpoint of apps/bare here" in found["node3"]["seen"]
    _, probed = findings(nodes, "bare", "probe")
    assert (probed["node1"]["verdict"], probed["node3"]["verdict"]) == ("pass", "warn")


def test_a_node_without_a_pod_under_cluster_answers_by_another_nodes_pod(
    nodes: RunningLab, cluster: LabCluster
) -> None:
    del cluster
    code, probed = findings(nodes, "wide", "probe")
    assert code == 0
    assert (probed["node1"]["verdict"], probed["node3"]["verdict"]) == ("pass", "pass")


def test_what_the_api_server_says_of_spoofing_is_told(nodes: RunningLab, cluster: LabCluster) -> None:
    cluster.server.calico("FelixConfiguration", "default", {"workloadSourceSpoofing": "Any"})
    for pod in cluster.server.store.all("v1", "Pod"):
        if pod["spec"]["nodeName"] == "node1":
            pod["metadata"]["annotations"] = {ANNOTATION: '["10.20.0.0/24"]'}
            cluster.server.store.touch(pod)
    code, found = findings(nodes, "shop", "pod-spoofing")
    assert code == 0
    verdicts = {host: finding["verdict"] for host, finding in found.items()}
    assert verdicts["staging"] == "warn"
    assert "workloadSourceSpoofing is Any" in found["staging"]["seen"]
    assert verdicts["node1"] == "warn"
