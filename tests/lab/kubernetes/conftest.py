"""A lab of Kubernetes nodes alone: several pods each, one node without any, and one behind the router."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ferryman import lab as the_lab
from ferryman.errors import LabError
from ferryman.lab import topology
from ferryman.lab.pods import recreate, set_cni_mtu
from ferryman.lab.topology.values import POD_MTU_BYTES
from lab.conftest import own_folder, require_lab
from lab.kubernetes.cluster import LabCluster, lab_cluster
from lab.quick import FOR_ALL, configure
from lab.running import REPOSITORY, RunningLab

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES: dict[str, Any] = {
    "site": "lab",
    "directors": [
        {"name": "lvs1", "role": "primary", "driver": "ipvsadm"},
        {"name": "lvs2", "role": "secondary", "driver": "ipvsadm"},
    ],
    "realservers": [
        {"name": "node1", "kind": "kubernetes", "pods": 2, "cluster": "staging"},
        {"name": "node2", "kind": "kubernetes", "pods": 2, "cluster": "staging"},
        {"name": "node3", "kind": "kubernetes", "pods": 0, "cluster": "staging"},
        {"name": "node4", "kind": "kubernetes", "pods": 1, "cluster": "staging", "far": True},
    ],
    "services": [
        {"name": "shop", "port": 8080, "realservers": ["node1", "node2"]},
        {"name": "bare", "port": 8081, "realservers": ["node1", "node3"]},
        {"name": "wide", "port": 8082, "realservers": ["node1", "node3"], "traffic_policy": "Cluster"},
        {"name": "bulk", "port": 8084, "realservers": ["node1", "node2"], "forwarding": "ipip"},
        {"name": "rack", "port": 8083, "realservers": ["node2", "node4"]},
    ],
}
"""``shop`` is as usual, ``bulk`` is on IPIP already; ``bare`` has a node without a pod, under Local; ``wide``
has it under Cluster; of ``rack``, the last one, a node is behind the router."""


@pytest.fixture(scope="session")
def booted_nodes() -> Iterator[RunningLab]:
    """Boot the lab of nodes once for the session; with the configuration that it has written for itself."""
    require_lab()
    with own_folder() as folder:
        running = RunningLab(folder)
        made = topology.from_data(NODES)
        the_lab.up(running.place, topology=made, cookbooks=[REPOSITORY / "cookbooks"])
        yield RunningLab(running.place.configuration_file.parent)
        the_lab.down(running.place)


@pytest.fixture
def nodes(booted_nodes: RunningLab) -> Iterator[RunningLab]:
    """The lab of nodes, without faults and with the pods' MTU as it booted, before and after each test."""
    configure(booted_nodes.folder, FOR_ALL)
    yield booted_nodes
    booted_nodes.clear()
    for pod in the_lab.topology_of(booted_nodes.place).pods:
        if own_mtu(booted_nodes, pod.name) != POD_MTU_BYTES:
            recreate(booted_nodes.place, pod.name, POD_MTU_BYTES)
    for node in ("node1", "node2", "node3", "node4"):
        set_cni_mtu(booted_nodes.place, node, POD_MTU_BYTES)


@pytest.fixture
def cluster(nodes: RunningLab) -> Iterator[LabCluster]:
    """An API server that knows the lab's nodes and pods, and makes real pods of the lab anew."""
    with lab_cluster(nodes) as running:
        yield running


def own_mtu(lab: RunningLab, pod: str) -> int:
    """The MTU in bytes of a pod's own device."""
    try:
        return int(lab.console(pod, "cat /sys/class/net/eth0/mtu"))
    except (LabError, ValueError):
        return 0
