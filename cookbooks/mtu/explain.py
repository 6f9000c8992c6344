"""Derive what a path MTU leaves for pods, MSS, UDP and DNS. Asks nobody."""

from ferryman.cookbook import Ferry, IntRange, Plan, SizesExplained, cookbook_asking, option

OWNER = "traffic"


@cookbook_asking("nobody")
@option(
    "--path-mtu",
    type=IntRange(1280, 65_535),
    default=1500,
    show_default=True,
    metavar="BYTES",
    help="The largest outer packet that gets from every director to the realservers.",
)
def explain(ferry: Ferry, path_mtu: int) -> Plan:
    """Derive what a path MTU leaves for pods, MSS, UDP and DNS. Asks nobody.

    Why:   the numbers in the CNI's configuration, in clamps and in CoreDNS must come from one place.
    Risk:  none; it calculates.
    Takes: no time.
    Undo:  nothing to undo.
    """
    del ferry
    return Plan([SizesExplained(path_mtu)], locks=[], shows_passing=True)
