"""``ferryman list`` and ``ferryman new``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.click_shim import argument, command, pass_obj
from ferryman.console import tables
from ferryman.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.cli.app import App
    from ferryman.cli.discovery import CookbookFile


@command("list")
@pass_obj
def list_(app: App) -> None:
    """Cookbooks, their owners, one line each; one that cannot be imported says why."""
    rows = [_described(file) for file in app.find_cookbooks().all()]
    tables.show(rows, ["cookbook", "owner", "what_it_does"], as_json=app.json, empty="no cookbooks")


def _described(file: CookbookFile) -> Mapping[str, object]:
    try:
        file.load()
    except UsageError as error:
        summary = f"BROKEN: {error}"
    else:
        summary = file.summary
    return {"cookbook": file.name, "owner": file.owner, "what_it_does": summary, "file": str(file.file)}


@command("new")
@argument("name")
@pass_obj
def new(app: App, name: str) -> None:
    """A new cookbook with test and scenario, from templates. NAME may have a folder: ``mtu/rollout``."""
    from ferryman.cli.template import write  # noqa: PLC0415  # only here

    folder = app.config.folder
    tests, scenarios = folder / "tests" / "unit" / "cookbooks", folder / "scenarios"
    for file in write(name, app.config.cookbooks[0], tests, scenarios):
        tables.say(f"wrote {file}")
