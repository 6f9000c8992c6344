"""What becomes of the connections that a director had when its destinations were edited."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman import waits
from ferryman.directors import HANDSHAKE_S, Connection, old_left, still_open

if TYPE_CHECKING:
    from collections.abc import Collection

    from ferryman.model import Address


@dataclass
class ConnectionDrain:
    """The connections of one moment, and when they were last seen, in seconds of the monotonic clock."""

    connections: frozenset[Connection]
    """Those that are not known to be over: a client that uses its port again begins another one."""
    began: float = field(default_factory=waits.monotonic)
    last_seen: float | None = None
    """When some of them were last seen."""
    gone_by: float | None = None
    """When it was first read that none is left."""
    waited_for: bool = False
    """Whether their end was waited for already, for as long as that is done."""

    def __post_init__(self) -> None:
        self.count = len(self.connections)

    def look(
        self,
        now: Collection[Connection],
        *,
        closing: bool,
        without: Collection[tuple[Address, int]],
    ) -> int:
        """How many of them are still among the connections of now; remembers when that was read.

        With ``closing``, one that its client has ended counts while it lingers; ``without`` are the clients
        whose connections do not count.
        """
        at = waits.monotonic()
        self.connections = still_open(self.connections, now, closing=closing)
        counted = [
            connection
            for connection in self.connections
            if (connection.client, connection.client_port) not in without
        ]
        remaining = old_left(counted, now, closing=closing, shaking_hands=at - self.began < HANDSHAKE_S)
        if remaining:
            self.last_seen, self.gone_by = at, None
        elif self.gone_by is None:
            self.gone_by = at
        return remaining

    def __str__(self) -> str:
        """How long they lived on after the edit, as precisely as the times of reading allow."""
        if self.gone_by is None:
            return "not ended"
        latest = f"{self.gone_by - self.began:.0f} s"
        if self.last_seen is None:
            return f"the last ended within {latest}"
        return f"the last ended {self.last_seen - self.began:.0f} to {latest} after the edit"
