"""``ferryman inventory``: is it sound, and the catalog edit alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.commandline import Choice, Exit, group, option, pass_obj
from ferryman.console import tables
from ferryman.cookbook.command import service_argument, site_option
from ferryman.cookbook.ferry import SERVICES_FILE
from ferryman.inventory import Catalog, Inventory, lint

if TYPE_CHECKING:
    from ferryman.cli.app import App
    from ferryman.inventory import Encapsulation

UNSOUND = 2


@group("inventory")
def inventory() -> None:
    """Is the inventory sound? And the catalog edit alone."""


@inventory.command("lint")
@pass_obj
def lint_(app: App) -> None:
    """Every problem of the inventory: file, line, key, and what was expected there."""
    problems = lint(app.config.inventory)
    errors = [one for one in problems if one.severity == "error"]
    rows = [{"severity": one.severity, "problem": str(one)} for one in problems]
    tables.show(rows, ["severity", "problem"], as_json=app.json, empty="the inventory is sound")
    if errors:
        raise Exit(UNSOUND)


@inventory.command()
@service_argument
@site_option
@option("--to", type=Choice(["ipip", "direct"]), required=True, help="What the catalog is to say.")
@option("--write", is_flag=True, help="Write the file; without it the diff is only printed.")
@pass_obj
def flip(app: App, service: str, site: str, to: Encapsulation, write: bool) -> None:
    """The catalog edit alone, for a change that people review; prints the diff.

    The diff applies with ``patch -p1`` or ``git apply``; directors and realservers are not touched.
    """
    Inventory.load(app.config.inventory).service(service, site)
    catalog = Catalog(app.config.inventory / SERVICES_FILE)
    edit = catalog.flipped(service, site, to)
    if edit.before == edit.after:
        tables.say(f"{service} at {site}: the catalog says {to} already", error=True)
        return
    tables.diff(edit.diff)
    if write:
        catalog.write(edit.after, expected=edit.before)
