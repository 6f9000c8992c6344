"""Looks at network policies: whether ICMP reaches a service's pods, and what a change would close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.engine.steps import Look, Report
from ferryman.kubernetes.policies.icmp import CHECK, WANTED, icmp_findings
from ferryman.kubernetes.policies.judge import impact_findings
from ferryman.kubernetes.policies.manifests import read_manifests
from ferryman.model import Finding, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ferryman.cookbook.context import Ferry
    from ferryman.kubernetes.policies.manifests import Located
    from ferryman.model import Service


@dataclass(frozen=True)
class IcmpReachesPods(Look):
    """ICMP reaches the pods behind {service.name}."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Judge the policies of each cluster that has a realserver of the service."""
        nodes = [each for each in self.service.realservers if each.kind is Kind.KUBERNETES]
        if not nodes:
            words = f"no realserver of {self.service.name} is a Kubernetes node"
            report.finding(Finding(CHECK, self.service.name, Verdict.SKIP, words, WANTED))
        if unnamed := [each.host for each in nodes if each.cluster is None]:
            words = f"hosts.yaml names no cluster for {', '.join(unnamed)}"
            report.finding(Finding(CHECK, self.service.name, Verdict.UNKNOWN, words, WANTED))
        for name in dict.fromkeys(each.cluster for each in nodes if each.cluster is not None):
            for finding in icmp_findings(name, self.service, self.ferry.cluster(name)):
                report.finding(finding)


@dataclass(frozen=True)
class NothingIsolated(Look):
    """Nothing that is open in {cluster} is closed by the change."""

    ferry: Ferry
    cluster: str
    files: Sequence[Located]
    remove: Sequence[str] = ()
    staged: Sequence[str] = ()

    def look(self, report: Report) -> None:
        """Compare who reaches whom now, with the change, and when it is taken back."""
        client = self.ferry.cluster(self.cluster)
        for finding in impact_findings(
            self.cluster, client, self.files, remove=self.remove, staged_names=self.staged
        ):
            report.finding(finding)


def manifests_of(paths: Iterable[Path]) -> tuple[Located, ...]:
    """All manifests of these files.

    Raises:
        UsageError: One cannot be read; names file, line and key.
    """
    return tuple(located for path in paths for located in read_manifests(path))
