"""Classic BPF programs: the kernel leaves out what is no answer before anybody has to read it."""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if true, if false, operand (linux/filter.h)."""

LOAD_BYTE, LOAD_HALF, LOAD_HALF_AT_X, IPV4_HEADER_TO_X = 0x30, 0x28, 0x48, 0xB1
JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, JUMP_IF_SET, RETURN = 0x15, 0x25, 0x35, 0x45, 0x06
SO_ATTACH_FILTER = 26

PROTOCOL_FIELD = {4: (9, socket.IPPROTO_ICMP), 6: (6, socket.IPPROTO_ICMPV6)}
"""The offset of the protocol in the IP header, and the number of ICMP, by IP version."""
LOAD_PORT: dict[int, list[Instruction]] = {
    4: [(IPV4_HEADER_TO_X, 0, 0, 0), (LOAD_HALF_AT_X, 0, 0, 2)],
    6: [(LOAD_HALF, 0, 0, 42)],
}
"""The destination port of TCP or UDP, behind an IPv4 header of any length or a plain IPv6 header."""
FRAGMENT_FIELD, LATER_FRAGMENT = 6, 0x1FFF
"""The offset of the field in an IPv4 header, and its bits that say where a fragment belongs."""
IPV6_FRAGMENT = 44
"""The number of IPv6's fragment header."""
FROM_NETWORK_HEADER = -0x100000 & 0xFFFFFFFF
"""SKF_NET_OFF: an offset from here is one from the IP header, whatever header of a link stands before it."""
ACCEPT: Instruction = (RETURN, 0, 0, 0xFFFFFFFF)
REJECT: Instruction = (RETURN, 0, 0, 0)


def answers_only(version: int, ports: Iterable[int], *, at: int = 0) -> list[Instruction]:
    """A program for packets whose IP header is ``at`` this offset: accepts ICMP, and TCP to these ports.

    Neighbouring ports are matched as one range, so that it stays short.
    """
    protocol, icmp = PROTOCOL_FIELD[version]
    return [
        (LOAD_BYTE, 0, 0, at + protocol),
        (JUMP_EQUAL, 0, 1, icmp),
        ACCEPT,
        (JUMP_EQUAL, 1, 0, socket.IPPROTO_TCP),
        REJECT,
        *((code, yes, no, at + offset) for code, yes, no, offset in LOAD_PORT[version]),
        *(instruction for low, high in ranges(ports) for instruction in _accept_between(low, high)),
        REJECT,
    ]


def path_answers_only(version: int, ports: Iterable[int]) -> list[Instruction]:
    """A program that accepts ICMP, fragments, and TCP and UDP to these ports.

    The fragments behind the first one have no port: who wants them finds out whose they are.
    """
    protocol, icmp = PROTOCOL_FIELD[version]
    later: list[Instruction] = (
        [(LOAD_HALF, 0, 0, FRAGMENT_FIELD), (JUMP_IF_SET, 0, 1, LATER_FRAGMENT), ACCEPT]
        if version == 4  # noqa: PLR2004  # IPv4 has it in its header, IPv6 as a header of its own
        else []
    )
    whole_header = IPV6_FRAGMENT if version == 6 else icmp  # noqa: PLR2004  # IPv6
    return [
        (LOAD_BYTE, 0, 0, protocol),
        (JUMP_EQUAL, 1, 0, icmp),
        (JUMP_EQUAL, 0, 1, whole_header),
        ACCEPT,
        (JUMP_EQUAL, 2, 0, socket.IPPROTO_TCP),
        (JUMP_EQUAL, 1, 0, socket.IPPROTO_UDP),
        REJECT,
        *later,
        *LOAD_PORT[version],
        *(instruction for low, high in ranges(ports) for instruction in _accept_between(low, high)),
        REJECT,
    ]


def ranges(ports: Iterable[int]) -> list[tuple[int, int]]:
    """The lowest and the highest of each run of neighbours.

    >>> ranges([7, 4, 5, 9, 6])
    [(4, 7), (9, 9)]
    """
    runs: list[tuple[int, int]] = []
    for port in sorted(set(ports)):
        if runs and port == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], port)
        else:
            runs.append((port, port))
    return runs


def attach(receiver: socket.socket, program: list[Instruction]) -> None:
    """Let a socket receive only what the program accepts."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    receiver.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer))
    )


def _accept_between(low: int, high: int) -> list[Instruction]:
    return [(JUMP_GREATER_OR_EQUAL, 0, 2, low), (JUMP_GREATER, 1, 0, high), ACCEPT]
