"""What a cluster was asked and told is on the tape, and comes back from it; in a dry run it cannot write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from doubles.api_server import ApiServer, Fault, serving
from ferryman.errors import DryRunError
from ferryman.inventory.schema import ClusterEntry
from ferryman.kubernetes.cluster import ClusterUnreadableError, EvictionRefusedError
from ferryman.tape.appending import TapeWriter
from ferryman.tape.file import Tape, read
from ferryman.tape.ports import Ports
from ferryman.tape.recorder import Recorder
from ferryman.tape.recording import recording_ports
from ferryman.tape.replaying import replaying_ports
from ferryman.tape.world import DivergedError, TapeWorld
from unit.tape.samples import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ferryman.kubernetes.client import ClusterClient

STAMP = "2026-11-22T22:19:43Z"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as running:
        running.node("node1")
        running.workload("Deployment", "shop", ["node1", "node1"])
        running.service("shop", "Local", {"port": 443, "nodePort": 30443}, selector={"app": "shop"})
        running.budget("shop", {"app": "shop"}, min_available=1)
        running.namespace("apps", team="web")
        running.calico("FelixConfiguration", "default", {"mtu": 1460, "$odd": [None, 1.5]})
        running.config_map("coredns", {"Corefile": ".:53 {}"})
        yield running


def entry_of(server: ApiServer) -> ClusterEntry:
    return ClusterEntry.model_validate({"api": server.url})


def everything(client: ClusterClient) -> list[Any]:
    pod, workload = client.pods()[0], client.workloads()[0]
    return [
        client.nodes(),
        client.pods(),
        client.pods(node="node1", namespace="apps"),
        client.pod("apps", pod.name),
        client.pod("apps", "nobody"),
        client.services(),
        client.workload("Deployment", "apps", "shop"),
        client.budgets(),
        client.namespaces(),
        client.policies(),
        client.felix_configurations(),
        client.config_map("kube-system", "coredns"),
        client.restart(workload, STAMP),  # type: ignore[func-returns-value]
        client.workload("Deployment", "apps", "shop"),
        client.evict(client.pods()[0]),  # type: ignore[func-returns-value]
        client.pods(),
    ]


def recorded(folder: Path, server: ApiServer, run: Callable[[ClusterClient], object]) -> tuple[Tape, object]:
    recorder = Recorder()
    recorder.start(TapeWriter(folder / "a.tape", HEADER))
    try:
        result = run(recording_ports(Ports(), recorder, set).cluster(entry_of(server), False))
    finally:
        recorder.close({"outcome": "done", "exit_code": 0, "reason": "", "seconds": 0})
    return read(folder / "a.tape"), result


def replayed(tape: Tape, server: ApiServer, *, dry_run: bool = False) -> ClusterClient:
    return replaying_ports(TapeWorld(tape)).cluster(entry_of(server), dry_run)


def test_all_that_was_asked_and_done_comes_back_equal_without_a_server(
    server: ApiServer, tmp_path: Path
) -> None:
    tape, found = recorded(tmp_path, server, everything)
    asked = len(server.asked)
    assert everything(replayed(tape, server)) == found
    assert len(server.asked) == asked
    writes = [entry.data["verb"] for entry in tape.entries if entry.data.get("writes")]
    assert writes == ["restart", "evict"]


def test_what_went_wrong_comes_back_too(server: ApiServer, tmp_path: Path) -> None:
    def run(client: ClusterClient) -> list[str]:
        pod = client.pods()[0]
        said = []
        for error, call in (
            (EvictionRefusedError, lambda: client.evict(pod)),
            (ClusterUnreadableError, client.nodes),
        ):
            with pytest.raises(error) as raised:
                call()
            said.append(f"{raised.value} {getattr(raised.value, 'for_good', '')}")
        return said

    server.budget("again", {"app": "shop"})
    server.faults.append(Fault("/nodes", status=500))
    tape, found = recorded(tmp_path, server, run)
    assert run(replayed(tape, server)) == found


def test_what_was_not_asked_is_a_difference(server: ApiServer, tmp_path: Path) -> None:
    tape, _ = recorded(tmp_path, server, lambda client: client.pods(node="node1"))
    with pytest.raises(DivergedError):
        replayed(tape, server).pods(node="node2")
    tape, _ = recorded(tmp_path, server, lambda client: client.evict(client.pods()[0]))
    client = replayed(tape, server)
    with pytest.raises(DivergedError):
        client.evict(client.pods()[1])


@pytest.mark.parametrize("way", ["recorded", "replayed"])
def test_a_dry_run_cannot_write(server: ApiServer, tmp_path: Path, way: str) -> None:
    tape, _ = recorded(tmp_path, server, lambda client: (client.pods(), client.workloads()))
    ports = (
        recording_ports(Ports(), Recorder(), set) if way == "recorded" else replaying_ports(TapeWorld(tape))
    )
    client = ports.cluster(entry_of(server), True)
    with pytest.raises(DryRunError, match="tried to evict"):
        client.evict(client.pods()[0])
    with pytest.raises(DryRunError, match="tried to restart"):
        client.restart(client.workloads()[0], STAMP)
    assert {asked.method for asked in server.asked} == {"GET"}
