"""What is done to a cluster: pods are evicted, workloads restarted; and whether it was done is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from doubles.api_server import ApiServer, Fault
from ferryman.errors import DoubtError, DryRunError, VerifyError
from ferryman.kubernetes.cluster import ClusterRefusedError, ClusterUnreadableError, EvictionRefusedError
from unit.kubernetes.test_reading import client_of

if TYPE_CHECKING:
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.objects import Pod, Workload

STAMP = "2026-11-22T22:19:43Z"


def a_pod(client: ClusterClient) -> Pod:
    return client.pods()[0]


def a_workload(client: ClusterClient, kind: str = "Deployment", name: str = "shop") -> Workload:
    found = client.workload(kind, "apps", name)
    assert found is not None
    return found


@pytest.fixture
def client(server: ApiServer) -> ClusterClient:
    server.node("node1")
    server.workload("Deployment", "shop", ["node1", "node1"])
    return client_of(server, dry_run=False)


def written(server: ApiServer) -> list[str]:
    return [asked.method for asked in server.asked if asked.method != "GET"]


def test_a_dry_run_writes_nothing(server: ApiServer, client: ClusterClient) -> None:
    dry = client_of(server)
    with pytest.raises(DryRunError, match="a dry run tried to evict the pod apps/shop-"):
        dry.evict(a_pod(client))
    with pytest.raises(DryRunError, match="a dry run tried to restart the Deployment apps/shop"):
        dry.restart(a_workload(client), STAMP)
    assert written(server) == []


def test_what_was_refused_changed_nothing_and_what_is_unknown_is_a_doubt() -> None:
    assert issubclass(ClusterRefusedError, VerifyError)
    assert issubclass(ClusterUnreadableError, DoubtError)


def test_a_pod_is_evicted_and_made_again_under_another_name(server: ApiServer, client: ClusterClient) -> None:
    first = a_pod(client)
    client.evict(first)
    assert client.pod("apps", first.name) is None
    assert len(client.pods()) == 2
    assert first.uid not in {pod.uid for pod in client.pods()}


def test_an_eviction_is_of_this_very_pod(server: ApiServer, client: ClusterClient) -> None:
    server.workload("StatefulSet", "db", ["node1"])
    first = client.pod("apps", "db-0")
    assert first is not None
    client.evict(first)
    second = client.pod("apps", "db-0")
    assert second is not None
    assert second.uid != first.uid
    client.evict(first)  # it is gone already: that is no error, and the pod of its name is left alone
    assert client.pod("apps", "db-0") == second
    client.evict(replace(first, name="nobody"))


def test_a_budget_that_allows_no_eviction_now_is_told_from_one_that_never_will(
    server: ApiServer, client: ClusterClient
) -> None:
    server.budget("shop", {"app": "shop"}, min_available=2)
    with pytest.raises(EvictionRefusedError, match="now, nothing was done: 429: Cannot evict pod as") as now:
        client.evict(a_pod(client))
    server.budget("again", {"app": "shop"}, min_available=0)
    with pytest.raises(EvictionRefusedError, match="never can, nothing was done: 500: This pod has") as never:
        client.evict(a_pod(client))
    assert (now.value.for_good, never.value.for_good) == (False, True)
    assert len(server.store.all("v1", "Pod")) == 2


def test_a_budget_counts_pods_that_are_ready_again(server: ApiServer, client: ClusterClient) -> None:
    server.budget("shop", {"app": "shop"}, min_available=1)
    server.controllers.lag = 1000
    first, second = client.pods()
    client.evict(first)
    with pytest.raises(EvictionRefusedError):
        client.evict(second)
    server.controllers.settle()
    client.evict(second)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 422, 429])
def test_what_the_api_server_refuses_was_not_done(
    server: ApiServer, client: ClusterClient, status: int
) -> None:
    pod, workload = a_pod(client), a_workload(client)
    server.faults += [Fault(method="POST", status=status), Fault(method="PATCH", status=status)]
    with pytest.raises(ClusterRefusedError, match=f"could not evict .*, nothing was done: {status}: "):
        client.evict(pod)
    with pytest.raises(ClusterRefusedError, match=f"could not restart .*, nothing was done: {status}: "):
        client.restart(workload, STAMP)


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 504}, {"cut": "before"}, {"cut": "after"}])
def test_where_no_answer_says_it_it_is_unknown_whether_it_was_done(
    server: ApiServer, client: ClusterClient, fault: dict[str, object]
) -> None:
    pod, workload = a_pod(client), a_workload(client)
    for method in ("POST", "PATCH"):
        server.faults.append(Fault(method=method, **fault))  # type: ignore[arg-type]
    with pytest.raises(ClusterUnreadableError, match="unknown whether it did evict the pod apps/shop-"):
        client.evict(pod)
    with pytest.raises(ClusterUnreadableError, match="unknown whether it did restart the Deployment apps/"):
        client.restart(workload, STAMP)
    assert written(server) == ["POST", "PATCH"]  # and nothing is told twice


def test_an_answer_that_is_lost_after_it_was_done_is_seen_when_it_is_read_back(
    server: ApiServer, client: ClusterClient
) -> None:
    first = a_pod(client)
    server.faults.append(Fault(method="POST", cut="after"))
    with pytest.raises(ClusterUnreadableError):
        client.evict(first)
    assert client.pod("apps", first.name) is None


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_restart_replaces_all_pods_by_those_of_a_new_template(
    server: ApiServer, client: ClusterClient, kind: str
) -> None:
    server.workload(kind, "web", ["node1", "node1"])
    before = {pod.uid for pod in client.pods() if pod.owner and pod.owner.name == "web"}
    client.restart(a_workload(client, kind, "web"), STAMP)
    after = {pod.uid for pod in client.pods() if pod.owner and pod.owner.name == "web"}
    workload = a_workload(client, kind, "web")
    assert (len(after), before & after) == (2, set())
    assert (workload.restarted_at, workload.generation, workload.observed_generation) == (STAMP, 2, 2)
    assert (workload.replicas, workload.ready, workload.updated) == (2, 2, 2)


def test_pods_of_a_workload_that_waits_for_their_deletion_stay(
    server: ApiServer, client: ClusterClient
) -> None:
    server.workload("DaemonSet", "agent", ["node1"], updateStrategy={"type": "OnDelete"})
    before = {pod.uid for pod in client.pods()}
    client.restart(a_workload(client, "DaemonSet", "agent"), STAMP)
    assert {pod.uid for pod in client.pods()} == before
    assert a_workload(client, "DaemonSet", "agent").updated == 0


def test_a_workload_that_was_changed_meanwhile_is_not_restarted(
    server: ApiServer, client: ClusterClient
) -> None:
    workload = a_workload(client)
    client.restart(workload, STAMP)
    with pytest.raises(ClusterRefusedError, match=r"409: .*the object has been modified.*read it again"):
        client.restart(workload, "later")
    assert a_workload(client).restarted_at == STAMP
    with pytest.raises(ClusterRefusedError, match=r"404: .* not found"):
        client.restart(replace(workload, name="gone"), STAMP)


def test_what_is_no_workload_is_not_restarted(server: ApiServer, client: ClusterClient) -> None:
    with pytest.raises(ClusterRefusedError, match="Rollout is no kind of workload that ferryman knows"):
        client.restart(replace(a_workload(client), kind="Rollout"), STAMP)
    assert written(server) == []


def test_real_pods_are_made_again_by_whoever_has_them(server: ApiServer, client: ClusterClient) -> None:
    told: list[str] = []
    server.on_evict = lambda pod: told.append(f"evict {pod['metadata']['name']}")
    server.on_restart = lambda workload: told.append(f"restart {workload['metadata']['name']}")
    client.evict(a_pod(client))
    client.restart(a_workload(client), STAMP)
    assert told == [f"evict {a_pod(client).name}", "restart shop"]
