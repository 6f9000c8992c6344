"""HTTP to an API server, as a kubeconfig says: through which proxy, as whom; and within limits."""

from __future__ import annotations

import base64
import os
import re
import ssl
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from ferryman.config import is_loopback
from ferryman.deadline import Deadline
from ferryman.kubernetes.cluster import ClusterUnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.kubernetes.kubeconfig import Access

MAX_ANSWER = 64 << 20
"""Of one answer."""
MAX_BYTES = 512 << 20
"""Of all pages together: a node of a large cluster has some 15 KB, a pod about as much."""
MAX_PAGES = 500
WHOLE_S = 60.0
"""Seconds for one thing that is asked of a cluster, with all of its pages."""
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
"""What is asked for where only names and owners count: the rest has a whole template of a pod."""
_METADATA_ALONE = re.compile(r"/apis/(?:apps|batch)/v1(?:/namespaces/[^/]+)?/(?:replicasets|jobs)$")


@dataclass
class Transport(httpx2.BaseTransport):
    """Sends requests as a kubeconfig says, until there were too many, too long ones, or too late."""

    access: Access
    _left: int = MAX_BYTES
    _left_of_answer: int = MAX_ANSWER
    _pages: int = 0
    _deadline: Deadline = field(default_factory=Deadline)

    def __post_init__(self) -> None:
        try:
            http = httpx2.HTTPTransport(verify=_tls(self.access), proxy=_proxy_for(self.access))
        except (ImportError, ValueError):  # a library that a proxy of its kind needs
            raise ClusterUnreadableError(
                "the kubeconfig's proxy-url cannot be used here; http:// and https:// proxies can"
            ) from None
        self._http = self._deadline.kept_by(http)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """What is asked inside has its time, its pages and its size for itself; no connection outlives it.

        One that is left open may be cut off meanwhile, and then lose what is asked next.

        Raises:
            ClusterUnreadableError: That was not enough.
        """
        self._left, self._pages = MAX_BYTES, 0
        with self._deadline.within(WHOLE_S):
            try:
                yield
            except (TimeoutError, httpx2.TimeoutException):
                if not self._deadline.is_past:
                    raise
                raise ClusterUnreadableError(f"its answers did not end within {WHOLE_S:g} seconds") from None
            finally:
                self._http.close()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; raises ClusterUnreadableError where the answers have no end."""
        self._pages += 1
        self._left_of_answer = MAX_ANSWER
        if self._pages > MAX_PAGES:
            raise ClusterUnreadableError(f"its lists do not end: {MAX_PAGES} pages until now")
        access = self.access
        if access.token:
            request.headers["Authorization"] = f"Bearer {access.token}"
        elif access.basic:
            pair = base64.b64encode(":".join(access.basic).encode()).decode()
            request.headers["Authorization"] = f"Basic {pair}"
        headers = [
            *request.headers.raw,
            *((name.encode(), value.encode()) for name, value in access.as_somebody),
        ]
        request.headers = httpx2.Headers(headers)
        if request.method == "GET" and _METADATA_ALONE.search(request.url.path):
            request.headers["Accept"] = METADATA
        if access.tls_name:
            request.extensions = {**request.extensions, "sni_hostname": access.tls_name}
        response = self._http.handle_request(request)
        response.stream = _Bounded(response.stream, self)
        return response

    def take(self, size: int) -> None:
        """Count what has come; raises ClusterUnreadableError where it is too much."""
        self._left -= size
        self._left_of_answer -= size
        if self._left_of_answer < 0:
            raise ClusterUnreadableError(f"its answer does not end: more than {MAX_ANSWER >> 20} MiB")
        if self._left < 0:
            raise ClusterUnreadableError(f"its lists do not end: more than {MAX_BYTES >> 20} MiB")

    def close(self) -> None:
        """Close its connections."""
        self._http.close()


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream | httpx2.AsyncByteStream, owner: Transport) -> None:
        assert isinstance(stream, httpx2.SyncByteStream)
        self._stream = stream
        self._owner = owner

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._owner.take(len(chunk))
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _tls(access: Access) -> ssl.SSLContext | bool:
    if access.server.startswith("http://") and access.authority is None and access.certificate is None:
        return False  # the system's authorities take a while to read, and nothing is verified
    try:
        authority = access.authority.decode("ascii") if access.authority is not None else None
        context = ssl.create_default_context(cadata=authority)
        if not access.verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access.certificate is not None and access.key is not None:
            with ExitStack() as files:
                context.load_cert_chain(
                    *(_in_memory(content, files) for content in (access.certificate, access.key))
                )
    except (ssl.SSLError, ValueError, OSError):
        raise ClusterUnreadableError(
            "the kubeconfig's certificate, key or certificate authority is no PEM that belongs together"
        ) from None
    return context


def _in_memory(content: bytes, files: ExitStack) -> str:
    """The path of a file with this content that no disk has: a key is written nowhere."""
    descriptor = os.memfd_create("ferryman", os.MFD_CLOEXEC)
    files.callback(os.close, descriptor)
    os.write(descriptor, content)
    return f"/proc/self/fd/{descriptor}"


def _proxy_for(access: Access) -> str | None:
    """The proxy that the kubeconfig names, else the environment's, which is none for this machine itself."""
    if access.proxy is not None:
        return access.proxy
    parts = urlsplit(access.server)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)
