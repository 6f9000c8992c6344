"""``ferryman inventory``: is it sound, and the catalog edit alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.click_shim import Choice, Exit, argument, group, option, pass_obj
from ferryman.console import tables
from ferryman.inventory import lint
from ferryman.outcomes import Outcome

if TYPE_CHECKING:
    from ferryman.catalog import Encapsulation
    from ferryman.cli.app import App


@group("inventory")
def inventory() -> None:
    """Is the inventory sound? And the catalog edit alone."""


@inventory.command("lint")
@pass_obj
def lint_(app: App) -> None:
    """Every problem of the inventory: file, line, key, and what was expected there."""
    problems = lint(app.inventory_folder)
    errors = [problem for problem in problems if problem.severity == "error"]
    rows = [{"severity": problem.severity, "problem": str(problem)} for problem in problems]
    tables.show(rows, ["severity", "problem"], as_json=app.json, empty="the inventory is sound")
    if errors:
        raise Exit(Outcome.USAGE.exit_code)


@inventory.command()
@argument("service")
@option("--site", required=True, metavar="SITE", help="The site to do it at.")
@option("--to", type=Choice(["ipip", "direct"]), required=True, help="What the catalog is to say.")
@option("--write", is_flag=True, help="Write the file; without it the diff is only printed.")
@pass_obj
def flip(app: App, service: str, site: str, to: Encapsulation, write: bool) -> None:
    """The catalog edit alone, for a change that people review; prints the diff.

    The diff applies with ``patch -p1`` or ``git apply``; directors and realservers are not touched.
    Nothing is needed but services.yaml, and of that the service's own entry.
    """
    from ferryman.catalog import SERVICES_FILE, Catalog  # noqa: PLC0415  # lint edits nothing

    catalog = Catalog(app.inventory_folder / SERVICES_FILE)
    edit = catalog.flipped(service, site, to)
    if edit.before == edit.after:
        tables.say(f"{service} at {site}: the catalog says {to} already", error=True)
        return
    tables.diff(edit.diff)
    if write:
        catalog.require_writable()
        catalog.write(edit.after, expected=edit.before)
