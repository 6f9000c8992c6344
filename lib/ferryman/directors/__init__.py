"""Directors: their IPVS tables, and the drivers that read, change and put back one kind of director each."""

from __future__ import annotations

from ferryman.directors.checks.findings import catalog_findings, not_reached
from ferryman.directors.checks.other_services import others_findings, others_not_restored
from ferryman.directors.checks.preconditions import membership
from ferryman.directors.checks.scheduler_impact import impact_findings, observe_schedulers, rescheduled
from ferryman.directors.checks.segment import no_way_back
from ferryman.directors.checks.settings import (
    findings_of,
    real_outer_sources,
    with_real_sources,
)
from ferryman.directors.comparison import Comparison, compare_tables
from ferryman.directors.connections import connections_of, connections_question
from ferryman.directors.driver import Driver
from ferryman.directors.observe import DirectorStates, director_questions, observe_directors
from ferryman.directors.registry import DRIVERS, driver_for
from ferryman.directors.rotation import out_of_rotation
from ferryman.directors.routes import HostRoutes, RoutesState
from ferryman.directors.schedulers import scheduled
from ferryman.directors.target import SetForwarding, SetScheduler, Target
from ferryman.hosts.verbs.directors import DirectorState
from ferryman.hosts.verbs.routes import Route
from ferryman.ipvs.connections import HANDSHAKE_S, Connection, old_left, still_open
from ferryman.ipvs.listing import read_table
from ferryman.ipvs.table import (
    Destination,
    Table,
    VirtualServer,
    differences,
    from_json,
    of_others,
    of_service,
)

__all__ = [
    "DRIVERS",
    "HANDSHAKE_S",
    "Comparison",
    "Connection",
    "Destination",
    "DirectorState",
    "DirectorStates",
    "Driver",
    "HostRoutes",
    "Route",
    "RoutesState",
    "SetForwarding",
    "SetScheduler",
    "Table",
    "Target",
    "VirtualServer",
    "catalog_findings",
    "compare_tables",
    "connections_of",
    "connections_question",
    "differences",
    "director_questions",
    "driver_for",
    "findings_of",
    "from_json",
    "impact_findings",
    "membership",
    "no_way_back",
    "not_reached",
    "observe_directors",
    "observe_schedulers",
    "of_others",
    "of_service",
    "old_left",
    "others_findings",
    "others_not_restored",
    "out_of_rotation",
    "read_table",
    "real_outer_sources",
    "rescheduled",
    "scheduled",
    "still_open",
    "with_real_sources",
]
