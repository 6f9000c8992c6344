"""The keys that a host is offered: those of files first, then the agent's; certificates before their keys.

What is offered is always one key or certificate and whoever can sign for it, be that a file or the agent.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import ConfigError
from ferryman.hosts.agent import Agent
from ferryman.hosts.certificates import SUFFIX, Certificate, algorithm_of
from ferryman.hosts.connect import Deadline
from ferryman.hosts.explanations import why
from ferryman.hosts.key_files import KeyFile, read_certificates, read_key
from ferryman.hosts.ssh_library import paramiko

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ferryman.hosts.agent import HeldKey
    from ferryman.hosts.hop import KeySettings

ASKED_S = 2.0
"""Seconds that the agent has to say which keys it holds, where that is asked before any host is."""


class Offer(paramiko.PKey):
    """A key or certificate as a host is asked about it; signing is left to whoever can."""

    def __init__(self, what: str, blob: bytes, signer: paramiko.PKey) -> None:
        """``what`` is how messages call it."""
        self.what = what
        self._blob = blob
        self._signer = signer
        self.public_blob = paramiko.pkey.PublicBlob(algorithm_of(blob), blob)

    def get_name(self) -> str:
        """The algorithm of the key or certificate."""
        return algorithm_of(self._blob)

    def asbytes(self) -> bytes:
        """The key or certificate as it travels."""
        return self._blob

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        """Sign, with a file's key or through the agent."""
        return self._signer.sign_ssh_data(data, algorithm)


@dataclass(frozen=True, slots=True)
class _Read:
    """The files of one host's settings, read."""

    files: tuple[KeyFile, ...]
    certificates: tuple[Certificate, ...]

    def certificates_of(self, file: KeyFile) -> list[Certificate]:
        return [each for each in (*file.certificates, *self.certificates) if each.key == file.blob]


class Keys:
    """The keys of all hosts; each file is read once."""

    def __init__(self) -> None:
        self._read: dict[KeySettings, _Read] = {}
        self._lock = threading.Lock()

    def require_usable(self, settings: KeySettings) -> None:
        """Return when there is a key with these settings, of which the operator named the file.

        Raises:
            ConfigError: There is none; says what to do.
        """
        for file in self._files(settings).files:
            if not file.fault:
                continue
            if not file.usable:
                expected = "; expected a private key" if not file.fault.startswith("no private") else ""
                raise ConfigError(f"ssh.identity: {file.path}: {file.fault}{expected}")
            if not any_held(settings):
                raise ConfigError(
                    f"ssh.identity: {file.path}: {file.fault}, and no agent holds a key; {_remedy(file)}"
                )

    def require_any(self, settings: KeySettings) -> None:
        """Return when one of the files is there, or an agent holds a key.

        Raises:
            ConfigError: There is nothing to log in with.
        """
        if all(file.missing for file in self._files(settings).files) and not any_held(settings):
            names = ", ".join(str(path) for path in settings.identities)
            raise ConfigError(
                f"ssh.identity: there is no key: no agent holds one, and there is no file {names}; "
                "name a key file as ssh.identity, or ssh-add a key"
            )

    @contextmanager
    def offers(self, settings: KeySettings, deadline: Deadline) -> Iterator[Offers]:
        """What to offer to a host; the agent is asked only when it comes to that."""
        offers = Offers(settings, self._files(settings), deadline)
        try:
            yield offers
        finally:
            offers.close()

    def _files(self, settings: KeySettings) -> _Read:
        with self._lock:
            if settings not in self._read:
                self._read[settings] = _Read(
                    tuple(map(read_key, settings.identities)),
                    tuple(each for path in settings.certificates for each in read_certificates(path)),
                )
            return self._read[settings]


class Offers:
    """The keys and certificates for one host, in order; none comes twice."""

    def __init__(self, settings: KeySettings, read: _Read, deadline: Deadline) -> None:
        self._settings = settings
        self._read = read
        self._deadline = deadline
        self._agent: Agent | None = None
        self._agent_fault = ""

    def __iter__(self) -> Iterator[Offer]:
        offered: set[bytes] = set()
        for offer in self._all():
            if offer.asbytes() not in offered:
                offered.add(offer.asbytes())
                yield offer

    def faults(self) -> Iterator[str]:
        """What kept keys from being offered."""
        if self._agent_fault:
            yield self._agent_fault
        held = {key.blob for key in self._agent.held} if self._agent is not None else set()
        for file in self._read.files:
            if file.fault and not file.missing and file.blob not in held:
                no_agent = f", and no agent holds its private key: {_remedy(file)}" if file.usable else ""
                yield f"{file.path}: {file.fault}{no_agent}"

    def close(self) -> None:
        """Hang up on the agent, which signs until then."""
        if self._agent is not None:
            self._agent.close()

    def _all(self) -> Iterator[Offer]:
        for file in self._read.files:
            if file.private is not None:
                certificates = self._read.certificates_of(file)
                yield from _with_certificates(str(file.path), file.blob, file.private, certificates)
        if self._settings.agent is None:
            return
        try:
            self._agent = Agent(self._settings.agent, self._deadline)
        except (paramiko.SSHException, OSError) as error:
            self._agent_fault = f"the agent at {self._settings.agent} cannot be asked: {why(error)}"
            return
        yield from _of_agent(self._agent.held, self._read, only=self._settings.identities_only)


def any_held(settings: KeySettings) -> bool:
    """Whether the agent answers, and holds a key."""
    if settings.agent is None:
        return False
    try:
        agent = Agent(settings.agent, Deadline(ASKED_S))
    except (paramiko.SSHException, OSError):
        return False
    agent.close()
    return bool(agent.held)


def _of_agent(held: tuple[HeldKey, ...], read: _Read, *, only: bool) -> Iterator[Offer]:
    """Those that a file names, in the files' order, then the others."""
    own = {file.blob for file in read.files if file.blob} | {each.key for each in read.certificates}
    by_key: dict[bytes, HeldKey] = {key.blob: key for key in held}
    certified = [(key, each) for key in held if (each := _certificate(key.blob)) is not None]
    for file in read.files:
        for key, certificate in certified:
            if certificate.key == file.blob:
                yield Offer(_named(key), key.blob, key.signer)
        if (key_held := by_key.get(file.blob)) is not None:
            yield from _with_certificates(
                _named(key_held), key_held.blob, key_held.signer, read.certificates_of(file)
            )
    for certificate in read.certificates:
        if (key_held := by_key.get(certificate.key)) is not None:
            yield from _with_certificates(_named(key_held), key_held.blob, key_held.signer, [certificate])
    if only:
        return
    for key, certificate in certified:
        if certificate.key not in own:
            yield Offer(_named(key), key.blob, key.signer)
    yield from (Offer(_named(key), key.blob, key.signer) for key in held)


def _with_certificates(
    what: str, blob: bytes, signer: paramiko.PKey, certificates: list[Certificate]
) -> Iterator[Offer]:
    for certificate in certificates:
        fault = certificate.time_fault(time.time())
        name = f"{what} with certificate {certificate.label}{f', which {fault},' if fault else ''}"
        yield Offer(name, certificate.blob, signer)
    yield Offer(what, blob, signer)


def _named(key: HeldKey) -> str:
    return f"agent's {algorithm_of(key.blob).removesuffix(SUFFIX)} {key.comment}".strip()


def _certificate(blob: bytes) -> Certificate | None:
    try:
        return Certificate.parse(blob) if algorithm_of(blob).endswith(SUFFIX) else None
    except ValueError:
        return None


def _remedy(file: KeyFile) -> str:
    """The command that makes the agent hold the key, as far as it can be told."""
    path: Path = file.path
    return f"ssh-add {path.with_suffix('') if path.suffix == '.pub' else path}"
