"""What a cookbook gets that asks for a cluster by its name, and what of the inventory is kept for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config
from ferryman.cookbook.context import Ferry
from ferryman.errors import DryRunError, InventoryError
from ferryman.hosts.fake import FakeHosts
from ferryman.inventory import Inventory, lint
from ferryman.kubernetes.objects import Workload

if TYPE_CHECKING:
    from pathlib import Path

WORKLOAD = Workload("Deployment", "apps", "shop", "uid", "7", 1, 1, 1, "RollingUpdate")
CLUSTERS = """\
staging: {api: "http://127.0.0.1:1", pod_mtu: 1460}
bare: {pod_mtu: 1460}
twice: {api: in-cluster, context: x}
"""
HOSTS = """\
node1: {kind: kubernetes, cluster: staging, address: 10.10.0.31}
node2: {kind: kubernetes, cluster: bare, address: 10.10.0.32}
node3: {kind: kubernetes, cluster: twice, address: 10.10.0.33}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "services.yaml").write_text("service::catalog: {}\n")
    (tmp_path / "clusters.yaml").write_text(CLUSTERS)
    (tmp_path / "hosts.yaml").write_text(HOSTS)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"), [("stagin", "has no cluster stagin, .*staging"), ("bare", "names no API server")]
)
def test_a_cluster_that_cannot_be_asked_is_named_with_its_file(folder: Path, name: str, said: str) -> None:
    ferry = Ferry(Config(file=folder / "ferryman.toml", inventory=folder), FakeHosts())
    with pytest.raises(InventoryError, match=rf"clusters\.yaml.*{said}"):
        ferry.cluster(name)


def test_a_cluster_is_made_once_and_in_a_dry_run_it_cannot_write(folder: Path) -> None:
    ferry = Ferry(Config(file=folder / "ferryman.toml", inventory=folder), FakeHosts(), dry_run=True)
    client = ferry.cluster("staging")
    assert ferry.cluster("staging") is client
    with pytest.raises(DryRunError, match="nothing was done"):
        client.restart(WORKLOAD, "now")


def test_a_tape_keeps_the_cluster_that_was_asked_and_its_nodes_and_no_others(folder: Path) -> None:
    kept = Inventory.load(folder).part([], ["staging"])
    assert sorted(kept) == ["clusters.yaml", "hosts.yaml"]
    assert ("staging" in kept["clusters.yaml"], "bare" in kept["clusters.yaml"]) == (True, False)
    assert ("node1" in kept["hosts.yaml"], "node2" in kept["hosts.yaml"]) == (True, False)
    assert Inventory.load(folder).part([]) == {}


def test_in_cluster_beside_a_context_is_a_fault(folder: Path) -> None:
    found = [str(problem) for problem in lint(folder)]
    assert any("twice: api: is in-cluster beside a kubeconfig" in problem for problem in found), found
