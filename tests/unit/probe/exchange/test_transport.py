"""The sockets of exchanges without CAP_NET_ADMIN, and the kernel's silence, on a namespace's loopback."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tools import require_tool, skip_or_fail

PROGRAM = """
import json, os, socket, struct, subprocess, sys
from ipaddress import ip_address
from ferryman.probe import sockets
from ferryman.probe.exchange import transport as of_exchanges
from ferryman.probe.exchange.transport import RawExchangeTransport
from ferryman.probe.transport import RawTransport

sockets.RECEIVE_BUFFER = sockets.SEND_BUFFER = 32768
kinds = {"deaf": RawExchangeTransport, "hops": RawExchangeTransport, "bound": RawTransport}
version, kind = int(sys.argv[1]), kinds[sys.argv[2]]

def refused(*_):
    raise PermissionError(1, "as Linux 6.18 says it to a process without CAP_NET_ADMIN")

if sys.argv[2] == "hops":
    of_exchanges.attach = refused
own = {4: "127.0.0.1", 6: "::1"}[version]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

def syn_ack(port):
    ends = socket.inet_pton(socket.AF_INET if version == 4 else socket.AF_INET6, own) * 2
    segment = struct.pack("!HHIIHHHH", 80, port, 7, 9, 0x5012, 1024, 0, 0)
    total = sum(struct.unpack(f"!{len(ends + segment) // 2}H", ends + segment)) + len(segment) + 6
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    segment = segment[:16] + struct.pack("!H", ~total & 0xFFFF) + segment[18:]
    if version == 6:
        return struct.pack("!IHBB", 6 << 28, len(segment), 6, 64) + ends + segment
    return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + ends + segment

everything = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
everything.setblocking(False)
with kind([version]) as transport:
    ports = transport.reserve(ip_address(own), 2)
    transport.listen(ports, 200)
    for _ in range(60):
        transport.send(syn_ack(ports[0]), own)
    frames = getattr(transport, "frames", transport.receive)(1.0)
    mtu = transport.mtu_towards(own) if version and hasattr(transport, "mtu_towards") else 0
resets, header = 0, 20 if version == 4 else 40
while True:
    try:
        packet, sender = everything.recvfrom(2048)
    except BlockingIOError:
        break
    resets += sender[2] == 4 and bool(packet[header + 13] & 4)
different = {frame[0][header:] for frame in frames} | {frame[0][:1] for frame in frames}
print(json.dumps([len(frames), len(different), resets, mtu]))
"""
INSIDE = ["unshare", "--user", "--map-root-user", "--net"]


def ran(version: int, kind: str) -> list[int]:
    require_tool("unshare", "ip", package="util-linux, iproute2")
    if subprocess.run([*INSIDE, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("this user may not make user namespaces")
    done = subprocess.run(
        [*INSIDE, sys.executable, "-c", PROGRAM, str(version), kind],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("by", ["deaf", "hops"])
def test_a_deaf_port_that_listens_gets_no_answer_of_the_kernel_and_all_is_read(version: int, by: str) -> None:
    frames, different, resets, mtu = ran(version, by)
    assert (frames, resets) == (60, 0)
    assert different == 2, "each is read from its IP header on, whatever the link's header is"
    assert mtu in (65_535, 65_536)


@pytest.mark.parametrize("version", [4, 6])
def test_a_port_that_is_only_bound_is_answered_with_a_rst(version: int) -> None:
    _, _, resets, _ = ran(version, "bound")
    assert resets == 60
