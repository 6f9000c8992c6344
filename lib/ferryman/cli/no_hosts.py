"""Stands for the hosts while a plan is built, where they cannot be reached as the configuration is.

So a misspelt service is told beside a missing key, and not once the key is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ferryman.errors import ConfigError, FerrymanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.cookbook.command import CookbookCommand
    from ferryman.cookbook.context import Ferry
    from ferryman.engine.plan import Plan


class NoHosts:
    """Hosts of which none can be reached; whatever is asked of them raises why."""

    def __init__(self, why: ConfigError) -> None:
        self.why = why

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise self.why

    read = write = read_all = read_together = write_and_read = _refuse


def plan_of(cookbook: CookbookCommand, ferry: Ferry, arguments: Mapping[str, object]) -> Plan:
    """The plan for these arguments.

    Raises:
        ConfigError: The hosts cannot be reached; with what is wrong with the arguments too, where it is.
        FerrymanError: Whatever the cookbook raises.
    """
    hosts = ferry.hosts
    if not isinstance(hosts, NoHosts) or cookbook.asks != "hosts":
        return cookbook.plan(ferry, arguments)
    try:
        cookbook.plan(ferry, arguments)
    except FerrymanError as error:
        if error is not hosts.why:
            raise ConfigError(f"{error}\n{hosts.why}") from error
    raise hosts.why
