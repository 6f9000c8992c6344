"""``ferryman host-helper``: what is installed on a host that is reached by a user without root."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ferryman.cli.no_hosts import NoHosts
from ferryman.click_shim import Choice, command, option, pass_obj
from ferryman.directors.needs import director_needs
from ferryman.errors import ConfigError, UsageError
from ferryman.hosts.helper import render
from ferryman.hosts.helper.needs import Allowed, together
from ferryman.inventory import Inventory
from ferryman.inventory.problems import nearest
from ferryman.management.needs import agent_needs
from ferryman.model import Director, Role

if TYPE_CHECKING:
    from ferryman.cli.app import App
    from ferryman.config import ManagementConfig
    from ferryman.hosts.helper.forms import HostPart
    from ferryman.hosts.helper.needs import Needs, NeedsOf
    from ferryman.inventory.schema import DirectorEntry

_NOBODY = NoHosts(ConfigError("what a host needs is known without asking it"))


@command("host-helper")
@option(
    "--sudoers",
    type=Choice(["realserver", "director"]),
    help="Print the lines of sudoers for such a host instead, one for each verb.",
)
@option("--user", metavar="USER", help="For this user; else ssh.user of ferryman.toml.")
@option(
    "--commands",
    multiple=True,
    metavar="HOST",
    help="Print the list of the operator's commands and files that this host needs; may be given again.",
)
@pass_obj
def host_helper(app: App, sudoers: HostPart | None, user: str | None, commands: tuple[str, ...]) -> None:
    """Print what a host needs that is reached by a user without root; without options the helper itself.

    The helper goes to /usr/local/sbin/ferryman-host-helper, owned by root, mode 0755; it has every verb that
    needs root, and takes arguments as JSON. docs/guide.md ("A user without root") has the commands.
    """
    if sudoers is not None and commands:
        raise UsageError("--sudoers and --commands: each is a file of its own; give the one or the other")
    if sudoers is not None:
        if (named := user or app.config.ssh.user) is None:
            raise UsageError("--sudoers: for which user? give --user, or set ssh.user in ferryman.toml")
        sys.stdout.write(render.sudoers(named, sudoers))
    elif commands:
        inventory = Inventory.load(app.config.inventory)
        known = sorted(inventory.hosts)
        for host in commands:
            if host not in known:
                raise UsageError(f"--commands: the inventory has no host {host}, {nearest(host, known)}")
        needs_of = needs_in(inventory, app.config.management, strict=True)
        sys.stdout.write(render.commands(together(*map(needs_of, commands))))
    else:
        sys.stdout.write(render.program())


def needs_in(inventory: Inventory, management: ManagementConfig, *, strict: bool = False) -> NeedsOf:
    """What each host must allow a user without root, as the inventory and the configuration have it.

    A driver's faulty keys stop those who need that director's class, and here nobody; with ``strict`` they
    are raised as ConfigError.
    """

    def of_entry(host: str, site: str, lvs_class: str, entry: DirectorEntry) -> Needs:
        director = Director(host, Role(entry.role), entry.driver, dict(entry.model_extra or {}))
        try:
            return director_needs(director, site, lvs_class, _NOBODY)
        except ConfigError:
            if strict:
                raise
            return {}

    def needs_of(host: str) -> Needs:
        agent = agent_needs(management)
        directors = [of_entry(host, *found) for found in inventory.director_entries(host)]
        if directors:
            return together(*directors, agent)
        written = {"take-over": Allowed(), **agent} if management.realservers else {}
        return together({"facts": Allowed()}, written)

    return needs_of
