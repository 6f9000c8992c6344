"""What is asked of whom: a probe's target with a request, and the limits of an exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.config import TrafficConfig
    from ferryman.model import Service
    from ferryman.probe.targets import Target

UPLOAD_BYTES = 32_768
"""Bytes of a body that are sent at most: two dozen full-size segments."""


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """What is said over the connection once it is there.

    ``http``: one HTTP/1.1 request, its headers padded so that at least two full-size segments go up.
    ``connect``: nothing is said; a banner is read if one comes soon, and the connection is closed.
    """

    kind: Literal["http", "connect"] = "http"
    tls: bool = False
    method: Literal["GET", "HEAD", "POST"] = "GET"
    path: str = "/"
    host: str | None = None
    """The name for the ``Host`` header and for TLS (SNI); None: the VIP, and no SNI."""
    body_bytes: int = 0
    """The length in bytes of the body of a POST."""

    def __str__(self) -> str:
        if self.kind == "connect":
            return "TLS handshake" if self.tls else "connection"
        return f"{self.method} {self.path}" + (" over TLS" if self.tls else "")


@dataclass(frozen=True, slots=True)
class ExchangeTarget:
    """One realserver, asked for one virtual service with one request."""

    target: Target
    request: ExchangeRequest


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """How long an exchange may take, and how much of an answer is read."""

    deadline_s: float = 10.0
    """Seconds for the whole exchange from its first SYN; then the verdict is what was seen until then."""
    answer_bytes: int = 65_536
    """Bytes of an answer that are read; of a longer one the rest is left, and the connection is reset."""


def requests_of(service: Service, traffic: TrafficConfig) -> list[ExchangeRequest]:
    """The requests that show what a service's realservers can do.

    ``[traffic]`` paths where there are any: a GET of ``download``, a POST to ``upload``. Else a GET of the
    first path that the catalog's own probes use. A service without any is only connected to.
    """
    requests = []
    path = traffic.download or next(iter(service.probe_paths), None)
    if path is not None:
        requests.append(ExchangeRequest(tls=service.encryption, path=path))
    if traffic.upload is not None:
        body = min(traffic.upload_bytes, UPLOAD_BYTES)
        requests.append(
            ExchangeRequest(tls=service.encryption, method="POST", path=traffic.upload, body_bytes=body)
        )
    return requests or [ExchangeRequest("connect", tls=service.encryption)]


def exchange_targets(targets: Iterable[Target], requests: Iterable[ExchangeRequest]) -> list[ExchangeTarget]:
    """Every target of a probe (``probe_targets``) with every request."""
    wanted = tuple(requests)
    return [ExchangeTarget(target, request) for target in targets for request in wanted]
