from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from doubles.api_server import NODES, SERVICES, Fault
from ferryman.inventory.schema import ClusterEntry
from ferryman.kubernetes import login, nodes
from ferryman.kubernetes.api import cluster_client
from ferryman.model import Finding, Kind, Realserver, Service, Verdict, VirtualService

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from doubles.api_server import ApiServer

NODE1 = Realserver("node1", Kind.KUBERNETES, IPv4Address("10.10.0.31"), IPv6Address("fd10::31"), "staging")
NODE2 = Realserver("node2", Kind.KUBERNETES, IPv4Address("10.10.0.32"), None, "staging")
INGRESS = Service(
    name="ingress",
    site="lab",
    encryption=False,
    lvs_class="low-traffic",
    encapsulated=False,
    virtual_services=(VirtualService("ingress", "default", "tcp", ip_address("10.99.0.4"), 30443, "wrr"),),
    realservers=(NODE1, NODE2),
    directors=(),
)
ALONE = replace(INGRESS, realservers=(NODE1,))


def cluster(**keys: object) -> ClusterEntry:
    return ClusterEntry.model_validate(keys)


def node_states(service: Service, clusters: Mapping[str, ClusterEntry]) -> nodes.NodeStates:
    return nodes.node_states(service, clusters, lambda entry: cluster_client(entry, True))


def node_findings(service: Service, clusters: Mapping[str, ClusterEntry]) -> list[Finding]:
    return list(node_states(service, clusters).findings)


def asked(server: ApiServer, service: Service = INGRESS) -> list[Finding]:
    return node_findings(service, {"staging": cluster(api=server.url)})


def said(found: list[Finding]) -> list[tuple[str, Verdict, str]]:
    return [(finding.host, finding.verdict, finding.seen) for finding in found]


@pytest.mark.parametrize("clusters", [{}, {"staging": cluster(pod_mtu=1460)}])
def test_a_cluster_without_an_api_server_is_skipped_and_says_so(clusters: dict[str, ClusterEntry]) -> None:
    assert said(node_findings(INGRESS, clusters)) == [
        ("staging", Verdict.SKIP, "clusters.yaml names no API server for staging")
    ]


def test_a_node_whose_cluster_nobody_names_is_skipped_and_says_so() -> None:
    found = node_findings(replace(ALONE, realservers=(replace(NODE1, cluster=None),)), {})
    assert said(found) == [("node1", Verdict.SKIP, "hosts.yaml names no cluster for node1")]


def test_a_service_without_nodes_asks_nobody_and_loads_no_client() -> None:
    plain = replace(ALONE, realservers=(Realserver("web1", Kind.SERVER, NODE1.address, None),))
    assert node_findings(plain, {"staging": cluster(api="http://127.0.0.1:1")}) == []
    script = "import ferryman.kubernetes, sys; sys.exit('lightkube' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_api_server_that_refuses_connections_is_unknown_and_not_green() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer there
        entry = cluster(api=f"http://127.0.0.1:{held.getsockname()[1]}")
        (found,) = node_findings(INGRESS, {"staging": entry})
    assert (found.check, found.host, found.verdict) == ("node-state", "staging", Verdict.UNKNOWN)
    assert "could not list nodes: ConnectError" in found.seen


@pytest.mark.parametrize(
    "said", [b"", b"<html>", b"[]", b"{}", b'{"items": [3]}', b'{"items": [{"spec": {"taints": 3}}]}']
)
def test_an_answer_that_is_not_understood_is_unknown(server: ApiServer, said: bytes) -> None:
    server.faults.append(Fault(body=said))
    assert [finding.verdict for finding in asked(server)] == [Verdict.UNKNOWN]


@pytest.mark.parametrize("path", [NODES, SERVICES])
def test_what_may_not_be_listed_is_unknown_with_the_servers_own_words(server: ApiServer, path: str) -> None:
    plural = path.rpartition("/")[2]
    others = {"nodes", "services", "endpointslices"} - {plural}
    server.rules = [{"apiGroups": ["*"], "resources": sorted(others), "verbs": ["list"]}]
    (found,) = asked(server)
    assert found.verdict is Verdict.UNKNOWN
    assert f'403: {plural} is forbidden: User "ferry" cannot list resource "{plural}"' in found.seen
    assert "docs/rbac.yaml has the rights" in found.seen


def test_nodes_that_are_well_pass_one_finding_each_and_each_list_is_asked_for_once(server: ApiServer) -> None:
    server.node("node1")
    server.node("node2")
    assert said(asked(server)) == [("node1", Verdict.PASS, "Ready"), ("node2", Verdict.PASS, "Ready")]
    assert server.paths == [NODES, SERVICES]


def test_all_pages_of_a_long_list_are_read(server: ApiServer) -> None:
    for name in ("other1", "other2", "other3", "other4", "node1"):
        server.node(name)
    assert said(asked(server, ALONE)) == [("node1", Verdict.PASS, "Ready")]


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (
            {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "no CNI"},
            "KubeletNotReady: no CNI",
        ),
        ({"type": "Ready", "status": "Unknown"}, "Ready is Unknown"),
        ({"type": "DiskPressure", "status": "False"}, "it has no condition Ready"),
    ],
)
def test_a_node_that_is_not_ready_fails_for_it_is_still_pooled(
    server: ApiServer, condition: dict[str, str], why: str
) -> None:
    server.node("node1")["status"]["conditions"] = [condition]
    assert said(asked(server, ALONE)) == [("node1", Verdict.FAIL, f"NotReady, and still pooled: {why}")]


def test_a_cordoned_node_is_a_warning_for_it_still_gets_traffic(server: ApiServer) -> None:
    server.node(
        "node1",
        unschedulable=True,
        taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}],
    )
    (found,) = asked(server, ALONE)
    assert (found.verdict, found.seen) == (Verdict.WARN, "cordoned, and still pooled")
    assert "kubectl uncordon node1" in found.remedy


def test_taints_that_evict_pods_are_a_warning_and_others_are_not(server: ApiServer) -> None:
    taints = [
        {"key": "maintenance", "value": "rack", "effect": "NoExecute"},
        {"key": "broken", "effect": "NoExecute"},
        {"key": "dedicated", "value": "kask", "effect": "NoSchedule"},
    ]
    server.node("node1", taints=taints)
    assert said(asked(server, ALONE)) == [
        ("node1", Verdict.WARN, "taints that evict pods: maintenance=rack, broken")
    ]


def test_everything_wrong_with_one_node_is_told(server: ApiServer) -> None:
    node = server.node("node1", unschedulable=True, taints=[{"key": "x", "effect": "NoExecute"}])
    node["status"]["conditions"] = []
    assert [finding.verdict for finding in asked(server, ALONE)] == [Verdict.FAIL, Verdict.WARN, Verdict.WARN]


def test_a_realserver_that_is_no_node_of_its_cluster_is_a_warning(server: ApiServer) -> None:
    server.node("other")
    assert said(asked(server, ALONE)) == [
        ("node1", Verdict.WARN, "staging has no node of this name, hostname or address")
    ]


@pytest.mark.parametrize("addresses", [["10.10.0.31"], ["fd10:0:0::0:31"]])
def test_a_node_is_known_by_its_name_or_hostname_or_address(server: ApiServer, addresses: list[str]) -> None:
    by_address = server.node("ip-10-10-0-31")
    by_address["status"]["addresses"] = [{"type": "InternalIP", "address": address} for address in addresses]
    assert said(asked(server, ALONE)) == [("node1", Verdict.PASS, "Ready")]
    by_label = server.node("worker-7", unschedulable=True)
    by_label["metadata"]["labels"]["kubernetes.io/hostname"] = "node1"
    assert said(asked(server, ALONE)) == [("node1", Verdict.WARN, "cordoned, and still pooled")]
    server.node("node1")
    assert said(asked(server, ALONE)) == [("node1", Verdict.PASS, "Ready")]


PORT = {"port": 443, "nodePort": 30443}
VIP_PORT = {"protocol": "TCP", "port": 30443}


@pytest.mark.parametrize(
    ("port", "changes"),
    [
        (PORT, {}),
        (VIP_PORT, {"externalIPs": ["10.99.0.4"]}),
        (VIP_PORT, {"loadBalancerIP": "10.99.0.4"}),
    ],
)
def test_a_node_without_an_endpoint_of_a_local_service_is_expected_to_be_silent(
    server: ApiServer, port: dict[str, Any], changes: dict[str, Any]
) -> None:
    server.node("node1")
    server.node("node2")
    server.service("ingress", "Local", port, **changes)
    server.endpoints(
        "ingress",
        {"addresses": ["10.64.1.11"], "nodeName": "node1", "conditions": {"ready": True}},
        {"addresses": ["10.64.2.11"], "nodeName": "node2", "conditions": {"ready": False}},
    )
    server.endpoints("other", {"addresses": ["10.64.2.12"], "nodeName": "node2"})
    states = node_states(INGRESS, {"staging": cluster(api=server.url)})
    assert states.silent == {"node2"}
    good, found = states.findings
    assert (good.host, good.verdict) == ("node1", Verdict.PASS)
    assert (found.host, found.verdict) == ("node2", Verdict.WARN)
    assert "no ready endpoint of apps/ingress here, and externalTrafficPolicy is Local" in found.seen
    assert "its probe is expected to be silent" in found.seen


@pytest.mark.parametrize(
    ("policy", "port"),
    [
        ("Cluster", PORT),
        ("Local", {"port": 443, "nodePort": 30444}),
        ("Local", {"protocol": "UDP", "port": 443, "nodePort": 30443}),
        ("Local", VIP_PORT),
    ],
)
def test_a_service_that_takes_pods_anywhere_or_is_another_one_expects_no_silence(
    server: ApiServer, policy: str, port: dict[str, Any]
) -> None:
    server.node("node1")
    server.service("ingress", policy, port)
    states = node_states(ALONE, {"staging": cluster(api=server.url)})
    assert (states.silent, [finding.verdict for finding in states.findings]) == (frozenset(), [Verdict.PASS])


def kubeconfig(folder: Path, server: str, user: dict[str, Any] | None) -> ClusterEntry:
    file = folder / "kubeconfig"
    context = {"cluster": "c"} if user is None else {"cluster": "c", "user": "u"}
    text = {
        "current-context": "elsewhere",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "staging", "context": context}],
        "users": [{"name": "u", "user": user or {}}],
    }
    file.write_text(yaml.safe_dump(text))
    return cluster(kubeconfig=str(file), context="staging")


@pytest.mark.parametrize("version", ["v1beta1", "v1"])
def test_who_asks_is_the_user_of_the_kubeconfigs_context(
    server: ApiServer, tmp_path: Path, version: str
) -> None:
    server.node("node1")
    server.token = "secret"
    plugin = {
        "apiVersion": f"client.authentication.k8s.io/{version}",
        "command": "echo",
        "args": ['{"status": {"token": "secret"}}'],
    }
    for user, verdict in (
        ({"token": "secret"}, Verdict.PASS),
        ({"token": "wrong"}, Verdict.UNKNOWN),
        ({"exec": plugin}, Verdict.PASS),
        ({"exec": {**plugin, "command": "false"}}, Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
    ):
        entry = kubeconfig(tmp_path, server.url, user)
        found = node_findings(ALONE, {"staging": entry})
        assert [finding.verdict for finding in found] == [verdict], found
        assert "secret" not in str(found)


def test_a_login_plugin_that_does_not_end_is_ended(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "PLUGIN_S", 0.1)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sleep", "args": ["100"]}
    (found,) = node_findings(ALONE, {"staging": kubeconfig(tmp_path, server.url, {"exec": plugin})})
    assert found.verdict is Verdict.UNKNOWN
    assert "the login plugin sleep did not end within 0.1 seconds, and was ended" in found.seen


def test_the_api_of_clusters_yaml_wins_over_the_kubeconfigs_server(server: ApiServer, tmp_path: Path) -> None:
    server.node("node1")
    entry = kubeconfig(tmp_path, "http://127.0.0.1:1", {}).model_copy(update={"api": server.url})
    assert [node_finding.verdict for node_finding in node_findings(ALONE, {"staging": entry})] == [
        Verdict.PASS
    ]


@pytest.mark.parametrize("text", [None, "", "[]", "clusters: 3", "{clusters: [], contexts: []}", "\x00"])
def test_a_kubeconfig_that_cannot_be_used_is_unknown(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "kubeconfig"
    if text is not None:
        file.write_text(text)
    found = node_findings(ALONE, {"staging": cluster(kubeconfig=str(file))})
    assert [finding.verdict for finding in found] == [Verdict.UNKNOWN]
