"""Measure paths: the largest packet, and whether routers tell what does not fit. Changes nothing."""

from ferryman.cookbook import (
    CoreDnsKeepsSmall,
    DnsAnswersFit,
    Ferry,
    PathMtuAsked,
    PathMtuDiscovered,
    Plan,
    Step,
    UsageError,
    argument,
    cookbook,
    option,
)

OWNER = "traffic"
PORTS = range(1, 65536)


@cookbook
@argument("hosts", nargs=-1, required=True, metavar="HOST...")
@option("--port", type=int, default=443, show_default=True, help="The TCP port, open or closed.")
@option("--udp-port", type=int, default=33434, show_default=True, help="The UDP port; 53 gets DNS questions.")
@option("--pods", is_flag=True, help="The pods of each node too.")
@option("--cluster", metavar="CLUSTER", help="The nodes' cluster; its CoreDNS is looked at.")
@option("--dns", metavar="NAME", help="Ask each host for this name as a DNS server, with EDNS.")
@option("--dns-type", default="TXT", show_default=True, metavar="TYPE", help="For records of this type.")
def path_mtu(  # noqa: PLR0913, PLR0917  # its options
    ferry: Ferry,
    hosts: tuple[str, ...],
    port: int = 443,
    udp_port: int = 33434,
    pods: bool = False,
    cluster: str | None = None,
    dns: str | None = None,
    dns_type: str = "TXT",
) -> Plan:
    """Measure paths: the largest packet, and whether routers tell what does not fit. Changes nothing.

    Why:   a tunnel leaves less room; whoever sends more must be told so, and UDP has nothing else.
    Risk:  none; some twenty packets for each address and protocol, a SYN with data among them.
    Takes: a second where routers say what fits; half a minute and more for paths that swallow packets.
    Undo:  nothing to undo.
    """
    for number in (port, udp_port):
        if number not in PORTS:
            raise UsageError(f"{number} is no port; expected 1 to 65535")
    named = tuple(dict.fromkeys(hosts))
    nodes: list[tuple[str, str]] = []
    for host in named:
        ferry.addresses(host)  # a name that nobody knows is told before anything begins
        of = ferry.inventory.cluster_of(host) or cluster
        if pods and of is None:
            raise UsageError(f"{host} is in no cluster: name one by --cluster, or in hosts.yaml")
        if pods and of is not None:
            nodes.append((host, of))
    steps: list[Step] = [PathMtuDiscovered(ferry, named, PathMtuAsked(port, udp_port), tuple(nodes))]
    if dns is not None:
        steps.append(DnsAnswersFit(ferry, named, dns, dns_type.upper()))
    if cluster is not None:
        ferry.cluster(cluster)
        steps.append(CoreDnsKeepsSmall(ferry, cluster))
    return Plan(steps, locks=[], shows_passing=True)
