"""A cluster of two nodes whose pods have MTUs and routes; new pods get what the CNI's file says.

Cluster and nodes are fakes: no unit test has a kubelet that makes pods again, with another MTU. The nodes'
script itself is run in a real shell with real network namespaces (``test_on_a_node.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.config import Config
from ferryman.cookbook import Ferry, Plan, load
from ferryman.hosts.verbs.pods import EditPodRoutes, ReadPodNetworks
from ferryman.inventory import Inventory
from ferryman.kubernetes.cluster import Node
from ferryman.kubernetes.objects import Budget, ClusterService, Endpoint, Owner, Pod, ServicePort, Workload
from ferryman.realservers.facts import Device
from ferryman.realservers.facts import Pod as Namespace
from ferryman.realservers.facts.pods import CniFile, CniState, NodePods, PodNetwork
from ferryman.state import RunRequest
from ferryman.tape.ports import Ports
from ferryman.testing import Call, Cuts, FakeCluster, FakeHosts, TurningClock

if TYPE_CHECKING:
    from collections.abc import Mapping

COOKBOOKS = Path(__file__).parents[4] / "cookbooks" / "mtu"
NOW = datetime(2026, 11, 22, 22, 19, 43, tzinfo=UTC)
BIG, LIMIT = 1500, 1460
CONFLIST = "/etc/cni/net.d/10-calico.conflist"
INVENTORY = {
    "services.yaml": """
service::catalog:
  web:
    ip: {lab: {default: 10.99.0.1}}
    port: 30080
    sites: [lab]
    state: production
    encryption: false
    lvs: {enabled: true, class: low, conftool: {cluster: k, service: web}}
""",
    "nodes/lab.yaml": "lab: {k: {node1: [web], node2: [web]}}\n",
    "directors.yaml": "lab: {low: [{host: lvs1, role: primary, driver: keepalived}]}\n",
    "hosts.yaml": """
node1: {kind: kubernetes, cluster: kube, address: 10.10.0.1}
node2: {kind: kubernetes, cluster: kube, address: 10.10.0.2}
lvs1: {address: 10.10.0.9}
""",
    "clusters.yaml": """
kube:
  api: https://nowhere.invalid
  pod_mtu: 1460
  rollout:
    deadline: 60
    stages:
      - {name: staging, namespaces: [staging-*], soak: 300}
      - {name: rest, soak: 30, blocked: BLOCKED}
""",
}


def pod(name: str, *, node: str = "node1", owner: Owner | None = None, **more: Any) -> Pod:  # noqa: ANN401  # its fields
    """A pod of this full name, a month old; its address follows from its uid's number."""
    namespace, _, short = name.partition("/")
    number = more.pop("number")
    return Pod(
        namespace,
        short,
        f"uid{number}",
        node,
        (ip_address(f"10.244.0.{number}"),),
        more.pop("labels", {"app": owner.name if owner else short}),
        NOW - timedelta(days=30),
        owner,
        **more,
    )


def workload(kind: str, name: str, replicas: int = 2, **more: Any) -> Workload:  # noqa: ANN401  # its fields
    """A workload that is whole."""
    namespace, _, short = name.partition("/")
    given: dict[str, Any] = {"strategy": "RollingUpdate", "generation": 1, "observed_generation": 1, **more}
    return Workload(kind, namespace, short, f"uid-{short}", "1", replicas, replicas, replicas, **given)


SHOP, QUEUE, TEST = Owner("Deployment", "shop"), Owner("StatefulSet", "queue"), Owner("Deployment", "test")


@dataclass
class World:
    """The cluster, its nodes, and what each pod's network is."""

    cuts: Cuts = field(default_factory=Cuts)
    new_mtu: int = LIMIT
    blocked: str = "refuse"
    mtus: dict[str, int] = field(default_factory=dict)
    """By uid."""
    routes: dict[str, str] = field(default_factory=dict)
    """The IPv4 default route, by uid."""
    host_mtus: dict[str, int] = field(default_factory=dict)
    """Of node's ends that are not as the pod's, by uid."""
    cni: CniState | None = None
    dry_run: bool = False
    run_id: str = "20261122-221943-k3vw"
    cluster: FakeCluster = field(init=False)
    hosts: FakeHosts = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(
            nodes_now=[
                Node("node1", addresses=frozenset({"10.10.0.1"})),
                Node("node2", addresses=frozenset({"10.10.0.2"})),
            ],
            pods_now=[
                pod("staging-a/test-1", number=11, owner=TEST),
                pod("web/shop-1", number=21, owner=SHOP),
                pod("web/shop-2", number=22, owner=SHOP, node="node2"),
                pod("web/queue-0", number=31, owner=QUEUE, node="node2"),
            ],
            workloads_now=[
                workload("Deployment", "staging-a/test", 1),
                workload("Deployment", "web/shop"),
                workload("StatefulSet", "web/queue", 1),
            ],
            budgets_now=[Budget("web", "shop", {"matchLabels": {"app": "shop"}}, 1)],
            services_now=[self.service()],
            dry_run=self.dry_run,
            cuts=self.cuts,
            on_made=lambda old, new: self.made(new),
            now=lambda: NOW,
        )
        for each in self.cluster.pods_now:
            self.mtus[each.uid] = BIG
            self.routes[each.uid] = "default via 169.254.1.1 dev eth0"
        self.hosts = FakeHosts(dry_run=self.dry_run)
        for node in ("node1", "node2"):
            self.hosts.answer(
                node, ReadPodNetworks, lambda call: self.cuts.call(lambda: self.reading(call.host))
            )
            self.hosts.answer(node, EditPodRoutes, lambda call: self.cuts.call(lambda: self.edit(call)))

    def service(self, policy: Any = "Cluster") -> ClusterService:  # noqa: ANN401  # a literal of the value's
        """The Service that takes web's traffic, with both pods of the shop."""
        return ClusterService(
            "web",
            "shop",
            policy,
            (ServicePort("TCP", 80, 30080),),
            endpoints=(
                Endpoint(ip_address("10.244.0.21"), "node1", "web/shop-1"),
                Endpoint(ip_address("10.244.0.22"), "node2", "web/shop-2"),
            ),
        )

    def made(self, new: Pod, mtu: int | None = None) -> None:
        """Give a pod that was made again what the CNI gives by now."""
        self.mtus[new.uid] = mtu or self.new_mtu
        self.routes[new.uid] = "default via 169.254.1.1 dev eth0"

    def reading(self, host: str) -> NodePods:
        """What a node says."""
        networks = tuple(
            PodNetwork(
                self.pod(each),
                self._end("eth0", each, self.mtus[each.uid]),
                self._end("cali0", each, self.host_mtus.get(each.uid, self.mtus[each.uid])),
            )
            for each in self.cluster.pods_now
            if each.node == host and not each.host_network
        )
        usual = CniState((CniFile(CONFLIST, self.new_mtu, valid=True, plugins=("calico",)),))
        return NodePods(host, networks, self.cni or usual)

    def pod(self, each: Pod) -> Namespace:
        """A pod's network namespace on its node."""
        return Namespace(f"cni-{each.uid}", 0, {}, {4: self.routes[each.uid], 6: ""})

    @staticmethod
    def _end(name: str, each: Pod, mtu: int) -> Device:
        return Device(name, "veth", mtu=mtu, addresses=tuple(ip_interface(f"{a}/32") for a in each.addresses))

    def edit(self, call: Call) -> str:
        """Edit a pod's default route, as the script does."""
        verb = call.verb
        uid = verb.namespace.removeprefix("cni-")
        if not any(each.uid == uid for each in self.cluster.pods_now):
            return "gone"
        for edit in verb.edits:
            if self.routes[uid] == edit.wanted:
                continue
            if self.routes[uid] != edit.expected:
                return "other"
            self.routes[uid] = edit.wanted
        return "done"

    def ferry(self, *, resumed: bool = False) -> Ferry:
        """The world as a new process reaches it."""
        texts = {name: text.replace("BLOCKED", self.blocked) for name, text in INVENTORY.items()}
        return Ferry(
            Config(file=Path("ferryman.toml")),
            self.hosts,
            dry_run=self.dry_run,
            resumed=resumed,
            clock=TurningClock(NOW),
            request=RunRequest(cookbook="mtu", operator="tester", run_id=self.run_id),
            loaded_inventory=Inventory.of_texts(texts),
            ports=Ports(cluster=lambda entry, dry_run: self.cluster),
        )

    def plan(self, name: str, arguments: Mapping[str, Any], *, resumed: bool = False) -> Plan:
        """The plan of a cookbook; what it asks while it is built is no call that is cut."""
        cuts, self.cluster.cuts = self.cluster.cuts, Cuts()
        try:
            return load(COOKBOOKS / f"{name}.py").plan(self.ferry(resumed=resumed), arguments)
        finally:
            self.cluster.cuts = cuts

    def large(self) -> list[str]:
        """The pods that are too large now."""
        return [each.full_name for each in self.cluster.pods_now if self.mtus[each.uid] > LIMIT]

    def change_workload(self, name: str, **values: Any) -> None:  # noqa: ANN401  # its fields
        """Give a workload other values."""
        self.cluster.workloads_now = [
            replace(each, **values) if each.name == name else each for each in self.cluster.workloads_now
        ]


class TurningWaits:
    """Time that passes at once, and is counted; somebody may act while it passes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.during: list[Any] = []
        """What happens while something is waited for, one in each wait."""

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.during:
            self.during.pop(0)()

    def is_past(self, moment: float) -> bool:
        return self.now >= moment

    def wait_for(self, event: Any, seconds: float) -> bool:  # noqa: ANN401  # as Waits has it
        self.now += seconds
        return bool(event.is_set())

    def turn(self) -> None: ...

    def thread_begins(self) -> None: ...

    def thread_ends(self) -> None: ...

    def thread_is_over(self, *, is_joined: bool) -> None: ...
