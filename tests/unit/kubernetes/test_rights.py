"""The rights in docs/rbac.yaml are those that are needed: with them all works, and none can be left out."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from doubles.api_server import ApiServer, serving
from doubles.api_server.kinds import ADMIN, CALICO
from ferryman.kubernetes.cluster import ClusterRefusedError, ClusterUnreadableError
from unit.kubernetes.test_reading import READS, client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doubles.api_server.kinds import Manifest
    from ferryman.kubernetes.client import ClusterClient

ROLES = {
    manifest["metadata"]["name"]: manifest["rules"]
    for manifest in yaml.safe_load_all((Path(__file__).parents[3] / "docs" / "rbac.yaml").read_text())
    if manifest["kind"] == "ClusterRole"
}
READ, RESTART = ROLES["ferryman-read"], ROLES["ferryman-restart"]
Right = tuple[str, str, str]
"""API group, resource, verb."""
WRITES: dict[str, Callable[[ClusterClient], object]] = {
    "evict": lambda client: client.evict(client.pods()[0]),
    **{
        f"restart a {kind}": lambda client, kind=kind: client.restart(  # type: ignore[misc]
            next(each for each in client.workloads() if each.kind == kind), "now"
        )
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
    },
}
MANY = 12
"""More owners than are asked for one by one."""


def rights_of(rules: list[Manifest]) -> list[Right]:
    return [right for rule in rules for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])]


def checked_by_calico_alone(right: Right) -> bool:
    group, resource, verb = right
    return resource.startswith("tier.") or (group, resource, verb) == ("projectcalico.org", "tiers", "get")


def as_rules(rights: list[Right]) -> list[Manifest]:
    return [{"apiGroups": [group], "resources": [what], "verbs": [verb]} for group, what, verb in rights]


@contextmanager
def cluster(version: str) -> Iterator[ApiServer]:
    with serving() as server:
        for number in range(MANY):
            server.workload("Deployment", f"shop{number}", ["node1"])
            job = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": f"j{number}", "namespace": "x"},
            }
            server.pod(f"j{number}-x", "node2", namespace="x", owner=server.store.put(job))
        server.workload("StatefulSet", "db", ["node1"])
        server.workload("DaemonSet", "agent", ["node1"])
        server.service("web", "Local", {"port": 443, "nodePort": 30443})
        server.config_map("coredns", {})
        server.calico("Tier", "default", {}, version=version)
        server.store.put(
            {"apiVersion": ADMIN, "kind": "AdminNetworkPolicy", "metadata": {"name": "a"}, "spec": {}}
        )
        yield server


def all_reads(server: ApiServer) -> None:
    client = client_of(server)
    for read in READS.values():
        read(client)
    for kind, name in (("Deployment", "shop0"), ("DaemonSet", "agent")):
        assert client.workload(kind, "apps", name) is not None
    for namespace in ("apps", "x"):  # owners that nobody has asked for yet are read one by one
        newest = server.store.all("v1", "Pod", namespace)[-1]["metadata"]["name"]
        assert client_of(server).pod(namespace, newest) is not None


def all_writes(server: ApiServer) -> None:
    for write in WRITES.values():
        write(client_of(server, dry_run=False))


@pytest.mark.parametrize("version", CALICO)
def test_with_these_rights_everything_can_be_read_and_nothing_done(version: str) -> None:
    with cluster(version) as server:
        server.rules = READ
        all_reads(server)
        for write in WRITES.values():
            with pytest.raises(ClusterRefusedError, match=r"403: .*docs/rbac.yaml has the rights"):
                write(client_of(server, dry_run=False))


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_with_the_second_role_pods_can_be_replaced(write: Callable[[ClusterClient], object]) -> None:
    with cluster(CALICO[0]) as server:
        server.rules = [*READ, *RESTART]
        write(client_of(server, dry_run=False))


def test_of_the_rights_to_read_none_can_be_left_out() -> None:
    rights = [right for right in rights_of(READ) if not checked_by_calico_alone(right)]
    for version, unused in (CALICO, CALICO[::-1]):
        with cluster(version) as server:
            for right in rights:
                if right[0] == unused.partition("/")[0]:
                    continue
                server.rules = as_rules([each for each in rights if each != right])
                with pytest.raises(ClusterUnreadableError, match="403: "):
                    all_reads(server)
        rights = [right for right in rights if "calico" in right[0]]  # the others are no other ones there


@pytest.mark.parametrize("right", rights_of(RESTART))
def test_of_the_rights_to_restart_none_can_be_left_out(right: Right) -> None:
    with cluster(CALICO[0]) as server:
        others = [each for each in rights_of(RESTART) if each != right]
        server.rules = [*READ, *as_rules(others)]
        with pytest.raises(ClusterRefusedError, match="403: "):
            all_writes(server)


def test_of_config_maps_only_those_that_are_named_can_be_read() -> None:
    with cluster(CALICO[0]) as server:
        server.rules = READ
        server.config_map("secrets-of-others", {})
        with pytest.raises(ClusterUnreadableError, match="403: "):
            client_of(server).config_map("kube-system", "secrets-of-others")
