"""The double itself: what it answers to which request, as an API server does."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from doubles.api_server.builder import Builder
from doubles.api_server.controllers import guarded_by, is_ready
from doubles.api_server.faults import Fault, Wire
from doubles.api_server.kinds import BY_KIND, BY_PLURAL, EXTENSIONS, KINDS, Kind, Manifest, discovered
from doubles.api_server.rights import Wish
from doubles.api_server.store import ExpiredError, merged, selected
from unit.http_listener import QuietHandler, listening

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping, Sequence

NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<version>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?"
)
_PATCHES = ("application/strategic-merge-patch+json", "application/merge-patch+json")
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "InternalError",
}


class FailureError(Exception):
    """An answer with a status of its own."""

    def __init__(self, code: int, message: str, **details: object) -> None:
        self.code = code
        self.message = message
        self.details = details
        super().__init__(message)

    @property
    def status(self) -> Manifest:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": _REASONS.get(self.code, ""),
            "details": self.details,
            "code": self.code,
        }


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass
class ApiServer(Builder):
    """An API server with what it serves, to be changed by tests, and what it was asked."""

    token: str | None = None
    """The bearer token that it wants to see."""
    rules: Sequence[Manifest] | None = None
    """The ``rules`` of ClusterRoles that it enforces; None: everything is allowed."""
    page: int | None = None
    """Objects that one answer has at most, whatever is asked for."""
    faults: list[Fault] = field(default_factory=list)
    on_evict: Callable[[Manifest], object] | None = None
    """Told of the pod in the place of the controllers in memory, which would make it again."""
    on_restart: Callable[[Manifest], object] | None = None
    """Told of a workload whose template has changed, in their place."""
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.namespace("default")

    @property
    def paths(self) -> list[str]:
        """What it was asked for, without queries."""
        return [asked.path for asked in self.asked]

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        """Status and body."""
        with self._lock:
            try:
                return 200 if asked.method != "POST" else 201, json.dumps(self._answer(asked)).encode()
            except FailureError as failure:
                return failure.code, json.dumps(failure.status).encode()

    def _answer(self, asked: Asked) -> Manifest:
        if self.token is not None and asked.headers.get("Authorization") != f"Bearer {self.token}":
            raise FailureError(401, "Unauthorized")
        told = discovered(asked.path, self._groups)
        if told is not None:
            return told
        match = _PATH.fullmatch(asked.path)
        kind = match and BY_PLURAL.get((match["core"] or match["version"], match["plural"]))
        if not match or not kind or kind.version not in self._groups:
            raise FailureError(404, "the server could not find the requested resource")
        where = (match["namespace"] or "", match["name"] or "")
        sub = match["sub"] or ""
        verbs = {"GET": "get" if where[1] else "list", "POST": "create"}
        wish = Wish(verbs.get(asked.method, asked.method.lower()), kind, *where, sub)
        if self.rules is not None and not wish.allowed_by(self.rules):
            raise FailureError(403, wish.forbidden, kind=kind.plural, group=kind.group)
        return self._done(asked, wish)

    def _done(self, asked: Asked, wish: Wish) -> Manifest:
        match wish.verb, wish.subresource:
            case "list", "":
                return self._listed(asked, wish)
            case "get", "":
                if wish.kind.kind == "Pod":
                    self.controllers.looked()
                return self._object(wish)
            case "create", "eviction":
                return self._evicted(self._object(wish), asked.body)
            case "patch", "":
                return self._patched(self._object(wish), asked)
            case "delete", "" if wish.kind.kind == "Pod":
                self._take_away(self._object(wish))
                return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        raise FailureError(405, "the server does not allow this method on the requested resource")

    @property
    def _groups(self) -> set[str]:
        """The versions that are served: extensions only where there is an object of them."""
        extensions = {version for version in EXTENSIONS if any(self._has(version, kind) for kind in KINDS)}
        return {kind.version for kind in KINDS if kind.version not in EXTENSIONS} | extensions

    def _has(self, version: str, kind: Kind) -> bool:
        return kind.version == version and bool(self.store.objects[kind])

    def _object(self, wish: Wish) -> Manifest:
        found = self.store.get(wish.kind, wish.namespace, wish.name)
        if found is None:
            message = f'{wish.kind.full} "{wish.name}" not found'
            raise FailureError(404, message, name=wish.name, group=wish.kind.group, kind=wish.kind.plural)
        return found

    def _listed(self, asked: Asked, wish: Wish) -> Manifest:
        if wish.kind.kind == "Pod":
            self.controllers.looked()
        if wish.kind.kind == "EndpointSlice":
            self.controllers.slices()
        query = asked.query
        if "watch" in query:
            raise FailureError(405, "this double has no watches")
        found = self.store.all(wish.kind.version, wish.kind.kind, wish.namespace or None)
        found = selected(found, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        limit = int(query.get("limit", 0))
        if self.page is not None:
            limit = min(limit or self.page, self.page)
        try:
            items, meta = self.store.page(found, limit, query.get("continue"))
        except ExpiredError:
            raise FailureError(
                410,
                "The provided continue parameter is too old to display a consistent list result. You can"
                " start a new list without the continue parameter.",
            ) from None
        if "PartialObjectMetadataList" in asked.headers.get("Accept", ""):
            parts = [{"metadata": each["metadata"]} for each in items]
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "items": parts,
            }
        named = {"kind": f"{wish.kind.kind}List", "apiVersion": wish.kind.version, "metadata": meta}
        return {**named, "items": [_in_list(each, wish.kind) for each in items]}

    def _evicted(self, pod: Manifest, eviction: object) -> Manifest:
        if not isinstance(eviction, dict) or eviction.get("kind") != "Eviction":
            raise FailureError(400, "the body is no Eviction")
        meta = pod["metadata"]
        wanted = ((eviction.get("deleteOptions") or {}).get("preconditions") or {}).get("uid")
        if wanted is not None and wanted != meta["uid"]:
            raise FailureError(
                409,
                f'Operation cannot be fulfilled on Pod "{meta["name"]}": the UID in the precondition'
                f" ({wanted}) does not match the UID in record ({meta['uid']}). The object might have been"
                " deleted and then recreated",
            )
        self.controllers.count()
        budgets = self.store.all("policy/v1", "PodDisruptionBudget")
        found = [each for each in budgets if guarded_by(each, [pod])]
        if len(found) > 1:
            raise FailureError(
                500,
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not"
                " support.",
            )
        for budget in found:
            self._need_budget(budget, pod)
        self._take_away(pod)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _need_budget(self, budget: Manifest, pod: Manifest) -> None:
        status = budget["status"]
        if not is_ready(pod):
            healthy = status.get("currentHealthy", 0) >= status.get("desiredHealthy", 1)
            if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow" or healthy:
                return
        if status["disruptionsAllowed"] < 1:
            name = budget["metadata"]["name"]
            needs = status.get("desiredHealthy", 1)
            cause = (
                f"The disruption budget {name} needs {needs} healthy pods and has"
                f" {status.get('currentHealthy', needs)} currently"
            )
            raise FailureError(
                429,
                "Cannot evict pod as it would violate the pod's disruption budget.",
                causes=[{"reason": "DisruptionBudget", "message": cause}],
            )
        status["disruptionsAllowed"] -= 1
        self.store.touch(budget)

    def _take_away(self, pod: Manifest) -> None:
        (self.on_evict or self.controllers.evicted)(pod)

    def _patched(self, manifest: Manifest, asked: Asked) -> Manifest:
        patch, meta = asked.body, manifest["metadata"]
        if asked.headers.get("Content-Type") not in _PATCHES:
            raise FailureError(415, "the body of the request was in an unknown format")
        if not isinstance(patch, dict):
            raise FailureError(400, "the patch is no object")
        wanted = (patch.get("metadata") or {}).get("resourceVersion")
        kind = BY_KIND[manifest["apiVersion"], manifest["kind"]]
        if wanted is not None and wanted != meta["resourceVersion"]:
            raise FailureError(
                409,
                f'Operation cannot be fulfilled on {kind.full} "{meta["name"]}": the object has been'
                " modified; please apply your changes to the latest version and try again",
            )
        after: Any = merged(manifest, patch)
        template_changed = (after.get("spec") or {}).get("template") != manifest.get("spec", {}).get(
            "template"
        )
        spec_changed = after.get("spec") != manifest.get("spec")
        if asked.query.get("dryRun") == "All" or after == manifest:
            return dict(after)
        manifest.clear()
        manifest.update(after)
        manifest["metadata"]["generation"] = meta.get("generation", 1) + spec_changed
        self.store.touch(manifest)
        if template_changed:
            (self.on_restart or self.controllers.restarted)(manifest)
        return manifest


def _in_list(manifest: Manifest, kind: Kind) -> Manifest:
    """An object of a list: of Kubernetes' own kinds it does not say which kind it is."""
    if kind.version in EXTENSIONS:
        return manifest
    return {key: value for key, value in manifest.items() if key not in ("kind", "apiVersion")}


@contextmanager
def serving(server: ApiServer | None = None, on: socket.socket | None = None) -> Iterator[ApiServer]:
    """An API server that listens on loopback until the end of the block, or on a socket that does already."""
    served = server or ApiServer()

    class Handler(QuietHandler):
        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # whoever asked has had enough
                self.close_connection = True

        def do_GET(self) -> None:  # noqa: N802  # the base class's name
            size = int(self.headers.get("Content-Length") or 0)
            try:
                body = json.loads(self.rfile.read(size)) if size else None
            except ValueError:  # protobuf, for what is not served
                body = None
            asked = Asked(self.command, self.path, dict(self.headers), body)
            served.asked.append(asked)
            fault = next((each for each in served.faults if each.strikes(asked.method, asked.target)), None)
            Wire(self, served.stopped).answer(fault, lambda: served.answer(asked))

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815  # as above

    with listening(Handler, on) as served.url:
        try:
            yield served
        finally:
            served.stopped.set()
