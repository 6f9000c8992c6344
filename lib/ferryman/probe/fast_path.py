"""The fast path for what nearly all answers are: a SYN/ACK or RST without fragments or unusual options.

Any other packet is left to ``dissect.dissect`` and ``classify.classify``, which judge these the same.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ferryman.encapsulation import IPV6_HEADER, TCP
from ferryman.probe.classify import answered, refused

if TYPE_CHECKING:
    from ferryman.probe.classify import Judgement, SynIndex

IPV4_WITHOUT_OPTIONS, IPV6 = 0x45, 6
FRAGMENTED = 0x3FFF
FLAGS, SYN_ACK, RST_ACK = 0x17, 0x12, 0x14
"""In the TCP header: SYN, ACK, RST and FIN together, and what is set of these."""
WORD, WITHOUT_OPTIONS = 4, 5
"""Bytes of a word, and words of a TCP header without options."""
MSS_OPTION = 0x0204
"""Kind 2, four bytes long: the first option of a SYN/ACK from Linux, and from most others."""

_ipv4 = struct.Struct("!BxH2xHxB2x12s4xIH6x")
"""Version, length, fragment, protocol; addresses and ports; acknowledgement; length and flags of the TCP
header."""
_ipv6 = struct.Struct("!4xHBx36s4xIH6x")
"""Payload length, next header; addresses and ports; acknowledgement; length and flags of the TCP header."""
_option = struct.Struct("!HH")


def fast_judgement(packet: bytes, index: SynIndex) -> Judgement | None:
    """The judgement over a common answer to one of our SYNs; None for any other packet."""
    try:
        first, length, fragment, protocol, reply, acknowledgement, flags = _ipv4.unpack_from(packet)
        options_at = _ipv4.size
        if first >> 4 == IPV6:
            fragment, options_at = 0, _ipv6.size
            length, protocol, reply, acknowledgement, flags = _ipv6.unpack_from(packet)
            length += IPV6_HEADER
        elif first != IPV4_WITHOUT_OPTIONS:
            return None
    except struct.error:
        return None
    syn = index.acknowledged_by(acknowledgement)
    if syn is None or protocol != TCP or fragment & FRAGMENTED or syn.flow.reply != reply:
        return None
    words = flags >> 12
    if not options_at + (words - WITHOUT_OPTIONS) * WORD <= length <= len(packet):
        return None
    if flags & FLAGS == SYN_ACK and words > WITHOUT_OPTIONS:
        option, mss = _option.unpack_from(packet, options_at)
        return answered(mss, syn) if option == MSS_OPTION else None
    return refused(syn) if flags & FLAGS == RST_ACK and words == WITHOUT_OPTIONS else None
