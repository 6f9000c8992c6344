"""Pods that are half old refuse a service until they are made again, or say a smaller MSS."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman import lab as the_lab
from ferryman.lab.pods import recreate
from lab.kubernetes.conftest import own_mtu
from lab.kubernetes.test_lab_pods import vip_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.kubernetes.cluster import LabCluster
    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

OLD = ("node1-pod1", "node2-pod2")
ALL = ("node1-pod1", "node1-pod2", "node2-pod1", "node2-pod2")
SMALL, LARGE = 1460, 1500
SIZE = 4_000_000
"""Bytes of an upload."""
RATE = 60_000
"""Bytes a second, so that it is under way for longer than a rollout."""
TIMED_OUT = 28
"""curl's exit status."""
FEW = 20
"""Segments that are sent again while the path MTU is found."""


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


def test_a_bulk_upload_that_stalled_runs_once_the_pods_say_a_smaller_mss(
    nodes: RunningLab, cluster: LabCluster
) -> None:
    """Every pod of the service is old, and the director's "fragmentation needed" is lost on the way."""
    for pod in ALL:
        recreate(nodes.place, pod, LARGE)
    nodes.put("fragmentation-needed-lost", "lvs1")
    stalled = upload(nodes, "bulk", within_s=6)
    assert stalled.returncode == TIMED_OUT, stalled.stdout
    assert 0 < sent(stalled) < SIZE
    done = nodes.ferryman("mtu", "rollout", "staging", "--live", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.remade == []
    whole = upload(nodes, "bulk", within_s=20)
    assert (whole.returncode, sent(whole)) == (0, SIZE), whole.stdout + whole.stderr


def test_a_bulk_upload_that_stalled_runs_once_the_pods_are_restarted(
    nodes: RunningLab, cluster: LabCluster
) -> None:
    for pod in ALL:
        recreate(nodes.place, pod, LARGE)
    nodes.put("fragmentation-needed-lost", "lvs1")
    assert upload(nodes, "bulk", within_s=6).returncode == TIMED_OUT
    done = nodes.ferryman("mtu", "rollout", "staging", "--restart", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(ALL) <= set(cluster.remade)
    whole = upload(nodes, "bulk", within_s=20)
    assert (whole.returncode, sent(whole)) == (0, SIZE), whole.stdout + whole.stderr


def test_an_upload_under_way_is_not_disturbed_while_the_pods_are_told(
    nodes: RunningLab, cluster: LabCluster
) -> None:
    """It runs slowly from before the rollout until after it, and every byte arrives."""
    for pod in ALL:
        recreate(nodes.place, pod, LARGE)
    before = retransmitted(nodes)
    slow = subprocess.Popen(
        the_lab.exec_argv(nodes.place, "control", curl(nodes, "bulk", within_s=150, bytes_per_s=RATE)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="latin-1",
    )
    assert slow.stdin is not None
    slow.stdin.write("x" * SIZE)
    slow.stdin.close()
    slow.stdin = None
    done = nodes.ferryman("mtu", "rollout", "staging", "--live", "--yes")
    assert slow.poll() is None, "the upload had ended before the rollout did"
    assert done.returncode == 0, done.stdout + done.stderr
    output, _ = slow.communicate(timeout=150)
    assert slow.returncode == 0
    assert output.splitlines()[0] == str(SIZE)
    assert cluster.remade == []
    assert retransmitted(nodes) - before <= FEW


def curl(lab: RunningLab, service: str, *, within_s: float, bytes_per_s: int = 0) -> list[str]:
    """The command that uploads what it reads; it prints the answer, and how much was sent."""
    vip, port = vip_of(lab, service)
    limit = ["--limit-rate", str(bytes_per_s)] if bytes_per_s else []
    words = ["curl", "-sS", "--max-time", str(within_s), *limit, "-H", "Expect:", "-w", "\n%{size_upload}\n"]
    return [*words, "--data-binary", "@-", f"http://{vip}:{port}/upload"]


def upload(lab: RunningLab, service: str, *, within_s: float) -> subprocess.CompletedProcess[str]:
    return lab.run_in_control(curl(lab, service, within_s=within_s), stdin="x" * SIZE)


def sent(done: subprocess.CompletedProcess[str]) -> int:
    """How many bytes of the upload went out."""
    return int(done.stdout.split()[-1])


def retransmitted(lab: RunningLab) -> int:
    """The TCP segments that the control host has sent again until now."""
    lines = lab.run_in_control(["cat", "/proc/net/snmp"]).stdout.splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("RetransSegs")])
