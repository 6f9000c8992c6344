"""The fast path for what nearly all answers are: a SYN/ACK or RST without fragments or unusual options.

Any other packet is left to ``packets.dissect`` and ``classify.classify``, which judge these the same.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ferryman.encapsulation import TCP
from ferryman.probe.classify import answered, refused

if TYPE_CHECKING:
    from ferryman.probe.classify import Judgement, SynIndex

IPV4_WITHOUT_OPTIONS, IPV6 = 0x45, 6
FRAGMENTED = 0x3FFF
FLAGS, SYN_ACK, RST_ACK = 0x17, 0x12, 0x14
"""In the TCP header: SYN, ACK, RST and FIN together, and what is set of these."""
WITH_OPTIONS = 6
"""Words of the shortest TCP header that has an option."""
MSS_OPTION = 0x0204
"""Kind 2, four bytes long: the first option of a SYN/ACK from Linux, and from most others."""

_ipv4 = struct.Struct("!B5xHxB2x12s4xIH6x")
"""Version, fragment, protocol; addresses and ports; acknowledgement; length and flags of the TCP header."""
_ipv6 = struct.Struct("!6xBx36s4xIH6x")
"""Next header; addresses and ports; acknowledgement; length and flags of the TCP header."""
_option = struct.Struct("!HH")


def fast_judgement(packet: bytes, index: SynIndex) -> Judgement | None:
    """The judgement over a common answer to one of our SYNs; None for any other packet."""
    try:
        first, fragment, protocol, reply, acknowledgement, flags = _ipv4.unpack_from(packet)
        options_at = _ipv4.size
        if first >> 4 == IPV6:
            fragment, options_at = 0, _ipv6.size
            protocol, reply, acknowledgement, flags = _ipv6.unpack_from(packet)
        elif first != IPV4_WITHOUT_OPTIONS:
            return None
    except struct.error:
        return None
    syn = index.acknowledged_by(acknowledgement)
    if syn is None or protocol != TCP or fragment & FRAGMENTED or syn.flow.reply != reply:
        return None
    if flags & FLAGS == SYN_ACK and flags >> 12 >= WITH_OPTIONS and len(packet) >= options_at + _option.size:
        option, mss = _option.unpack_from(packet, options_at)
        return answered(mss, syn) if option == MSS_OPTION else None
    return refused(syn) if flags & FLAGS == RST_ACK else None
