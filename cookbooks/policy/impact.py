"""Would a change of network policies close what is open now? Changes nothing."""

from pathlib import Path

from ferryman.cookbook import (
    Ferry,
    NothingIsolated,
    Plan,
    UsageError,
    argument,
    cookbook_asking,
    manifests_of,
    option,
)

OWNER = "traffic"


@cookbook_asking("clusters")
@argument("files", nargs=-1, metavar="FILE…")
@option("--cluster", required=True, metavar="CLUSTER", help="A cluster of clusters.yaml.")
@option(
    "--delete",
    "remove",
    multiple=True,
    metavar="KIND[/NAMESPACE]/NAME",
    help="A policy that the change takes away; may be given several times.",
)
@option(
    "--staged",
    multiple=True,
    metavar="NAME",
    help="A staged policy of the cluster, judged as if it were enforced; may be given several times.",
)
def impact(
    ferry: Ferry, files: tuple[str, ...], cluster: str, remove: tuple[str, ...], staged: tuple[str, ...]
) -> Plan:
    """Would a change of network policies close what is open now? Changes nothing.

    FILE has manifests as kubectl apply takes them; what is in the cluster by the same name is replaced.

    Why:   a policy that is about a pod closes it to all that no rule allows, and taking it back may too.
    Risk:  none; it reads pods, namespaces and policies from the API server.
    Takes: a few seconds; a minute for thousands of pods.
    Undo:  nothing to undo.
    """
    if not (files or remove or staged):
        raise UsageError("name a FILE, --delete or --staged: there is no change to judge")
    return Plan(
        [NothingIsolated(ferry, cluster, manifests_of(map(Path, files)), remove, staged)],
        locks=[],
    )
