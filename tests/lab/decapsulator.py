"""A tunnel's far end in user space, for kernels without ipip: run inside the realserver's namespace.

Raw sockets take IP protocols 4 and 41, and two TUN devices named ipip0 and ipip60 hand the inner packets to
the kernel, which applies its real rp_filter, firewall, local delivery and TCP to them.

Usage: decapsulator.py DEAF FORGER LOSSY PODS. Packets to DEAF are lost; for each to FORGER a SYN/ACK that
acknowledges the wrong number is sent, then one that comes from the wrong port. Of the SYNs to LOSSY
30 percent are lost, of packets to PODS those whose source port is divisible by four, as if a pod were bad.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import socket
import struct
import subprocess
import sys
from ipaddress import IPv4Address

LOSS = 0.3
SYN = 0x02

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
ETH_P_IPV6, IPPROTO_IPV6_IN_IP = 0x86DD, 41


def tunnel(name: str) -> int:
    opened = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(opened, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    return opened


def source_port(inner: bytes) -> int:
    return int.from_bytes(inner[20:22], "big")


def checksum(data: bytes) -> int:
    words = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    words = (words & 0xFFFF) + (words >> 16)
    return ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF


def forged(inner: bytes, *, added: int, port_added: int) -> bytes:
    """A SYN/ACK to the inner SYN; ``added`` 1 would be the right acknowledgement."""
    source, vip = inner[12:16], inner[16:20]
    source_port, port, sequence = struct.unpack_from("!HHI", inner, 20)
    acknowledged = (sequence + added) % 2**32
    fields = (port + port_added, source_port, 7, acknowledged, 5 << 12 | 0x12, 64240)
    segment = struct.pack("!HHIIHHHH", *fields, 0, 0)
    pseudo = vip + source + struct.pack("!HH", socket.IPPROTO_TCP, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0) + vip + source + segment


def main(deaf: str, forger: str, lossy: str, pods: str) -> None:
    chance = random.Random(1)
    four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
    six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_IPV6_IN_IP)
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    ipip0, ipip60 = tunnel("ipip0"), tunnel("ipip60")
    print("ready", flush=True)  # noqa: T201  # the test waits for this line
    while True:
        ready, _, _ = select.select([four, six], [], [])
        if six in ready:
            os.write(ipip60, six.recv(2048))  # an IPv6 raw socket leaves the outer header out
        if four in ready:
            packet = four.recv(2048)
            inner, outer_destination = packet[20:], str(IPv4Address(packet[16:20]))
            if outer_destination == forger:
                for wrong in ({"added": 2, "port_added": 0}, {"added": 1, "port_added": 1}):
                    sender.sendto(forged(inner, **wrong), (str(IPv4Address(inner[12:16])), 0))
                continue
            unlucky = bool(inner[33] & SYN) and chance.random() < LOSS
            lost = {deaf: True, lossy: unlucky, pods: source_port(inner) % 4 == 0}
            if not lost.get(outer_destination, False):
                os.write(ipip0, inner)


if __name__ == "__main__":
    main(*sys.argv[1:])
