"""Pods that are half old refuse a service until they are made again, or say a smaller MSS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman.lab.pods import recreate
from lab.kubernetes.conftest import own_mtu

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from lab.kubernetes.cluster import LabCluster
    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

OLD = ("node1-pod1", "node2-pod2")
SMALL, LARGE = 1460, 1500


@pytest.fixture
def half_old(nodes: RunningLab, cluster: LabCluster) -> LabCluster:
    """Two of the service's four pods are from before the CNI's MTU was lowered."""
    for pod in OLD:
        recreate(nodes.place, pod, LARGE)
    return cluster


@pytest.fixture
def migrated_back(nodes: RunningLab) -> Iterator[list[str]]:
    """Runs to be rolled back after the test."""
    runs: list[str] = []
    yield runs
    for run in reversed(runs):
        back = nodes.ferryman("rollback", run)
        assert back.returncode == 0, back.stdout + back.stderr


def migrate(lab: RunningLab) -> subprocess.CompletedProcess[str]:
    return lab.ferryman("--output", "json", "migrate", "shop", "--site", "lab", "--yes")


def is_refused_with_the_pods_named(lab: RunningLab, cluster: LabCluster) -> None:
    """Both by the run itself, as its nodes know them, and by what Kubernetes calls them."""
    refused = migrate(lab)
    assert refused.returncode == 3, refused.stdout
    checked = lab.ferryman("mtu", "check", "shop", "--site", "lab")
    assert checked.returncode == 3, checked.stdout
    for pod in OLD:
        assert cluster.name_of(pod) in checked.stdout


def test_half_old_pods_refuse_the_service_until_they_are_restarted(
    nodes: RunningLab, half_old: LabCluster, migrated_back: list[str]
) -> None:
    is_refused_with_the_pods_named(nodes, half_old)
    listed = nodes.ferryman("mtu", "rollout", "staging")
    assert all(half_old.name_of(pod) in listed.stdout for pod in OLD), listed.stdout
    assert half_old.remade == []
    done = nodes.ferryman("mtu", "rollout", "staging", "--restart", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(OLD) <= set(half_old.remade)
    assert [own_mtu(nodes, pod) for pod in OLD] == [SMALL, SMALL]
    moved = migrate(nodes)
    assert moved.returncode == 0, moved.stdout
    migrated_back.append(json.loads(moved.stdout.splitlines()[-1])["run"])


def test_half_old_pods_refuse_the_service_until_they_say_a_smaller_mss(
    nodes: RunningLab, half_old: LabCluster, migrated_back: list[str]
) -> None:
    is_refused_with_the_pods_named(nodes, half_old)
    done = nodes.ferryman("--output", "json", "mtu", "rollout", "staging", "--live", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert half_old.remade == []
    assert [own_mtu(nodes, pod) for pod in OLD] == [LARGE, LARGE]
    moved = migrate(nodes)
    assert moved.returncode == 0, moved.stdout
    migrated_back.append(json.loads(moved.stdout.splitlines()[-1])["run"])
    checked = nodes.ferryman("check", "shop", "--site", "lab")
    assert checked.returncode == 0, checked.stdout
