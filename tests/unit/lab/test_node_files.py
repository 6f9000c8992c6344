"""What the lab's nodes boot from: pods of their own or of others, policies, and a router before them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.errors import LabError
from ferryman.lab import ready, render, topology
from ferryman.lab.node_files import CNI_FILE, cni_text
from ferryman.lab.paths import LabPaths
from ferryman.lab.topology.state import of_json, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.lab import Topology

VIP = "10.99.0.1"


def lab(*nodes: dict[str, Any], **service: object) -> Topology:
    """A lab of nodes with one service on all of them."""
    return topology.from_data(
        {
            "directors": [{"name": "lb1", "role": "primary"}],
            "realservers": [{"kind": "kubernetes", **node} for node in nodes],
            "services": [{"name": "shop", "port": 8080, **service}],
        }
    )


def files(made: Topology) -> dict[str, str]:
    return render.files(made, {host.name: "key" for host in made.hosts}, "ours")


BARE = lab({"name": "n1"}, {"name": "n2", "pods": 0})
WIDE = lab({"name": "n1"}, {"name": "n2", "pods": 0}, {"name": "n3", "far": True}, traffic_policy="Cluster")


def test_under_local_a_node_without_a_pod_drops_and_translates_nothing() -> None:
    rules = files(BARE)["lab/n2/iptables"]
    assert "DNAT" not in rules
    for chain in ("INPUT", "FORWARD"):
        assert f"-A {chain} -d {VIP}/32 -p tcp --dport 8080 -j DROP" in rules
    assert "*filter" not in files(BARE)["lab/n1/iptables"]


def test_under_cluster_each_node_hands_on_to_every_pod_with_its_own_address() -> None:
    made = files(WIDE)
    for node in ("n1", "n2", "n3"):
        rules = made[f"lab/{node}/iptables"]
        assert rules.count("-j DNAT") == 4
        assert "-A KUBE-EXT-1 -j MARK --set-xmark 0x4000/0x4000" in rules
        assert "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE" in rules
        assert "*filter" not in rules


def test_pods_of_other_nodes_are_reached_by_the_node_or_beyond_the_router_by_that() -> None:
    made = files(WIDE)
    near, far = WIDE.pods_of("n1")[0], WIDE.pods_of("n3")[0]
    assert f"route add {near.address} via {WIDE.by_name['n1'].address}\n" in made["lab/n2/ip"]
    assert str(far.address) not in made["lab/n2/ip"]
    for pod in (near, far):
        assert f"route add {pod.address} via {WIDE.by_name[pod.node].address}\n" in made["lab/rt/ip"]


def test_a_far_node_is_on_a_bridge_of_its_own_with_the_routers_address_for_a_way_out() -> None:
    made, host = files(WIDE), WIDE.by_name["n3"]
    assert (str(host.address), str(host.address6)) == ("10.50.0.33", "fd50::33")
    assert "link set dev n3 master br1 up\n" in made["lab/rt/ip"]
    assert "link set dev n1 master br0 up\n" in made["lab/rt/ip"]
    assert "addr add 10.50.0.254/24 dev br1\n" in made["lab/rt/ip"]
    assert "route add default via 10.50.0.254\n" in made["lab/n3/ip"]
    assert "    gateway 10.50.0.254\n" in made["etc/netns/n3/network/interfaces"]


def test_without_far_hosts_there_is_no_second_bridge_and_no_route_to_a_pod() -> None:
    router = files(BARE)["lab/rt/ip"]
    assert "br1" not in router
    assert "10.64." not in router


def test_a_node_says_what_its_new_pods_get() -> None:
    text = files(BARE)[f"etc/netns/n1/cni/net.d/{CNI_FILE}"]
    assert text == cni_text(1460)
    assert json.loads(text)["plugins"][0]["mtu"] == 1460


def test_the_lab_keeps_all_of_it_of_itself(tmp_path: Path) -> None:
    assert of_json(to_json(WIDE)) == WIDE
    ready.write(LabPaths(tmp_path), WIDE)
    hosts = (LabPaths(tmp_path).configuration / "inventory" / "hosts.yaml").read_text()
    assert "address: 10.50.0.33" in hosts


@pytest.mark.parametrize(
    ("node", "service", "says"),
    [
        ({"pods": 9}, {}, "how many pods, 0 to 8"),
        ({"far": "yes, it is"}, {}, "true or false"),
        ({}, {"traffic_policy": "Node"}, "Local or Cluster"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(node: dict[str, Any], service: dict[str, Any], says: str) -> None:
    with pytest.raises(LabError, match=says):
        lab({"name": "n1", **node}, **service)
