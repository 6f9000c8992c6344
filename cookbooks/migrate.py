"""Move one service to IPIP encapsulation."""

from ferryman.cookbook import (
    CatalogFlipped,
    DirectorConverged,
    DirectorsAgree,
    Ferry,
    HostRoutesDown,
    HostRoutesUp,
    OldConnectionsDrained,
    Plan,
    ProbesAnswered,
    RealserversReady,
    TrafficFlows,
    cookbook,
    service_argument,
    site_option,
)

OWNER = "traffic"


@cookbook
@service_argument
@site_option
def migrate(ferry: Ferry, service: str, site: str) -> Plan:
    """Move one service to IPIP encapsulation.

    Why:   a director in another network can reach its realservers; one address serves many of them.
    Risk:  a realserver that does not unwrap takes its share of the traffic into a black hole.
    Takes: under a minute, and up to directors.drain_timeout for old connections at the end.
    Undo:  destinations, catalog and routes go back, each is read back; by itself when a look fails.
    """
    moving = ferry.service(service, site)
    ferry.need_raw_sockets()
    return Plan(
        [
            RealserversReady(ferry, moving),
            DirectorsAgree(ferry, moving),
            ProbesAnswered(ferry, moving),
            TrafficFlows(ferry, moving),
            *(HostRoutesUp(ferry, moving, director) for director in moving.directors),
            CatalogFlipped(ferry, moving),
            *(
                step
                for director in moving.directors  # secondaries first
                for step in (
                    DirectorConverged(ferry, moving, director),
                    TrafficFlows(ferry, moving, director),
                )
            ),
            ProbesAnswered(ferry, moving),
            OldConnectionsDrained(ferry, moving),
            *(HostRoutesDown(ferry, moving, director) for director in moving.directors),
        ],
        locks=ferry.locks(moving),
        writes=ferry.writes(moving),
    )
