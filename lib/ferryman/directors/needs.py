"""What the user on a director without root must be allowed there: verbs, the operator's commands, files."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ferryman.directors.command import CommandDriver
from ferryman.directors.keepalived.driver import KeepalivedDriver
from ferryman.directors.liberica.driver import LibericaDriver
from ferryman.directors.pybal.driver import PybalDriver
from ferryman.directors.registry import driver_for
from ferryman.hosts.helper.needs import Allowed, literal, together
from ferryman.model import Service

if TYPE_CHECKING:
    from ferryman.directors.driver import Driver
    from ferryman.hosts.helper.needs import Needs
    from ferryman.hosts.hosts import Hosts
    from ferryman.model import Director

_ANY_SERVICE = "any-service-of-this-class"
"""Stands in a driver's own keys for the name of whichever service it is."""
_OF_EACH = ("take-over", "director-state", "add-host-routes", "remove-host-routes")
_WITH_IPVS = ("ipvs-table", "connections", "scheduler-state")
_QUESTIONS = ("verify", "read")
_FOLDER_DEPTH = 3
"""Parts of a path whose folder holds nothing but a daemon's own files: of /etc/x.conf it is /etc."""


def director_needs(director: Director, site: str, lvs_class: str, hosts: Hosts) -> Needs:
    """What a director of this class needs, whichever service is changed there; no host is asked.

    Raises:
        ConfigError: There is no such driver, or one of its keys is not what it takes.
    """
    service = Service(
        _ANY_SERVICE,
        site,
        encryption=False,
        lvs_class=lvs_class,
        encapsulated=False,
        virtual_services=(),
        realservers=(),
        directors=(director,),
    )
    driver = driver_for(director, service, hosts)
    verbs = (*_OF_EACH, *(_WITH_IPVS if driver.has_ipvs else ()))
    return together(dict.fromkeys(verbs, Allowed()), _own(driver))


def _own(driver: Driver) -> Needs:
    match driver:
        case KeepalivedDriver():
            return _keepalived(driver)
        case PybalDriver():
            restart, stop, start = map(_template, (driver.restart, driver.stop, driver.start))
            return {
                "pybal-read": Allowed((_template(driver.started),), (driver.config,)),
                "pybal-restart": Allowed((restart,)),
                "pybal-drain": Allowed((stop, start)),
            }
        case LibericaDriver():
            return {
                "liberica-read": Allowed(files=(driver.config,)),
                "liberica-reload": Allowed((_template(driver.reload),)),
            }
        case CommandDriver():
            return _commands(driver)
    return {"edit-table": Allowed()}


def _keepalived(driver: KeepalivedDriver) -> Needs:
    given = (driver.config, driver.service_file)
    files = tuple(dict.fromkeys(_place(path) for path in given if path is not None))
    return {
        "keepalived-read": Allowed(files=files),
        "keepalived-test": Allowed(files=files),
        "keepalived-write": Allowed((_template(driver.reload),), files),
    }


def _commands(driver: CommandDriver) -> Needs:
    """The operator's commands: ``verify`` and ``read`` only read."""
    entries = {
        key: command.words[0] if command.shell else command.words for key, command in driver.commands.items()
    }
    questions = tuple(entry for key, entry in entries.items() if key in _QUESTIONS)
    commands = tuple(entry for key, entry in entries.items() if key not in _QUESTIONS)
    return {"operator-question": Allowed(questions), "operator-command": Allowed(commands)}


def _template(command: str) -> str:
    """A driver's command in which the service's name may be any."""
    return literal(command).replace(_ANY_SERVICE, "{service}")


def _place(path: str) -> str:
    """The folder of a daemon's file, for the files that it includes; where that is not its own, the file."""
    folder = path.partition(_ANY_SERVICE)[0] if _ANY_SERVICE in path else path
    parts = PurePosixPath(folder.rpartition("/")[0]).parts
    return f"{'/'.join(parts)[1:]}/" if len(parts) >= _FOLDER_DEPTH else path
