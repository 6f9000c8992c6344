"""A look at the pods behind a service: none of them is too large for the tunnel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.cookbook.steps.cluster_pods import ClusterPods
from ferryman.cookbook.steps.pod_mtu import host_end_findings
from ferryman.encapsulation import mss_for_mtu
from ferryman.engine.steps import Look, Report
from ferryman.errors import DoubtError
from ferryman.kubernetes.mtu.behind import pods_behind
from ferryman.kubernetes.mtu.seen import listed, unknown_reasons
from ferryman.model import Finding, Kind, MssStrategy, Verdict
from ferryman.realservers.checks.mss_clamp import packet_limit_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.kubernetes.mtu.behind import Behind
    from ferryman.kubernetes.mtu.seen import SeenPod
    from ferryman.model import Realserver, Service

CHECK = "service-pods"


@dataclass(frozen=True)
class ServicePodsSmall(Look):
    """No pod behind {service.name} is too large for the tunnel."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Ask each cluster which pods answer, and their nodes what those pods' MTU is."""
        for cluster, members in self._clusters().items():
            try:
                findings = list(self._of_cluster(cluster, members))
            except DoubtError as doubt:
                findings = [Finding(CHECK, cluster, Verdict.UNKNOWN, str(doubt), _WANTED, _REACH)]
            for finding in findings:
                report.finding(finding)

    def _clusters(self) -> dict[str, list[Realserver]]:
        """The realservers whose pods must be small enough, by cluster; of clusters that can be asked."""
        found: dict[str, list[Realserver]] = {name: [] for name in self.ferry.clusters_of(self.service)}
        for realserver in self.service.realservers:
            is_judged = realserver.kind is Kind.KUBERNETES and realserver.mss is MssStrategy.POD_MTU
            if is_judged and (members := found.get(realserver.cluster or "")) is not None:
                members.append(realserver)
        return {name: members for name, members in found.items() if members}

    def _of_cluster(self, cluster: str, members: Sequence[Realserver]) -> Iterator[Finding]:
        pods = ClusterPods(self.ferry, cluster)
        nodes = pods.client.nodes()
        behind = pods_behind(self.service, members, nodes, pods.client.services())
        if not behind:
            seen = f"no Service of {cluster} takes {self.service.name}'s traffic"
            yield Finding(CHECK, cluster, Verdict.WARN, seen, _WANTED, "see what answers on the nodes")
            return
        limit = min(
            packet_limit_for(virtual, member)
            for virtual in self.service.virtual_services
            for member in members
        )
        for each in behind:
            namespace = each.service.namespace
            named = [pod for pod in pods.client.pods(namespace=namespace) if pod.full_name in each.pods]
            yield from self._judged(each, pods.seen_at(named, nodes), limit, cluster)

    def _judged(
        self, behind: Behind, known: Sequence[SeenPod], limit: int, cluster: str
    ) -> Iterator[Finding]:
        service, now = behind.service, self.ferry.clock.now()
        where = f"{service.full_name} (externalTrafficPolicy: {service.policy})"
        wanted = f"{limit} bytes at most on every pod's own end"
        large = [seen for seen in known if seen.is_large(limit)]
        eased = [seen for seen in large if self._says_less(seen, limit)]
        for node in sorted({seen.pod.node for seen in known}):
            mine = [seen for seen in large if seen.pod.node == node and seen not in eased]
            if mine:
                seen = f"behind {where}, too large: {listed(mine, now, node=True)}"
                remedy = f"have them made again: ferryman mtu rollout {cluster}; or at once: … --live"
                yield Finding(CHECK, node, Verdict.FAIL, seen, wanted, remedy)
            yield from host_end_findings(node, [seen for seen in known if seen.pod.node == node])
        if eased:
            seen = f"behind {where}, too large, but they say a smaller MSS: {listed(eased, now, node=True)}"
            remedy = f"it lasts until they are made again: ferryman mtu rollout {cluster}"
            yield Finding(CHECK, cluster, Verdict.WARN, seen, wanted, remedy)
        for reason, count in unknown_reasons(known)[:3]:
            seen = f"behind {where}: {count} pods not seen: {reason}; the probe's MSS decides"
            yield Finding(CHECK, cluster, Verdict.WARN, seen, wanted, _REACH)
        if known and not large and not any(seen.unknown for seen in known):
            most = max(seen.mtu or 0 for seen in known)
            seen = f"behind {where}: {len(known)} pods, {most} bytes at most"
            yield Finding(CHECK, cluster, Verdict.PASS, seen, wanted)
        if not known:
            seen = f"behind {where}: no pod answers"
            yield Finding(CHECK, cluster, Verdict.WARN, seen, wanted, "see why it has no endpoint")

    def _says_less(self, seen: SeenPod, limit: int) -> bool:
        """Whether its routes lower the MSS as far as is needed; no route helps UDP."""
        virtuals = self.service.virtual_services
        if seen.network is None or any(virtual.protocol != "tcp" for virtual in virtuals):
            return False
        pod = seen.network.pod
        versions = {virtual.vip.version for virtual in virtuals}
        return all(pod.says_at_most(version, mss_for_mtu(version, limit)) for version in versions)


_WANTED = "pods that are small enough"
_REACH = "see that the cluster and its nodes can be reached"
