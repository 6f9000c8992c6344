"""``ferryman replay``: recorded runs again, from their tapes alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman import configfile
from ferryman.cli import discovery
from ferryman.click_shim import Exit, PathType, argument, command, option, pass_obj
from ferryman.console import tables
from ferryman.errors import TapeError, UsageError
from ferryman.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.cli.app import App
    from ferryman.cookbook.command import CookbookCommand
    from ferryman.cookbook.replay import Replay


@command("replay")
@argument("tapes", nargs=-1, required=True, type=PathType(path_type=Path), metavar="TAPE…")
@option("--update", is_flag=True, help="Write a tape anew where the run differs in reads alone.")
@option("--junit", type=PathType(path_type=Path), metavar="FILE", help="Write the results as JUnit XML.")
@option("--lab", "in_lab", is_flag=True, help="Run it for real, on lab hosts in the recorded state.")
@option("--keep", is_flag=True, help="With --lab: leave the lab up.")
@pass_obj
def replay(  # noqa: PLR0913  # the options of the command
    app: App, *, tapes: Sequence[Path], update: bool, junit: Path | None, in_lab: bool, keep: bool
) -> None:
    """Run each tape's cookbook, as it is today, against what was recorded; a folder is a suite.

    No network, no root, no inventory: the tape has everything. Ends with 0 where every decision, change,
    finding and outcome is the recorded one, with 8 where something differs, with 2 where a tape cannot be
    read.

    With --lab a lab is made in the image of the tape's inventory, the state that its hosts were in is put
    in, and the cookbook runs there for real. What a lab cannot imitate is told beforehand and not judged.
    """
    from ferryman.junit import Result, write_junit  # noqa: PLC0415  # few need it

    files = _files(tapes)
    _require_sense(files, update=update, in_lab=in_lab, keep=keep)
    find = finder(app.find_cookbooks())
    results = []
    for file in files:
        began = time.monotonic()
        told: Sequence[str] = ()
        difference = error = None
        try:
            if in_lab:
                told, difference = _in_lab(app, file, find, keep=keep)
            else:
                done = _replayed(file, find, update=update)
                told, difference = done.told, None if done.difference is None else str(done.difference)
        except UsageError as unusable:
            error = str(unusable)
        result = Result(str(file), time.monotonic() - began, difference, error)
        results.append(result)
        _report(app, result, told)
    if junit is not None:
        _write(lambda: write_junit(junit, "ferryman replay", results), junit)
    if any(result.error for result in results):
        raise Exit(Outcome.USAGE.exit_code)
    if not all(result.passed for result in results):
        raise Exit(Outcome.DIFFERENT.exit_code)


def finder(cookbooks: discovery.CookbookGroup) -> Callable[[str], CookbookCommand]:
    """What finds a cookbook by its name, imported once; raises UsageError where there is none."""
    known: dict[str, CookbookCommand] = {}

    def find(name: str) -> CookbookCommand:
        if name not in known:
            known[name] = cookbooks.find(name).load()
        return known[name]

    return find


def difference_of(file: Path) -> str | None:
    """How a tape's run goes otherwise today, in words; None where it does not.

    The cookbooks are those of the configuration that is found from the working folder.

    Raises:
        UsageError: The tape cannot be read, or its cookbook is not there.
    """
    find = finder(discovery.read(configfile.cookbook_folders(configfile.find(None))))
    done = _replayed(file, find, update=False)
    return None if done.difference is None else str(done.difference)


def _replayed(file: Path, find: Callable[[str], CookbookCommand], *, update: bool) -> Replay:
    from ferryman.cookbook.replay import replay as replay_tape  # noqa: PLC0415  # brings in everything
    from ferryman.tape.file import write  # noqa: PLC0415  # as above

    done = replay_tape(file, find)
    if update and done.difference is None and done.entries != done.tape.entries:
        _write(lambda: write(file, done.tape.header, done.entries), file)
    return done


def _require_sense(files: Sequence[Path], *, update: bool, in_lab: bool, keep: bool) -> None:
    if keep and not in_lab:
        raise UsageError("--keep goes with --lab")
    if update and in_lab:
        raise UsageError("--update writes what a replay reads; with --lab everything is read anew")
    if keep and len(files) > 1:
        raise UsageError(f"--keep leaves one lab up, and there are {len(files)} tapes; name one of them")


def _in_lab(
    app: App, file: Path, find: Callable[[str], CookbookCommand], *, keep: bool
) -> tuple[Sequence[str], str | None]:
    from ferryman.cli.replay_lab import ReplayInLab  # noqa: PLC0415  # brings in everything

    judged = ReplayInLab(app, file, find, keep=keep).judged()
    return judged.told, None if judged.difference is None else str(judged.difference)


def _files(named: Sequence[Path]) -> list[Path]:
    """The tapes that are named, and those in the folders that are.

    Raises:
        TapeError: There is none of that name, or none in a folder.
    """
    found: list[Path] = []
    for path in named:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(path.rglob("*.tape"))
        if not inside:
            raise TapeError(f"{path}: has no tape in it; expected files named *.tape")
        found += inside
    return found


def _write(write: Callable[[], Any], file: Path) -> None:
    try:
        write()
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}") from error


def _report(app: App, result: Any, told: Sequence[str]) -> None:  # noqa: ANN401  # a junit.Result
    """One line for a tape, and what is different below it."""
    word = "unusable" if result.error else "equal" if result.passed else "different"
    if app.json:
        row = {"tape": result.name, "result": word, "seconds": round(result.seconds, 3)}
        row |= {"difference": result.difference, "error": result.error, "told": list(told)}
        tables.show([row], list(row), as_json=True, empty="")
        return
    tables.say(f"{word:9} {result.name}")
    for line in (result.difference or result.error or "").splitlines():
        tables.say(f"          {line}")
    for line in told:
        tables.say(f"          told: {line}")
