"""Reading ``ferryman.toml``: everything that is wrong with it at once, each with its line."""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import ValidationError

from ferryman.config.etcd import NAMED_SO, fault_of_state
from ferryman.config.tables import Config
from ferryman.configfile import expanded
from ferryman.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def load(file: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: It cannot be read or used; the message has a line for each thing wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    if "file" in values:
        raise ConfigError(f"{file}:{_line_of(text, ('file',))}: file: unknown key")
    try:
        read = Config(file=file, **values)
    except ValidationError as error:
        raise ConfigError("\n".join(_problem(file, text, detail) for detail in error.errors())) from error
    if read.sqlite is None and read.etcd_cluster is None:
        where = f"{file}:{_line_of(text, ('state',))}"
        expected = f'expected "sqlite:PATH" or "{NAMED_SO}"'
        raise ConfigError(f"{where}: state: {fault_of_state(read.state) or repr(read.state)}, {expected}")
    if faults := list(read.etcd.faults(read.etcd_cluster)):
        lines = (f"{file}:{_line_of(text, ('etcd', key))}: etcd.{key}: {why}" for key, why in faults)
        raise ConfigError("\n".join(lines))
    return _with_absolute_paths(read)


def _with_absolute_paths(read: Config) -> Config:
    def absolute(path: Path) -> Path:
        return read.folder / expanded(path)

    files = {name: getattr(read.ssh, name) for name in ("identity", "known_hosts", "config")}
    ssh = read.ssh.model_copy(update={name: absolute(path) for name, path in files.items() if path})
    return read.model_copy(
        update={
            "inventory": absolute(read.inventory),
            "cookbooks": tuple(absolute(folder) for folder in read.cookbooks),
            "ssh": ssh,
            "hooks": read.hooks.in_folder(read.folder),
            "etcd": read.etcd.model_copy(
                update={
                    name: absolute(path)
                    for name in ("ca", "cert", "key", "password_file")
                    if (path := getattr(read.etcd, name)) is not None
                }
            ),
        }
    )


def _problem(file: Path, text: str, error: Any) -> str:  # noqa: ANN401  # pydantic_core.ErrorDetails, a dict
    keys = tuple(str(part) for part in error["loc"])
    where = f"{file}:{_line_of(text, keys)}: {'.'.join(keys)}"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _known_keys(keys[:-1]), n=1)
        return f"{where}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
    # A URL may be a secret, and a whole table may hold one.
    shows_input = keys[-1] != "url" and not isinstance(error["input"], dict)
    why = error["ctx"]["error"] if error["type"] == "value_error" else error["msg"]
    return f"{where}: {error['input']!r}: {why}" if shows_input else f"{where}: {why}"


def _known_keys(table: tuple[str, ...]) -> list[str]:
    known: Any = Config
    for key in table:
        if get_origin(known) is dict:  # its keys are names that the operator gave
            known = get_args(known)[1]
        else:
            field = getattr(known, "model_fields", {}).get(key)
            known = field and field.annotation
    return [name for name in getattr(known, "model_fields", {}) if name != "file" or table]


def _line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line where a key stands; tomllib keeps no positions, so the nearest line that names it."""
    table = ""
    best = 1
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = header.group(1).strip()
            if table == ".".join(keys):
                return number
            if ".".join(keys).startswith(f"{table}."):
                best = number
            continue
        if not (name := re.match(r"\s*([\w\"'.-]+)\s*=", line)):
            continue
        here = (f"{table}." if table else "") + name.group(1).strip("\"'")
        if here == ".".join(keys):
            return number
        if ".".join(keys).startswith(f"{here}."):
            best = number
    return best
