"""Whole exchanges with the kernel's own TCP, TLS, firewall and connection tracking, in network namespaces.

Each test looks at every packet that leaves the control host: nothing may, but what is encapsulated.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config import ProbeConfig
from ferryman.model import VirtualService
from ferryman.probe import Target, mss_limit
from ferryman.probe.exchange import (
    ExchangeLimits,
    Exchanger,
    ExchangeRequest,
    ExchangeResult,
    ExchangeTarget,
    ExchangeVerdict,
    Stage,
)
from ferryman.retry import poll_until
from lab.test_probe import in_namespace, run
from tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.model import Address

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="no TUN devices here"),
]

CONTROL, REALSERVER = (f"ferry{os.getpid()}x{letter}" for letter in "cr")
VIPS: dict[int, Address] = {4: IPv4Address("10.99.0.1"), 6: IPv6Address("fd99::1")}
WEB: dict[int, Address] = {4: IPv4Address("10.30.0.21"), 6: IPv6Address("fd30::21")}
MSS = {4: 1440, 6: 1400}
MANY = [IPv4Address("10.30.1.0") + number for number in range(1, 61)]
BOTH = pytest.mark.parametrize("version", [4, 6])
HTTP, SILENT, WORDLESS, RESETTING, BANNER, NO_HTTP, UNREADING, ENDLESS, CLOSED, HTTPS = (
    *(80, 81, 82, 83, 84, 85, 86, 87, 88),
    443,
)
IN_CONTROL = ["ip", "netns", "exec", CONTROL]
QUICK = ProbeConfig(timeout=0.3)
LIMITS = ExchangeLimits(deadline_s=6)
CONNECT = ExchangeRequest("connect")
ETH_P_ALL, OUTGOING = 3, 4
IPIP, IP6IP6, TCP = 4, 41, 6

TOPOLOGY = f"""
link add eth0 netns {CONTROL} type veth peer name eth0 netns {REALSERVER}
-n {CONTROL} addr add 10.30.0.2/16 dev eth0
-n {CONTROL} addr add fd30::2/64 dev eth0 nodad
-n {REALSERVER} addr add {WEB[4]}/16 dev eth0
-n {REALSERVER} addr add {WEB[6]}/64 dev eth0 nodad
-n {REALSERVER} addr add {VIPS[4]}/32 dev lo
-n {REALSERVER} addr add {VIPS[6]}/128 dev lo nodad
-n {CONTROL} link set lo up
-n {CONTROL} link set eth0 up
-n {REALSERVER} link set lo up
-n {REALSERVER} link set eth0 up
-n {CONTROL} route add {VIPS[4]} via {WEB[4]}
-n {CONTROL} route add {VIPS[6]} via {WEB[6]}
"""
OWN_NETWORK = ["net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"]


def on_realserver(*command: str) -> str:
    return run("ip", "netns", "exec", REALSERVER, *command)


@pytest.fixture(scope="module")
def namespaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    for tool, package in (
        ("ip", "iproute2"),
        ("sysctl", "procps"),
        ("openssl", "openssl"),
        ("nft", "nftables"),
    ):
        require_tool(tool, package=package)
    folder = tmp_path_factory.mktemp("exchange")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    form = ["-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=web.example.org"]
    run("openssl", "req", "-x509", *form, "-keyout", str(key), "-out", str(certificate))
    (folder / "both.pem").write_text(key.read_text() + certificate.read_text())
    far_end: subprocess.Popen[str] | None = None
    try:
        for name in (CONTROL, REALSERVER):
            run("ip", "netns", "add", name)
            run("ip", "netns", "exec", name, "sysctl", "-qw", *OWN_NETWORK)
        for line in TOPOLOGY.strip().splitlines():
            run("ip", *line.split())
        for address in MANY:
            run("ip", "-n", REALSERVER, "addr", "add", f"{address}/16", "dev", "eth0")
        script = str(Path(__file__).with_name("exchange_far_end.py"))
        far_end = subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                REALSERVER,
                sys.executable,
                script,
                str(VIPS[4]),
                str(VIPS[6]),
                str(folder / "both.pem"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert far_end.stdout is not None
        assert far_end.stdout.readline() == "ready\n"
        on_realserver("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.ipip0.rp_filter=0")
        ping = ["ip", "netns", "exec", CONTROL, "ping", "-6", "-c1", "-W1", str(WEB[6])]
        assert poll_until(
            lambda: subprocess.run(ping, check=False, capture_output=True).returncode == 0,
            bool,
            within_s=60,
            every_s=0.1,
        )
        yield
    finally:
        if far_end is not None:
            far_end.kill()
            far_end.communicate()
        for name in (CONTROL, REALSERVER):
            subprocess.run(["ip", "netns", "del", name], check=False)


@contextmanager
def nft(
    *rules: str, hook: str = "type filter hook input priority 0", where: str = REALSERVER
) -> Iterator[None]:
    """Rules of a firewall, as long as they are needed."""
    text = f"add table inet t; add chain inet t c {{ {hook}; }}; "
    run("ip", "netns", "exec", where, "nft", text + "; ".join(f"add rule inet t c {rule}" for rule in rules))
    try:
        yield
    finally:
        run("ip", "netns", "exec", where, "nft", "delete table inet t")


@contextmanager
def outgoing(found: list[bytes]) -> Iterator[None]:
    """Every packet that leaves the control host meanwhile, from its IP header on."""

    def opened() -> socket.socket:
        capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        capture.setsockopt(socket.SOL_SOCKET, 33, 64 * 2**20)  # SO_RCVBUFFORCE
        capture.setblocking(False)
        return capture

    with in_namespace(CONTROL, opened) as capture:
        yield
        while True:
            try:
                packet, sender = capture.recvfrom(65_536)
            except BlockingIOError:
                return
            if sender[2] == OUTGOING and packet and packet[0] >> 4 in (4, 6):
                found.append(packet)


def protocol(packet: bytes) -> int:
    return packet[9] if packet[0] >> 4 == 4 else packet[6]


def payload(packet: bytes) -> bytes:
    return packet[20 if packet[0] >> 4 == 4 else 40 :]


def bare_segments(sent: Sequence[bytes]) -> list[bytes]:
    """Segments without encapsulation from a port that an encapsulated one came from.

    Others are of earlier tests: a realserver whose firewall drops our RST asks again and again.
    """
    encapsulated = [packet for packet in sent if protocol(packet) in (IPIP, IP6IP6)]
    assert encapsulated, "the capture sees what is sent"
    ports = {payload(payload(packet))[:2] for packet in encapsulated}
    return [packet for packet in sent if protocol(packet) == TCP and payload(packet)[:2] in ports]


def asked(
    port: int, version: int = 4, request: ExchangeRequest | None = None, realserver: Address | None = None
) -> ExchangeTarget:
    vip, outer = VIPS[version], realserver or WEB[version]
    virtual = VirtualService("web", "default", "tcp", vip, port, "wrr")
    target = Target(f"rs-{outer}", virtual, outer, mss_limit(vip, outer))
    return ExchangeTarget(target, request or ExchangeRequest(path="/healthz", tls=port == HTTPS))


def exchanged(*targets: ExchangeTarget, limits: ExchangeLimits = LIMITS) -> list[ExchangeResult]:
    """The results; of the control host nothing was seen meanwhile but encapsulated packets."""
    sent: list[bytes] = []
    with outgoing(sent):
        results = in_namespace(CONTROL, lambda: Exchanger(QUICK, limits).exchange(targets))
    assert bare_segments(sent) == [], "the kernel said something about a connection that is not its own"
    return results


def exchange(
    port: int, version: int = 4, request: ExchangeRequest | None = None, limits: ExchangeLimits = LIMITS
) -> ExchangeResult:
    [result] = exchanged(asked(port, version, request), limits=limits)
    return result


@BOTH
@pytest.mark.parametrize("port", [HTTP, HTTPS])
def test_a_healthy_realserver_completes_with_full_size_segments_and_no_packet_of_the_kernel(
    namespaces: None, version: int, port: int
) -> None:
    result = exchange(port, version)
    assert (result.verdict, result.stage, result.status) == (
        ExchangeVerdict.COMPLETED,
        Stage.CLOSED,
        200,
    ), result
    assert (result.largest_up, result.largest_down) == (MSS[version], MSS[version])
    assert result.bytes_down > 20_000
    if port == HTTPS:
        assert result.tls is not None
        assert (result.tls.version, result.tls.subject) == ("TLSv1.3", "CN=web.example.org")


@BOTH
def test_an_upload_goes_up_in_full_size_segments(namespaces: None, version: int) -> None:
    request = ExchangeRequest(method="POST", path="/upload", body_bytes=32_768)
    result = exchange(HTTP, version, request)
    assert (result.verdict, result.largest_up) == (ExchangeVerdict.COMPLETED, MSS[version]), result


@BOTH
@pytest.mark.parametrize(
    ("port", "verdict", "seen"),
    [
        (SILENT, ExchangeVerdict.SILENT, "sent no byte of an answer"),
        (WORDLESS, ExchangeVerdict.BAD_ANSWER, "the connection was closed without a byte of an answer"),
        (RESETTING, ExchangeVerdict.RESET, "a RST came in the middle of the answer, after 5042 bytes"),
        (NO_HTTP, ExchangeVerdict.BAD_ANSWER, "what came is no HTTP: \\x1b[2JSSH-2.0-"),
        (UNREADING, ExchangeVerdict.SILENT, "its receive window stayed at zero"),
        (ENDLESS, ExchangeVerdict.COMPLETED, "GET /healthz was answered with HTTP/1.1 200 OK"),
        (CLOSED, ExchangeVerdict.NO_CONNECTION, "RST: nothing listens on port 88"),
    ],
)
def test_each_kind_of_server_gets_its_verdict(
    namespaces: None, version: int, port: int, verdict: ExchangeVerdict, seen: str
) -> None:
    result = exchange(port, version, limits=ExchangeLimits(deadline_s=3))
    assert result.verdict is verdict, result
    assert seen in result.detail


def test_a_banner_is_read_and_the_connection_is_closed(namespaces: None) -> None:
    result = exchange(BANNER, request=CONNECT)
    assert (result.verdict, result.stage, result.status_line) == (
        ExchangeVerdict.COMPLETED,
        Stage.CLOSED,
        "220 mail.example.org ESMTP",
    )


@BOTH
@pytest.mark.parametrize("request_", [None, CONNECT], ids=["asked", "connected"])
def test_half_tracked_connections_are_half_open_though_their_syn_ack_is_fine(
    namespaces: None, version: int, request_: ExchangeRequest | None
) -> None:
    """The answers are not tracked, for a rule is bound to the NIC: conntrack calls the ACK INVALID."""
    family = "ip6" if version == 6 else "ip"
    track = f"{family} saddr {VIPS[version]} notrack"
    drop = 'iifname "ipip*" ct state invalid drop'
    with nft(drop), on_hook(track, "type filter hook output priority raw"):
        on_realserver("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")
        result = exchange(HTTP, version, request_, ExchangeLimits(deadline_s=4))
    assert result.verdict is ExchangeVerdict.HALF_OPEN, result
    assert "SYN/ACK" in result.detail


@contextmanager
def on_hook(rule: str, hook: str) -> Iterator[None]:
    """One more rule, in a table of its own."""
    on_realserver("nft", f"add table inet u; add chain inet u c {{ {hook}; }}; add rule inet u c {rule}")
    try:
        yield
    finally:
        on_realserver("nft", "delete table inet u")


@BOTH
def test_a_black_hole_for_full_size_packets_to_the_realserver_is_up_lost(
    namespaces: None, version: int
) -> None:
    tunnel = "ip6 nexthdr 41" if version == 6 else "ip protocol 4"
    with nft(f"{tunnel} meta length > 1420 drop"):
        result = exchange(HTTP, version)
    assert (result.verdict, result.largest_up) == (ExchangeVerdict.UP_LOST, 512), result
    assert result.status == 200


@BOTH
def test_a_black_hole_for_full_size_packets_of_the_realserver_is_down_lost(
    namespaces: None, version: int
) -> None:
    require_tool("ethtool", package="ethtool")
    source = f"ip6 saddr {VIPS[6]}" if version == 6 else f"ip saddr {VIPS[4]}"
    on_realserver("ethtool", "-K", "eth0", "tso", "off", "gso", "off")
    run(
        *IN_CONTROL,
        "nft",
        "add table netdev t; add chain netdev t c { type filter hook ingress device eth0 priority 0; }",
    )
    run(*IN_CONTROL, "nft", f"add rule netdev t c {source} meta length > 1300 drop")
    try:
        result = exchange(HTTP, version)
    finally:
        run(*IN_CONTROL, "nft", "delete table netdev t")
        on_realserver("ethtool", "-K", "eth0", "tso", "on", "gso", "on")
    assert result.verdict is ExchangeVerdict.DOWN_LOST, result
    assert "on a second connection, with an MSS of 512, all of it" in result.detail


def test_a_third_of_all_packets_may_be_lost_both_ways(namespaces: None) -> None:
    lossy = "numgen random mod 3 == 0 drop"
    targets = [asked(HTTP, request=CONNECT, realserver=address) for address in MANY[:12]]
    with (
        nft(f"ip protocol 4 {lossy}"),
        on_hook(f"ip saddr {VIPS[4]} {lossy}", "type filter hook postrouting priority 0"),
    ):
        results = exchanged(*targets, limits=ExchangeLimits(deadline_s=20))
    verdicts = Counter(result.verdict.value for result in results)
    assert verdicts["completed"] >= 11, verdicts
    assert not verdicts["up-lost"] + verdicts["down-lost"]


def test_many_realservers_go_side_by_side_and_a_hung_one_holds_up_none(namespaces: None) -> None:
    targets = [asked(HTTP, realserver=address) for address in MANY]
    results = exchanged(asked(SILENT), *targets, limits=ExchangeLimits(deadline_s=8))
    assert results[0].verdict is ExchangeVerdict.SILENT
    assert {result.verdict for result in results[1:]} == {ExchangeVerdict.COMPLETED}
    assert max(result.total_ms for result in results[1:]) < results[0].total_ms


KILLED = """
import json, sys
from ipaddress import ip_address
from ferryman.config import ProbeConfig
from ferryman.model import VirtualService
from ferryman.probe import Target
from ferryman.probe.exchange import Exchanger, ExchangeRequest, ExchangeTarget
virtual = VirtualService("web", "default", "tcp", ip_address(sys.argv[1]), 81, "wrr")
target = Target("web1", virtual, ip_address(sys.argv[2]), 1440)
print("begun", flush=True)
Exchanger(ProbeConfig()).exchange([ExchangeTarget(target, ExchangeRequest())])
"""


def test_a_process_that_is_killed_leaves_no_port_and_no_rule_behind(namespaces: None) -> None:
    def state() -> list[str]:
        return [run(*IN_CONTROL, "ss", "-Htanl"), run(*IN_CONTROL, "nft", "list", "ruleset")]

    before = state()
    command = [*IN_CONTROL, sys.executable, "-c", KILLED, str(VIPS[4]), str(WEB[4])]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        held = poll_until(state, lambda now: now != before, within_s=30, every_s=0.05)
        assert held[0].count("LISTEN") == 2, "the ports are held by listening sockets"
        assert held[1] == before[1]
    finally:
        started.send_signal(signal.SIGKILL)
        started.communicate()
    assert poll_until(state, lambda now: now == before, within_s=10, every_s=0.05) == before
