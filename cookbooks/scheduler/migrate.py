"""Move one service to another scheduler, such as Maglev hashing."""

from typing import Unpack

from ferryman.cookbook import (
    DirectorRescheduled,
    Ferry,
    Overrides,
    Plan,
    SchedulerImpact,
    Soaked,
    TrafficFlows,
    accept_irreversible_option,
    cookbook,
    option,
    scheduled,
    scheduler_catalog_step,
    service_argument,
    site_option,
    watch_options,
    watch_requests,
)

OWNER = "traffic"


@cookbook
@service_argument
@site_option
@option("--to", required=True, metavar="SCHEDULER", help="Such as mh (Maglev hashing), wrr or sh.")
@option("--flag", "flags", multiple=True, metavar="FLAG", help="Such as mh-port or mh-fallback; repeat it.")
@watch_options
@accept_irreversible_option
def migrate(
    ferry: Ferry,
    service: str,
    site: str,
    *,
    to: str,
    flags: tuple[str, ...],
    **overrides: Unpack[Overrides],
) -> Plan:
    """Move one service to another scheduler, such as Maglev hashing.

    Why:   with mh every director finds the same realserver for a client, without being told by the others.
    Risk:  clients that come back may find another realserver than that of their session; the dry run
           says how many. Connections that are open stay with theirs.
    Takes: watch.soak for each director, and some seconds.
    Undo:  scheduler, flags and catalog go back, each is read back; by itself when requests fail.
    """
    ferry = ferry.with_overrides(**overrides)
    moving, target = ferry.service(service, site), scheduled(to, flags)
    return Plan(
        [
            SchedulerImpact(ferry, moving, target),
            TrafficFlows(ferry, moving),
            scheduler_catalog_step(ferry, moving, target),
            *(
                step
                for director in moving.directors  # secondaries first
                for step in (
                    DirectorRescheduled(ferry, moving, director, target),
                    TrafficFlows(ferry, moving, director),
                    Soaked(ferry, moving, director),
                )
            ),
        ],
        locks=ferry.locks(moving),
        writes=ferry.writes(moving),
        watch=watch_requests(ferry, moving),
    )
