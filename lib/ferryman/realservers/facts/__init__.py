"""The facts about a host: asked in one round trip, parsed part by part, and kept as values."""

from ferryman.realservers.facts.values import (
    ALL,
    DECAPSULATED,
    DEFAULT,
    LISTEN_DROPS,
    REVERSE_PATH_DROPS,
    TUNNEL_KINDS,
    Device,
    Facts,
    Listener,
    LocalRoute,
    Pod,
    Setting,
    Unknown,
    counters,
    received_on,
)

__all__ = [
    "ALL",
    "DECAPSULATED",
    "DEFAULT",
    "LISTEN_DROPS",
    "REVERSE_PATH_DROPS",
    "TUNNEL_KINDS",
    "Device",
    "Facts",
    "Listener",
    "LocalRoute",
    "Pod",
    "Setting",
    "Unknown",
    "counters",
    "received_on",
]
