"""The measuring of paths: what the rest of Ferryman asks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ferryman.probe.path_mtu.results import DnsQuestion, DnsResult, PathMtuResult, PathMtuTarget
    from ferryman.probe.path_mtu.transport import PathMtuTransport

    MakeTransport = Callable[[Iterable[int]], PathMtuTransport]


def measure_paths(
    targets: Sequence[PathMtuTarget], *, transport: MakeTransport | None = None
) -> list[PathMtuResult]:
    """Find the largest packet that gets to each target; one result for each, in their order.

    Where routers say what fits it takes some round trips; a path that swallows packets takes some twenty
    seconds, and six of them are measured at once.

    Raises:
        RefusedError: This host may not open raw sockets, or has no port to spare.
    """
    if not targets:
        return []
    from ferryman.probe.path_mtu.session import PathMtuSession  # noqa: PLC0415  # not for a help text to wait for

    opened = _opened(transport, {target.address.version for target in targets})
    with contextlib.closing(opened):
        return PathMtuSession(opened, targets).run()


def ask_dns(questions: Sequence[DnsQuestion], *, transport: MakeTransport | None = None) -> list[DnsResult]:
    """Ask DNS servers over UDP, and see how large the answers are and in how many packets they come.

    Raises:
        RefusedError: As above.
    """
    if not questions:
        return []
    from ferryman.probe.path_mtu.dns_session import DnsSession  # noqa: PLC0415  # as above

    opened = _opened(transport, {question.server.version for question in questions})
    with contextlib.closing(opened):
        return DnsSession(opened, questions).run()


def _opened(transport: MakeTransport | None, versions: Iterable[int]) -> PathMtuTransport:
    from ferryman.probe.path_mtu.transport import RawPathMtuTransport  # noqa: PLC0415  # as above

    return (transport or RawPathMtuTransport)(versions)
