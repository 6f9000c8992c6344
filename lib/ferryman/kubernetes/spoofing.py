"""The check ``pod-spoofing``, of what an API server says: which pods may send from addresses not their own.

What the node's rules say is for ``realservers/checks/pod_spoofing.py``, which needs no API server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.kubernetes.cluster import ClusterUnreadableError, node_of
from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.checks.pod_spoofing import CHECK, WANTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ferryman.kubernetes.client import ClusterClient
    from ferryman.kubernetes.cluster import Node
    from ferryman.kubernetes.objects import Manifest, Pod
    from ferryman.model import Realserver, Service

ANNOTATION = "cni.projectcalico.org/allowedSourcePrefixes"
SETTING = "workloadSourceSpoofing"
DISABLED = "Disabled"
"""Calico's default: annotations count for nothing."""
SHOWN = 5
"""Pods that one finding names."""


def spoofing_findings(service: Service, clusters: Mapping[str, ClusterClient]) -> list[Finding]:
    """What the API servers of the service's nodes say of spoofing; clusters that are not named are left out.

    Nothing hangs on it but an answer to the question, so a cluster that cannot be asked is skipped: whether
    its nodes are fit is asked elsewhere, and their rules are read from themselves.
    """
    nodes: dict[str, list[Realserver]] = {}
    for realserver in service.realservers:
        cluster = realserver.cluster
        if realserver.kind is Kind.KUBERNETES and cluster is not None and cluster in clusters:
            nodes.setdefault(cluster, []).append(realserver)
    return [
        finding for name, members in nodes.items() for finding in _of_cluster(name, members, clusters[name])
    ]


def _of_cluster(name: str, members: Sequence[Realserver], cluster: ClusterClient) -> Iterator[Finding]:
    try:
        configurations = cluster.felix_configurations()
        nodes = cluster.nodes()
        pods = [pod for pod in cluster.pods() if ANNOTATION in pod.annotations]
    except ClusterUnreadableError as error:
        words = f"the API server could not be asked for pods and FelixConfigurations: {error}"
        yield Finding(CHECK, name, Verdict.SKIP, words, WANTED)
        return
    found = [*_felix(name, configurations), *_annotated(members, nodes, pods, configurations)]
    fine = f"{SETTING} is {DISABLED}, and no pod of these nodes has the annotation {ANNOTATION}"
    yield from found or [Finding(CHECK, name, Verdict.PASS, fine, WANTED)]


def _felix(name: str, configurations: Iterable[Manifest]) -> Iterator[Finding]:
    """A FelixConfiguration that lets annotations count, of the whole cluster or of a node.

    Source: WorkloadSourceSpoofing in projectcalico api, v3/felixconfig.go.
    """
    for configuration in configurations:
        if (value := _setting(configuration)) != DISABLED:
            what = _name(configuration)
            yield Finding(
                CHECK,
                name,
                Verdict.WARN,
                f"FelixConfiguration {what}: {SETTING} is {value}: pods with the annotation {ANNOTATION} may"
                " send from the addresses in it",
                WANTED,
                f"if nobody needs that: kubectl patch felixconfigurations {what} --type=merge -p"
                f""" '{{"spec":{{"{SETTING}":"{DISABLED}"}}}}'""",
            )


def _annotated(
    members: Iterable[Realserver],
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    configurations: Iterable[Manifest],
) -> Iterator[Finding]:
    """Pods of these nodes with the annotation; it counts only where Felix is told so."""
    counts = any(_setting(configuration) != DISABLED for configuration in configurations)
    for member in members:
        node = node_of(nodes, member)
        mine = [pod for pod in pods if node is not None and pod.node == node.name]
        if not mine:
            continue
        more = f" and {len(mine) - SHOWN} more" if len(mine) > SHOWN else ""
        named = ", ".join(f"{pod.full_name} ({pod.annotations[ANNOTATION]})" for pod in mine[:SHOWN])
        now = "and may send from there" if counts else f"which counts as soon as {SETTING} is Any"
        yield Finding(
            CHECK,
            member.host,
            Verdict.WARN,
            f"{named}{more}: have the annotation {ANNOTATION}, {now}",
            WANTED,
            "ask their owners what it is for; take it out of their templates where nobody needs it",
        )


def _setting(configuration: Manifest) -> str:
    spec = configuration.get("spec")
    value = spec.get(SETTING) if isinstance(spec, dict) else None
    return value if isinstance(value, str) and value else DISABLED


def _name(configuration: Manifest) -> str:
    metadata = configuration.get("metadata")
    return str(metadata.get("name", "default")) if isinstance(metadata, dict) else "default"
