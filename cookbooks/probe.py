"""Send encapsulated SYNs, and say what came back. Changes nothing."""

from ferryman.cookbook import (
    ControlHostCanProbe,
    ExchangesCompleted,
    Ferry,
    Plan,
    ProbesAnswered,
    Service,
    Step,
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
@option("--exchange", is_flag=True, help="Connect too, send a request and read its answer.")
def probe(  # noqa: PLR0913, PLR0917  # its options
    ferry: Ferry,
    services: tuple[str, ...],
    site: str,
    cluster: str | None,
    nodes: tuple[str, ...],
    exchange: bool = False,
) -> Plan:
    """Send encapsulated SYNs, and say what came back. Changes nothing.

    Why:   a quick look at one host, one service or a whole cluster; or at a node before it is pooled.
    Risk:  none; a few SYNs for each realserver, closed again behind them; with --exchange a request to each.
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
            *(look for each in asked for look in _looks(ferry, each, exchange=exchange)),
        ],
        locks=[],
    )


def _looks(ferry: Ferry, service: Service, *, exchange: bool) -> list[Step]:
    """What is looked at of one service."""
    probes = ProbesAnswered(ferry, service, quick=True)
    return [probes, ExchangesCompleted(ferry, service)] if exchange else [probes]
