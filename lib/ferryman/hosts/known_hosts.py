"""OpenSSH's known_hosts: which key a host may present, and on which line that stands (sshd(8))."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import shlex
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ferryman.errors import ConfigError, UnreachableError
from ferryman.hosts.hop import SSH_PORT
from ferryman.hosts.patterns import SPECIAL, matches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ferryman.hosts.certificates import Certificate

RSA_SIGNATURES = {"rsa-sha2-512", "rsa-sha2-256"}
"""The signature algorithms of an RSA key (RFC 8332)."""
ANY_NAME = "*"
"""Where the lines stand whose patterns say more than one name."""


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """The host key that a host showed during key exchange."""

    algorithm: str
    blob: bytes
    """As it travels in the protocol, and as known_hosts has it in base64."""
    certificate: Certificate | None = None
    """What the host showed with it."""

    def __str__(self) -> str:
        return f"{self.algorithm} {fingerprint(self.blob)}"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of known_hosts: a key, and the patterns of the names that it is for."""

    path: Path
    line: int
    marker: str
    """``@revoked``, ``@cert-authority``, or empty."""
    patterns: tuple[str, ...]
    algorithm: str
    blob: bytes

    @property
    def place(self) -> str:
        """Where the line stands, as messages have it."""
        return f"{self.path}:{self.line}"

    def names(self, name: str) -> bool:
        """Whether the line speaks of this name (``host``, or ``[host]:port`` off port 22)."""
        if any(_matches(pattern[1:], name) for pattern in self.patterns if pattern.startswith("!")):
            return False
        return any(_matches(pattern, name) for pattern in self.patterns)


@dataclass(frozen=True)
class KnownHosts:
    """The known_hosts files for a host, read whole."""

    paths: tuple[Path, ...]
    keys: tuple[KnownKey, ...]
    unreadable: tuple[str, ...] = ()
    """Places of lines that could not be understood; they vouch for nothing."""

    @classmethod
    def load(cls, *paths: Path) -> KnownHosts:
        """Read the files; of several, those that are there.

        Raises:
            ConfigError: None can be read.
        """
        read: list[KnownHosts] = []
        failures: list[str] = []
        for path in paths:
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                failures.append(f"{path}: {error.strerror}")
            else:
                read.append(cls.parse(path, text))
        if not read:
            raise ConfigError(
                f"ssh.known_hosts: {', '.join(failures) or 'there is no file'}; "
                "it must have the key, or the authority, of every host that is to be reached"
            )
        return cls(
            tuple(path for each in read for path in each.paths),
            tuple(key for each in read for key in each.keys),
            tuple(place for each in read for place in each.unreadable),
        )

    @classmethod
    def parse(cls, path: Path, text: str) -> KnownHosts:
        """Parse the text of the file; lines that cannot be parsed are kept by place in ``unreadable``."""
        keys, unreadable = [], []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            key = _parse_line(path, number, line)
            if key is None:
                unreadable.append(f"{path}:{number}")
            else:
                keys.append(key)
        return cls((path,), tuple(keys), tuple(unreadable))

    def plain(self, names: Sequence[str]) -> tuple[KnownKey, ...]:
        """The lines with keys themselves, for the first of these names that has any."""
        found = (tuple(key for key in self._for_name(name) if not key.marker) for name in names)
        return next(filter(None, found), ())

    def marked(self, marker: str, names: Sequence[str]) -> tuple[KnownKey, ...]:
        """The lines with a marker, for any of these names with its port or, as in OpenSSH, without."""
        every = dict.fromkeys([*names, *map(bare_name, names)])
        found = (key for name in every for key in self._for_name(name) if key.marker == marker)
        return tuple(dict.fromkeys(found))

    def authorities(self, names: Sequence[str]) -> tuple[KnownKey, ...]:
        """The lines with an authority whose certificates are good for a host."""
        return self.marked("@cert-authority", names)

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
                places[ANY_NAME if SPECIAL & set(pattern) else pattern.lower()].append(at)
        return dict(places)

    @cached_property
    def _hashed(self) -> list[tuple[int, bytes, bytes]]:
        """Places in ``keys``, with salt and hash: these have to be tried one by one."""
        parts = (
            (at, _salt_and_hash(pattern)) for at, key in enumerate(self.keys) for pattern in key.patterns
        )
        return [(at, *part) for at, part in parts if part is not None]

    def signatures(self, names: Sequence[str]) -> frozenset[str]:
        """What the known keys of a host sign with, so that it is asked for one of them."""
        kinds = {key.algorithm for key in self.plain(names)}
        return frozenset(kinds) | (RSA_SIGNATURES if "ssh-rsa" in kinds else set())

    def judge(
        self, host: str, names: Sequence[str], presented: PresentedKey, now: float | None = None
    ) -> None:
        """Return when the key is the host's, by these files, or by a certificate that they trust.

        ``now`` is in seconds of the epoch; None: the time that it is.

        Raises:
            UnreachableError: The host is unknown, its key is another, or was revoked; or its certificate is
                not for it, or not valid now.
        """
        self._require_unrevoked(host, names, presented)
        if presented.certificate is not None and self._is_certified(
            host, names, presented.certificate, time.time() if now is None else now
        ):
            return
        plain = self.plain(names)
        if any(key.blob == presented.blob for key in plain):
            return
        raise self._changed(host, names, presented, plain) if plain else self._unknown(host, names, presented)

    def _require_unrevoked(self, host: str, names: Sequence[str], presented: PresentedKey) -> None:
        for key in self.marked("@revoked", names):
            if key.blob == presented.blob:
                raise UnreachableError(
                    f"{host}: host key: {presented} is revoked by {key.place}; do not use this host"
                )
            if presented.certificate is not None and key.blob == presented.certificate.authority:
                raise UnreachableError(
                    f"{host}: host key: the authority of its certificate, {fingerprint(key.blob)}, "
                    f"is revoked by {key.place}; do not use this host"
                )

    def _is_certified(self, host: str, names: Sequence[str], certificate: Certificate, now: float) -> bool:
        trusted = [key for key in self.authorities(names) if key.blob == certificate.authority]
        if not trusted:
            return False
        called = tuple(dict.fromkeys(map(bare_name, names)))
        if (fault := certificate.host_fault(called, now)) is not None:
            raise UnreachableError(
                f"{host}: host key: its certificate {certificate.label} {fault}; its authority is that of "
                f"{trusted[0].place}. Have the host's key signed anew (ssh-keygen -h -n {called[0]} -s …); "
                "nothing ran there"
            )
        return True

    def _changed(
        self, host: str, names: Sequence[str], presented: PresentedKey, known: Sequence[KnownKey]
    ) -> UnreachableError:
        lines = ", ".join(f"{key.place} has {key.algorithm} {fingerprint(key.blob)}" for key in known)
        name = next(name for name in names if self.plain([name]))
        return UnreachableError(
            f"{host}: host key: it changed: the host presents {presented}, {lines}; "
            f"someone may stand in between. {_verify(presented)}; only when that is the same: "
            f"ssh-keygen -f {shlex.quote(str(known[0].path))} -R {shlex.quote(name)}, and add the new key"
        )

    def _unknown(self, host: str, names: Sequence[str], presented: PresentedKey) -> UnreachableError:
        spoiled = f" (lines that could not be read: {', '.join(self.unreadable)})" if self.unreadable else ""
        return UnreachableError(
            f"{host}: host key: unknown: no line of {' or '.join(map(str, self.paths))} "
            f"has {' or '.join(names)}{spoiled}{self._uncertified(names, presented)}; "
            f"the host presents {presented}. {_verify(presented)}; only when that is the same, add the line: "
            f"{names[0]} {presented.algorithm} {base64.b64encode(presented.blob).decode()}"
        )

    def _uncertified(self, names: Sequence[str], presented: PresentedKey) -> str:
        """Why an authority that is known for the host did not help."""
        places = ", ".join(key.place for key in self.authorities(names))
        if not places:
            return ""
        if presented.certificate is None:
            return f"; an authority is known for it ({places}), but the host has no certificate"
        other = fingerprint(presented.certificate.authority)
        return f"; its certificate is of the authority {other}, not of that of {places}"


def known_names(name: str, address: str | None, port: int) -> tuple[str, ...]:
    """What a host may be called in known_hosts: its name first, then the address it is reached at.

    >>> known_names("web1", "192.0.2.7", 2222)
    ('[web1]:2222', '[192.0.2.7]:2222')
    """
    names = dict.fromkeys(known.lower() for known in (name, address) if known)
    return tuple(known if port == SSH_PORT else f"[{known}]:{port}" for known in names)


def bare_name(name: str) -> str:
    """A name in known_hosts without its port.

    >>> bare_name("[web1]:2222"), bare_name("fd00::1")
    ('web1', 'fd00::1')
    """
    return name[1:].rpartition("]:")[0] if name.startswith("[") else name


def fingerprint(blob: bytes) -> str:
    """A key's fingerprint as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _verify(presented: PresentedKey) -> str:
    kind = presented.algorithm.removeprefix("ssh-").split("-")[0]
    return f"Compare on the host's console: ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"


def _parse_line(path: Path, number: int, line: str) -> KnownKey | None:
    words = line.split()
    marker = words.pop(0) if words[0].startswith("@") else ""
    try:
        patterns, algorithm, encoded = words[:3]
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        return None
    if not blob[4:].startswith(algorithm.encode()):
        return None
    return KnownKey(path, number, marker, tuple(patterns.split(",")), algorithm, blob)


def _matches(pattern: str, name: str) -> bool:
    if hashed := _salt_and_hash(pattern):
        return hmac.compare_digest(hmac.digest(hashed[0], name.encode(), "sha1"), hashed[1])
    return matches(pattern.lower(), name)


def _salt_and_hash(pattern: str) -> tuple[bytes, bytes] | None:
    """What ``HashKnownHosts yes`` writes in place of a name; None when it is something else, or broken."""
    if not pattern.startswith("|1|"):
        return None
    try:
        salt, wanted = (base64.b64decode(part, validate=True) for part in pattern.split("|")[2:])
    except (ValueError, binascii.Error):
        return None
    return salt, wanted
