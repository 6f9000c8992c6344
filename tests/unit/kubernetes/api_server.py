"""A small HTTP server on loopback that answers as a Kubernetes API server does, to GET and list alone.

What it serves are JSON objects as ``kubectl get -o json`` prints them, cut down to what is read, kept in
memory by path. It knows no watches, no writes and no discovery: ferryman asks for none.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from unit.http_listener import QuietHandler, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES = "/api/v1/nodes"
SERVICES = "/api/v1/services"
PAGE = 2
"""Objects that one answer has; whoever wants all follows ``continue``."""


@dataclass
class ApiServer:
    """What the server says, to be changed by tests, and what it was asked."""

    items: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {NODES: [], SERVICES: []})
    """By path."""
    token: str | None = None
    """The bearer token that it wants to see."""
    broken: bytes | None = None
    """Said instead of any answer."""
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, target: str, authorization: str | None) -> tuple[int, bytes]:
        """Status and body for a GET."""
        self.asked.append(target)
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if self.token is not None and authorization != f"Bearer {self.token}":
            return _failure(401, "Unauthorized")
        if self.broken is not None:
            return 200, self.broken
        if path not in self.items:
            return _failure(403, f'User "ferry" cannot list {path}')
        first = int(query.get("continue", ["0"])[0])
        found = [item for item in self.items[path] if _selected(item, query)]
        more = {"continue": str(first + PAGE)} if len(found) > first + PAGE else {}
        return 200, json.dumps({"metadata": more, "items": found[first : first + PAGE]}).encode()

    def node(self, name: str, **changes: object) -> dict[str, Any]:
        """Add a node that is well; ``changes`` replace keys of its spec."""
        node: dict[str, Any] = {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {"podCIDR": "10.64.1.0/24", **changes},
            "status": {
                "addresses": [{"type": "Hostname", "address": name}],
                "conditions": [
                    {"type": "MemoryPressure", "status": "False"},
                    {"type": "Ready", "status": "True", "reason": "KubeletReady"},
                ],
            },
        }
        self.items[NODES].append(node)
        return node

    def service(self, name: str, policy: str, *ports: dict[str, Any], **changes: object) -> None:
        """Add a Service of the namespace ``apps``."""
        spec = {"type": "NodePort", "externalTrafficPolicy": policy, "ports": list(ports), **changes}
        self.items[SERVICES].append({"metadata": {"name": name, "namespace": "apps"}, "spec": spec})

    def endpoints(self, service: str, *endpoints: dict[str, Any]) -> None:
        """Add an endpoint slice of a Service."""
        labels = {"kubernetes.io/service-name": service}
        self.items.setdefault("/apis/discovery.k8s.io/v1/namespaces/apps/endpointslices", []).append(
            {
                "addressType": "IPv4",
                "metadata": {"name": f"{service}-x", "namespace": "apps", "labels": labels},
                "endpoints": list(endpoints),
            }
        )


def _selected(item: dict[str, Any], query: dict[str, list[str]]) -> bool:
    wanted = [word.split("=") for text in query.get("labelSelector", []) for word in text.split(",")]
    labels = item["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, value in wanted)


def _failure(code: int, message: str) -> tuple[int, bytes]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return code, json.dumps(status).encode()


@contextmanager
def serving() -> Iterator[ApiServer]:
    """An API server that listens on loopback until the end of the block."""
    server = ApiServer()

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802  # the base class's name
            status, body = server.answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Handler) as server.url:
        yield server
