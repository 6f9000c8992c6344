"""Which drivers there are: a new one is entered here, under the name that directors.yaml calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.directors.command import CommandDriver
from ferryman.directors.ipvsadm import IpvsadmDriver
from ferryman.directors.keepalived.driver import KeepalivedDriver
from ferryman.directors.liberica.driver import LibericaDriver
from ferryman.directors.options import Options
from ferryman.directors.pybal.driver import PybalDriver
from ferryman.errors import ConfigError

if TYPE_CHECKING:
    from ferryman.directors.driver import Driver
    from ferryman.hosts.hosts import Hosts
    from ferryman.management import Agent
    from ferryman.model import Director, Service

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
