"""What is read from an API server: every kind of object, whatever it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
from lightkube import Client, KubeConfig
from lightkube.config.models import Cluster, User

from doubles.api_server import ApiServer, Asked
from ferryman.errors import FerrymanError
from ferryman.inventory.schema import ClusterEntry
from ferryman.kubernetes import transport
from ferryman.kubernetes.api import ApiClient
from ferryman.kubernetes.connection import Connection
from ferryman.kubernetes.kubeconfig import Access
from ferryman.tape.codec import decode, encode
from fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.kubernetes.client import ClusterClient

    Read = Callable[[ClusterClient], object]

URL = "http://cluster.invalid"
PAGES = 3
"""More are given up: a text that goes on for ever is read again and again."""


class Texts(httpx2.BaseTransport):
    """Answers everything with one text."""

    def __init__(self) -> None:
        self.text = ""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        del request
        content = self.text.encode("utf-8", "surrogatepass")
        status = (200, 200, 200, 403)[len(self.text) % 4]
        return httpx2.Response(status, content=content, headers={"Content-Type": "application/json"})


class Unconnected(Connection):
    """A connection of the real client's, with its limits, and no network below it."""

    def __init__(self) -> None:
        super().__init__(ClusterEntry.model_validate({"api": URL}))
        self.texts = Texts()

    def _connected(self) -> Client:
        transport.MAX_PAGES = PAGES
        self._transport = transport.Transport(Access(URL))
        self._transport._http = self.texts  # type: ignore[assignment]
        config = KubeConfig.from_one(cluster=Cluster(server=URL), user=User())
        self._client = Client(config, transport=self._transport, trust_env=False)
        return self._client


CONNECTION = Unconnected()
READS: dict[str, tuple[Read, str]] = {
    "nodes": (lambda client: client.nodes(), "/api/v1/nodes"),
    "pods": (lambda client: client.pods(), "/api/v1/pods"),
    "services": (lambda client: client.services(), "/api/v1/services"),
    "endpoints": (lambda client: client.services(), "/apis/discovery.k8s.io/v1/endpointslices"),
    "workloads": (lambda client: client.workloads(), "/apis/apps/v1/deployments"),
    "daemons": (lambda client: client.workloads(), "/apis/apps/v1/daemonsets"),
    "budgets": (lambda client: client.budgets(), "/apis/policy/v1/poddisruptionbudgets"),
    "namespaces": (lambda client: client.namespaces(), "/api/v1/namespaces"),
    "policies": (lambda client: client.policies(), "/apis/projectcalico.org/v3/networkpolicies"),
    "pod": (lambda client: client.pod("apps", "db-0"), "/api/v1/namespaces/apps/pods/db-0"),
}


def _cluster() -> ApiServer:
    server = ApiServer()
    server.node("node1", unschedulable=True, taints=[{"key": "a", "effect": "NoExecute"}])
    server.workload("Deployment", "shop", ["node1"], strategy={"rollingUpdate": {"maxSurge": "25%"}})
    server.workload("StatefulSet", "db", ["node1"])
    server.workload("DaemonSet", "agent", ["node1"])
    port = {"name": "https", "port": 443, "nodePort": 30443}
    server.service("shop", "Local", port, selector={"app": "shop"}, externalIPs=["10.99.0.1"])
    server.budget("shop", {"app": "shop"}, min_available=1)
    server.calico("NetworkPolicy", "deny", {"selector": "all()", "types": ["Ingress"]}, namespace="apps")
    return server


def _target(name: str, read: Read, seed: str) -> Target:
    def read_text(text: str) -> object:
        CONNECTION.texts.text = text
        found = read(ApiClient(CONNECTION, dry_run=True))
        assert decode(encode(found)) == found, "a tape keeps it"
        return found

    return Target(f"cluster-{name}", read_text, (seed,), WORDS, share=1, refuses=FerrymanError)


WORDS = (
    *("null", "[]", "{}", '""', "-1", "1e999", "true", '"\\u0000"', '{"continue": "x"}', '"10.0.0.1"'),
    *('"metadata": {"name": "x"}', '"spec": null', '"2026-11-22T22:19:43Z"', '{"$": "Pod"}', "[" * 60),
)


def _seeds() -> dict[str, Any]:
    server = _cluster()
    return {name: server.answer(Asked("GET", path))[1].decode() for name, (_, path) in READS.items()}


TARGETS = tuple(_target(name, READS[name][0], seed) for name, seed in _seeds().items())
