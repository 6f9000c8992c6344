"""Looks at pods' own MTU: what fits, which pods are too large, and which of those a service uses."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.cookbook.steps.cluster_pods import ClusterPods
from ferryman.engine.steps import Look, Report
from ferryman.kubernetes.mtu.cni import CALICO_CONFIG, cni_findings
from ferryman.kubernetes.mtu.seen import age, by_owner, listed, seen_pods, shrinkage, unknown_reasons
from ferryman.kubernetes.mtu.sizes import VERSIONS, Sizes
from ferryman.kubernetes.mtu.stages import assigned
from ferryman.kubernetes.mtu.way import way_for
from ferryman.model import Finding, Verdict
from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.pods import NodePods

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.kubernetes.mtu.seen import SeenPod
    from ferryman.kubernetes.objects import Workload

CHECK = "pods-mtu"
OWNER_CHECK = "pods-of-owner"
SHRUNK_CHECK = "pods-shrunk"
HOST_END_CHECK = "pod-host-end"
ROLLOUT_CHECK = "restart-needed"
SHOWN_OWNERS = 200


@dataclass(frozen=True)
class SizesExplained(Look):
    """What a path MTU of {path_mtu} bytes leaves for pods is told."""

    path_mtu: int

    def look(self, report: Report) -> None:
        """Tell every number, by the IP version of the outer header, and how it comes about."""
        for outer in VERSIONS:
            for seen, wanted in Sizes(outer, self.path_mtu).lines():
                report.finding(Finding("sizes", f"IPv{outer} outer", Verdict.PASS, seen, wanted))


@dataclass(frozen=True)
class PodMtuSeen(Look):
    """The MTU of every pod of {cluster} is known."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    cluster: str

    @property
    def _pods(self) -> ClusterPods:
        return ClusterPods(self.ferry, self.cluster)

    def look(self, report: Report) -> None:
        """Tell which pods are too large, by node and by owner; how it came; and what new pods get."""
        pods, view = self._pods, self._pods.first_view()
        hosts = pods.hosts()
        readings = pods.readings(hosts.values())
        known = seen_pods(view.pods, hosts, readings)
        limit, now = pods.limit, pods.now
        for node in sorted(view.nodes, key=lambda node: node.name):
            mine = [seen for seen in known if seen.pod.node == node.name]
            for finding in self._of_node(node.name, mine, limit):
                report.finding(finding)
        large = [seen for seen in known if seen.is_large(limit)]
        for finding in self._of_owners(known, large):
            report.finding(finding)
        steps = ", ".join(
            f"{count} {age(now - back, now)} ago" for back, count in shrinkage(known, limit, now)
        )
        report.finding(
            Finding(
                SHRUNK_CHECK,
                self.cluster,
                Verdict.WARN if large else Verdict.PASS,
                f"{len(large)} of {len(known)} pods are too large; at most {steps}",
                "none; counted by the ages of those that are small, each of which took another one's place",
            )
        )
        self._report_cni(report, readings, limit)

    def _of_node(self, node: str, known: Sequence[SeenPod], limit: int) -> Iterator[Finding]:
        wanted, now = f"{limit} bytes at most on every pod's own end", self._pods.now
        large = [seen for seen in known if seen.is_large(limit)]
        if large:
            seen = f"{len(large)} of {len(known)} pods are too large: {listed(large, now)}"
            remedy = f"ferryman mtu rollout {self.cluster} says how they are made again"
            yield Finding(CHECK, node, Verdict.WARN, seen, wanted, remedy)
        for reason, count in unknown_reasons(known)[:3]:
            yield Finding(CHECK, node, Verdict.UNKNOWN, f"{count} pods not seen: {reason}", wanted, _BY_HAND)
        if known and not large and not any(seen.unknown for seen in known):
            most = max(seen.mtu or 0 for seen in known)
            yield Finding(CHECK, node, Verdict.PASS, f"{len(known)} pods, {most} bytes at most", wanted)
        yield from host_end_findings(node, known)

    def _of_owners(self, known: Sequence[SeenPod], large: Sequence[SeenPod]) -> Iterator[Finding]:
        of_all, now = by_owner(known), self._pods.now
        groups = by_owner(large)
        for (namespace, owner), members in list(groups.items())[:SHOWN_OWNERS]:
            oldest = min(seen.pod.created for seen in members)
            nodes = sorted({seen.pod.node for seen in members})
            seen = (
                f"{owner}: {len(members)} of {len(of_all[namespace, owner])} pods are too large, the oldest"
                f" {age(oldest, now)} old, on {', '.join(nodes[:3])}"
                + (f" and {len(nodes) - 3} more nodes" if len(nodes) > 3 else "")  # noqa: PLR2004  # as shown
            )
            yield Finding(
                OWNER_CHECK, namespace, Verdict.WARN, seen, "pods made since the CNI's MTU is right"
            )
        if len(groups) > SHOWN_OWNERS:
            more = f"{len(groups) - SHOWN_OWNERS} more owners have such pods"
            yield Finding(OWNER_CHECK, self.cluster, Verdict.WARN, more, "all of them are told")

    def _report_cni(self, report: Report, readings: Mapping[str, NodePods | Exception], limit: int) -> None:
        chart = self._pods.client.config_map(*CALICO_CONFIG)
        for reading in readings.values():
            if isinstance(reading, NodePods):
                for finding in cni_findings(reading, limit, chart):
                    report.finding(finding)


_BY_HAND = "look by hand: nsenter -t PID -n ip link show eth0"


def host_end_findings(node: str, known: Sequence[SeenPod]) -> Iterator[Finding]:
    """Pods whose node's end takes more than their own: what is sent to them is lost without a word."""
    odd = [seen for seen in known if seen.host_end_is_larger]
    for seen in sorted(odd, key=lambda seen: seen.pod.full_name)[:5]:
        network = seen.network
        assert network is not None
        assert network.host_end is not None
        yield Finding(
            HOST_END_CHECK,
            node,
            Verdict.WARN,
            f"{seen.pod.full_name}: {network.host_end.name} takes {network.host_end.mtu} bytes, and the pod's"
            f" own end {network.end.mtu}",
            "the same at both ends",
            "somebody changed one end by hand: make the pod again",
        )


@dataclass(frozen=True)
class RestartsListed(Look):
    """What has to be restarted in {cluster} is known, and how."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    cluster: str

    def look(self, report: Report) -> None:
        """Tell, stage by stage, which workloads have pods that are too large, and how they are restarted."""
        pods = ClusterPods(self.ferry, self.cluster)
        view, limit, now = pods.first_view(), pods.limit, pods.now
        large = by_owner(seen for seen in pods.seen(view.pods) if seen.is_large(limit))
        wanted = f"no pod with more than {limit} bytes"
        for stage, workloads in assigned(pods.rollout.stages, view.workloads, view.pods).items():
            for workload in workloads:
                members = large.pop((workload.namespace, str(workload.owner)), [])
                if members:
                    way = way_for(workload, [seen.pod for seen in members], view.budgets)
                    seen = (
                        f"stage {stage.name}: {workload.kind} {workload.namespace}/{workload.name}:"
                        f" {listed(members, now, node=True)}"
                    )
                    remedy = f"{command_for(workload, way.kind)} ({way.reason}; not reversible)"
                    report.finding(Finding(ROLLOUT_CHECK, self.cluster, Verdict.WARN, seen, wanted, remedy))
        for (namespace, owner), members in large.items():
            seen = f"{namespace}: {owner}: {listed(members, now, node=True)}"
            remedy = (
                "in no stage, or nothing that can be told to restart: ask its owners, or delete the pods by"
                f" hand: kubectl -n {shlex.quote(namespace)} delete pod {shlex.quote(members[0].pod.name)}"
            )
            report.finding(Finding(ROLLOUT_CHECK, self.cluster, Verdict.WARN, seen, wanted, remedy))


def command_for(workload: Workload, kind: str) -> str:
    """How a workload's pods are made again, as people would do it."""
    namespace, name = shlex.quote(workload.namespace), shlex.quote(workload.name)
    target = f"{workload.kind.lower()}/{name}"
    match kind:
        case "restart":
            return f"kubectl -n {namespace} rollout restart {target}"
        case "evict":
            return f"evict the pods of {target} in {namespace} that are too large, one after the other"
    return f"nothing goes for {target} in {namespace}"


@dataclass(frozen=True)
class NewPodsSmall(Look):
    """Pods of {cluster} that are made from now on are small enough."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    cluster: str

    def look(self, report: Report) -> None:
        """Read each node's CNI configuration: restarts that bring back large pods are not begun."""
        pods = ClusterPods(self.ferry, self.cluster)
        wanted = f"new pods get {pods.limit} bytes at most"
        for host, reading in pods.readings(pods.hosts().values()).items():
            if not isinstance(reading, NodePods) or isinstance(reading.cni, Unknown):
                why = reading.cni if isinstance(reading, NodePods) else reading
                report.finding(Finding("new-pods", host, Verdict.UNKNOWN, str(why), wanted, _REACH))
                continue
            mtu = reading.cni.new_mtu
            verdict = Verdict.PASS if mtu is not None and mtu <= pods.limit else Verdict.FAIL
            if mtu is None:
                verdict = Verdict.WARN
            seen = "it is not known what they get" if mtu is None else f"they get {mtu} bytes"
            path = reading.cni.used.path if reading.cni.used else "the CNI's configuration"
            remedy = (
                ""
                if verdict is Verdict.PASS
                else f"look at {path} first; ferryman mtu status tells who owns it"
            )
            report.finding(Finding("new-pods", host, verdict, seen, wanted, remedy))


_REACH = "see that the node can be reached, then start again"
