"""OpenSSH's known_hosts: which key a host may present, and on which line that stands (sshd(8))."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import shlex
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ferryman.errors import ConfigError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

SSH_PORT = 22
RSA_SIGNATURES = {"rsa-sha2-512", "rsa-sha2-256"}
"""The signature algorithms of an RSA key (RFC 8332)."""
ANY_NAME = "*"
"""Where the lines stand whose patterns say more than one name."""
_SPECIAL = re.compile(r"[*?!]")


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """The host key that a host showed during key exchange."""

    algorithm: str
    blob: bytes
    """As it travels in the protocol, and as known_hosts has it in base64."""

    def __str__(self) -> str:
        return f"{self.algorithm} {fingerprint(self.blob)}"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of known_hosts: a key, and the patterns of the names that it is for."""

    line: int
    marker: str
    """``@revoked``, ``@cert-authority``, or empty."""
    patterns: tuple[str, ...]
    algorithm: str
    blob: bytes

    def names(self, name: str) -> bool:
        """Whether the line speaks of this name (``host``, or ``[host]:port`` off port 22)."""
        if any(_matches(pattern[1:], name) for pattern in self.patterns if pattern.startswith("!")):
            return False
        return any(_matches(pattern, name) for pattern in self.patterns)


@dataclass(frozen=True)
class KnownHosts:
    """A known_hosts file that was read whole."""

    path: Path
    keys: tuple[KnownKey, ...]
    unreadable: tuple[int, ...] = ()
    """Numbers of lines that could not be understood; they vouch for nothing."""

    @classmethod
    def load(cls, path: Path) -> KnownHosts:
        """Read the file.

        Raises:
            ConfigError: It cannot be read.
        """
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigError(
                f"ssh.known_hosts: {path}: {error.strerror}; "
                "it must have the key of every host that is to be reached"
            ) from error
        return cls.parse(path, text)

    @classmethod
    def parse(cls, path: Path, text: str) -> KnownHosts:
        """Parse the text of the file; lines that cannot be parsed are kept by number in ``unreadable``."""
        keys, unreadable = [], []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            key = _parse_line(number, line)
            if key is None:
                unreadable.append(number)
            else:
                keys.append(key)
        return cls(path, tuple(keys), tuple(unreadable))

    def for_host(self, names: Sequence[str]) -> tuple[KnownKey, ...]:
        """The lines for the first of these names that has any."""
        return next(filter(None, map(self._for_name, names)), ())

    def _for_name(self, name: str) -> tuple[KnownKey, ...]:
        if name not in self._found:
            plain = {*self._by_name.get(name, ()), *self._by_name.get(ANY_NAME, ())}
            hashed = {
                at for at, salt, wanted in self._hashed if hmac.digest(salt, name.encode(), "sha1") == wanted
            }
            likely = sorted(plain | hashed)
            self._found[name] = tuple(self.keys[at] for at in likely if self.keys[at].names(name))
        return self._found[name]

    @cached_property
    def _found(self) -> dict[str, tuple[KnownKey, ...]]:
        """A cache: the lines for each name that was looked up."""
        return {}

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        """Places in ``keys``: a fleet of many hosts must not be matched against every line of a long file."""
        places: dict[str, list[int]] = defaultdict(list)
        for at, key in enumerate(self.keys):
            for pattern in key.patterns:
                places[ANY_NAME if _SPECIAL.search(pattern) else pattern.lower()].append(at)
        return dict(places)

    @cached_property
    def _hashed(self) -> list[tuple[int, bytes, bytes]]:
        """Places in ``keys``, with salt and hash: these have to be tried one by one."""
        parts = (
            (at, _salt_and_hash(pattern)) for at, key in enumerate(self.keys) for pattern in key.patterns
        )
        return [(at, *part) for at, part in parts if part is not None]

    def algorithms(self, names: Sequence[str]) -> tuple[str, ...]:
        """The algorithms of the keys that are known for a host."""
        return tuple(dict.fromkeys(key.algorithm for key in self.for_host(names) if not key.marker))

    def signatures(self, names: Sequence[str]) -> frozenset[str]:
        """What the known keys of a host sign with, so that it is asked for one of them."""
        kinds = self.algorithms(names)
        return frozenset(kinds) | (RSA_SIGNATURES if "ssh-rsa" in kinds else set())

    def judge(self, host: str, names: Sequence[str], presented: PresentedKey) -> None:
        """Return when the key is the host's, by this file.

        Raises:
            UnreachableError: The host is unknown, its key is another, or it was revoked.
        """
        lines = self.for_host(names)
        for key in lines:
            if key.marker == "@revoked" and key.blob == presented.blob:
                raise UnreachableError(
                    f"{host}: host key: {presented} is revoked by {self.path}:{key.line}; "
                    "do not use this host"
                )
        plain = [key for key in lines if not key.marker]
        if any(key.blob == presented.blob for key in plain):
            return
        raise self._changed(host, names, presented, plain) if plain else self._unknown(host, names, presented)

    def _changed(
        self, host: str, names: Sequence[str], presented: PresentedKey, known: Iterable[KnownKey]
    ) -> UnreachableError:
        lines = ", ".join(
            f"{self.path}:{key.line} has {key.algorithm} {fingerprint(key.blob)}" for key in known
        )
        name = next(name for name in names if self.for_host([name]))
        return UnreachableError(
            f"{host}: host key: it changed: the host presents {presented}, {lines}; "
            f"someone may stand in between. {_verify(presented)}; only when that is the same: "
            f"ssh-keygen -f {shlex.quote(str(self.path))} -R {shlex.quote(name)}, and add the new key"
        )

    def _unknown(self, host: str, names: Sequence[str], presented: PresentedKey) -> UnreachableError:
        spoiled = f" (lines that could not be read: {', '.join(map(str, self.unreadable))})"
        authority = any(key.marker == "@cert-authority" for key in self.for_host(names))
        return UnreachableError(
            f"{host}: host key: unknown: no line of {self.path} has {' or '.join(names)}"
            f"{spoiled if self.unreadable else ''}"
            f"{'; its certificate authority is not enough, the key itself is needed' if authority else ''}; "
            f"the host presents {presented}. {_verify(presented)}; only when that is the same, add the line: "
            f"{names[0]} {presented.algorithm} {base64.b64encode(presented.blob).decode()}"
        )


def known_names(name: str, address: str | None, port: int) -> tuple[str, ...]:
    """What a host may be called in known_hosts: its name first, then the address it is reached at.

    >>> known_names("web1", "192.0.2.7", 2222)
    ('[web1]:2222', '[192.0.2.7]:2222')
    """
    names = dict.fromkeys(known.lower() for known in (name, address) if known)
    return tuple(known if port == SSH_PORT else f"[{known}]:{port}" for known in names)


def fingerprint(blob: bytes) -> str:
    """A key's fingerprint as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _verify(presented: PresentedKey) -> str:
    kind = presented.algorithm.removeprefix("ssh-").split("-")[0]
    return f"Compare on the host's console: ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"


def _parse_line(number: int, line: str) -> KnownKey | None:
    words = line.split()
    marker = words.pop(0) if words[0].startswith("@") else ""
    try:
        patterns, algorithm, encoded = words[:3]
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        return None
    if not blob[4:].startswith(algorithm.encode()):
        return None
    return KnownKey(number, marker, tuple(patterns.split(",")), algorithm, blob)


def _matches(pattern: str, name: str) -> bool:
    if hashed := _salt_and_hash(pattern):
        return hmac.compare_digest(hmac.digest(hashed[0], name.encode(), "sha1"), hashed[1])
    if not _SPECIAL.search(pattern):
        return pattern.lower() == name
    wild = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(wild, name) is not None


def _salt_and_hash(pattern: str) -> tuple[bytes, bytes] | None:
    """What ``HashKnownHosts yes`` writes in place of a name; None when it is something else, or broken."""
    if not pattern.startswith("|1|"):
        return None
    try:
        salt, wanted = (base64.b64decode(part, validate=True) for part in pattern.split("|")[2:])
    except (ValueError, binascii.Error):
        return None
    return salt, wanted
