"""A realserver of namespaces for the firewall's lab tests: real packets, real nft, iptables of both kinds.

It is a namespace with eth0 towards a director, a TUN device named ipip0 and one named ipip60 that inner
packets are written to, and a pod behind cali0.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.model import Director, Kind, Realserver, Role, Service, VirtualService
from ferryman.realservers.checks.decapsulation import IP6IP6, IPIP
from ferryman.realservers.checks.firewall import outer_packet
from ferryman.realservers.checks.vip import packet_for
from ferryman.testing.shell import run_here
from tools import PATH, require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.firewall import Packet
    from ferryman.realservers.facts import Facts
    from lab.firewall_rules import Case

IPTABLES_OF_BOTH_KINDS = ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy")

NODE = Realserver("node1", Kind.SERVER, IPv4Address("10.40.0.2"), IPv6Address("fd40::2"))
DIRECTOR = Director("lvs1", Role.PRIMARY, "ipvsadm", {}, IPv4Address("10.40.0.1"), IPv6Address("fd40::1"))
VIPS = tuple(
    VirtualService("web", "default", "tcp", ip_address(vip), 80, "wrr") for vip in ("192.0.2.1", "fd99::1")
)
WEB = Service("web", "lab", False, "low-traffic", False, VIPS, (NODE,), (DIRECTOR,))
UNAUTHORISED, UNAUTHORISED6 = "203.0.113.77", "2001:db8:ffff::77"
CLIENT, CLIENT6 = "198.51.100.9", "2001:db8:1::9"
MARKER = 0x88B5
"""An ethertype for experiments: no IP rule sees a frame of it."""
CLONE_NEWNET = 0x40000000

LINKS = """
link add eth0 netns {node} type veth peer name eth0 netns {director}
link add cali0 netns {node} type veth peer name eth0 netns {pod}
"""
ADDRESSES = {
    "director": """
addr add 10.40.0.1/24 dev eth0
addr add fd40::1/64 dev eth0 nodad
link set eth0 up
""",
    "pod": """
addr add 10.67.1.4/32 dev eth0
link set eth0 up
""",
    "node": """
addr add 10.40.0.2/24 dev eth0
addr add fd40::2/64 dev eth0 nodad
addr add 192.0.2.1/32 dev lo
addr add fd99::1/128 dev lo nodad
link set lo up
link set eth0 up
link set cali0 up
route add default via 10.40.0.1 dev eth0
route add default via fd40::1 dev eth0
route add 10.67.1.4/32 dev cali0
""",
}
NEIGHBOURS = {
    ("director", "node"): ("10.40.0.2", "fd40::2"),
    ("node", "director"): ("10.40.0.1", "fd40::1"),
}
"""Whose addresses who is told, for rules may drop what asks for them."""


@dataclass
class Node:
    """Network namespaces of a node, a director and a pod, and sockets inside them."""

    stack: ExitStack
    names: dict[str, str] = field(default_factory=dict)
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    tunnels: dict[int, int] = field(default_factory=dict)

    def make(self) -> None:
        for role in ("node", "director", "pod"):
            self.names[role] = f"ferryman-fw-{os.getpid()}-{role}"
            run("ip", "netns", "add", self.names[role])
            self.stack.callback(run, "ip", "netns", "del", self.names[role])
        run("ip", "-batch", "-", stdin=LINKS.format(**self.names))
        for role, lines in ADDRESSES.items():
            with inside(self.names[role]):
                run("ip", "-batch", "-", stdin=lines)
        with inside(self.names["director"]):
            self._socket("out4", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._socket("out6", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._marking("marker")
        with inside(self.names["pod"]):
            self._socket("pod", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
            self._marking("pod-marked")
        with inside(self.names["node"]):
            self._settle_node()
        self._introduce()

    def _settle_node(self) -> None:
        self.tunnels = {4: self._tunnel("ipip0"), 6: self._tunnel("ipip60")}
        run("ip", "addr", "add", "10.41.0.1/32", "dev", "ipip0")  # what a redirect leads to
        self._socket("ipip", socket.AF_INET, socket.SOCK_RAW, 4)
        self._socket("ip6ip6", socket.AF_INET6, socket.SOCK_RAW, 41)
        self._socket("tcp4", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self._socket("tcp6", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_TCP)
        self._marking("marked")
        self._marking("pod-marker", "cali0")
        run(
            "sysctl",
            "-qw",
            "net.ipv4.ip_forward=1",
            *(f"net.ipv4.conf.{device}.rp_filter=0" for device in DEVICES),
        )

    def _introduce(self) -> None:
        for (here, there), addresses in NEIGHBOURS.items():
            with inside(self.names[there]):
                (link,) = json.loads(run("ip", "-j", "link", "show", "dev", "eth0"))
            with inside(self.names[here]):
                for address in addresses:
                    run("ip", "neigh", "replace", address, "lladdr", link["address"], "dev", "eth0")

    def _socket(self, name: str, family: int, kind: int, protocol: int) -> socket.socket:
        self.sockets[name] = made = self.stack.enter_context(socket.socket(family, kind, protocol))
        made.setblocking(False)
        return made

    def _marking(self, name: str, device: str = "eth0") -> None:
        made = self._socket(name, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(MARKER))
        made.bind((device, MARKER))
        made.settimeout(10)

    def _tunnel(self, name: str) -> int:
        opened = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self.stack.callback(os.close, opened)
        fcntl.ioctl(opened, 0x400454CA, struct.pack("16sH", name.encode(), 0x1001))
        run("ip", "link", "set", name, "up")
        return opened

    def rules(self, kind: str, case: Case) -> None:
        """Put the case's rules in the place of all others: ``native`` to nft, or of iptables' two kinds."""
        with inside(self.names["node"]):
            run("nft", "flush", "ruleset")
            for tool in ("iptables-legacy", "ip6tables-legacy"):
                run(f"{tool}-restore", stdin=NO_RULES)
            if kind == "native":
                run("nft", "-f", "-", stdin=case.rules)
                return
            for line in case.rules.splitlines():
                version, words = (
                    ("6", line.split("6 ", 1)[1]) if line.strip().startswith("6 ") else ("", line)
                )
                run("sh", "-c", f"ip{version}tables-{kind} {words}")

    def facts(self) -> Facts:
        with inside(self.names["node"]):
            verb = ReadFacts()
            return verb.value(run_here(verb, host="node1"))

    def arrives(self, name: str) -> bool:
        """Send one of the six packets; whether it gets through to where it is to go."""
        version = 4 if name.endswith("4") else 6
        receivers = [self.sockets[name] for name in RECEIVERS[name]]
        for receiver in receivers:
            drain(receiver)
        if name.startswith("inner"):
            os.write(self.tunnels[version], bytes(inner(version)))
        else:
            packet, to = bytes(OUTER[name] / inner(version)), "10.40.0.2" if version == 4 else "fd40::2"
            self.sockets[f"out{version}"].sendto(packet, (to, 0))
        self.settle()
        return any(waiting(receiver) for receiver in receivers)

    def settle(self) -> None:
        """Wait until all that was sent before has been dealt with."""
        self._handled("marker", "marked")
        self._handled("pod-marker", "pod-marked")

    def _handled(self, marker: str, marked: str) -> None:
        """Wait until a frame sent now has arrived: all before it on this link and processor were handled."""
        self.sockets[marker].send(b"\xff" * 6 + bytes(6) + struct.pack("!H", MARKER) + bytes(50))
        self.sockets[marked].recv(2048)


NO_RULES = """*raw
COMMIT
*mangle
COMMIT
*nat
COMMIT
*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
COMMIT
"""
DEVICES = ("all", "default", "eth0", "cali0", "ipip0")
RECEIVERS = {
    "director4": ("ipip",),
    "unauthorised4": ("ipip",),
    "director6": ("ip6ip6",),
    "unauthorised6": ("ip6ip6",),
    "inner4": ("tcp4", "pod"),
    "inner6": ("tcp6",),
}
OUTER = {
    "director4": IP(src="10.40.0.1", dst="10.40.0.2", proto=4),
    "unauthorised4": IP(src=UNAUTHORISED, dst="10.40.0.2", proto=4),
    "director6": IPv6(src="fd40::1", dst="fd40::2", nh=41),
    "unauthorised6": IPv6(src=UNAUTHORISED6, dst="fd40::2", nh=41),
}
SPORT = iter(range(20000, 60000))


def inner(version: int) -> IP | IPv6:
    """The SYN of a new connection, as it comes out of the tunnel."""
    segment = TCP(sport=next(SPORT), dport=80, flags="S")
    if version == 4:
        return IP(src=CLIENT, dst="192.0.2.1") / segment
    return IPv6(src=CLIENT6, dst="fd99::1") / segment


def judged(name: str, facts: Facts) -> Packet:
    """The same packet, as the check asks about it."""
    tunnel, virtual = (IPIP, VIPS[0]) if name.endswith("4") else (IP6IP6, VIPS[1])
    if name.startswith("inner"):
        client = ip_address(CLIENT if name.endswith("4") else CLIENT6)
        return replace(packet_for(virtual, facts), source=client, unwrapped=True)
    return outer_packet(tunnel, NODE, facts, ip_address(str(OUTER[name].src)))


def run(*words: str, stdin: str = "") -> str:
    done = subprocess.run(
        words, input=stdin, capture_output=True, text=True, check=False, env={**os.environ, "PATH": PATH}
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def drain(receiver: socket.socket) -> None:
    while waiting(receiver):
        pass


def waiting(receiver: socket.socket) -> bool:
    try:
        receiver.recv(4096)
    except BlockingIOError:
        return False
    return True


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread in a network namespace; sockets stay in the one they were made in."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{name}") as there:  # noqa: PTH123  # namespaces
        assert libc.setns(there.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


@contextmanager
def a_node() -> Iterator[Node]:
    """The namespaces; one processor, so that packets are dealt with in the order in which they were sent."""
    require_tool("ip", package="iproute2")
    require_tool("nft", package="nftables")
    require_tool(*IPTABLES_OF_BOTH_KINDS, package="iptables")
    before = os.sched_getaffinity(0)
    with ExitStack() as stack:
        os.sched_setaffinity(0, {min(before)})
        stack.callback(os.sched_setaffinity, 0, before)
        built = Node(stack)
        built.make()
        yield built
