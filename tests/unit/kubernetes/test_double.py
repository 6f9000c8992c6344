"""kubectl as the outside judge: it takes the double for an API server, and reads what ferryman reads."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.kubernetes.objects import Owner
from tools import program, require_tool
from unit.kubernetes.test_reading import client_of

if TYPE_CHECKING:
    from pathlib import Path

    from doubles.api_server import ApiServer


class Kubectl:
    """kubectl, asking the double alone."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._words = [
            *(program("kubectl"), "--server", server.url, "--kubeconfig", "/dev/null"),
            *("--cache-dir", str(folder)),
        ]

    def __call__(self, *words: str) -> str:
        done = subprocess.run([*self._words, *words], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def items(self, *words: str) -> list[Any]:
        found = json.loads(self("get", *words, "-o", "json"))
        return list(found["items"])


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    require_tool("kubectl", package="kubernetes-client")
    for name in ("node1", "node2", "node3"):
        server.node(name)
    server.workload("Deployment", "shop", ["node1", "node2", "node1"])
    server.workload("StatefulSet", "db", ["node3"])
    port = {"name": "https", "port": 443, "nodePort": 30443, "protocol": "TCP"}
    server.service("shop", "Local", port, selector={"app": "shop"})
    server.budget("shop", {"app": "shop"}, min_available=2)
    return Kubectl(server, tmp_path)


def test_nodes_are_the_same_to_both(server: ApiServer, kubectl: Kubectl) -> None:
    theirs = kubectl.items("nodes")
    ours = client_of(server).nodes()
    assert [node["metadata"]["name"] for node in theirs] == [node.name for node in ours] != []
    for node, own in zip(theirs, ours, strict=True):
        ready = next(each for each in node["status"]["conditions"] if each["type"] == "Ready")
        assert own.ready == (ready["status"] == "True")
        assert own.addresses == {each["address"] for each in node["status"]["addresses"]}


def test_pods_are_the_same_to_both_page_by_page_and_of_one_node(server: ApiServer, kubectl: Kubectl) -> None:
    client = client_of(server)
    for theirs, ours in (
        (kubectl.items("pods", "-A", "--chunk-size=1"), client.pods()),
        (kubectl.items("po", "-A", "--field-selector=spec.nodeName=node1"), client.pods(node="node1")),
    ):
        assert [pod["metadata"]["uid"] for pod in theirs] == [pod.uid for pod in ours] != []
        for pod, own in zip(theirs, ours, strict=True):
            assert (own.node, own.labels) == (pod["spec"]["nodeName"], pod["metadata"]["labels"])
            assert [str(each) for each in own.addresses] == [each["ip"] for each in pod["status"]["podIPs"]]
            assert own.created.isoformat().replace("+00:00", "Z") == pod["metadata"]["creationTimestamp"]
    (budget,) = kubectl.items("pdb", "-A")
    assert client.budgets()[0].disruptions_allowed == budget["status"]["disruptionsAllowed"] == 1


def test_a_service_and_its_endpoints_are_the_same_to_both(server: ApiServer, kubectl: Kubectl) -> None:
    (service,) = kubectl.items("svc", "-A")
    slices = kubectl.items("endpointslices", "-A", "-l", "kubernetes.io/service-name=shop")
    (own,) = client_of(server).services()
    assert own.policy == service["spec"]["externalTrafficPolicy"]
    assert [port.node_port for port in own.ports] == [port["nodePort"] for port in service["spec"]["ports"]]
    addresses = [address for each in slices for end in each["endpoints"] for address in end["addresses"]]
    assert [str(endpoint.address) for endpoint in own.endpoints] == addresses != []


def test_what_kubectl_restarts_is_restarted_as_ferryman_does_it(server: ApiServer, kubectl: Kubectl) -> None:
    client = client_of(server, dry_run=False)
    kubectl("rollout", "restart", "deployment/shop", "-n", "apps")
    theirs = client.workload("Deployment", "apps", "shop")
    assert theirs is not None
    client.restart(theirs, "now")
    ours = client.workload("Deployment", "apps", "shop")
    assert ours is not None
    assert (bool(theirs.restarted_at), ours.restarted_at) == (True, "now")
    assert (theirs.generation, ours.generation, ours.updated) == (2, 3, 3)
    patches = [asked for asked in server.asked if asked.method == "PATCH"]
    assert [each.path for each in patches] == [patches[0].path] * 2
    assert _shape(patches[0].body["spec"]) == _shape(patches[1].body["spec"])


def test_what_kubectl_drains_is_made_again_and_its_budget_is_kept(
    server: ApiServer, kubectl: Kubectl
) -> None:
    before = {pod.uid for pod in client_of(server).pods(node="node1")}
    kubectl("drain", "node1", "--force", "--timeout=20s")
    assert not before & {pod.uid for pod in client_of(server).pods()}
    assert client_of(server).nodes()[0].cordoned
    owners = {pod.owner for pod in client_of(server).pods()}
    assert owners == {Owner("Deployment", "shop"), Owner("StatefulSet", "db")}


def _shape(value: object) -> object:
    """Which keys there are, whatever they say."""
    return {key: _shape(each) for key, each in value.items()} if isinstance(value, dict) else None
