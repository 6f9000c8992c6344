"""``ferryman lab``: up, down, status, exec, fault."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman import lab as the_lab
from ferryman.cli import likeness
from ferryman.click_shim import Choice, Exit, IntRange, PathType, argument, group, option, pass_obj
from ferryman.console import tables
from ferryman.errors import LabError, UsageError
from ferryman.lab import faults, topology
from ferryman.outcomes import Outcome

if TYPE_CHECKING:
    from ferryman.cli.app import App
    from ferryman.lab import EngineChoice


@group("lab")
def lab() -> None:
    """Hosts made on this machine, with real IPIP and IPVS.

    Two directors, three plain realservers, two Kubernetes-like nodes, a router and a client, each with
    its own sshd; or what an inventory has. Nothing addressed to one of them ever leaves this machine.
    """


@lab.command()
@option(
    "--engine",
    type=Choice(["auto", "guest", "netns"]),
    default="auto",
    show_default=True,
    help="guest: a kernel of its own, without root's rights. netns: this machine's kernel, as root.",
)
@option(
    "--sudo", is_flag=True, help="Every host has a user `ferry` too, without root: with sudo and the helper."
)
@option(
    "--like",
    type=PathType(path_type=Path),
    metavar="INVENTORY",
    help="Build it in the image of an inventory: its hosts, roles, services; addresses are the lab's.",
)
@option("--site", metavar="SITE", help="With --like: the site that is meant.")
@option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME",
    help="With --like: a service that it shall have; all that it can hold where none is named.",
)
@option(
    "--realservers",
    type=IntRange(1, 100),
    metavar="N",
    help="With --like: how many realservers of each service at most; 3 unless said otherwise.",
)
@pass_obj
def up(  # noqa: PLR0913  # the options of the command
    app: App,
    *,
    engine: EngineChoice,
    sudo: bool,
    like: Path | None,
    site: str | None,
    services: tuple[str, ...],
    realservers: int | None,
) -> None:
    """Boot it and wait until it is ready; quick when it is up already.

    With --like it says beforehand what it leaves out and what it has in the place of something else, with the
    map of addresses; and afterwards the command that migrates a service in it.
    """
    paths, lab = _paths(app), topology.DEFAULT
    if like is None and (site or services or realservers):
        raise UsageError("--site, --service and --realservers go with --like INVENTORY")
    if like is not None:
        if site is None:
            raise UsageError("--like INVENTORY wants --site SITE")
        lab = topology.from_inventory(like, site, services, realservers=realservers)
        the_lab.require_free(paths, lab)
        likeness.say_beforehand(lab, as_json=app.json)
    status = the_lab.up(paths, engine, topology=lab, sudo=sudo, cookbooks=app.config.cookbooks)
    if status.booted_s is None:
        tables.say(f"the lab is up already ({status.engine})", error=app.json)
    else:
        tables.say(
            f"the lab is up ({status.engine}), {len(status.hosts)} hosts, after {status.booted_s:.1f} s",
            error=app.json,
        )
    if like is not None:
        likeness.say_ready(paths, lab, as_json=app.json)


@lab.command()
@pass_obj
def down(app: App) -> None:
    """Take it down and leave nothing of it, nor of one that died."""
    tables.say("the lab is down" if the_lab.down(_paths(app)) else "there was no lab")


@lab.command()
@pass_obj
def status(app: App) -> None:
    """Whether it is up, which hosts answer, which faults are in."""
    now = the_lab.status(_paths(app))
    rows = [{"host": host, "sshd": "up" if answers else "down"} for host, answers in now.hosts.items()]
    if not now.up:
        tables.say("the lab is not up: ferryman lab up", error=True)
        raise Exit(Outcome.REFUSED.exit_code)
    tables.show(rows, ["host", "sshd"], as_json=app.json, empty="no hosts")
    after = now.topology.likeness if now.topology is not None else None
    if after is not None:
        likeness.show_map(after, as_json=app.json)
    if not app.json:
        if after is not None:
            tables.say(f"in the image of {after.source}; its configuration: {_paths(app).configuration_file}")
        tables.say(f"engine {now.engine}, process {now.pid}")
        tables.say("faults: " + (", ".join(now.faults) or "none"))


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@argument("host")
@argument("command", nargs=-1)
@pass_obj
def exec_(app: App, host: str, command: tuple[str, ...]) -> None:
    """Run a command on a host, or a shell where none is given: ``ferryman lab exec lvs1 -- ipvsadm -Ln``.

    The host ``control`` is the namespace that ferryman itself runs in.
    """
    argv = the_lab.exec_argv(_paths(app), host, command)
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # no shell is wanted: the vector is whole
    except OSError as error:
        raise LabError(f"{argv[0]}: cannot be started: {error.strerror}") from error


@lab.group()
def fault() -> None:
    """Faults, injected into a host on purpose."""


@fault.command("list")
@pass_obj
def list_(app: App) -> None:
    """Every fault that the lab can inject, and what each does."""
    rows = [{"fault": fault.name, "what_it_does": fault.description} for fault in faults.ALL]
    tables.show(rows, ["fault", "what_it_does"], as_json=app.json, empty="none")


@fault.command()
@argument("name")
@argument("host", required=False)
@pass_obj
def put(app: App, name: str, host: str | None) -> None:
    """Inject a fault into a host; into the first that it fits where none is named."""
    tables.say(f"in: {faults.put(_paths(app), name, host)}")


@fault.command()
@argument("name", required=False)
@argument("host", required=False)
@pass_obj
def clear(app: App, name: str | None, host: str | None) -> None:
    """Remove a fault; all of them where none is named."""
    for cleared in faults.clear(_paths(app), name, host):
        tables.say(f"cleared: {cleared}")


def _paths(app: App) -> the_lab.LabPaths:
    return the_lab.LabPaths.of(app.config.folder)
