"""Send encapsulated SYNs, and say what came back. Changes nothing."""

from ferryman.cookbook import (
    ControlHostCanProbe,
    Ferry,
    Plan,
    ProbesAnswered,
    UsageError,
    argument,
    cookbook,
    option,
    site_option,
)

OWNER = "traffic"


@cookbook
@argument("services", nargs=-1)
@site_option
@option("--cluster", metavar="CLUSTER", help="Every service of this conftool cluster.")
@option("--only-node", "nodes", multiple=True, metavar="HOST", help="This host alone, in the pool or not.")
def probe(
    ferry: Ferry, services: tuple[str, ...], site: str, cluster: str | None, nodes: tuple[str, ...]
) -> Plan:
    """Send encapsulated SYNs, and say what came back. Changes nothing.

    Why:   a quick look at one host, one service or a whole cluster; or at a node before it is pooled.
    Risk:  none; a few SYNs for each realserver, closed again behind them.
    Takes: a second, or the tries of what does not answer; then as long again to find out why.
    Undo:  nothing to undo.
    """
    names = [*services, *(ferry.inventory.names_in(cluster, site) if cluster else ())]
    if not names:
        raise UsageError("name a service, or a cluster: ferryman probe SERVICE … | --cluster CLUSTER")
    asked = [ferry.service(name, site, only=nodes) for name in dict.fromkeys(names)]
    ferry.need_raw_sockets()
    return Plan(
        [
            ControlHostCanProbe(ferry, asked[0]),
            *(ProbesAnswered(ferry, each, quick=True) for each in asked),
        ],
        locks=[],
    )
