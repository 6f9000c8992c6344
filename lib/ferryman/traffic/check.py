"""Real requests through a service's VIPs: many small ones, and a large transfer each way."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from ferryman import waits
from ferryman.errors import ConfigError
from ferryman.traffic.findings import (
    judge_requests,
    judge_retries,
    judge_transfer,
    not_asked,
    not_configured,
    not_tried,
)
from ferryman.traffic.http_request import Request, Result, exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ferryman.config import TrafficConfig
    from ferryman.model import Address, Director, Finding, Service, VirtualService
    from ferryman.traffic.http_request import Kind

AT_A_TIME = 8
"""Small requests under way together: enough to reach every realserver soon, too few to be a load."""


@dataclass(frozen=True)
class TrafficCheck:
    """Requests through every virtual service of a service, and what they say."""

    service: Service
    traffic: TrafficConfig
    director: Director | None = None
    """The director whose ``traffic_source`` the requests are sent from."""
    ask: Callable[[Request], Result] = exchange
    sent_from: set[tuple[Address, int]] = field(default_factory=set, compare=False)
    """The addresses and ports of this check's own connections; all of them are closed when it has run."""

    def run(self) -> list[Finding]:
        """Send all requests and return the findings about them.

        Raises:
            ConfigError: ``traffic_source`` of directors.yaml is not what it should be.
        """
        return [finding for virtual in self.service.virtual_services for finding in self._findings(virtual)]

    def _findings(self, virtual: VirtualService) -> Iterator[Finding]:
        host = self.director.host if self.director else str(virtual.vip)
        if virtual.protocol != "tcp":
            yield not_asked(host, virtual, "UDP: there are no requests that every such service answers")
            return
        small = self._request(virtual, "small", self._small_path())
        with ThreadPoolExecutor(AT_A_TIME, initializer=waits.like_this_thread()) as pool:
            # None is sent before all are ready: what interrupts this finds each of them sent, or none.
            ready = threading.Event()
            try:
                asked = pool.map(partial(self._asked_when, ready), [small] * self.traffic.requests)
            finally:
                ready.set()
            results = list(asked)
        answered = judge_requests(host, virtual, results)
        yield answered
        if (retried := judge_retries(host, virtual, results)) is not None:
            yield retried
        paths: dict[Kind, str | None] = {"download": self.traffic.download, "upload": self.traffic.upload}
        for kind, path in paths.items():
            if path is None:
                yield not_configured(kind, host, virtual)
                continue
            if answered.verdict.stops:
                yield not_tried(kind, host, virtual)
                continue
            result = self._asked(self._request(virtual, kind, path))
            yield judge_transfer(host, virtual, result, path=path, timeout_s=self.traffic.timeout)

    def _asked_when(self, ready: threading.Event, request: Request) -> Result:
        ready.wait()
        return self._asked(request)

    def _asked(self, request: Request) -> Result:
        result = self.ask(request)
        if result.local:
            self.sent_from.add(result.local)
        return result

    def _small_path(self) -> str:
        return next(iter(self.service.probe_paths), "/")

    def _request(self, virtual: VirtualService, kind: Kind, path: str) -> Request:
        plain = Request(virtual.vip, virtual.port, self.service.encryption, path, kind)
        source = traffic_source(self.director, virtual.vip) if self.director else None
        return replace(
            plain, source=source, upload_bytes=self.traffic.upload_bytes, timeout_s=self.traffic.timeout
        )


def traffic_source(director: Director, vip: Address) -> Address | None:
    """The control host's address whose packets to this VIP reach this director; None when none is named.

    Raises:
        ConfigError: What directors.yaml names is no address of the VIP's family.
    """
    sources = director.options.get("traffic_source")
    if sources is None:
        return None
    family = "ipv4" if isinstance(vip, IPv4Address) else "ipv6"
    named = _entry(sources, family)
    if named is None:
        return None
    try:
        address = ip_address(str(named))
    except ValueError:
        address = None
    if address is None or address.version != vip.version:
        raise ConfigError(
            f"directors.yaml: {director.host}: traffic_source: {family}: is {named!r},"
            f" expected an {family} address"
        )
    return address


def _entry(sources: object, family: str) -> object:
    mapping: Mapping[str, object] = sources if isinstance(sources, dict) else {}
    return mapping.get(family)
