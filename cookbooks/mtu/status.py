"""Which pods still have an MTU that is too large? Changes nothing."""

from ferryman.cookbook import Ferry, Plan, PodMtuSeen, UsageError, argument, cookbook

OWNER = "traffic"


@cookbook
@argument("cluster", required=False)
def status(ferry: Ferry, cluster: str | None = None) -> Plan:
    """Which pods still have an MTU that is too large? Changes nothing.

    Without CLUSTER: in every cluster of clusters.yaml that has an API server.

    Why:   a pod keeps the MTU that it was made with until it is made again.
    Risk:  none; it asks the API server, and each node once.
    Takes: some seconds for each cluster.
    Undo:  nothing to undo.
    """
    clusters = ferry.inventory.clusters
    names = [cluster] if cluster else [n for n in clusters if clusters[n].api or clusters[n].kubeconfig]
    if not names:
        raise UsageError("no cluster of clusters.yaml has an API server: give it api or kubeconfig")
    return Plan([PodMtuSeen(ferry, name) for name in names], locks=[], shows_passing=True)
