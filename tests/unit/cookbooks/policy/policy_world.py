"""A service on Kubernetes nodes, and their cluster in memory with the policies of the incident.

The cluster is a fake because no test runs an API server with pods; how one is read over HTTP is tested apart.
"""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ferryman.config import Config
from ferryman.cookbook import Ferry, load
from ferryman.hosts.fake import FakeHosts
from ferryman.inventory import Inventory
from ferryman.kubernetes.cluster import Node
from ferryman.kubernetes.objects import ClusterService, Endpoint, ServicePort
from ferryman.tape.ports import Ports
from ferryman.testing import Cuts, FakeCluster, OwnPart, Scene, ThirdParty
from unit.kubernetes.policies.incident import NAMESPACES, PODS, narrow
from unit.kubernetes.policies.kubernetes_pods import namespaces_of, pod_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.kubernetes.objects import Manifest

COOKBOOKS = Path(__file__).parents[4] / "cookbooks"
FILES = {
    "services.yaml": """\
service::catalog:
  dns:
    encryption: false
    ip: {lab: {default: 10.99.0.1}}
    lvs:
      class: low-traffic
      conftool: {cluster: k8s, service: dns}
      enabled: true
      scheduler: wrr
    port: 80
    sites: [lab]
    state: production
""",
    "nodes/lab.yaml": "lab: {k8s: {node1: [dns]}}",
    "hosts.yaml": """\
node1: {address: 192.0.2.1, kind: kubernetes, cluster: prod}
lvs1: {address: 10.10.0.11}
""",
    "directors.yaml": "lab: {low-traffic: [{host: lvs1, role: primary, driver: ipvsadm}]}",
    "clusters.yaml": "prod: {api: 'https://192.0.2.9:6443'}",
}


@cache
def inventory() -> Inventory:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nodes").mkdir()
        for file, text in FILES.items():
            (folder / file).write_text(text)
        made = Inventory.load(folder)
        made.service("dns", "lab")
        made.cluster("prod")
        return made


def cluster(cuts: Cuts, policies: Sequence[dict[str, Any]] | None = None) -> FakeCluster:
    pods = [pod_value(pod) for pod in PODS]
    service = ClusterService(
        "kube-system",
        "dns",
        "Local",
        (ServicePort("TCP", 80, 30080),),
        frozenset({"10.99.0.1"}),
        tuple(
            Endpoint(pod.addresses[0], "node1", pod.full_name) for pod in pods if pod.name.startswith("core")
        ),
    )
    return FakeCluster(
        nodes_now=(Node("node1", addresses=frozenset({str(ip_address("192.0.2.1"))})),),
        pods_now=pods,
        services_now=(service,),
        namespaces_now=tuple(namespaces_of(NAMESPACES).values()),
        policies_now=narrow() if policies is None else policies,
        cuts=cuts,
    )


def played(cookbook: str, arguments: dict[str, Any], there: FakeCluster) -> Scene:
    """A cookbook, by its file's name, over this cluster."""
    command = load(COOKBOOKS / cookbook)

    def ferry() -> Ferry:
        ports = Ports(cluster=lambda entry, dry_run: there)
        return Ferry(
            Config(file=Path("ferryman.toml")), FakeHosts(), loaded_inventory=inventory(), ports=ports
        )

    def look() -> list[Manifest]:
        return list(there.policies_now)

    others = [
        ThirdParty("takes the policies away", ("policy-impact",), lambda: setattr(there, "policies_now", ()))
    ]
    own = OwnPart(in_place=list, missing=list, rest=look)
    return Scene(lambda: command.plan(ferry(), arguments), look, others, own)
