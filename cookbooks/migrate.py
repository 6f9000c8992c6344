"""Move one service to IPIP encapsulation."""

from typing import Unpack

from ferryman.cookbook import (
    ControlHostCanProbe,
    DirectorConverged,
    DirectorsAgree,
    ExchangesCompleted,
    Ferry,
    HostRoutesDown,
    HostRoutesUp,
    OldConnectionsDrained,
    Overrides,
    Plan,
    ProbesAnswered,
    RealserversReady,
    ServicePodsSmall,
    Soaked,
    SpoofedSourcesDropped,
    TrafficFlows,
    accept_irreversible_option,
    catalog_step,
    cookbook,
    drain_option,
    realserver_steps,
    service_argument,
    site_option,
    watch_options,
    watch_over,
)

OWNER = "traffic"


@cookbook
@service_argument
@site_option
@watch_options
@drain_option
@accept_irreversible_option
def migrate(ferry: Ferry, service: str, site: str, **overrides: Unpack[Overrides]) -> Plan:
    """Move one service to IPIP encapsulation.

    Why:   a director in another network can reach its realservers; one address serves many of them.
    Risk:  a realserver that does not unwrap takes its share of the traffic into a black hole.
    Takes: watch.soak for each director, up to directors.drain_timeout for old connections at the end,
           and under a minute for all the rest; probes and requests go on all the while.
    Undo:  destinations, catalog and routes go back, each is read back; by itself when a look fails.
           A director that cannot be put back says so, and is not touched without --accept-irreversible.
    """
    ferry = ferry.with_overrides(**overrides)
    moving = ferry.service(service, site)
    ferry.need_raw_sockets()
    return Plan(
        [
            RealserversReady(ferry, moving),
            ServicePodsSmall(ferry, moving),
            DirectorsAgree(ferry, moving),
            ControlHostCanProbe(ferry, moving),
            ProbesAnswered(ferry, moving),
            ExchangesCompleted(ferry, moving),
            SpoofedSourcesDropped(ferry, moving),
            TrafficFlows(ferry, moving),
            *(HostRoutesUp(ferry, moving, director) for director in moving.directors),
            catalog_step(ferry, moving),
            *realserver_steps(ferry, moving),
            *(
                step
                for director in moving.directors  # secondaries first
                for step in (
                    DirectorConverged(ferry, moving, director),
                    TrafficFlows(ferry, moving, director),
                    Soaked(ferry, moving, director),
                )
            ),
            ProbesAnswered(ferry, moving),
            OldConnectionsDrained(ferry, moving),
            *(HostRoutesDown(ferry, moving, director) for director in moving.directors),
        ],
        locks=ferry.locks(moving),
        writes=ferry.writes(moving),
        watch=watch_over(ferry, moving),
    )
