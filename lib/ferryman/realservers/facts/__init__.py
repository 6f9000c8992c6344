"""What is so on a host: asked in one round trip, understood part by part, and kept as values."""

from ferryman.realservers.facts.values import (
    ALL,
    DECAPSULATED,
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
