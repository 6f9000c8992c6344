"""Pods cannot forge their source while ipip0 is open, and what opens that is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman import lab as the_lab

if TYPE_CHECKING:
    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

FORGED = "10.20.0.99"
"""An address of the client's network, which no pod has."""


def forge(lab: RunningLab, pod: str) -> int:
    """How many packets with a forged source, out of three, get out of a pod's node."""
    node = pod.partition("-")[0]
    rule = f"OUTPUT_OF_{pod}".replace("-", "_")[:28]
    lab.console(node, f"iptables-legacy -t mangle -N {rule}; iptables-legacy -t mangle -A {rule} -j RETURN")
    lab.console(node, f"iptables-legacy -t mangle -I POSTROUTING -o eth0 -s {FORGED} -j {rule}")
    lab.console(pod, f"ip addr replace {FORGED}/32 dev lo")
    lab.console(pod, f"ping -c3 -i0.2 -W1 -I {FORGED} 10.10.0.11 >/dev/null 2>&1 || true")
    counted = lab.console(node, f"iptables-legacy -t mangle -vnxL {rule}")
    lab.console(pod, f"ip addr del {FORGED}/32 dev lo")
    lab.console(node, f"iptables-legacy -t mangle -D POSTROUTING -o eth0 -s {FORGED} -j {rule}")
    lab.console(node, f"iptables-legacy -t mangle -F {rule}; iptables-legacy -t mangle -X {rule}")
    return int(counted.splitlines()[2].split()[0])


def warnings(lab: RunningLab) -> tuple[int, set[tuple[str, str]]]:
    """The exit code of a check, and who is warned of what."""
    done = lab.ferryman("--output", "json", "check", "shop", "--site", "lab")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {
        (each["check"], each["host"])
        for each in events
        if each.get("event") == "finding"
        and each["verdict"] == "warn"
        and each["check"] in ("rp-filter-default", "rp-filter-pods", "rp-filter-ipv6", "pod-spoofing")
    }


def test_with_ipip0_open_no_forged_packet_leaves_a_node_and_nobody_warns(nodes: RunningLab) -> None:
    assert nodes.console("node1", "cat /proc/sys/net/ipv4/conf/ipip0/rp_filter").strip() == "0"
    assert forge(nodes, "node1-pod1") == 0
    assert warnings(nodes) == (0, set())


def test_calicos_own_rules_raise_no_alarm_and_stop_forged_packets_by_themselves(nodes: RunningLab) -> None:
    nodes.put("calico-raw-rules", "node1")
    assert warnings(nodes) == (0, set())
    pod = the_lab.topology_of(nodes.place).pods_of("node1")[0]
    nodes.console("node1", f"echo 0 >/proc/sys/net/ipv4/conf/{pod.interface}/rp_filter")
    try:
        assert forge(nodes, pod.name) == 0
    finally:
        nodes.console("node1", f"echo 1 >/proc/sys/net/ipv4/conf/{pod.interface}/rp_filter")


def test_a_pod_whose_device_does_not_filter_forges_and_is_found(nodes: RunningLab) -> None:
    nodes.put("rp-filter-pod-open", "node1")
    assert forge(nodes, "node1-pod1") == 3
    assert warnings(nodes) == (0, {("rp-filter-pods", "node1")})


def test_a_rule_that_lets_a_pod_past_calicos_filter_is_found(nodes: RunningLab) -> None:
    nodes.put("pod-spoofing-open", "node2")
    assert warnings(nodes) == (0, {("pod-spoofing", "node2")})


def test_a_default_of_0_is_found_before_the_next_pod_is_made(nodes: RunningLab) -> None:
    nodes.put("rp-filter-default-loose", "node2")
    assert warnings(nodes) == (0, {("rp-filter-default", "node2")})
