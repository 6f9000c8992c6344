"""Reading ``ferryman.toml``: everything that is wrong with it at once, each with its line."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from ferryman.config.etcd import NAMED_SO, fault_of_state
from ferryman.config.tables import Config
from ferryman.configfile import expanded
from ferryman.errors import ConfigError
from ferryman.redaction import redacted
from ferryman.trust import require_trusted

_SECRET_TABLES = {"state", "etcd", "hooks"}
_SECRET_KEYS = {"url", "user", "password", "run", "revision"}
"""Words of a command are among them: one may be a token."""
_HARMLESS = re.compile(r"(?!.*(?:://|:[^@]*@))[\w .:@/\[\]{}=~,-]{0,40}")
"""A short text that is no URL and has no password before a host."""


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
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or thousands of brackets
        raise ConfigError(f"{file}: a value in it is too long or nested too deeply to read") from error
    if "file" in values:
        raise ConfigError(f"{file}:{_line_of(text, ('file',))}: file: unknown key")
    try:
        read = Config(file=file, **values)
    except ValidationError as error:
        raise ConfigError("\n".join(_problem(file, text, detail) for detail in error.errors())) from error
    if read.sqlite is None and read.etcd_cluster is None:
        where = f"{file}:{_line_of(text, ('state',))}"
        expected = f'expected "sqlite:PATH" or "{NAMED_SO}"'
        raise ConfigError(f"{where}: state: {fault_of_state(read.state) or 'not understood'}, {expected}")
    if faults := list(read.etcd.faults(read.etcd_cluster)):
        lines = (f"{file}:{_line_of(text, ('etcd', key))}: etcd.{key}: {why}" for key, why in faults)
        raise ConfigError("\n".join(lines))
    found = _with_absolute_paths(read)
    _require_trusted(found, text)
    return found


def _require_trusted(config: Config, text: str) -> None:
    """Refuse a file that the configuration names and that somebody else may have written."""
    named = [(("ssh", key), value) for key, value in config.ssh] + [
        (("etcd", key), value) for key, value in config.etcd
    ]
    for keys, path in named:
        if isinstance(path, Path):
            require_trusted(path, f"{config.file}:{_line_of(text, keys)}: {'.'.join(keys)}")
    for name, log in config.hooks.log.items():
        if log.file is not None:
            place = ("hooks", "log", name, "file")
            where = f"{config.file}:{_line_of(text, place)}: {'.'.join(place)}"
            require_trusted(log.file, where, ours_alone=False)


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
    shows_input = _may_be_shown(keys, error["input"])
    why = error["ctx"]["error"] if error["type"] == "value_error" else error["msg"]
    return f"{where}: {error['input']!r}: {why}" if shows_input else f"{where}: {why}"


def _may_be_shown(keys: tuple[str, ...], value: object) -> bool:
    """Whether a wrong value is no secret: URLs, tables, and what stands in a place of theirs may be one."""
    if keys[-1] in _SECRET_KEYS:
        return False
    if isinstance(value, str):
        speaks_of_hosts = keys[0] not in _SECRET_TABLES or "matchers" in keys
        return speaks_of_hosts and bool(_HARMLESS.fullmatch(value)) and redacted(value) == value
    return value == [] or isinstance(value, int | float)


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
