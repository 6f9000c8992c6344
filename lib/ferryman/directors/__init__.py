"""Directors: their IPVS tables, and the drivers that read, change and put back one kind of director each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.directors.checks import (
    findings_of,
    real_outer_sources,
    with_real_sources,
)
from ferryman.directors.command import CommandDriver
from ferryman.directors.comparison import Comparison, compare_tables
from ferryman.directors.connections import HANDSHAKE_S, Connection, closing_is_over, old_left, still_open
from ferryman.directors.connections import read as read_connections
from ferryman.directors.driver import Driver
from ferryman.directors.findings import catalog_findings, not_reached
from ferryman.directors.ipvs import (
    Destination,
    Table,
    VirtualServer,
    differences,
    from_json,
    of_others,
    of_service,
)
from ferryman.directors.ipvs_listing import READ_TABLE, read_table
from ferryman.directors.ipvsadm import IpvsadmDriver
from ferryman.directors.keepalived import KeepalivedDriver
from ferryman.directors.liberica import LibericaDriver
from ferryman.directors.observe import DirectorState, Seen, look_at_directors
from ferryman.directors.options import Options
from ferryman.directors.other_services import left_changed, others_findings
from ferryman.directors.preconditions import membership
from ferryman.directors.pybal import PybalDriver
from ferryman.directors.routes import HostRoutes, Route, RoutesSeen
from ferryman.directors.scheduler_impact import foretold, look_at_schedules, rescheduled
from ferryman.directors.schedulers import scheduled
from ferryman.directors.target import SetForwarding, SetScheduler, Target
from ferryman.errors import ConfigError

if TYPE_CHECKING:
    from ferryman.hosts.hosts import Hosts
    from ferryman.management import Agent
    from ferryman.model import Director, Service

__all__ = [
    "DRIVERS",
    "HANDSHAKE_S",
    "READ_TABLE",
    "CommandDriver",
    "Comparison",
    "Connection",
    "Destination",
    "DirectorState",
    "Driver",
    "HostRoutes",
    "Route",
    "RoutesSeen",
    "Seen",
    "SetForwarding",
    "SetScheduler",
    "Table",
    "Target",
    "VirtualServer",
    "catalog_findings",
    "closing_is_over",
    "compare_tables",
    "differences",
    "driver_for",
    "findings_of",
    "foretold",
    "from_json",
    "left_changed",
    "look_at_directors",
    "look_at_schedules",
    "membership",
    "not_reached",
    "of_others",
    "of_service",
    "old_left",
    "others_findings",
    "read_connections",
    "read_table",
    "real_outer_sources",
    "rescheduled",
    "scheduled",
    "still_open",
    "with_real_sources",
]

DRIVERS: dict[str, type[Driver]] = {
    "command": CommandDriver,
    "ipvsadm": IpvsadmDriver,
    "keepalived": KeepalivedDriver,
    "liberica": LibericaDriver,
    "pybal": PybalDriver,
}
"""By the name that directors.yaml calls them."""


def driver_for(director: Director, service: Service, hosts: Hosts, agent: Agent | None = None) -> Driver:
    """The driver that reads, changes and puts back this service on this director.

    The agent is what brings the director in line with the catalog; None: nothing but the driver does.

    Raises:
        ConfigError: There is no such driver, or one of its keys is not what it takes.
    """
    driver = DRIVERS.get(director.driver)
    if driver is None:
        where = Options(director, service).where
        raise ConfigError(
            f"{where}: driver: is {director.driver!r}, expected one of {', '.join(sorted(DRIVERS))}"
        )
    return driver(director, service, hosts, agent)
