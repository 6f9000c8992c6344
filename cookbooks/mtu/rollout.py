"""Have pods that are too large made again, or say a smaller MSS until they are."""

from ferryman.cookbook import (
    Ferry,
    NewPodsSmall,
    Plan,
    ProbesAnswered,
    RestartsListed,
    ServicePodsSmall,
    Step,
    UsageError,
    argument,
    cookbook,
    live_steps,
    option,
    restart_steps,
)

OWNER = "traffic"


@cookbook
@argument("cluster")
@option("--restart", is_flag=True, help="Restart what has to be restarted, one owner after the other.")
@option("--live", is_flag=True, help="Lower the MSS of running pods in place of a restart.")
@option("--service", metavar="SERVICE", help="With --live: probe this service afterwards.")
@option("--site", metavar="SITE", help="The service's site.")
def rollout(  # noqa: PLR0913, PLR0917  # its options
    ferry: Ferry,
    cluster: str,
    restart: bool = False,
    live: bool = False,
    service: str | None = None,
    site: str | None = None,
) -> Plan:
    """Have pods that are too large made again, or say a smaller MSS until they are.

    Without --restart and --live it lists, stage by stage, what has to be restarted, and how.

    Why:   a pod keeps its MTU until it is made again, and nobody does that for a setting of the CNI.
    Risk:  --restart: each owner's pods go and come as its budget and its strategy allow. --live: none known.
    Takes: --restart: for each owner until its pods are ready, and each stage's soak. --live: seconds.
    Undo:  --restart is not reversible: old pods do not come back. --live: each route goes back as it was.
    """
    if restart and live:
        raise UsageError("--restart and --live: one of them; --live is for pods that cannot be restarted yet")
    if bool(service) != bool(site) or (service and not live):
        raise UsageError("--service and --site belong together, and to --live")
    locks = [f"pods of {cluster}"]
    if restart:
        steps: list[Step] = [RestartsListed(ferry, cluster), NewPodsSmall(ferry, cluster)]
        return Plan([*steps, *restart_steps(ferry, cluster)], locks=locks)
    if live:
        steps = list(live_steps(ferry, cluster))
        if service and site:
            asked = ferry.service(service, site)
            ferry.need_raw_sockets()
            steps += [ServicePodsSmall(ferry, asked), ProbesAnswered(ferry, asked)]
        return Plan(steps, locks=locks)
    return Plan([RestartsListed(ferry, cluster)], locks=[])
