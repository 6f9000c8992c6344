"""Where ``ferryman.toml`` is, and the keys of it that are needed before the rest is checked."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from ferryman.errors import ConfigError
from ferryman.permissions import ENTER, READ, denied, user_name
from ferryman.trust import require_trusted

FILE_NAME = "ferryman.toml"
SYSTEM_FILE = Path("/etc/ferryman/ferryman.toml")
STATE = "sqlite:.ferryman/state.db"
"""Where the journal is, unless ``state`` says otherwise."""
KEYS = frozenset(
    {
        *("inventory", "cookbooks", "state", "lab"),
        *("ssh", "probe", "traffic", "directors", "watch", "catalog", "management", "tape", "etcd", "hooks"),
    }
)
"""The keys and tables that the file may have at its top."""


def find(named: Path | None, *, start: Path | None = None) -> Path:
    """The configuration file: as named, ``$FERRYMAN_CONFIG``, upwards from here, then /etc.

    Raises:
        ConfigError: There is none; the message says where it was looked for. Or somebody else may have
            written it, whichever way it was found.
    """
    for what, path in (("--config", named), ("$FERRYMAN_CONFIG", _from_environment())):
        if path is not None:
            if obstacle := denied(path, READ):
                raise ConfigError(f"{what}: {path}: cannot be read: {obstacle}")
            if not path.is_file():
                raise ConfigError(f"{what}: {path}: no such file")
            require_trusted(path, what)
            return path.resolve()
    here = (start or Path.cwd()).resolve()
    for file in (*(folder / FILE_NAME for folder in (here, *here.parents)), SYSTEM_FILE):
        if denied(file.parent, ENTER) is None and file.is_file():
            require_trusted(file, "configuration")
            return file
    obstacle = denied(here, ENTER)
    raise ConfigError(
        f"no {FILE_NAME} in {here} or above it, and no {SYSTEM_FILE}; "
        "name one with --config or in $FERRYMAN_CONFIG" + (f"; {obstacle}" if obstacle else "")
    )


def expanded(path: Path) -> Path:
    """The path with ``~`` replaced by the user's home.

    Raises:
        ConfigError: The user has none.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        message = f"{path}: user {user_name()} has no home that is known: set $HOME, or write the whole path"
        raise ConfigError(message) from error


def cookbook_folders(file: Path) -> list[Path]:
    """The folders that cookbooks are looked for in; the default where the file has no usable list.

    ``config.load`` says what is wrong with the file; ``--help`` has to work all the same.
    """
    try:
        named = tomllib.loads(file.read_text(encoding="utf-8")).get("cookbooks", ["cookbooks"])
    except (OSError, ValueError, RecursionError):
        named = ["cookbooks"]
    folders = named if isinstance(named, list) else [named]
    return [file.parent / expanded(Path(folder)) for folder in folders if isinstance(folder, str)]


def inventory_folder(file: Path) -> Path:
    """The inventory's folder, for commands that need nothing else of the configuration.

    Raises:
        ConfigError: The file cannot be read, or does not say where the inventory is.
    """
    try:
        named = tomllib.loads(file.read_text(encoding="utf-8")).get("inventory", "inventory")
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    if not isinstance(named, str):
        raise ConfigError(f"{file}: inventory: expected the path of the inventory's folder")
    return file.parent / expanded(Path(named))


def sqlite_file(file: Path) -> Path | None:
    """The SQLite file that ``state`` names, for commands that need nothing else of the configuration.

    None where all of it has to be checked to know: ``state`` names no such file, or a key of another name may
    be meant as ``state``. What ``[etcd]`` says counts only beside a cluster's, so that is a fault too.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not values.keys() <= KEYS - {"etcd"}:
        return None
    return sqlite_of(str(values.get("state", STATE)), file.parent)


def sqlite_of(state: str, folder: Path) -> Path | None:
    """The SQLite file that a text names, ``sqlite:PATH``; None when it is not one.

    Raises:
        ConfigError: It begins with ``~``, and the user has no home.
    """
    scheme, _, place = state.partition(":")
    return folder / expanded(Path(place)) if scheme == "sqlite" and place else None


def _from_environment() -> Path | None:
    named = os.environ.get("FERRYMAN_CONFIG")
    return Path(named) if named else None
