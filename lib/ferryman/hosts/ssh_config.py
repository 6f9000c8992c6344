"""What an ssh_config file says of a host (ssh_config(5)): the first value counts, and ``Match`` is told.

The keywords that are taken are in ``ssh_keywords.py``; the rest is of no effect here, or an objection that
names file, line and keyword. ``ssh -G`` is the judge: tests compare the two.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ferryman.config.jump import LAST_PORT, Jump
from ferryman.hosts import ssh_config_file
from ferryman.hosts.hop import ROOT, SSH_PORT
from ferryman.hosts.patterns import any_matches
from ferryman.hosts.ssh_keywords import ACCUMULATED, TAKEN, changes_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from ferryman.hosts.ssh_config_file import Line

T = TypeVar("T")

DEFAULT = Path("~/.ssh/config")
NONE = "none"
_REPLACED = re.compile(r"\$\{([^}]*)\}|%.?")
_YES, _NO = ("yes", "true"), ("no", "false")
_NAMES = ("host", "originalhost")
"""Criteria of ``Match`` that are known from the name alone."""


@dataclass(frozen=True, slots=True)
class SshHost:
    """What the file says of one host; None or nothing where it is silent."""

    hostname: str | None = None
    user: str | None = None
    port: int | None = None
    jump: tuple[Jump, ...] | None = None
    """Empty when it says ``none``."""
    alias: str | None = None
    """``HostKeyAlias``: the name to look up in known_hosts instead."""
    known_hosts: tuple[Path, ...] = ()
    """``UserKnownHostsFile`` and ``GlobalKnownHostsFile``."""
    identities: tuple[Path, ...] | None = None
    """Empty when it says ``none``."""
    certificates: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    """``IdentityAgent`` as it stands: ``none``, or a path."""
    objections: Mapping[str, str] = field(default_factory=dict)
    """By keyword: what would change how the host is connected to, and is not done; with file and line."""


@dataclass(frozen=True, slots=True)
class SshConfigFile:
    """An ssh_config file that was read whole, with those that it includes."""

    lines: tuple[Line, ...] = ()

    @classmethod
    def load(cls, path: Path, *, required: bool) -> Self:
        """Read the file; none where it is not there and need not be.

        Raises:
            ConfigError: It cannot be read, or others may write to it.
        """
        return cls(ssh_config_file.read(path, required=required))

    def mentions(self, *keywords: str) -> bool:
        """Whether any line, for whatever host, has one of these keywords (in lower case)."""
        return any(line.keyword in keywords for line in _flat(self.lines))

    def host(self, name: str, *, user: str | None = None, port: int | None = None) -> SshHost:
        """What the file says of a host, by its name; user and port where they are settled."""
        found = _Found(name)
        found.take(self.lines, applies=True)
        return _settled(found, user, port)


class _Found:
    """The first values for a host, with the lines that they stand on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.first: dict[str, Line] = {}
        self.all: dict[str, list[Line]] = {}
        self.objections: dict[str, str] = {}
        self._ignored: tuple[str, ...] = ()

    def take(self, lines: Iterable[Line], *, applies: bool) -> None:
        """Go through lines in order; ``applies``: whether those before the first ``Host`` do."""
        here: bool | None = applies
        match = None
        for line in lines:
            if line.keyword == "host":
                here = applies and self._is_named(line)
            elif line.keyword == "match":
                here, match = (self._is_matched(line) if applies else False), line
            elif line.keyword == "include":
                self._include(line, here, match)
            elif here:
                self._take(line)
            elif here is None and match is not None and self._may_matter(line):
                self._tell_match(match, line)

    def _include(self, line: Line, here: bool | None, match: Line | None) -> None:
        if here is None and match is not None:
            for inner in _flat(line.included):
                if self._may_matter(inner):
                    self._tell_match(match, inner)
            return
        if line.fault and here:
            self.objections.setdefault("include", f"{line}: {line.fault}")
        self.take(line.included, applies=bool(here))

    def _tell_match(self, match: Line, line: Line) -> None:
        self.objections.setdefault(
            "match",
            f"{match} {' '.join(match.arguments)}: whether it applies is not known to ferryman, "
            f"and {line.written} on line {line.number} would change how the host is reached",
        )

    def _take(self, line: Line) -> None:
        if line.fault:
            self.objections.setdefault(line.keyword, f"{line}: {line.fault}")
        elif line.keyword == "ignoreunknown":
            self._ignored = self._ignored or tuple(",".join(line.arguments).lower().split(","))
        elif line.keyword in ACCUMULATED:
            self.all.setdefault(line.keyword, []).append(line)
        elif line.keyword in ("proxyjump", "proxycommand"):
            if not {"proxyjump", "proxycommand"} & set(self.first):  # whichever comes first counts
                self.first[line.keyword] = line
        elif line.keyword in TAKEN:
            self.first.setdefault(line.keyword, line)
        elif line.keyword not in self.first:
            self.first[line.keyword] = line
            if not self._is_void(line):
                self.objections[line.keyword] = (
                    f"{line} {' '.join(line.arguments)}: ferryman does not do this, "
                    "and it may change how the host is reached"
                )

    def _may_matter(self, line: Line) -> bool:
        """Whether a line would change something, if it applied: the first value of a keyword counts."""
        return line.keyword in ACCUMULATED or not (line.keyword in self.first or self._is_void(line))

    def _is_void(self, line: Line) -> bool:
        if line.keyword in ("host", "match", "include"):
            return True
        return changes_nothing(line.keyword, line.arguments) or any_matches(self._ignored, line.keyword)

    def _is_named(self, line: Line) -> bool:
        return not line.fault and any_matches(line.arguments, self.name)

    def _is_matched(self, line: Line) -> bool | None:
        """Whether a ``Match`` applies; None when that is not known from the host's name."""
        words = list(line.arguments)
        if line.fault or not words:
            return None
        known: bool | None = True
        while words:
            criterion = words.pop(0).lower()
            negated = criterion.startswith("!")
            criterion = criterion.removeprefix("!")
            if criterion == "all":
                said = True
            elif criterion in _NAMES and words:
                said = any_matches(words.pop(0).lower().split(","), self._name_for(criterion).lower())
            else:
                known = None
                if criterion not in ("canonical", "final") and words:
                    words.pop(0)
                continue
            if said == negated:
                return False
        return known

    def _name_for(self, criterion: str) -> str:
        line = self.first.get("hostname")
        if criterion == "originalhost" or line is None:
            return self.name
        return line.arguments[0].replace("%h", self.name)


class _Values:
    """The values of a host as ferryman uses them; one that cannot be used is an objection."""

    def __init__(self, found: _Found) -> None:
        self._found = found
        self.tokens: dict[str, str] = {}

    def one(self, keyword: str, understand: Callable[[str], T]) -> T | None:
        """The first value of a keyword, None where there is none that can be used."""
        line = self._found.first.get(keyword)
        if line is None:
            return None
        try:
            return understand(line.arguments[0])
        except ValueError as error:
            self._found.objections.setdefault(keyword, f"{line} {line.arguments[0]}: {error}")
            return None

    def text(self, keyword: str) -> str | None:
        """The first value with its tokens replaced."""
        return self.one(keyword, lambda text: _expanded(text, self.tokens))

    def paths(self, lines: Iterable[Line]) -> tuple[Path, ...]:
        """All the files that these lines name."""
        return tuple(path for line in lines for path in self._files(line))

    def _files(self, line: Line) -> Iterator[Path]:
        for argument in line.arguments:
            if argument.lower() == NONE:
                continue
            try:
                yield Path(_expanded(argument, self.tokens)).expanduser()
            except (ValueError, RuntimeError) as error:
                self._found.objections.setdefault(line.keyword, f"{line} {argument}: {error}")

    def jump(self) -> tuple[Jump, ...] | None:
        """The jump hosts; a ``ProxyCommand`` that came first keeps them out, even if it says none."""
        command = self._found.first.get("proxycommand")
        if command is None:
            return self.one("proxyjump", _jumps)
        if command.arguments[0].lower() != NONE:
            self._found.objections.setdefault(
                "proxycommand", f"{command}: ferryman runs no command to connect; name a jump host instead"
            )
        return ()


def _settled(found: _Found, user: str | None, port: int | None) -> SshHost:
    values = _Values(found)
    values.tokens = {"h": found.name.lower(), "n": found.name}
    hostname = values.text("hostname")
    own_user, own_port = values.one("user", _plain), values.one("port", _port)
    values.tokens = _tokens(
        found.name, hostname or found.name.lower(), user or own_user or ROOT, port or own_port or SSH_PORT
    )
    files = [found.first[key] for key in ("userknownhostsfile", "globalknownhostsfile") if key in found.first]
    identities = found.all.get("identityfile")
    return SshHost(
        hostname=hostname,
        user=own_user,
        port=own_port,
        jump=values.jump(),
        alias=values.text("hostkeyalias"),
        known_hosts=values.paths(files),
        identities=None if identities is None else values.paths(identities),
        certificates=values.paths(found.all.get("certificatefile", ())),
        identities_only=values.one("identitiesonly", _boolean) is True,
        agent=values.text("identityagent"),
        objections=found.objections,
    )


def _plain(text: str) -> str:
    if "%" in text or "${" in text:
        raise ValueError("what is to be put in the place of its tokens is not known to ferryman")
    return text


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= LAST_PORT:
        raise ValueError("expected a port number, 1 to 65535")
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise ValueError("expected yes or no")
    return text.lower() in _YES


def _jumps(text: str) -> tuple[Jump, ...]:
    if text.lower() == NONE:
        return ()
    return tuple(Jump.parse(_plain(word.strip())) for word in text.split(","))


def _tokens(name: str, hostname: str, user: str, port: int) -> dict[str, str]:
    """What ssh puts in place of ``%`` and a letter."""
    here = socket.gethostname()
    tokens = {
        "d": str(Path("~").expanduser()),
        "h": hostname,
        "i": str(os.getuid()),
        "L": here.split(".")[0],
        "l": here,
        "n": name,
        "p": str(port),
        "r": user,
    }
    with suppress(KeyError):  # a user without a name has no %u
        tokens["u"] = pwd.getpwuid(os.getuid()).pw_name
    return tokens


def _expanded(text: str, tokens: Mapping[str, str]) -> str:
    def replace(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if found[1] is not None:
            value = os.environ.get(found[1])
            missing = f"the environment has no {found[1]}"
        else:
            value, missing = tokens.get(found[0][1:]), f"{found[0]} is not known to ferryman"
        if value is None:
            raise ValueError(missing)
        return value

    return _REPLACED.sub(replace, text)


def _flat(lines: Iterable[Line]) -> Iterator[Line]:
    for line in lines:
        yield line
        yield from _flat(line.included)
