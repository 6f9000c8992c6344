"""Looks at paths: the largest packet that gets to hosts and pods, and whether routers say what fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.cookbook.steps.path_mtu_findings import CHECK, WANTED, found
from ferryman.engine.steps import Look, Report
from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.model import Finding, Verdict
from ferryman.probe.path_mtu import PathMtuTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.kubernetes.objects import Pod
    from ferryman.model import Address

TCP_PORT, UDP_PORT = 443, 33434
"""What is asked where nothing else is said: a TCP port that answers, open or closed, and a UDP port that
nobody has, so that the host says so by ICMP (traceroute's)."""
MOST_PODS = 8
"""Pods that are asked of each node, of as many owners as can be: they hang on the same links."""


@dataclass(frozen=True)
class PathMtuAsked:
    """What is sent to where, beside echo requests."""

    tcp_port: int = TCP_PORT
    udp_port: int = UDP_PORT

    def targets(self, name: str, address: Address) -> list[PathMtuTarget]:
        """An address by each protocol."""
        return [
            PathMtuTarget(name, address, "icmp"),
            PathMtuTarget(name, address, "tcp", self.tcp_port),
            PathMtuTarget(name, address, "udp", self.udp_port),
        ]


@dataclass(frozen=True)
class PathMtuDiscovered(Look):
    """Path MTU discovery works towards {names}."""

    valid_after_change: ClassVar[bool] = True
    sends_probes: ClassVar[bool] = True
    ferry: Ferry
    hosts: tuple[str, ...]
    asked: PathMtuAsked = PathMtuAsked()
    pods_of: tuple[tuple[str, str], ...] = ()
    """Nodes, each with its cluster, whose pods are asked beside them."""

    @property
    def names(self) -> str:
        """The hosts, in words; the first of many."""
        first, *others = self.hosts
        return first if not others else f"{first} and {len(others)} more"

    def look(self, report: Report) -> None:
        """Measure all paths side by side; a finding for each address and protocol.

        A dry run sends nothing and says so.
        """
        if self.ferry.dry_run:
            for host in self.hosts:
                report.finding(Finding(CHECK, host, Verdict.SKIP, "not sent in a dry run", WANTED))
            return
        places = [(host, address) for host in self.hosts for address in self.ferry.addresses(host)]
        places += self._pods(report)
        targets = [each for place in dict.fromkeys(places) for each in self.asked.targets(*place)]
        results = self.ferry.measure_paths(targets)
        for result in results:
            if result.mtu is not None:
                before = self.ferry.memory.path_mtus.get(result.target.address, result.mtu)
                self.ferry.memory.path_mtus[result.target.address] = min(before, result.mtu)
        for finding in found(results):
            report.finding(finding)

    def _pods(self, report: Report) -> Iterator[tuple[str, Address]]:
        for node, cluster in self.pods_of:
            try:
                pods = self.ferry.cluster(cluster).pods(node=node)
            except ClusterUnreadableError as error:
                report.finding(Finding(CHECK, node, Verdict.UNKNOWN, str(error), "its pods' addresses"))
                continue
            own = [pod for pod in pods if not pod.host_network and pod.addresses and pod.phase == "Running"]
            chosen = few_of(own)
            if len(chosen) < len(own) or not own:
                seen = f"{len(chosen)} of its {len(own)} pods with an own address are asked"
                report.finding(Finding(CHECK, node, Verdict.SKIP, seen, WANTED))
            yield from ((f"{pod.full_name} on {node}", each) for pod in chosen for each in pod.addresses)


def few_of(pods: Sequence[Pod]) -> list[Pod]:
    """Some of a node's pods: one of each owner, and more where there is room."""
    ordered = sorted(pods, key=lambda pod: pod.full_name)
    firsts = {(pod.namespace, str(pod.owner or pod.name)): pod for pod in reversed(ordered)}
    return _first([*sorted(firsts.values(), key=lambda pod: pod.full_name), *ordered])


def _first(pods: Iterable[Pod]) -> list[Pod]:
    return list({pod.uid: pod for pod in pods}.values())[:MOST_PODS]
