"""What keeps an ordinary user from a path is named: its first part that is closed, with owner and mode."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.catalog import Catalog, GitCatalog
from ferryman.config import CatalogConfig
from ferryman.permissions import ENTER, READ, WRITE, denied, not_replaceable, user_name
from ordinary_user import USER, as_user, give
from tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs two users, whom only root can become")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the user's with ``a/b/file``; not below pytest's own, which no other user may enter."""
    with tempfile.TemporaryDirectory(prefix="ferryman-user-") as outer:
        Path(outer).chmod(0o711)
        found = Path(outer) / "home"
        (found / "a" / "b").mkdir(parents=True)
        (found / "a" / "b" / "file").touch()
        give(found)
        yield found
        for path in (found, *found.rglob("*")):
            path.chmod(0o700)


def forbidden(path: Path, wanted: int) -> str:
    return as_user(lambda: denied(path, wanted) or "nothing")


def test_nothing_is_denied_where_all_is_allowed(folder: Path) -> None:
    assert forbidden(folder / "a" / "b" / "file", READ | WRITE) == "nothing"
    assert forbidden(folder / "a", READ | WRITE | ENTER) == "nothing"
    assert forbidden(folder / "a" / "new" / "newer", WRITE) == "nothing"
    assert forbidden(folder / "gone" / "file", READ) == "nothing"


@pytest.mark.parametrize("closed", ["a", "a/b", "a/b/file"])
def test_the_first_part_that_is_closed_is_named(folder: Path, closed: str) -> None:
    (folder / closed).chmod(0)
    for wanted in (READ, WRITE):
        said = forbidden(folder / "a" / "b" / "file", wanted)
        assert said.startswith(f"{folder / closed} belongs to ")
        assert ", with mode 0000, and this process is run by " in said


def test_of_what_is_not_there_the_folder_is_named_that_it_cannot_be_made_in(folder: Path) -> None:
    (folder / "a").chmod(0o500)
    assert forbidden(folder / "a" / "new" / "newer", WRITE).startswith(f"{folder / 'a'} belongs to ")
    assert forbidden(folder / "a" / "new" / "newer", READ) == "nothing"


def test_a_link_is_judged_by_where_it_leads(folder: Path) -> None:
    (folder / "link").symlink_to("a/b/file")
    (folder / "a").chmod(0)
    assert forbidden(folder / "link", READ).startswith(f"{folder / 'a'} belongs to ")


def test_a_file_is_replaceable_by_whoever_may_write_its_folder(folder: Path) -> None:
    file = folder / "a" / "b" / "file"
    file.chmod(0o400)
    assert as_user(lambda: not_replaceable(file)) == "None"
    file.parent.chmod(0o500)
    assert as_user(lambda: not_replaceable(file)).startswith(f"{file.parent} belongs to ")


@needs_root
def test_a_file_of_somebody_else_in_a_folder_such_as_tmp_is_not(folder: Path) -> None:
    file = folder / "a" / "b" / "file"
    os.chown(file.parent, 0, 0)
    file.parent.chmod(0o1777)
    assert as_user(lambda: not_replaceable(file)) == "None"
    os.chown(file, 0, 0)
    file.chmod(0o666)
    said = as_user(lambda: not_replaceable(file))
    assert said == f"{file} belongs to root, with mode 0666, and this process is run by {USER}"


@needs_root
def test_a_user_without_a_name_is_a_number() -> None:
    assert (user_name(), as_user(user_name)) == ("root", str(USER))


def test_a_catalog_that_cannot_be_replaced_is_refused_before_it_is_written(folder: Path) -> None:
    file = folder / "a" / "b" / "services.yaml"
    file.touch()
    give(folder)
    check = partial(as_user, Catalog(file).require_writable)
    assert check() == "None"
    file.parent.chmod(0o500)
    said = check()
    assert said.startswith(f"RefusedError: {file}: may not be written: {file.parent} belongs to ")
    assert list(file.parent.glob(".*")) == []


def test_a_clone_that_nothing_can_be_committed_to_is_refused_beforehand(folder: Path) -> None:
    require_tool("git", package="git")
    file = folder / "services.yaml"
    file.touch()
    os.system(f"git init --quiet {folder}")  # a path of ours
    give(folder)
    check = partial(as_user, GitCatalog(file, CatalogConfig(base="main")).require_writable)
    assert check() == "None"
    (folder / ".git" / "objects").chmod(0o500)
    said = check()
    assert said.startswith(f"RefusedError: {folder}: nothing can be committed there: ")
    assert f"{folder / '.git' / 'objects'} belongs to " in said
