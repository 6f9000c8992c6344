"""The packets of a tape as pcapng, for Wireshark or tcpdump: each has its time, and its step as a comment."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from scapy.packet import Raw
from scapy.utils import PcapNgWriter

from ferryman.errors import TapeError
from ferryman.tape.timeline import timeline

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.tape.file import Tape
    from ferryman.tape.timeline import Moment

RAW_IP = 101
"""LINKTYPE_RAW: packets begin with their IP header, of either version."""
INBOUND, OUTBOUND = 1, 2
"""pcapng's words for a packet's direction."""


def write_pcap(tape: Tape, path: Path) -> int:
    """Write the packets into a file; returns how many there are.

    Raises:
        TapeError: The tape does not say when the run began.
        OSError: The file could not be written.
    """
    began = _began(tape)
    packets = [moment for moment in timeline(tape) if moment.entry.kind == "packet"]
    writer = PcapNgWriter(str(path))
    try:
        writer.linktype = RAW_IP
        writer.write_header(None)
        for moment in packets:
            writer.write_packet(_packet(moment, began))
    finally:
        writer.close()
    return len(packets)


def _packet(moment: Moment, began: float) -> Raw:
    data = moment.entry.data
    packet = Raw(bytes.fromhex(data["hex"]))
    packet.time = began + moment.seconds
    packet.direction = OUTBOUND if data["sent"] else INBOUND
    packet.comments = [_comment(moment).encode()]
    return packet


def _comment(moment: Moment) -> str:
    way = "sent" if moment.entry.data["sent"] else "received"
    if moment.step is None:
        return f"{way} before the first step"
    return f"{way} in step {moment.step + 1} ({moment.phase}): {moment.title}"


def _began(tape: Tape) -> float:
    try:
        return datetime.fromisoformat(tape.header.began).timestamp()
    except (ValueError, OverflowError) as error:
        raise TapeError(f"{tape.path}: line 1: began: {ascii(tape.header.began)[:60]} is no time") from error
