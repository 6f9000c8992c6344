"""The search for the largest packet that gets through: which size is asked next, and what it comes to.

It is a generator that asks for sizes and is told what came of each; it sends nothing and knows no clock.
Above the largest size that was answered and below the smallest that was not, the likely ones are tried first:
what tunnels and links leave of 1500 bytes. Before a path is called a black hole, the smallest size that
vanished is asked once more while nothing else is, for routers send few ICMP errors a second, and packets get
lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from ferryman.probe.path_mtu.results import LEAST_MTU, PathMtuVerdict, TooBigTold

if TYPE_CHECKING:
    from collections.abc import Generator

    from ferryman.model import Address

LIKELY = (
    *(68, 296, 508, 576, 1006, 1280, 1300, 1350, 1360, 1372, 1380, 1390, 1392, 1400, 1410, 1412, 1420, 1430),
    *(1440, 1442, 1446, 1450, 1452, 1454, 1456, 1458, 1460, 1462, 1468, 1472, 1476, 1480, 1488, 1492, 1500),
    *(2002, 4352, 8900, 8920, 8940, 8950, 8960, 8980, 9000, 9180, 9216),
)
"""Sizes in bytes of links, and of what GRE, IPIP, VXLAN, WireGuard, IPsec and PPPoE leave of them."""
DOUBTS = 4
"""How often a size that had vanished may be answered before the search ends with what it has."""


class Came(Enum):
    """What came of a packet of some size."""

    ANSWERED = "answered"
    TOO_BIG = "too big"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Ask:
    """A size to be sent next."""

    size: int
    alone: bool = False
    """Whether it is asked with more patience, and while nothing else is."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a size, which need not be the latest that was asked: ICMP errors may be late."""

    size: int
    came: Came
    reporter: Address | None = None
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a search comes to."""

    verdict: PathMtuVerdict
    mtu: int | None
    told: tuple[TooBigTold, ...]
    remarks: tuple[str, ...]


@dataclass
class _Knowledge:
    """What is known of each size."""

    version: int
    ceiling: int
    answered: int = 0
    """The largest size that was answered; 0 while none was."""
    silent: set[int] = field(default_factory=set)
    too_big: set[int] = field(default_factory=set)
    told: list[TooBigTold] = field(default_factory=list)
    doubts: int = 0
    """How often a size was answered that had vanished before."""

    def learn(self, heard: Heard) -> None:
        if heard.came is Came.ANSWERED:
            self.answered = max(self.answered, heard.size)
            self.doubts += any(size <= self.answered for size in self.silent)
            self.silent = {size for size in self.silent if size > self.answered}
        elif heard.came is Came.SILENT:
            self.silent.add(heard.size)
        else:
            assert heard.reporter is not None, "somebody says that it is too big"
            self.silent.discard(heard.size)
            self.too_big.add(heard.size)
            told = heard.mtu if LEAST_MTU[self.version] <= heard.mtu < heard.size else 0
            self.told.append(TooBigTold(heard.reporter, told, heard.size))

    @property
    def limit(self) -> int:
        """The smallest size that did not get through, and is larger than all that did."""
        return min((size for size in self.silent | self.too_big if size > self.answered), default=0)

    @property
    def told_mtu(self) -> int:
        """What the last router said that fits; 0 where none said anything to believe."""
        return self.told[-1].mtu if self.told else 0

    @property
    def is_told(self) -> bool:
        """Whether a router accounts for the limit: by its number, or by an error without one."""
        if not self.told:
            return False
        return self.told_mtu == self.answered or self.limit in self.too_big


def search(version: int, ceiling: int) -> Generator[Ask, Heard, Found]:
    """Find the largest packet in bytes that gets through, up to the ceiling, which is asked first."""
    known = _Knowledge(version, ceiling)
    floor = min(LEAST_MTU[version], ceiling)
    known.learn((yield Ask(ceiling)))
    while known.answered < ceiling:
        size = _next(known, floor)
        if size is None:
            return _unanswered(known, floor)
        if size < known.limit:
            known.learn((yield Ask(size)))
            continue
        if known.doubts > DOUBTS or (known.is_told and ceiling not in known.silent):
            break
        if known.is_told:
            # Of the limit a router tells; but senders begin with the largest packets, which vanished before.
            heard = yield Ask(ceiling, alone=True)
            known.learn(heard)
            if heard == Heard(ceiling, Came.SILENT):
                return _hidden(known)
            continue
        heard = yield Ask(size, alone=True)
        known.learn(heard)
        if heard != Heard(size, Came.SILENT):
            continue
        # It vanished once more; and what is smaller has to be answered even now.
        control = known.answered
        heard = yield Ask(control, alone=True)
        known.learn(heard)
        if heard.size == control:
            if heard.came is Came.ANSWERED:
                break
            return _stopped(known)
    return _found(known)


def _next(known: _Knowledge, floor: int) -> int | None:
    """The size to ask next; the limit itself where nothing lies between; None where nothing is answered."""
    low, high, told = known.answered, known.limit, known.told_mtu
    if low == 0:
        if high <= floor:
            return None
        return told if floor < told < high else floor
    if low + 1 == high:
        return high
    if low < told < high:
        return told
    between = [size for size in LIKELY if low < size < high]
    if low == told or (not between and low in LIKELY):
        return low + 1
    return between[len(between) // 2] if between else (low + high) // 2


def _unanswered(known: _Knowledge, floor: int) -> Found:
    """Nothing was answered, down to the floor."""
    if known.told_mtu:
        remark = "nothing is answered, so whether packets of that size arrive is not known"
        return Found(PathMtuVerdict.WORKS, known.told_mtu, tuple(known.told), (remark,))
    remarks = (f"not even {floor} bytes are said to fit",) if floor in known.too_big else ()
    return Found(PathMtuVerdict.UNANSWERED, None, tuple(known.told), remarks)


def _hidden(known: _Knowledge) -> Found:
    """A router tells of a limit, but the packets that senders begin with never get to it."""
    last = known.told[-1].reporter
    remark = (
        f"{last} tells what fits of smaller packets, but {known.ceiling} bytes vanish before without a word"
    )
    return Found(PathMtuVerdict.BLACK_HOLE, known.answered, tuple(known.told), (remark,))


def _stopped(known: _Knowledge) -> Found:
    remark = f"packets of {known.answered} bytes were answered first, and then no more"
    return Found(PathMtuVerdict.UNANSWERED, None, tuple(known.told), (remark,))


def _found(known: _Knowledge) -> Found:
    remarks = []
    if known.doubts:
        remarks.append(f"packets are lost: {known.doubts} sizes were answered only later")
    told, limit = known.told_mtu, known.limit
    if known.answered >= known.ceiling and not known.told:
        return Found(PathMtuVerdict.LARGER, known.answered, (), tuple(remarks))
    if known.is_told or not limit:
        if told and told != known.answered:
            last = known.told[-1].reporter
            remarks.append(f"{last} says that {told} bytes fit, but {known.answered} do")
        elif not told:
            remarks.append(f"{known.told[-1].reporter} does not say how much fits")
        return Found(PathMtuVerdict.WORKS, known.answered, tuple(known.told), tuple(remarks))
    if told:
        last = known.told[-1].reporter
        remarks.append(f"{last} says that {told} bytes fit, but behind it {limit} vanish without a word")
    return Found(PathMtuVerdict.BLACK_HOLE, known.answered, tuple(known.told), tuple(remarks))
