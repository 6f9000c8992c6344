"""Three namespaces in a row for path MTU: client, router and server; the router's link to it takes less."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ferryman.probe.path_mtu import DnsQuestion, PathMtuTarget, ask_dns, measure_paths
from lab.firewall_node import inside, run
from tools import PATH, require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.probe.path_mtu import DnsResult, PathMtuResult

MTU = 1460
SERVER = {4: "10.82.0.3", 6: "fd82::3"}
OPEN_PORT, UDP_PORT, DNS_PORT = 443, 33434, 53
LONGEST_S = 100

LINKS = """
link add eth0 netns {client} type veth peer name eth0 netns {router}
link add eth1 netns {router} type veth peer name eth0 netns {server}
"""
SETUP = {
    "client": """
addr add 10.81.0.1/24 dev eth0
addr add fd81::1/64 dev eth0 nodad
link set lo up
link set eth0 up
route add default via 10.81.0.2
route add default via fd81::2
""",
    "router": f"""
addr add 10.81.0.2/24 dev eth0
addr add fd81::2/64 dev eth0 nodad
addr add 10.82.0.2/24 dev eth1
addr add fd82::2/64 dev eth1 nodad
link set lo up
link set eth0 up
link set eth1 up mtu {MTU}
""",
    "server": f"""
addr add 10.82.0.3/24 dev eth0
addr add fd82::3/64 dev eth0 nodad
link set lo up
link set eth0 up mtu {MTU}
route add default via 10.82.0.2
route add default via fd82::2
""",
}
NO_ICMP = """
table inet test {
    chain output {
        type filter hook output priority 0;
        icmp type destination-unreachable icmp code frag-needed drop
        icmpv6 type packet-too-big drop
    }
}
"""
"""The router says nothing any more about what does not fit."""
ONE_ERROR_A_SECOND = """
table inet test {
    chain output {
        type filter hook output priority 0;
        icmp type destination-unreachable icmp code frag-needed limit rate 1/second burst 1 packets accept
        icmpv6 type packet-too-big limit rate 1/second burst 1 packets accept
        icmp type destination-unreachable icmp code frag-needed drop
        icmpv6 type packet-too-big drop
    }
}
"""
"""As routers of hardware do; Linux itself never limits these errors."""
NO_LATER_FRAGMENTS = """
table inet test {
    chain prerouting {
        type filter hook prerouting priority -450;
        ip frag-off & 0x1fff != 0 drop
        frag frag-off != 0 drop
    }
}
"""
"""What many firewalls do: the fragments without a port are dropped."""


@dataclass
class Between:
    """The namespaces, and what is done in them."""

    stack: ExitStack

    def name(self, role: str) -> str:
        return f"ferryman-path-{os.getpid()}-{role}"

    def make(self) -> None:
        names = {role: self.name(role) for role in SETUP}
        for name in names.values():
            run("ip", "netns", "add", name)
            self.stack.callback(run, "ip", "netns", "del", name)
        run("ip", "-batch", "-", stdin=LINKS.format(**names))
        for role, lines in SETUP.items():
            self.on(role, "ip", "-batch", "-", stdin=lines)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.on("router", "sysctl", "-qw", f"{key}=1")

    def on(self, role: str, *words: str, stdin: str = "") -> str:
        return run("ip", "netns", "exec", self.name(role), *words, stdin=stdin)

    def rules(self, text: str) -> None:
        """The router's rules, and no others."""
        self.on("router", "nft", "-f", "-", stdin=f"flush ruleset\n{text}")

    def forget(self) -> None:
        """Let the client's kernel forget what it has learned of paths."""
        self.on("client", "ip", "route", "flush", "cache")
        self.on("client", "ip", "-6", "route", "flush", "cache")

    def judge(self, *words: str) -> str:
        """What somebody else's program says of the path; it starts from nothing."""
        self.forget()
        done = subprocess.run(
            ["ip", "netns", "exec", self.name("client"), *words],
            capture_output=True, text=True, check=False, timeout=LONGEST_S, env={**os.environ, "PATH": PATH},
        )  # fmt: skip
        return done.stdout

    def measure(self) -> list[PathMtuResult]:
        targets = [
            PathMtuTarget("server", ip_address(address), protocol, port)
            for address in SERVER.values()
            for protocol, port in (("icmp", None), ("tcp", OPEN_PORT), ("udp", UDP_PORT))
        ]
        with inside(self.name("client")):
            return measure_paths(targets)

    def ask(self, size: int = 4096) -> list[DnsResult]:
        questions = [
            DnsQuestion("server", ip_address(address), "example.org", size=size)
            for address in SERVER.values()
        ]
        with inside(self.name("client")):
            return ask_dns(questions)

    def serve_dns(self, answer_bytes: int) -> None:
        """A DNS server whose answers are as long as is welcome, up to this."""
        for family, address in ((socket.AF_INET, SERVER[4]), (socket.AF_INET6, SERVER[6])):
            with inside(self.name("server")):
                serving = self.stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            serving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            serving.settimeout(0.2)
            serving.bind((address, DNS_PORT))
            over = threading.Event()
            serves = threading.Thread(target=_serve, args=(serving, answer_bytes, over))
            serves.start()
            self.stack.callback(serves.join)
            self.stack.callback(over.set)


def _serve(serving: socket.socket, answer_bytes: int, over: threading.Event) -> None:
    while not over.is_set():
        try:
            asked, where = serving.recvfrom(4096)
        except TimeoutError:
            continue
        welcome = int.from_bytes(asked[-8:-6], "big")
        cut = answer_bytes > welcome
        head = asked[:2] + (b"\x87\x80" if cut else b"\x85\x80") + asked[4:-11]
        serving.sendto(head if cut else head + bytes(answer_bytes - len(head)), where)


@contextmanager
def between() -> Iterator[Between]:
    require_tool("ip", package="iproute2")
    require_tool("nft", package="nftables")
    with ExitStack() as stack:
        made = Between(stack)
        made.make()
        yield made
