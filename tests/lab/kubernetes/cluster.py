"""An API server for the lab's nodes, in the place of its control host: evictions make real pods anew.

The server is a double (``doubles/api_server``), because no real one can be had here. Its nodes and pods are
those of the lab, by address; a pod that is evicted, or whose workload is restarted, is deleted in the lab's
kernel and made again with its node's CNI's MTU, as a kubelet would, and is ready once it answers.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from doubles.api_server import ApiServer, serving
from ferryman import lab as the_lab
from ferryman.lab.pods import recreate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.running import RunningLab

Manifest = dict[str, Any]

CLUSTER = "staging"
WORKLOADS = {"shop": ("node1", "node2"), "rack": ("node4",)}
"""The Deployments of the namespace ``apps``, and the nodes whose pods of the lab are theirs."""
SERVICES = {
    "shop": ("shop", "Local"),
    "bulk": ("shop", "Local"),
    "bare": ("shop", "Local"),
    "wide": ("shop", "Cluster"),
    "rack": ("rack", "Local"),
}
"""The lab's services: whose pods are behind each, and its ``externalTrafficPolicy``."""
_LISTEN = """\
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
with socket.socket(fileno=int(sys.argv[1])) as other:
    socket.send_fds(other, [b"listening"], [listener.fileno()])
"""


@dataclass
class LabCluster:
    """The API server, and what it does to the lab."""

    lab: RunningLab
    server: ApiServer
    remade: list[str] = field(default_factory=list)
    """The lab's names of the pods that were made again, in that order."""
    _threads: list[threading.Thread] = field(default_factory=list)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        topology = the_lab.topology_of(self.lab.place)
        for node in topology.nodes:
            made = self.server.node(node.name)
            made["status"]["addresses"].append({"type": "InternalIP", "address": str(node.address)})
        for name, nodes in WORKLOADS.items():
            pods = [pod for node in nodes for pod in topology.pods_of(node)]
            workload = self.server.workload("Deployment", name, [pod.node for pod in pods])
            for manifest, pod in zip(self.server.controllers.pods_of(workload), pods, strict=True):
                address = str(pod.address)
                manifest["status"] |= {"podIP": address, "podIPs": [{"ip": address}]}
        for name, (app, policy) in SERVICES.items():
            service = topology.service(name)
            port = {"name": "http", "protocol": "TCP", "port": 443, "nodePort": service.port}
            self.server.service(name, policy, port, selector={"app": app})
        self.server.controllers.count()
        self.server.on_evict = self.evicted
        self.server.on_restart = self.restarted

    def name_of(self, pod: str) -> str:
        """The API server's name of the pod that the lab calls so, as ``NAMESPACE/NAME``."""
        topology = the_lab.topology_of(self.lab.place)
        address = next(str(each.address) for each in topology.pods if each.name == pod)
        for manifest in self.server.store.all("v1", "Pod"):
            if manifest["status"]["podIP"] == address:
                return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
        raise AssertionError(f"{pod}: the API server does not have it")

    def cordon(self, node: str) -> None:
        """Cordon a node, as ``kubectl cordon`` does: nothing happens to it but that."""
        for manifest in self.server.store.all("v1", "Node"):
            if manifest["metadata"]["name"] == node:
                manifest["spec"]["unschedulable"] = True
                self.server.store.touch(manifest)

    def evicted(self, pod: Manifest) -> None:
        """Make a pod again, in the lab too; until it is there, it is pending and has no address."""
        controllers, store = self.server.controllers, self.server.store
        store.delete(pod)
        address = pod["status"]["podIP"]
        again = controllers.make_again(pod, [address])
        controllers.made.append((pod, again))
        there = again["status"]
        again["status"] = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}
        controllers.count()
        thread = threading.Thread(target=self._make_again, args=(again, address, there))
        self._threads.append(thread)
        thread.start()

    def restarted(self, workload: Manifest) -> None:
        """Replace the pods of a workload, those of its new template in the place of the old ones."""
        workload["status"]["observedGeneration"] = workload["metadata"]["generation"]
        controllers = self.server.controllers
        pods = controllers.pods_of(workload)
        controllers.replica_set(workload)
        for pod in pods:
            self.evicted(pod)

    def _make_again(self, manifest: Manifest, address: str, there: Manifest) -> None:
        with self._one_at_a_time:
            pods = the_lab.topology_of(self.lab.place).pods
            name = next(pod.name for pod in pods if str(pod.address) == address)
            recreate(self.lab.place, name)
            self.remade.append(name)
        manifest["status"] = there
        self.server.store.touch(manifest)
        self.server.controllers.count()

    def join(self) -> None:
        """Wait until every pod that is on its way is made."""
        for thread in self._threads:
            thread.join()


@contextmanager
def lab_cluster(lab: RunningLab) -> Iterator[LabCluster]:
    """The API server on the loopback of the lab's control host, named in the lab's inventory."""
    with serving(ApiServer(), _listener(lab)) as server:
        running = LabCluster(lab, server)
        clusters = lab.folder / "inventory" / "clusters.yaml"
        before = clusters.read_text()
        entries = yaml.safe_load(before)
        entries[CLUSTER] |= {"api": server.url, "rollout": {"stages": [{"name": "all", "soak": 0}]}}
        clusters.write_text(yaml.safe_dump(entries, sort_keys=False))
        try:
            yield running
        finally:
            clusters.write_text(before)
            running.join()


def _listener(lab: RunningLab) -> socket.socket:
    """A socket that listens on the loopback of the control host, made there and handed over."""
    here, there = socket.socketpair()
    with here, there:
        argv = [sys.executable, "-c", _LISTEN, str(there.fileno())]
        command = the_lab.exec_argv(lab.place, "control", argv)
        subprocess.run(command, pass_fds=[there.fileno()], check=True, timeout=30)
        _, descriptors, _, _ = socket.recv_fds(here, 64, 1)
    return socket.socket(fileno=descriptors[0])
