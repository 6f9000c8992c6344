"""``[hooks]`` in ``ferryman.toml``: who is told when a run changes something, and when it has ended."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    SecretStr,
    model_validator,
)

from ferryman.config.table import Table
from ferryman.configfile import expanded

T = TypeVar("T")

_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.+)", re.DOTALL)
_SYSLOG_PORT = 514


def _http_url(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # whose message quotes what it cannot read
        is_whole = False
    if not is_whole:
        raise ValueError("expected http://HOST… or https://HOST…") from None
    return url


Url = Annotated[SecretStr, AfterValidator(_http_url)]
"""Its path, its user and its query may each be a secret: it is never printed whole."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One matcher of a silence, as ``amtool`` writes it: ``service={service}``, ``instance=~{service}.*``."""

    name: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str
    """May name arguments of the run in braces; a brace of a pattern's own is doubled."""

    @classmethod
    def parsed(cls, text: object) -> Matcher:
        """From ``NAME=VALUE``, with or without quotes around the value.

        Raises:
            ValueError: It is none.
        """
        found = _MATCHER.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(
                'expected NAME=VALUE, NAME!=VALUE, NAME=~PATTERN or NAME!~PATTERN, such as "a={b}"'
            )
        name, operator, value = found.groups()
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        for _, argument, form, conversion in Formatter().parse(value):
            if argument is not None and (not argument.isidentifier() or form or conversion):
                raise ValueError(
                    "in braces stands the name of an argument; a pattern's own braces are doubled"
                )
        return cls(name, operator, value)  # type: ignore[arg-type]  # the pattern has no other operators


class AlertmanagerConfig(Table):
    """``[hooks.alertmanager.NAME]``: a silence for as long as a run changes something."""

    url: Url
    matchers: tuple[Annotated[InstanceOf[Matcher], BeforeValidator(Matcher.parsed)], ...] = Field(
        min_length=1
    )
    duration: int = Field(default=900, ge=60, le=604_800)
    """Seconds from the last renewal until the silence ends by itself; it is renewed at half of it."""


class WebhookConfig(Table):
    """``[hooks.webhook.NAME]``: a message to a channel, as Slack and those compatible with it take it."""

    url: Url


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """Where a syslog daemon listens: a Unix socket, or a host and a port over UDP or TCP."""

    transport: Literal["unix", "udp", "tcp"]
    place: str
    """The path of the socket, or the host."""
    port: int = _SYSLOG_PORT

    def __str__(self) -> str:
        if self.transport == "unix":
            return self.place
        host = f"[{self.place}]" if ":" in self.place else self.place
        return f"{self.transport}://{host}:{self.port}"

    @classmethod
    def parsed(cls, text: object) -> SyslogAddress:
        """From ``/dev/log``, ``udp://HOST:PORT`` or ``tcp://HOST:PORT``.

        Raises:
            ValueError: It is none of them.
        """
        if isinstance(text, str):
            if text.startswith("/"):
                return cls("unix", text)
            try:
                parts = urlsplit(text)
                port = parts.port or _SYSLOG_PORT
            except ValueError as error:
                what = "Port out of range" if "out of range" in str(error) else "no address"
                raise ValueError(f'{what}: expected "udp://HOST:PORT" or "tcp://HOST:PORT"') from None
            if parts.scheme in ("udp", "tcp") and parts.hostname and not parts.path.strip("/"):
                return cls("udp" if parts.scheme == "udp" else "tcp", parts.hostname, port)
        raise ValueError('expected "/dev/log", "udp://HOST:PORT" or "tcp://HOST:PORT"')


class LogConfig(Table):
    """``[hooks.log.NAME]``: a line to a file or to syslog."""

    file: Path | None = None
    syslog: Annotated[InstanceOf[SyslogAddress], BeforeValidator(SyslogAddress.parsed)] | None = None
    facility: Literal[
        "user", "daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
    ] = "user"

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.syslog is None):
            raise ValueError("expected either file or syslog")
        return self


def _named(tables: T) -> T:
    if isinstance(tables, dict) and not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError("each of them has a name of its own: [hooks.KIND.NAME]")
    return tables


class HooksConfig(Table):
    """``[hooks]``: none of them stops a run, or delays it by more than ``timeout``."""

    timeout: float = Field(default=5.0, gt=0, le=30)
    """Seconds that all hooks together have before the first change, and again after the run."""
    alertmanager: Annotated[dict[str, AlertmanagerConfig], BeforeValidator(_named)] = Field(
        default_factory=dict
    )
    webhook: Annotated[dict[str, WebhookConfig], BeforeValidator(_named)] = Field(default_factory=dict)
    log: Annotated[dict[str, LogConfig], BeforeValidator(_named)] = Field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no hook is configured."""
        return not (self.alertmanager or self.webhook or self.log)

    def in_folder(self, folder: Path) -> Self:
        """The same hooks, with relative paths of files taken from this folder."""
        logs = {
            name: log if log.file is None else log.model_copy(update={"file": folder / expanded(log.file)})
            for name, log in self.log.items()
        }
        return self.model_copy(update={"log": logs})
