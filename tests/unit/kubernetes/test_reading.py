"""What is read of a cluster through its API, as values; and what becomes of trouble on the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from doubles.api_server import PODS, SERVICES, SLICES, ApiServer, Fault, serving
from doubles.api_server.store import ExpiredError
from ferryman.inventory.schema import ClusterEntry
from ferryman.kubernetes import in_cluster
from ferryman.kubernetes.api import cluster_client
from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.kubernetes.connection import BEGINNINGS
from ferryman.kubernetes.objects import Endpoint, Owner, ServicePort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from doubles.api_server.kinds import Manifest
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.objects import Pod

    Read = Callable[[ClusterClient], object]

READS: dict[str, Read] = {
    "nodes": lambda client: client.nodes(),
    "pods": lambda client: client.pods(),
    "pods of a node": lambda client: client.pods(node="node1"),
    "a pod": lambda client: client.pod("apps", "db-0"),
    "services": lambda client: client.services(),
    "workloads": lambda client: client.workloads(),
    "a workload": lambda client: client.workload("StatefulSet", "apps", "db"),
    "budgets": lambda client: client.budgets(),
    "namespaces": lambda client: client.namespaces(),
    "policies": lambda client: client.policies(),
    "felix configurations": lambda client: client.felix_configurations(),
    "a config map": lambda client: client.config_map("kube-system", "coredns"),
}


def client_of(server: ApiServer, *, dry_run: bool = True) -> ClusterClient:
    return cluster_client(ClusterEntry.model_validate({"api": server.url}), dry_run)


def by_name(pods: tuple[Pod, ...]) -> dict[str, Pod]:
    return {pod.full_name: pod for pod in pods}


# --- trouble ---


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize(
    "said", [b"", b"\xff", b"<html>", b"[]", b"{}", b'{"items": [3]}', b'{"items": [{}]}', b'{"items": null}']
)
def test_an_answer_that_is_not_understood_is_no_answer(server: ApiServer, read: Read, said: bytes) -> None:
    server.faults.append(Fault(body=said))
    with pytest.raises(ClusterUnreadableError, match=f"^cluster {server.url}: could not (list|read) "):
        read(client_of(server))


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"cut": "before"}, {"status": 302}])
def test_what_could_not_be_read_says_what_and_where(
    server: ApiServer, read: Read, fault: dict[str, object]
) -> None:
    server.faults.append(Fault(**fault))  # type: ignore[arg-type]
    with pytest.raises(ClusterUnreadableError, match=f"^cluster {server.url}: could not (list|read) "):
        read(client_of(server))


def test_an_html_page_of_a_proxy_is_told_with_its_status(server: ApiServer) -> None:
    server.faults.append(Fault(status=403, message="<b>login</b>"))
    with pytest.raises(ClusterUnreadableError, match="could not list nodes: 403: <b>login</b>"):
        client_of(server).nodes()


def test_a_list_whose_continuation_expires_begins_anew_and_has_nothing_twice(server: ApiServer) -> None:
    for name in ("node1", "node2", "node3", "node4", "node5"):
        server.node(name)
    server.faults.append(Fault("continue=", status=410, times=2))
    assert [node.name for node in client_of(server).nodes()] == ["node1", "node2", "node3", "node4", "node5"]
    assert [("continue" in asked.query) for asked in server.asked] == [
        *(False, True),
        *(False, True),
        *(False, True, True),
    ]


def test_a_list_that_expires_again_and_again_is_given_up(server: ApiServer) -> None:
    for name in ("node1", "node2", "node3"):
        server.node(name)
    server.faults.append(Fault("continue=", status=410, message="too old"))
    with pytest.raises(ClusterUnreadableError, match="could not list nodes: 410: too old"):
        client_of(server).nodes()
    assert len(server.asked) == 2 * BEGINNINGS


def test_the_double_forgets_lists_as_an_api_server_does(server: ApiServer) -> None:
    for name in ("node1", "node2", "node3"):
        server.node(name)
    gone = server.store.page(server.store.all("v1", "Node"), 2, None)[1]["continue"]
    server.store.expire()
    assert server.store.page(server.store.all("v1", "Node"), 2, None)[1]["remainingItemCount"] == 1
    with pytest.raises(ExpiredError):
        server.store.page([], 2, gone)


def test_a_pod_without_a_uid_or_with_an_address_that_is_none_is_not_read(server: ApiServer) -> None:
    pod = server.pod("web", "node1")
    del pod["metadata"]["uid"]
    with pytest.raises(ClusterUnreadableError, match="apps/web has no uid"):
        client_of(server).pods()
    server.pod("web", "node1", addresses=["10.64.0.1; rm"])
    with pytest.raises(ClusterUnreadableError, match=r"an address that is none: '10\.64\.0\.1; rm'"):
        client_of(server).pods()


# --- logging in ---


def test_a_login_that_runs_out_in_a_long_run_is_made_again(server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first")
    content = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"tokenFile": "token"}}],
    }
    (tmp_path / "config").write_text(json.dumps(content))
    server.token = "first"
    client = cluster_client(ClusterEntry.model_validate({"kubeconfig": str(tmp_path / "config")}), False)
    client.nodes()
    server.token = "second"
    with pytest.raises(ClusterUnreadableError, match="401: Unauthorized; renew the login"):
        client.nodes()
    (tmp_path / "token").write_text("second")
    client.nodes()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(in_cluster, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "token").write_text("of-the-account\n")
    (tmp_path / "ca.crt").write_text("PEM")
    return tmp_path


def test_in_a_pod_its_service_account_says_where_and_who(account: Path) -> None:
    access = in_cluster.in_cluster_access()
    assert (access.server, access.token, access.authority) == (
        "https://[fd00::1]:443",
        "of-the-account",
        b"PEM",
    )
    assert "of-the-account" not in repr(access)
    assert access.secrets == ("of-the-account",)


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
def test_a_pod_without_a_service_account_is_told_so(account: Path, missing: str) -> None:
    (account / missing).unlink()
    client = cluster_client(ClusterEntry.model_validate({"api": "in-cluster"}), True)
    with pytest.raises(ClusterUnreadableError, match=f"{missing}: cannot be read: No such file.*automount"):
        client.nodes()


def test_what_is_no_pod_is_told_so(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    client = cluster_client(ClusterEntry.model_validate({"api": "in-cluster"}), True)
    with pytest.raises(ClusterUnreadableError, match="this is no pod of a cluster"):
        client.nodes()


def test_in_cluster_beside_a_kubeconfig_is_refused(account: Path) -> None:
    entry = ClusterEntry.model_validate({"api": "in-cluster", "context": "staging"})
    with pytest.raises(ClusterUnreadableError, match="is in-cluster beside a kubeconfig"):
        cluster_client(entry, True).nodes()


# --- values ---


def test_a_pod_is_read_with_all_that_counts(server: ApiServer) -> None:
    pod = server.pod(
        "web-0",
        "node1",
        addresses=["10.64.0.9", "fd64::9"],
        labels={"app": "web"},
        ready=False,
        serviceAccountName="robot",
        containers=[{"name": "a", "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 1}]}],
        initContainers=[
            {"name": "b", "ports": [{"name": "gone", "containerPort": 1}]},
            {
                "name": "c",
                "restartPolicy": "Always",
                "ports": [{"name": "dns", "protocol": "UDP", "containerPort": 53}],
            },
        ],
    )
    pod["metadata"] |= {
        "creationTimestamp": "2026-11-22T22:19:43Z",
        "deletionTimestamp": "2026-11-23T00:00:00Z",
        "annotations": {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }
    found = client_of(server).pod("apps", "web-0")
    assert found is not None
    assert (found.full_name, found.uid, found.node) == ("apps/web-0", pod["metadata"]["uid"], "node1")
    assert found.addresses == (ip_address("10.64.0.9"), ip_address("fd64::9"))
    assert found.created == datetime(2026, 11, 22, 22, 19, 43, tzinfo=UTC)
    assert (found.ready, found.terminating, found.host_network, found.phase) == (
        False,
        True,
        False,
        "Running",
    )
    assert found.ports == {"http": ("TCP", 8080), "dns": ("UDP", 53)}
    assert (found.labels, found.annotations, found.owner) == ({"app": "web"}, {"a": "b"}, None)
    assert found.service_account == "robot"


def test_a_pod_is_of_the_topmost_that_makes_it_again(server: ApiServer) -> None:
    server.workload("Deployment", "shop", ["node1", "node2"])
    server.workload("StatefulSet", "db", ["node1"])
    server.workload("DaemonSet", "agent", ["node1"])
    rollout = {
        "apiVersion": "argoproj.io/v1",
        "kind": "Rollout",
        "name": "canary",
        "uid": "u",
        "controller": True,
    }
    foreign = server.store.put(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "canary-1", "namespace": "apps", "ownerReferences": [rollout]},
        }
    )
    orphan = server.store.put(
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "old", "namespace": "apps"}}
    )
    cron = server.store.put(
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "namespace": "apps"}}
    )
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly-1", "namespace": "apps"}}
    job["metadata"]["ownerReferences"] = [{**_reference(cron), "controller": True}]  # type: ignore[index]
    server.store.put(job)
    for name, owner in (("canary-1-x", foreign), ("old-x", orphan), ("nightly-1-x", job)):
        server.pod(name, "node1", owner=owner)
    server.pod("bare", "node1")
    found = {pod.name: pod.owner for pod in client_of(server).pods()}
    shops = [owner for name, owner in found.items() if name.startswith("shop")]
    assert shops == [Owner("Deployment", "shop")] * 2
    assert found["db-0"] == Owner("StatefulSet", "db")
    assert found["agent-00000"] == Owner("DaemonSet", "agent")
    assert found["canary-1-x"] == Owner("Rollout", "canary")
    assert found["old-x"] == Owner("ReplicaSet", "old")
    assert found["nightly-1-x"] == Owner("CronJob", "nightly")
    assert found["bare"] is None


def _reference(manifest: Manifest) -> Manifest:
    meta = manifest["metadata"]
    return {"apiVersion": "batch/v1", "kind": manifest["kind"], "name": meta["name"], "uid": meta["uid"]}


def test_owners_are_asked_for_once_and_without_their_templates(server: ApiServer) -> None:
    for number in range(12):
        server.workload("Deployment", f"shop{number:02}", ["node1"])
    server.page = None
    client = client_of(server)
    assert len(client.pods()) == 12
    assert len(client.pods(node="node1")) == 12
    assert server.paths == [PODS, "/apis/apps/v1/replicasets", PODS]
    assert "PartialObjectMetadataList" in server.asked[1].headers["Accept"]


def test_an_owner_that_is_gone_meanwhile_leaves_the_pod_its_own(server: ApiServer) -> None:
    shop = server.workload("Deployment", "shop", ["node1"])
    server.store.delete(server.controllers.replica_set(shop))
    (pod,) = client_of(server).pods()
    assert pod.owner is not None
    assert pod.owner.kind == "ReplicaSet"


def test_pods_that_have_ended_are_left_out_and_a_node_or_a_namespace_can_be_named(server: ApiServer) -> None:
    server.pod("one", "node1")
    server.pod("two", "node2")
    server.pod("other", "node1", namespace="kube-system")
    server.pod("done", "node1", phase="Succeeded")
    server.pod("broken", "node1", phase="Failed")
    server.pod("waits", "", phase="Pending")
    client = client_of(server)
    assert set(by_name(client.pods())) == {"apps/one", "apps/two", "apps/waits", "kube-system/other"}
    assert set(by_name(client.pods(node="node1"))) == {"apps/one", "kube-system/other"}
    assert set(by_name(client.pods(node="node1", namespace="apps"))) == {"apps/one"}
    assert client.pod("apps", "nobody") is None
    gone = client.pod("apps", "done")
    assert gone is not None
    assert gone.phase == "Succeeded"


def test_services_that_are_reached_from_outside_come_with_their_endpoints(server: ApiServer) -> None:
    server.service(
        "web",
        "Local",
        {"name": "https", "port": 443, "nodePort": 30443, "protocol": "TCP"},
        externalIPs=["fd10:0::0:7"],
        healthCheckNodePort=32000,
    )["status"] = {"loadBalancer": {"ingress": [{"ip": "10.99.0.7"}, {"hostname": "lb"}]}}
    server.service("inner", "", {"port": 80}, type="ClusterIP")
    conditions = {"ready": False, "serving": True, "terminating": True}
    pod = {"kind": "Pod", "name": "web-1"}
    server.endpoints(
        "web",
        {"addresses": ["10.64.0.1"], "nodeName": "node1", "targetRef": pod},
        {"addresses": ["10.64.0.2"], "nodeName": "node2", "conditions": conditions},
    )
    server.endpoints("web", {"addresses": ["10.64.0.1"], "nodeName": "node1", "targetRef": pod})
    server.endpoints("web", {"addresses": ["fd64::1"], "conditions": {"ready": False}}, kind="IPv6")
    server.endpoints("web", {"addresses": ["db.example.org"]}, kind="FQDN")
    server.endpoints("web")
    server.endpoints("inner", {"addresses": ["10.64.0.3"]})
    (found,) = client_of(server).services()
    assert (found.full_name, found.policy, found.health_check_port) == ("apps/web", "Local", 32000)
    assert found.vips == {"fd10::7", "10.99.0.7"}
    assert found.ports == (ServicePort("TCP", 443, 30443, "https"),)
    assert found.endpoints == (
        Endpoint(ip_address("10.64.0.1"), "node1", "apps/web-1"),
        Endpoint(ip_address("10.64.0.2"), "node2", "", ready=False, serving=True, terminating=True),
        Endpoint(ip_address("fd64::1"), "", "", ready=False, serving=False),
    )


def test_endpoints_are_asked_for_only_where_a_service_has_some(server: ApiServer) -> None:
    server.service("inner", "", {"port": 80}, type="ClusterIP")
    assert client_of(server).services() == ()
    assert server.paths == [SERVICES]
    server.service("web", "Cluster", {"port": 80, "nodePort": 30080}, selector={"app": "web"})
    server.pod("web-1", "node1", labels={"app": "web"})
    (web,) = client_of(server).services()
    assert [endpoint.pod for endpoint in web.endpoints] == ["apps/web-1"]
    assert server.paths == [SERVICES, SERVICES, SLICES]


def test_workloads_come_with_how_they_replace_their_pods(server: ApiServer) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 1}}
    server.workload("Deployment", "shop", ["node1", "node2"], strategy=rolling, paused=True)
    kept = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    server.workload("StatefulSet", "db", ["node1", "node2"], updateStrategy=kept)
    server.workload("DaemonSet", "agent", ["node1"], updateStrategy={"type": "OnDelete"})
    client = client_of(server)
    shop, db, agent = client.workloads()
    assert (shop.kind, shop.replicas, shop.ready, shop.updated) == ("Deployment", 2, 2, 2)
    assert (shop.strategy, shop.max_unavailable, shop.max_surge) == ("RollingUpdate", "25%", "1")
    assert (shop.paused, shop.generation, shop.observed_generation) == (True, 1, 1)
    assert (db.owner, db.partition, db.paused) == (Owner("StatefulSet", "db"), 1, False)
    assert (agent.strategy, agent.replicas, agent.max_unavailable) == ("OnDelete", 1, "")
    assert client.workload("StatefulSet", "apps", "db") == db
    assert client.workload("StatefulSet", "apps", "nothing") is None


def test_budgets_come_with_what_they_allow_now_and_whom_they_select(server: ApiServer) -> None:
    server.budget("shop", {"app": "shop"}, allowed=1, unhealthyPodEvictionPolicy="AlwaysAllow")
    server.budget("all", {})["spec"]["selector"] = {}
    server.budget("nobody", {})["spec"].pop("selector")
    everybody, nobody, shop = client_of(server).budgets()
    assert (shop.disruptions_allowed, shop.unhealthy) == (1, "AlwaysAllow")
    assert (shop.selector, everybody.selector) == ({"matchLabels": {"app": "shop"}}, {})
    assert nobody.selector["matchExpressions"][0]["values"] == []


def test_namespaces_and_config_maps_are_read(server: ApiServer) -> None:
    server.namespace("shop", team="web")
    server.config_map("coredns", {"Corefile": ".:53 {}"})
    client = client_of(server)
    assert [each.name for each in client.namespaces()] == ["default", "shop"]
    assert client.namespaces()[1].labels == {"kubernetes.io/metadata.name": "shop", "team": "web"}
    assert client.config_map("kube-system", "coredns") == {"Corefile": ".:53 {}"}
    assert client.config_map("kube-system", "nothing") is None


def test_a_cluster_without_calico_has_kubernetes_policies_alone(server: ApiServer) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": "apps", "managedFields": [{"manager": "kubectl"}]},
        "spec": {"podSelector": {}},
    }
    server.put(policy)
    client = client_of(server)
    (found,) = client.policies()
    assert (found["kind"], found["apiVersion"], found["spec"]) == (
        "NetworkPolicy",
        "networking.k8s.io/v1",
        {"podSelector": {}},
    )
    assert "managedFields" not in found["metadata"]
    assert client.felix_configurations() == ()


def test_policies_of_the_clusters_administrators_are_read(server: ApiServer) -> None:
    for kind in ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy"):
        server.put(
            {
                "apiVersion": "policy.networking.k8s.io/v1alpha1",
                "kind": kind,
                "metadata": {"name": "default"},
                "spec": {"priority": 1},
            }
        )
    found = client_of(server).policies()
    assert [(each["kind"], each["spec"]) for each in found] == [
        ("AdminNetworkPolicy", {"priority": 1}),
        ("BaselineAdminNetworkPolicy", {"priority": 1}),
    ]


@pytest.mark.parametrize("version", ["projectcalico.org/v3", "crd.projectcalico.org/v1"])
def test_calicos_policies_are_read_from_its_own_server_or_from_what_it_keeps(
    server: ApiServer, version: str
) -> None:
    server.calico("Tier", "security", {"order": 1}, version=version)
    server.calico("NetworkPolicy", "security.web", {}, namespace="apps", version=version)
    server.calico("StagedGlobalNetworkPolicy", "security.next", {}, version=version)
    server.calico("FelixConfiguration", "default", {"workloadSourceSpoofing": "Any"}, version=version)
    client = client_of(server)
    found = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in client.policies()]
    assert found == [
        (version, "Tier", "security"),
        (version, "NetworkPolicy", "security.web"),
        (version, "StagedGlobalNetworkPolicy", "security.next"),
    ]
    (felix,) = client.felix_configurations()
    assert felix["spec"] == {"workloadSourceSpoofing": "Any"}


def test_calicos_own_server_out_of_order_is_no_reason_not_to_read_what_it_keeps(server: ApiServer) -> None:
    server.calico("Tier", "security", {}, version="crd.projectcalico.org/v1")
    server.faults.append(Fault("projectcalico.org/v3", status=503))
    assert [each["kind"] for each in client_of(server).policies()] == ["Tier"]


def test_calicos_own_server_out_of_order_and_nothing_else_is_not_no_policies() -> None:
    with serving() as server:
        server.faults.append(Fault("projectcalico.org/v3", status=503, message="no endpoints available"))
        with pytest.raises(ClusterUnreadableError, match="503: no endpoints available"):
            client_of(server).policies()
