"""Probes over the kernel's own rp_filter, firewall and TCP, in network namespaces made for the purpose."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from ferryman.config import OuterSource, ProbeConfig
from ferryman.model import ProbeResult, ProbeVerdict, VirtualService
from ferryman.probe import Prober, Target, mss_limit, own_source, require_raw_sockets
from ferryman.retry import poll_until
from tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="no TUN devices here"),
]

CONTROL, REALSERVER, BARE = (f"ferry{os.getpid()}{letter}" for letter in "crb")
VIP, VIP6 = IPv4Address("10.99.0.1"), IPv6Address("fd99::1")
FITTING, TOO_LARGE, CLOSED, REJECTED = 80, 81, 82, 83
HEALTHY, DEAF, FORGER, BARE_HOST = "10.30.0.21", "10.30.0.25", "10.30.0.26", "10.31.0.31"
LOSSY, PODS = "10.30.0.27", "10.30.0.28"
HEALTHY6 = "fd30::21"
UNROUTED = "10.77.0.1"
QUICK = ProbeConfig(timeout=0.3, tries=2, backoff=1)
OWN, OWN_ON_ETH1 = IPv4Address("10.30.0.2"), IPv4Address("10.31.0.2")
CLONE_NEWNET = 0x40000000

TOPOLOGY = f"""
link add eth0 netns {CONTROL} type veth peer name eth0 netns {REALSERVER}
link add eth1 netns {CONTROL} type veth peer name eth0 netns {BARE}
-n {CONTROL} addr add 10.30.0.2/24 dev eth0
-n {CONTROL} addr add fd30::2/64 dev eth0 nodad
-n {CONTROL} addr add 10.31.0.2/24 dev eth1
-n {REALSERVER} addr add fd30::21/64 dev eth0 nodad
-n {BARE} addr add {BARE_HOST}/24 dev eth0
-n {REALSERVER} addr add {VIP}/32 dev lo
-n {REALSERVER} addr add {VIP6}/128 dev lo nodad
"""
NO_DUPLICATE_ADDRESS_DETECTION = ["net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"]
EVERY_LINK = [(CONTROL, "lo"), (CONTROL, "eth0"), (CONTROL, "eth1"), (REALSERVER, "lo"), (REALSERVER, "eth0")]
REALSERVER_ADDRESSES = [f"10.30.0.{last}" for last in range(21, 29)]


def run(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def on_realserver(*command: str) -> str:
    return run("ip", "netns", "exec", REALSERVER, *command)


def in_namespace(name: str, action: Callable[[], T]) -> T:
    """Run it in a thread of its own inside the namespace: to the kernel, a namespace is a thread's."""
    outcome: list[T | BaseException] = []

    def enter_and_run() -> None:
        try:
            with Path(f"/run/netns/{name}").open() as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                assert libc.setns(namespace.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            outcome.append(action())
        except BaseException as error:  # noqa: BLE001  # raised again in the calling thread
            outcome.append(error)

    thread = threading.Thread(target=enter_and_run)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def listener(address: str, port: int, mss: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if mss is not None:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
    listening.bind((address, port))
    listening.listen()
    return listening


def open_listeners() -> list[socket.socket]:
    return [
        listener(str(VIP), FITTING, 1440),
        listener(str(VIP6), FITTING, 1400),
        listener(str(VIP), TOO_LARGE, None),
        listener(str(VIP6), TOO_LARGE, None),
    ]


@pytest.fixture(scope="module")
def namespaces() -> Iterator[None]:
    require_tool("ip", package="iproute2")
    require_tool("sysctl", package="procps")
    require_tool("ping", package="iputils-ping")
    addresses = "".join(
        f"-n {REALSERVER} addr add {address}/24 dev eth0\n" for address in REALSERVER_ADDRESSES
    )
    listeners: list[socket.socket] = []
    decapsulator: subprocess.Popen[str] | None = None
    try:
        for name in (CONTROL, REALSERVER, BARE):
            run("ip", "netns", "add", name)
            run("ip", "netns", "exec", name, "sysctl", "-qw", *NO_DUPLICATE_ADDRESS_DETECTION)
        for line in (TOPOLOGY + addresses).strip().splitlines():
            run("ip", *line.split())
        # Several tests ask for its ICMP errors, and a host sends one a second to each address.
        run("ip", "netns", "exec", BARE, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
        for name, link in [*EVERY_LINK, (BARE, "eth0")]:
            run("ip", "-n", name, "link", "set", link, "up")
        listeners = in_namespace(REALSERVER, open_listeners)
        decapsulator = start_decapsulator()
        set_rp_filter(all_links=0, tunnel=0)
        # A new link takes a second before IPv6 finds its neighbours.
        assert poll_until(ipv6_is_up, bool, within_s=60, every_s=0.1)
        yield
    finally:
        if decapsulator is not None:
            decapsulator.kill()
            decapsulator.communicate()
        for listener in listeners:
            listener.close()
        for name in (CONTROL, REALSERVER, BARE):
            subprocess.run(["ip", "netns", "del", name], check=False)


def ipv6_is_up() -> bool:
    ping = ["ip", "netns", "exec", CONTROL, "ping", "-6", "-c1", "-W1", HEALTHY6]
    return subprocess.run(ping, check=False, capture_output=True).returncode == 0


def start_decapsulator() -> subprocess.Popen[str]:
    script = Path(__file__).with_name("decapsulator.py")
    started = subprocess.Popen(
        ["ip", "netns", "exec", REALSERVER, sys.executable, str(script), DEAF, FORGER, LOSSY, PODS],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def set_rp_filter(*, all_links: int, tunnel: int) -> None:
    on_realserver(
        "sysctl", "-qw", f"net.ipv4.conf.all.rp_filter={all_links}", f"net.ipv4.conf.ipip0.rp_filter={tunnel}"
    )


@contextmanager
def nft(hook: str, rule: str) -> Iterator[None]:
    """One firewall rule on the realserver, as long as it is needed."""
    require_tool("nft", package="nftables")
    on_realserver("nft", f"add table ip t; add chain ip t c {{ {hook}; }}; add rule ip t c {rule}")
    try:
        yield
    finally:
        on_realserver("nft", "delete table ip t")


def target(address: str, port: int, vip: IPv4Address | IPv6Address = VIP) -> Target:
    virtual = VirtualService("web", "default", "tcp", vip, port, "wrr")
    outer = ip_address(address)
    return Target(f"rs-{address}", virtual, outer, mss_limit(vip, outer))


def probed(targets: Sequence[Target], probe: ProbeConfig = QUICK) -> list[ProbeResult]:
    return in_namespace(CONTROL, lambda: Prober(probe).probe(targets, lambda _: None))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def half_open() -> str:
    """What is half open, once what is on its way has arrived; the kernel itself gives up after a minute."""
    look = ("ss", "-Htan", "state", "syn-recv")
    return poll_until(lambda: on_realserver(*look), lambda seen: seen == "", within_s=15, every_s=0.05)


def reverse_path_drops() -> int:
    text = on_realserver("cat", "/proc/net/netstat")
    names, values = (line.split() for line in text.splitlines() if line.startswith("TcpExt:"))
    return int(values[names.index("IPReversePathFilter")])


def test_a_closed_port_is_refused(namespaces: None) -> None:
    [result] = probed([target(HEALTHY, CLOSED)])
    assert result.verdict is ProbeVerdict.REFUSED
    assert "nothing listens on port 82" in result.detail


def test_a_syn_ack_of_1460_bytes_is_unsuitable(namespaces: None) -> None:
    [result] = probed([target(HEALTHY, TOO_LARGE)])
    assert (result.verdict, result.mss) == (ProbeVerdict.UNSUITABLE, 1460)
    assert "at most 1440" in result.detail


def test_a_syn_ack_of_1440_bytes_is_unsuitable_in_ipv6(namespaces: None) -> None:
    [result] = probed([target(HEALTHY6, TOO_LARGE, VIP6)])
    assert (result.verdict, result.mss) == (ProbeVerdict.UNSUITABLE, 1440)


def test_strict_rp_filter_is_silent_and_the_kernel_counts_each_syn(namespaces: None) -> None:
    set_rp_filter(all_links=0, tunnel=1)
    before = reverse_path_drops()
    try:
        [result] = probed([target(HEALTHY, FITTING)])
    finally:
        set_rp_filter(all_links=0, tunnel=0)
    assert result.verdict is ProbeVerdict.SILENT
    assert "look at rp_filter" in result.detail
    assert reverse_path_drops() - before >= QUICK.tries * QUICK.samples


@pytest.mark.parametrize(
    ("all_links", "tunnel", "verdict"),
    [
        (1, 0, ProbeVerdict.SILENT),
        (1, 2, ProbeVerdict.SILENT),  # loose, but the tunnel device has no address
        (0, 0, ProbeVerdict.ACCEPTED),
    ],
)
def test_the_larger_rp_filter_decides(
    namespaces: None, all_links: int, tunnel: int, verdict: ProbeVerdict
) -> None:
    set_rp_filter(all_links=all_links, tunnel=tunnel)
    try:
        [result] = probed([target(HEALTHY, FITTING)])
    finally:
        set_rp_filter(all_links=0, tunnel=0)
    assert result.verdict is verdict


def test_a_firewall_that_rejects_the_inner_packet_is_unreachable(namespaces: None) -> None:
    rule = f"iifname ipip0 tcp dport {REJECTED} reject with icmp type admin-prohibited"
    with nft("type filter hook input priority 0", rule):
        [result] = probed([target(HEALTHY, REJECTED)])
    assert result.verdict is ProbeVerdict.UNREACHABLE
    assert "3/13" in result.detail


def test_a_firewall_that_lets_only_some_outer_sources_in_is_seen_by_asking_with_each(
    namespaces: None,
) -> None:
    with nft("type filter hook prerouting priority raw", "ip protocol 4 ip saddr 172.16.0.0/12 drop"):
        asked = target(HEALTHY, FITTING)
        katrans, own = probed([asked, replace(asked, outer_source=OWN)])
    assert (katrans.verdict, own.verdict) == (ProbeVerdict.SILENT, ProbeVerdict.ACCEPTED)
    assert (katrans.outer_source, own.outer_source) == (QUICK.outer_source.ipv4, OWN)


def test_a_host_without_a_tunnel_device_is_silent_for_its_icmp_error_goes_elsewhere(namespaces: None) -> None:
    [result] = probed([target(BARE_HOST, FITTING)])
    assert result.verdict is ProbeVerdict.SILENT


def test_a_host_without_a_tunnel_device_is_unreachable_when_the_outer_source_is_ours(
    namespaces: None,
) -> None:
    own = in_namespace(CONTROL, lambda: own_source(ip_address(BARE_HOST)))
    assert own == OWN_ON_ETH1
    [result] = probed([replace(target(BARE_HOST, FITTING), outer_source=own)])
    assert result.verdict is ProbeVerdict.UNREACHABLE
    assert "ICMP 3/2 from 10.31.0.31 (protocol unreachable, no tunnel device takes it)" in result.detail


def test_the_configured_outer_source_is_used_where_a_target_has_none(namespaces: None) -> None:
    own = QUICK.model_copy(update={"outer_source": OuterSource(ipv4=OWN_ON_ETH1)})
    [result] = probed([target(BARE_HOST, FITTING)], own)
    assert (result.verdict, result.outer_source) == (ProbeVerdict.UNREACHABLE, OWN_ON_ETH1)


def test_a_host_without_a_route_has_no_own_source(namespaces: None) -> None:
    with pytest.raises(OSError, match="unreachable"):
        in_namespace(CONTROL, lambda: own_source(ip_address(UNROUTED)))


def test_each_address_gets_the_own_source_of_its_own_route(namespaces: None) -> None:
    results = probed([target(address, FITTING) for address in (HEALTHY, BARE_HOST, REALSERVER_ADDRESSES[1])])
    assert [result.verdict.value for result in results] == ["accepted", "silent", "accepted"]


def test_a_realserver_that_loses_30_percent_is_accepted(namespaces: None) -> None:
    assert probed([target(LOSSY, FITTING)], ProbeConfig())[0].verdict is ProbeVerdict.ACCEPTED


def test_a_bad_pod_behind_one_source_port_in_four_is_met(namespaces: None) -> None:
    [result] = probed([target(PODS, FITTING)])
    assert (result.verdict, result.asked, result.accepted) == (ProbeVerdict.SILENT, 4, 3)
    assert "3 of 4 source ports answered" in result.detail


def test_a_host_without_a_route_is_unreachable_and_does_not_hold_up_the_others(namespaces: None) -> None:
    lost, reached = probed([target(UNROUTED, FITTING), target(HEALTHY, FITTING)])
    assert lost.verdict is ProbeVerdict.UNREACHABLE
    assert lost.detail == f"nothing was sent to {UNROUTED}: this host has no route to it"
    assert reached.verdict is ProbeVerdict.ACCEPTED


def test_an_interface_that_is_down_is_told_as_such(namespaces: None) -> None:
    run("ip", "-n", CONTROL, "link", "set", "eth1", "down")
    try:
        [result] = probed([target(BARE_HOST, FITTING)])
    finally:
        run("ip", "-n", CONTROL, "link", "set", "eth1", "up")
    assert result.verdict is ProbeVerdict.UNREACHABLE
    assert "nothing was sent" in result.detail


def test_forged_answers_do_not_count_and_are_told(namespaces: None) -> None:
    forged, honest = probed([target(FORGER, FITTING), target(HEALTHY, FITTING)])
    assert forged.verdict is ProbeVerdict.SILENT
    assert "for no SYN of this probe calls for it" in forged.detail
    assert "not counted: an answer to this SYN from 10.99.0.1:81, expected from 10.99.0.1:80" in forged.detail
    assert honest.verdict is ProbeVerdict.ACCEPTED


def test_one_dead_realserver_among_five_is_waited_for_alone_and_told_last(namespaces: None) -> None:
    dead, *ready = reversed(REALSERVER_ADDRESSES[:5])
    verdicts: list[ProbeVerdict] = []

    def probe() -> list[ProbeResult]:
        asked = [target(address, FITTING) for address in (dead, *ready)]
        return Prober(QUICK).probe(asked, lambda result: verdicts.append(result.verdict))

    results = in_namespace(CONTROL, probe)
    assert [result.verdict for result in results] == [ProbeVerdict.SILENT] + [ProbeVerdict.ACCEPTED] * 4
    assert verdicts == [ProbeVerdict.ACCEPTED] * 4 + [ProbeVerdict.SILENT]


@pytest.mark.parametrize(("address", "vip", "mss"), [(HEALTHY, VIP, 1440), (HEALTHY6, VIP6, 1400)])
def test_a_realserver_that_is_ready_is_accepted(
    namespaces: None, address: str, vip: IPv4Address | IPv6Address, mss: int
) -> None:
    [result] = probed([target(address, FITTING, vip)])
    assert (result.verdict, result.mss, result.detail) == (ProbeVerdict.ACCEPTED, mss, "")
    assert result.rtt_ms is not None
    assert result.rtt_ms > 0


def test_nothing_stays_half_open_at_the_realserver(namespaces: None) -> None:
    ready = [target(address, FITTING) for address in REALSERVER_ADDRESSES[:4]]
    results = probed([*ready, target(HEALTHY6, FITTING, VIP6), target(HEALTHY, TOO_LARGE)])
    assert all(result.mss for result in results)
    assert half_open() == ""


def test_an_interrupt_leaves_nothing_half_open_and_no_socket_behind(namespaces: None) -> None:
    def interrupt(result: ProbeResult) -> None:
        raise KeyboardInterrupt

    def probe() -> int:
        before = open_files()
        with pytest.raises(KeyboardInterrupt):
            Prober(QUICK).probe([target(address, FITTING) for address in REALSERVER_ADDRESSES], interrupt)
        for thread in threading.enumerate():
            if thread.name == "closing packet sockets":
                thread.join()
        return open_files() - before

    # sockets of an earlier test may still be on their way out when this one begins
    assert in_namespace(CONTROL, probe) <= 0
    assert half_open() == ""


def test_what_a_broken_rollback_left_half_open_is_closed_too(namespaces: None) -> None:
    with nft("type filter hook output priority 0", f"tcp sport {FITTING} drop"):
        [result] = probed([target(HEALTHY, FITTING)])
    assert result.verdict is ProbeVerdict.SILENT
    assert half_open() == ""


def test_a_busy_host_probes_sixty_targets_at_once_without_losing_an_answer(namespaces: None) -> None:
    address = REALSERVER_ADDRESSES[0]
    many = [replace(target(address, FITTING), host=f"rs{number}") for number in range(60)]
    results = probed(many)
    assert {result.verdict for result in results} == {ProbeVerdict.ACCEPTED}


def test_without_the_capability_a_probe_is_refused_with_the_way_out() -> None:
    script = "from ferryman.probe import require_raw_sockets as require; require()"
    dropped = [
        "setpriv",
        "--bounding-set",
        "-net_raw",
        "--inh-caps",
        "-net_raw",
        sys.executable,
        "-c",
        script,
    ]
    done = subprocess.run(dropped, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        f"RefusedError: cannot probe: {sys.executable}, run by user root, may not open a raw" in done.stderr
    )
    assert "a container: --cap-add NET_RAW" in done.stderr


def test_with_the_capability_nothing_is_said() -> None:
    require_raw_sockets()
