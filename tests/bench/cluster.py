"""What it costs to read a cluster of 5,000 pods on 500 nodes; the API server is a double of its own process.

    PYTHONPATH=lib:tests .venv/bin/python -m tests.bench.cluster [--pods 5000] [--nodes 500] [--rounds 3]

Figures only. Each line is a look by itself, on a client that has kept nothing but owners: wall time and CPU
of the client, its requests, what came, and by how much the process has grown at its peak until then. kubectl
does the same where it is there; its time has its start in it, its peak is all of it, and it prints all that
came. A pod of the double has some 10 KB, as in the field.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doubles.api_server import ApiServer, serving
from ferryman.inventory.schema import ClusterEntry
from ferryman.kubernetes import transport
from ferryman.kubernetes.api import cluster_client

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    from doubles.api_server.kinds import Manifest
    from ferryman.kubernetes.client import ClusterClient

READS: dict[str, Callable[[ClusterClient], Sized]] = {
    "nodes": lambda client: client.nodes(),
    "pods, with owners": lambda client: client.pods(),
    "pods again": lambda client: client.pods(),
    "pods of a node": lambda client: client.pods(node="node0007"),
    "services": lambda client: client.services(),
    "workloads": lambda client: client.workloads(),
    "budgets": lambda client: client.budgets(),
    "policies": lambda client: client.policies(),
}
PODS_OF_A_WORKLOAD = 10


def fill(server: ApiServer, pods: int, nodes: int) -> None:
    """Put a cluster into the double."""
    names = [f"node{number:04}" for number in range(nodes)]
    for name in names:
        server.node(name)
    # Counted are its pods after each workload: for thousands of them once is enough.
    count, server.controllers.count = server.controllers.count, lambda: None  # type: ignore[method-assign]
    for number in range(pods // PODS_OF_A_WORKLOAD):
        first = number * PODS_OF_A_WORKLOAD
        spread = [names[(first + index) % nodes] for index in range(PODS_OF_A_WORKLOAD)]
        app, namespace = f"app{number:04}", f"space{number % 50}"
        server.workload("Deployment", app, spread, namespace=namespace)
        server.budget(app, {"app": app}, min_available=PODS_OF_A_WORKLOAD - 1, namespace=namespace)
        if number % 10 == 0:
            server.service(app, "Local", {"port": 443, "nodePort": 30000 + number}, selector={"app": app})
            server.store.all("v1", "Service")[-1]["metadata"]["namespace"] = namespace
    for pod in server.store.all("v1", "Pod"):
        pod["metadata"]["managedFields"] = [{"manager": "kubelet", "fieldsV1": {"f:x": "y" * 3000}}]
        pod["spec"]["containers"] = [_container(number) for number in range(3)]
    del server.controllers.count
    count()


def _container(number: int) -> Manifest:
    env = [{"name": f"VARIABLE_{index}", "value": "of some length " * 3} for index in range(25)]
    return {
        "name": f"c{number}",
        "image": "registry.example/app:1",
        "env": env,
        "ports": [{"containerPort": 80}],
    }


@dataclass
class Counted:
    """What went over the wire, by the client's own counters."""

    requests: int = 0
    size: int = 0

    def listen(self) -> None:
        """Count from now on."""
        handle, take = transport.Transport.handle_request, transport.Transport.take

        def handle_request(this: transport.Transport, request: object) -> object:
            self.requests += 1
            return handle(this, request)  # type: ignore[arg-type]

        def taken(this: transport.Transport, size: int) -> None:
            self.size += size
            take(this, size)

        transport.Transport.handle_request = handle_request  # type: ignore[assignment,method-assign]
        transport.Transport.take = taken  # type: ignore[assignment,method-assign]


def cpu_s(who: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def peak_mib(who: int = resource.RUSAGE_SELF) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


def measure(url: str, rounds: int) -> None:
    """Print what each look costs."""
    counted = Counted()
    counted.listen()
    entry = ClusterEntry.model_validate({"api": url})
    cluster_client(entry, True).namespaces()  # the libraries are loaded
    base = peak_mib()
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in READS}
    rest: dict[str, tuple[int, int, float, float]] = {}
    for _ in range(rounds):
        client = cluster_client(entry, True)
        for name, read in READS.items():
            requests, size = counted.requests, counted.size
            wall, cpu = time.perf_counter(), cpu_s()
            found = len(read(client))
            figures[name].append((time.perf_counter() - wall, cpu_s() - cpu))
            came = (counted.size - size) / (1 << 20)
            rest.setdefault(name, (found, counted.requests - requests, came, peak_mib() - base))
    print(f"{'':20} {'found':>6} {'requests':>8} {'MiB':>6} {'wall s':>7} {'CPU s':>6} {'peak +MiB':>9}")
    for name, taken in figures.items():
        wall, cpu = (statistics.median(values) for values in zip(*taken, strict=True))
        found, requests, came, peak = rest[name]
        print(f"{name:20} {found:6} {requests:8} {came:6.1f} {wall:7.2f} {cpu:6.2f} {peak:9.0f}")


def measure_kubectl(url: str, rounds: int) -> None:
    """Print what kubectl needs for the pods."""
    program = shutil.which("kubectl")
    if program is None:
        print("kubectl is not there")
        return
    with tempfile.TemporaryDirectory() as folder:
        words = [program, "--server", url, "--kubeconfig", os.devnull, "--cache-dir", folder]
        taken = []
        for _ in range(rounds):
            wall, cpu = time.perf_counter(), cpu_s(resource.RUSAGE_CHILDREN)
            command = [*words, "get", "pods", "-A", "-o", "json"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken.append((time.perf_counter() - wall, cpu_s(resource.RUSAGE_CHILDREN) - cpu))
    wall, cpu = (statistics.median(values) for values in zip(*taken, strict=True))
    peak = peak_mib(resource.RUSAGE_CHILDREN)
    print(f"{'kubectl get pods':20} {'':6} {'':8} {'':6} {wall:7.2f} {cpu:6.2f} {peak:9.0f}")


def serve(pods: int, nodes: int) -> None:
    """Be the API server until standard input ends."""
    server = ApiServer()
    fill(server, pods, nodes)
    with serving(server):
        print(server.url, flush=True)
        sys.stdin.read()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true")
    given = parser.parse_args()
    if given.serve:
        serve(given.pods, given.nodes)
        return
    command = [sys.executable, "-m", "tests.bench.cluster", "--serve"]
    sizes = ["--pods", str(given.pods), "--nodes", str(given.nodes)]
    with subprocess.Popen(
        [*command, *sizes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as double:
        assert double.stdout is not None
        assert double.stdin is not None
        url = double.stdout.readline().strip()
        print(f"{given.pods} pods on {given.nodes} nodes")
        measure(url, given.rounds)
        measure_kubectl(url, given.rounds)
        double.stdin.close()


if __name__ == "__main__":
    main()
