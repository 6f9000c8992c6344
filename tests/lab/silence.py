"""A host that goes silent in the middle of a run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.quick import configure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.running import RunningLab


@contextmanager
def silenced(lab: RunningLab, host: str) -> Iterator[Callable[[], object]]:
    """Calling it makes the host take no packet for its sshd any more, on connections that are open too."""
    configure(lab.folder, {"ssh": {"command_timeout": 4, "connect_timeout": 2}})
    rule = "INPUT -p tcp --dport 22 -j DROP"
    try:
        yield lambda: lab.console(host, f"iptables-legacy -A {rule}")
    finally:
        lab.console(host, f"iptables-legacy -D {rule}")
