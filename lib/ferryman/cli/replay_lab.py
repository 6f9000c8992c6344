"""``ferryman replay --lab``: a recorded run again, for real, on lab hosts in the recorded state."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ferryman import configfile
from ferryman import lab as the_lab
from ferryman.click_shim import Argument, Option
from ferryman.console import tables
from ferryman.errors import FerrymanError, TapeError, UsageError
from ferryman.lab.ready import INVENTORY
from ferryman.tape.codec import NotDataError
from ferryman.tape.difference import Difference
from ferryman.tape.file import SUFFIX, read
from ferryman.tape.in_lab.image import image_of
from ferryman.tape.in_lab.judging import Judgement, judge
from ferryman.tape.in_lab.putting import put_in
from ferryman.tape.in_lab.settings import toml_of
from ferryman.tape.in_lab.state import state_of
from ferryman.tape.in_lab.unlike import unlike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ferryman.cli.app import App
    from ferryman.cookbook.command import CookbookCommand
    from ferryman.tape.file import Tape
    from ferryman.tape.form import Header
    from ferryman.tape.in_lab.image import Image
    from ferryman.tape.in_lab.names import Names
    from ferryman.tape.in_lab.state import State
    from ferryman.tape.in_lab.unlike import Unlike

FOLDER = ".ferryman/lab-replay"
"""Where the configuration of the lab's run is, beside the user's own."""
_SHOWN_LINES = 5


class ReplayInLab:
    """One tape's replay in a lab."""

    def __init__(
        self, app: App, file: Path, find: Callable[[str], CookbookCommand], *, keep: bool = False
    ) -> None:
        self._app = app
        self._file = file
        self._find = find
        self._keep = keep
        found = configfile.find(app.named_config)
        self._cookbooks = [folder.resolve() for folder in configfile.cookbook_folders(found)]
        self._folder = found.resolve().parent / FOLDER

    def judged(self) -> Judgement:
        """How the run in the lab compares with the recorded one.

        Raises:
            UsageError: The tape, its cookbook or the lab cannot be used; no lab is left up.
        """
        tape = read(self._file)
        if tape.header.action != "perform":
            raise TapeError(
                f"{self._file}: is of a {tape.header.action}; in a lab only whole runs can be run"
            )
        try:
            cookbook = self._find(tape.header.cookbook)
        except FerrymanError as error:
            raise TapeError(f"{self._file}: {error}") from error
        image = image_of(tape)
        try:
            state = state_of(tape)
            found = unlike(tape, image, state)
        except NotDataError as error:
            raise TapeError(f"{self._file}: {error}") from error
        for what in found.told:
            self._say("not imitated", what)
        with self._lab(image) as paths:
            self._put_in(paths, image, state, found)
            now = self._run(paths, tape, image.names, cookbook)
        if isinstance(now, Difference):
            return Judgement(now)
        return judge(tape, now, image.names, found, state.judged_phases)

    @contextmanager
    def _lab(self, image: Image) -> Iterator[the_lab.LabPaths]:
        """The lab, for as long as the ``with`` lasts; what another replay has left is cleared first."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with self._folder.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"{self._folder}: another replay --lab runs here; wait for its end"
                ) from None
            paths = the_lab.LabPaths.of(self._folder)
            self._clear(paths)
            try:
                the_lab.up(paths, topology=image.lab)
                yield paths
            finally:
                if not self._keep:
                    self._clear(paths)
        if self._keep:
            config = self._folder / "ferryman.toml"
            self._say("kept", f"the lab is up; take it down with: ferryman --config {config} lab down")

    def _clear(self, paths: the_lab.LabPaths) -> None:
        the_lab.down(paths)
        if self._folder.is_dir():
            shutil.rmtree(self._folder)

    def _put_in(self, paths: the_lab.LabPaths, image: Image, state: State, found: Unlike) -> None:
        known = len(found.told)
        for what in put_in(paths, image, state, found):
            self._say("put in", what)
        for what in found.told[known:]:
            self._say("not imitated", what)

    def _run(
        self, paths: the_lab.LabPaths, tape: Tape, names: Names, cookbook: CookbookCommand
    ) -> Tape | Difference:
        """Run the cookbook; the tape of that run, or what kept it from beginning."""
        shutil.copytree(paths.configuration / INVENTORY, self._folder / "inventory")
        config = self._folder / "ferryman.toml"
        config.write_text(toml_of(tape.header.config, names, self._cookbooks))
        command = [sys.executable, "-m", "ferryman", "--config", str(config), "--output", "json"]
        done = subprocess.run(
            [*command, *words_of(cookbook, tape.header, names)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        tapes = sorted((self._folder / ".ferryman" / "tapes").glob(f"*{SUFFIX}"))
        if tapes:
            return read(tapes[-1])
        complaint = "\n  ".join(done.stderr.strip().splitlines()[:_SHOWN_LINES])
        return Difference(f"it did not begin, and ended with exit code {done.returncode}", complaint)

    def _say(self, word: str, what: str) -> None:
        if self._app.json:
            print(json.dumps({"tape": str(self._file), word.replace(" ", "_"): what}))  # noqa: T201  # the screen
        else:
            tables.say(f"{word}: {what}")


def words_of(cookbook: CookbookCommand, header: Header, names: Names) -> list[str]:
    """The words of the command that runs a tape's cookbook with its arguments."""
    words = [*header.cookbook.split(), "--yes", f"--on-doubt={header.options['on_doubt']}"]
    words += ["--dry-run"] if header.options["dry_run"] else []
    for parameter in cookbook.params:
        if isinstance(parameter, Option) and parameter.name in header.arguments:
            words += _option(parameter, header.arguments[parameter.name], names)
    given = [header.arguments[each.name] for each in cookbook.params if _is_given(each, header.arguments)]
    # What a tape says is never taken for an option.
    return [*words, "--", *(_word(each, names) for value in given for each in _listed(value))]


def _is_given(parameter: object, arguments: Mapping[str, Any]) -> bool:
    return isinstance(parameter, Argument) and arguments.get(str(parameter.name)) is not None


def _option(option: Option, value: object, names: Names) -> list[str]:
    longest = max(option.opts, key=len)
    if option.is_flag:
        if value:
            return [longest]
        return [option.secondary_opts[0]] if option.secondary_opts else []
    return [f"{longest}={_word(each, names)}" for each in _listed(value) if each is not None]


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]


def _word(value: object, names: Names) -> str:
    return names.text(str(value))
