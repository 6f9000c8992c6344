"""Are the pods behind a service small enough for the tunnel? Changes nothing."""

from ferryman.cookbook import Ferry, Plan, ServicePodsSmall, cookbook, service_argument, site_option

OWNER = "traffic"


@cookbook
@service_argument
@site_option
def check(ferry: Ferry, service: str, site: str) -> Plan:
    """Are the pods behind a service small enough for the tunnel? Changes nothing.

    Why:   packets of a pod that is too large are lost behind the outer header, and no ICMP may say so.
    Risk:  none; it asks the API server, and each node once.
    Takes: a second or two.
    Undo:  nothing to undo.
    """
    return Plan([ServicePodsSmall(ferry, ferry.service(service, site))], locks=[], shows_passing=True)
