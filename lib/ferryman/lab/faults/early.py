"""What drops before netfilter sees a packet, or after it: filters of tc(8), and XDP programs."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING

from ferryman.lab.faults.fault import REALSERVERS, Fault, always
from ferryman.lab.topology import CONTROL_ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONTROL, _ = CONTROL_ADDRESSES
_FOLDER = "/run/lab-xdp"
_CLEAR = "tc qdisc del dev eth0 clsact 2>/dev/null || true"


def _tc(name: str, description: str, *filters: str) -> Fault:
    lines = ["tc qdisc replace dev eth0 clsact", *(f"tc filter add dev eth0 {line}" for line in filters)]
    return Fault(name, description, REALSERVERS, always("\n".join(lines)), always(_CLEAR))


def _xdp(name: str, description: str, verdict: int) -> Fault:
    """A program as any loader loads it: ``verdict`` is XDP_DROP or XDP_PASS."""
    file = f"{_FOLDER}/{name}.o"
    text = base64.b64encode(_object(_program(verdict), name.replace("-", "_").encode())).decode()
    put = (
        f"mkdir -p {_FOLDER}\necho {text} | base64 -d >{file}\n"
        f"ip link set dev eth0 xdpgeneric off\nip link set dev eth0 xdpgeneric obj {file} sec xdp"
    )
    clear = f"ip link set dev eth0 xdpgeneric off\nrm -rf {_FOLDER}"
    return Fault(name, description, REALSERVERS, always(put), always(clear))


_DROP, _PASS = 1, 2
"""XDP_DROP and XDP_PASS of include/uapi/linux/bpf.h."""


def _program(verdict: int) -> bytes:
    """BPF: for an IPv4 packet of protocol 4 the verdict, for everything else XDP_PASS."""
    return b"".join(
        struct.pack("<BBhi", code, registers, offset, value)
        for code, registers, offset, value in (
            (0x61, 0x12, 0, 0),  # r2 = where the packet begins
            (0x61, 0x13, 4, 0),  # r3 = where it ends
            (0xBF, 0x24, 0, 0),
            (0x07, 0x04, 0, 34),  # r4 = after the headers of Ethernet and IPv4
            (0x2D, 0x34, 6, 0),  # shorter: pass
            (0x69, 0x25, 12, 0),
            (0x55, 0x05, 4, 0x0008),  # no IPv4: pass
            (0x71, 0x25, 23, 0),
            (0x55, 0x05, 2, 4),  # another protocol: pass
            (0xB7, 0x00, 0, verdict),
            (0x95, 0x00, 0, 0),
            (0xB7, 0x00, 0, _PASS),
            (0x95, 0x00, 0, 0),
        )
    )


def _object(program: bytes, name: bytes) -> bytes:
    """An ELF file with the program in its section ``xdp``: the lab's hosts have no compiler."""
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 0x12, 0, 1, 0, len(program))
    names = b"\0xdp\0license\0.symtab\0.strtab\0"
    sections: Sequence[tuple[bytes, int, int, bytes, int, int, int, int]] = (
        # name, type, flags, content, link, info, alignment, size of an entry
        (b"xdp", 1, 6, program, 0, 0, 8, 0),
        (b"license", 1, 3, b"GPL\0", 0, 0, 1, 0),
        (b".symtab", 2, 0, symbols, 4, 1, 8, 24),
        (b".strtab", 3, 0, b"\0" + name + b"\0", 0, 0, 1, 0),
        (b".strtab", 3, 0, names, 0, 0, 1, 0),
    )
    body, headers, place = b"", bytes(64), 64
    for title, kind, flags, content, link, info, alignment, entry in sections:
        where, size = names.index(title), len(content)
        headers += struct.pack(
            "<IIQQQQIIQQ", where, kind, flags, 0, place, size, link, info, alignment, entry
        )
        padded = content + bytes(-size % 8)
        body += padded
        place += len(padded)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    numbers = (1, 247, 1, 0, 0, place, 0, 64, 0, 0, 64, len(sections) + 1, len(sections))
    return ident + struct.pack("<HHIQQQIHHHHHH", *numbers) + body + headers


FAULTS = (
    _tc(
        "tc-drops-ipip",
        "a filter at eth0's ingress drops IP protocol 4, before any firewall sees it",
        "ingress protocol ip u32 match ip protocol 4 0xff action drop",
    ),
    _tc(
        "tc-drops-ipip-in-chain",
        "a filter at eth0's ingress sends a director's packets to a chain that drops IP protocol 4",
        "ingress protocol ip prio 1 u32 match ip src 10.10.0.0/24 action goto chain 7",
        "ingress protocol ip prio 2 chain 7 u32 match ip protocol 4 0xff action drop",
    ),
    _tc(
        "tc-drops-acks",
        "a filter at eth0's ingress drops every encapsulated packet of a connection but its SYN",
        "ingress protocol ip u32 match ip protocol 4 0xff match u8 0x10 0x12 at 53 action drop",
    ),
    _tc(
        "tc-drops-answers",
        "a filter at eth0's egress drops what the VIPs answer to the control host, after every firewall",
        f"egress protocol ip u32 match ip src 10.99.0.0/24 match ip dst {_CONTROL}/32"
        " match ip protocol 6 0xff action drop",
    ),
    _tc(
        "tc-drops-others",
        "harmless: eth0 has filters that drop other packets, and one that mirrors all",
        "ingress protocol ip prio 1 u32 match ip protocol 47 0xff action drop",
        "ingress protocol ip prio 2 u32 match ip src 192.0.2.0/24 action drop",
        "ingress protocol all prio 3 matchall action mirred egress mirror dev lo",
    ),
    _xdp("xdp-drops-ipip", "an XDP program at eth0 drops IP protocol 4, before any firewall sees it", _DROP),
    _xdp("xdp-passes", "harmless: an XDP program at eth0 lets everything pass", _PASS),
)
