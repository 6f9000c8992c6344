"""Does ICMP reach the pods behind a service? Changes nothing."""

from ferryman.cookbook import Ferry, IcmpReachesPods, Plan, cookbook, service_argument, site_option

OWNER = "traffic"


@cookbook
@service_argument
@site_option
def check(ferry: Ferry, service: str, site: str) -> Plan:
    """Does ICMP reach the pods behind a service? Changes nothing.

    Why:   a pod that a policy is about gets no ICMP, so that path MTU discovery towards it fails.
    Risk:  none; it reads pods, Services and policies from the API server.
    Takes: a few seconds.
    Undo:  nothing to undo.
    """
    return Plan([IcmpReachesPods(ferry, ferry.service(service, site))], locks=[], shows_passing=True)
