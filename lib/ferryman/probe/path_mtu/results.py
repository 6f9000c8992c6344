"""What is asked about paths and their MTU, and what was found, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.model import Address

LEAST_MTU = {4: 68, 6: 1280}
"""Bytes that every link must take, by IP version (RFC 791, RFC 8200); whoever tells less is not believed."""


@dataclass(frozen=True, slots=True)
class PathMtuTarget:
    """A host's address, and by which protocol the path to it is measured."""

    host: str
    address: Address
    protocol: str
    """``icmp``, ``tcp`` or ``udp``."""
    port: int | None = None
    """The port that is asked; None with ICMP, which has none."""

    def __str__(self) -> str:
        port = f" port {self.port}" if self.port is not None else ""
        return f"{self.address} {self.protocol}{port}"


class PathMtuVerdict(Enum):
    """How path MTU discovery goes on a path, for one protocol."""

    WORKS = "works"
    """A router said by ICMP that a packet was too big, and how much fits."""
    LARGER = "larger"
    """A packet as large as the interface here takes was answered: no link of the path takes less."""
    BLACK_HOLE = "black-hole"
    """Up to a size packets are answered, and what is larger disappears without a word."""
    UNANSWERED = "unanswered"
    """Nothing is answered, whatever its size, and no router said that a packet was too big."""


@dataclass(frozen=True, slots=True)
class TooBigTold:
    """An ICMP error that a router sent about a packet of ours that was too big."""

    reporter: Address
    mtu: int
    """The largest packet in bytes that fits, as it was told; 0 where that was nothing to believe."""
    size: int
    """The size in bytes of the packet that it was about."""


@dataclass(frozen=True, slots=True)
class PathMtuResult:
    """What was found out about the path to one address by one protocol."""

    target: PathMtuTarget
    verdict: PathMtuVerdict
    mtu: int | None
    """The largest packet in bytes that got there, or that a router said would; None: neither is known."""
    told: tuple[TooBigTold, ...] = ()
    """What routers said, in order; the last one counts."""
    interface_mtu: int | None = None
    """The largest packet in bytes that the interface here takes, and so the largest one that was sent."""
    route_mtu: int | None = None
    """What the kernel's routing table says of the path; less than the interface's where it has learned so, or
    where somebody has configured it. It was not gone by."""
    answer: str = ""
    """What the host answered with, in words; empty where it did not."""
    sent: int = 0
    """How many packets were sent."""
    remarks: tuple[str, ...] = ()
    """Sentences about what was strange."""


@dataclass(frozen=True, slots=True)
class DnsQuestion:
    """A question for a DNS server over UDP, with the size of an answer that is said to be welcome."""

    host: str
    server: Address
    name: str
    kind: str = "TXT"
    """The type of the records that are asked for, such as ``DNSKEY``."""
    size: int = 4096
    """The UDP payload in bytes that EDNS says is welcome (RFC 6891)."""
    port: int = 53

    def __str__(self) -> str:
        return f"{self.name} {self.kind} with bufsize {self.size}"


class DnsVerdict(Enum):
    """What came of a question."""

    WHOLE = "whole"
    """One packet with an answer, or with the word that it is cut off (TC)."""
    FRAGMENTED = "fragmented"
    """The answer came in several fragments, all of them."""
    FRAGMENTS_LOST = "fragments-lost"
    """Of an answer in fragments some came, and others did not."""
    SILENT = "silent"
    """Nothing came."""
    REFUSED = "refused"
    """An ICMP error came; ``detail`` says which."""


@dataclass(frozen=True, slots=True)
class DnsResult:
    """What a DNS server answered."""

    question: DnsQuestion
    verdict: DnsVerdict
    size: int | None = None
    """The answer's bytes as DNS counts them, without headers of UDP and IP; None where it is not known."""
    fragments: int = 0
    """How many packets came of it."""
    truncated: bool = False
    """Whether it says that there is more than it holds (TC): then the same is asked by TCP."""
    code: int | None = None
    """Its response code, such as 3 for a name that there is not."""
    detail: str = ""
