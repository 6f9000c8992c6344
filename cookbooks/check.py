"""Is a service ready for IPIP encapsulation? Changes nothing."""

from ferryman.cookbook import (
    ControlHostCanProbe,
    DirectorsAgree,
    DirectorsEditable,
    ExchangesCompleted,
    Ferry,
    Plan,
    ProbesAnswered,
    RealserversReady,
    ServicePodsSmall,
    SpoofedSourcesDropped,
    TrafficFlows,
    cookbook,
    service_argument,
    site_option,
)

OWNER = "traffic"


@cookbook
@service_argument
@site_option
def check(ferry: Ferry, service: str, site: str) -> Plan:
    """Is a service ready for IPIP encapsulation? Changes nothing.

    Why:   every finding that `migrate` would stop at, without the intention.
    Risk:  none; it reads, sends encapsulated SYNs and a request to each realserver, and some through the VIP.
    Takes: a few seconds.
    Undo:  nothing to undo.
    """
    asked = ferry.service(service, site)
    ferry.need_raw_sockets()
    return Plan(
        [
            RealserversReady(ferry, asked),
            ServicePodsSmall(ferry, asked),
            DirectorsAgree(ferry, asked),
            DirectorsEditable(ferry, asked),
            ControlHostCanProbe(ferry, asked),
            ProbesAnswered(ferry, asked, quick=True),
            ExchangesCompleted(ferry, asked),
            SpoofedSourcesDropped(ferry, asked),
            TrafficFlows(ferry, asked),
        ],
        locks=[],
    )
