"""What tests need of the machine; one that lacks it says what to install, and with ``$CI`` set it fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

from ferryman.hosts.hosts import each_by_itself
from ferryman.hosts.verbs.operator import OperatorCommand, OperatorQuestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.hosts.hosts import Hosts, Questions
    from ferryman.hosts.verbs import ReadVerb, WriteVerb

T = TypeVar("T")

PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
"""Where programs are looked for: an ordinary user's path has no folder of root's programs."""


def require_tool(*names: str, package: str) -> None:
    """Skip the test, or every test of the fixture, unless these programs are installed.

    Args:
        names: The programs.
        package: The Debian package that has them, which ``make setup-dev`` installs.
    """
    missing = [name for name in names if shutil.which(name, path=PATH) is None]
    if missing:
        what = f"{', '.join(missing)} (Debian package {package})"
        skip_or_fail(f"not installed: {what}; `make setup-dev` installs it")


def program(name: str) -> str:
    """Where a program of this machine is; root's are found too.

    Raises:
        FileNotFoundError: It is not installed; ``require_tool`` has not been asked.
    """
    found = shutil.which(name, path=PATH)
    if found is None:
        raise FileNotFoundError(name)
    return found


class OneByOne:
    """For hosts of tests that are asked one thing after the other: what goes there together, by itself."""

    def read_together(self: Hosts, questions: Questions) -> dict[str, list[Any]]:
        return each_by_itself(self, questions)

    def write_and_read(
        self: Hosts, host: str, verb: WriteVerb[T], questions: Sequence[ReadVerb[Any]]
    ) -> tuple[T, list[Any]]:
        return self.write(host, verb), each_by_itself(self, {host: questions})[host]


def skip_or_fail(reason: str) -> NoReturn:
    """Skip for what the machine lacks; where ``$CI`` is set nothing may be missing, and the test fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} ($CI is set: this may not be skipped)", pytrace=False)
    pytest.skip(reason)


def real_inventory() -> Path:
    """The folder with the real catalog and nodes; skips where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "wmf"
    folder = Path(os.environ.get("FERRYMAN_DATA", beside))
    found = next((place for place in (folder, folder / "wmf") if (place / "services.yaml").is_file()), None)
    if found is None:
        pytest.skip(f"no real inventory at {folder}; $FERRYMAN_DATA says where one is")
    return found


def first_of(values: Iterable[Any], count: int = 1) -> list[Any]:
    """Parameters of a test: the first ones are in every run, the others in ``make test-all`` alone.

    A tuple has a value for each of several parameters.
    """
    given = list(values)
    more = [value if isinstance(value, tuple) else (value,) for value in given[count:]]
    return [*given[:count], *(pytest.param(*value, marks=pytest.mark.extended) for value in more)]


def asks(text: str, given: str = "", timeout_s: float | None = None) -> OperatorQuestion:
    """What asks a host a text of sh, for what no verb asks; its value is how that ended."""
    return OperatorQuestion((text,), shell=True, given=given, timeout_s=timeout_s)


def does(text: str, given: str = "", timeout_s: float | None = None) -> OperatorCommand:
    """What does a text of sh on a host, for what no verb does; its value is how that ended."""
    return OperatorCommand((text,), shell=True, given=given, timeout_s=timeout_s)
