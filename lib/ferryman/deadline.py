"""One deadline for a whole HTTP exchange: the library's own timeouts begin anew with each byte that comes.

The stack below httpx2 takes its sockets from a network backend. Here each is made to give up in time, so that
an answer of headers without end, or of a byte now and then, costs no more than one that does not come.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
"""A transport of httpx2's."""


class Deadline:
    """When the exchange that is under way must be over; for one thread's transports."""

    def __init__(self) -> None:
        self._until = float("inf")

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What is exchanged inside is over in this time.

        Raises:
            TimeoutError: It is not.
        """
        self._until = time.monotonic() + seconds
        try:
            yield
        finally:
            self._until = float("inf")

    @property
    def is_past(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._until

    def kept_by(self, transport: T) -> T:
        """The same transport, which keeps it on every connection that it makes."""
        pool: Any = vars(transport)["_pool"]  # it has no other way to be given a backend
        pool._network_backend = _Backend(pool._network_backend, self)  # noqa: SLF001  # as above
        return transport

    def limited(self, timeout: float | None) -> float:
        """The seconds that one wait of this timeout may take now.

        Raises:
            TimeoutError: It is past.
        """
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("its answer took too long")
        return left_s if timeout is None else min(timeout, left_s)


class _Backend:
    """A network backend of httpcore2's."""

    def __init__(self, backend: Any, deadline: Deadline) -> None:  # noqa: ANN401  # of a library that we do not import
        self._backend = backend
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,  # noqa: ANN401  # as above
    ) -> _Stream:
        timeout = self._deadline.limited(timeout)
        made = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(made, self._deadline)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream:
    """A stream of httpcore2's."""

    def __init__(self, stream: Any, deadline: Deadline) -> None:  # noqa: ANN401  # as above
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found: bytes = self._stream.read(max_bytes, self._deadline.limited(timeout))
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.limited(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: Any,  # noqa: ANN401  # as above
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> _Stream:
        timeout = self._deadline.limited(timeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # as above
        return self._stream.get_extra_info(info)
