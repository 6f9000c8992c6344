"""A whole exchange through the tunnel to one realserver alone: connected, asked, answered, closed.

A SYN/ACK says that a SYN was decapsulated. This says that a connection works: our own small TCP answers it,
sends a request with full-size segments, in TLS where the service has it, reads the answer and closes.
"""

from ferryman.probe.exchange.exchanger import Exchanger
from ferryman.probe.exchange.results import ExchangeResult, ExchangeVerdict, Stage, TlsSeen, TooBig
from ferryman.probe.exchange.targets import (
    ExchangeLimits,
    ExchangeRequest,
    ExchangeTarget,
    exchange_targets,
    requests_of,
)

__all__ = [
    "ExchangeLimits",
    "ExchangeRequest",
    "ExchangeResult",
    "ExchangeTarget",
    "ExchangeVerdict",
    "Exchanger",
    "Stage",
    "TlsSeen",
    "TooBig",
    "exchange_targets",
    "requests_of",
]
