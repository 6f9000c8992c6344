"""The lab's own nodes: pods that are made again, and how nodes hand on what they are sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman import lab as the_lab
from ferryman.errors import LabError
from ferryman.lab.pods import cni_mtu, recreate, set_cni_mtu
from lab.kubernetes.conftest import own_mtu

if TYPE_CHECKING:
    from typing import Any

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def blocking(lab: RunningLab, service: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a check, and its findings that stop a run."""
    done = lab.ferryman("--output", "json", "check", service, "--site", "lab")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    found = [event for event in events if event.get("event") == "finding"]
    return done.returncode, [each for each in found if each["verdict"] in ("fail", "unknown")]


def answers(lab: RunningLab, port: int, vip: str, times: int = 1) -> list[str]:
    """What the director's VIP answers to requests of the client, an empty text for none."""
    script = f"for n in $(seq {times}); do curl -s --max-time 2 http://{vip}:{port}/ || echo; done"
    return lab.console("client", script).splitlines()


def vip_of(lab: RunningLab, name: str) -> tuple[str, int]:
    """A service's VIP and port."""
    service = the_lab.topology_of(lab.place).service(name)
    return str(service.vips[0]), service.port


def test_a_pod_made_again_has_its_nodes_mtu_and_another_device_and_answers(nodes: RunningLab) -> None:
    before = next(pod for pod in the_lab.topology_of(nodes.place).pods if pod.name == "node1-pod1")
    set_cni_mtu(nodes.place, "node1", 1500)
    assert cni_mtu(nodes.place, "node1") == 1500
    assert own_mtu(nodes, "node1-pod1") == 1460
    made = recreate(nodes.place, "node1-pod1")
    assert own_mtu(nodes, "node1-pod1") == 1500
    assert made.interface != before.interface
    assert made.address == before.address
    assert made in the_lab.topology_of(nodes.place).pods
    devices = nodes.console("node1", "ip -br link")
    assert made.interface in devices
    assert before.interface not in devices
    strict = nodes.console("node1", f"cat /proc/sys/net/ipv4/conf/{made.interface}/rp_filter")
    assert strict.strip() == "1"
    assert nodes.console("node1", f"curl -s --max-time 5 http://{made.address}:8443/")


def test_a_pod_that_was_made_with_the_old_mtu_is_named_and_one_made_again_is_not(nodes: RunningLab) -> None:
    recreate(nodes.place, "node2-pod2", 1500)
    code, found = blocking(nodes, "shop")
    assert code == 3
    assert {(finding["check"], finding["host"]) for finding in found} >= {("pod-mtu", "node2")}
    recreate(nodes.place, "node2-pod2")
    assert blocking(nodes, "shop") == (0, [])


def test_a_pod_that_is_not_there_is_refused_by_name(nodes: RunningLab) -> None:
    with pytest.raises(LabError, match="node9-pod1: is no pod of the lab; it has node1-pod1"):
        recreate(nodes.place, "node9-pod1")


def test_under_cluster_another_nodes_pod_answers_and_sees_the_nodes_own_address(nodes: RunningLab) -> None:
    vip, port = vip_of(nodes, "wide")
    nodes.console("lvs1", f"ipvsadm -e -t {vip}:{port} -r 10.10.0.31:{port} -g -w 0")
    try:
        seen = set(answers(nodes, port, vip, times=12))
    finally:
        nodes.console("lvs1", f"ipvsadm -e -t {vip}:{port} -r 10.10.0.31:{port} -g -w 1")
    assert "" not in seen
    assert len(seen) == 2
    log = nodes.console("node1", "conntrack -L 2>/dev/null || cat /proc/net/nf_conntrack")
    assert "src=10.10.0.33" in log


def test_under_local_a_node_without_a_pod_drops_what_it_is_sent(nodes: RunningLab) -> None:
    vip, port = vip_of(nodes, "bare")
    nodes.console("lvs1", f"ipvsadm -e -t {vip}:{port} -r 10.10.0.31:{port} -g -w 0")
    try:
        assert answers(nodes, port, vip) == [""]
    finally:
        nodes.console("lvs1", f"ipvsadm -e -t {vip}:{port} -r 10.10.0.31:{port} -g -w 1")
    rules = nodes.console("node3", "iptables-legacy -vnL FORWARD")
    assert vip in rules
