"""Key files: private or public, encrypted or not, and the certificates beside them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.hosts.certificates import Certificate, algorithm_of
from ferryman.hosts.explanations import why
from ferryman.hosts.ssh_library import paramiko

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 15
_ENCRYPTED = "is encrypted"
_PUBLIC_ALONE = "is a public key"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What is in an identity file."""

    path: Path
    blob: bytes = b""
    """The public key; empty when it is not known."""
    private: paramiko.PKey | None = None
    fault: str = ""
    """Why there is no private key to sign with; empty when there is one."""
    missing: bool = False
    usable: bool = True
    """Whether an agent that holds the private key could help."""
    certificates: tuple[Certificate, ...] = ()
    """Those that stand beside it."""


def read_key(path: Path) -> KeyFile:
    """The key in a file, with what is wrong with it in ``fault``: nothing is raised."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return KeyFile(path, fault=f"{error.strerror}", missing=missing, usable=False)
    if len(content) > MAX_BYTES:
        return KeyFile(path, fault=f"no key: it has more than {MAX_BYTES} bytes", usable=False)
    certificates = read_certificates(path.with_name(f"{_stem(path)}-cert.pub"))
    if (blob := _public(content)) is not None:
        return KeyFile(path, blob, fault=_PUBLIC_ALONE, certificates=certificates)
    try:
        private = paramiko.PKey.from_path(path)
    except (TypeError, paramiko.PasswordRequiredException):
        public = _public_of_encrypted(path, content)
        return KeyFile(path, public, fault=_ENCRYPTED, certificates=certificates)
    except Exception as error:  # noqa: BLE001  # paramiko and cryptography raise many things at a bad key
        return KeyFile(path, fault=f"no private key that can be used: {why(error)}", usable=False)
    private.public_blob = None  # it loads a certificate that stands beside it; here that is offered by itself
    return KeyFile(path, private.asbytes(), private, certificates=certificates)


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """The certificates in a file, one in each line; none where it cannot be read, as ssh has it."""
    try:
        lines = path.read_bytes()[:MAX_BYTES].splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        blob = _blob(line)
        try:
            found.append(Certificate.parse(blob or b""))
        except ValueError:
            continue
    return tuple(found)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".pub")


def _public(content: bytes) -> bytes | None:
    """The public key of a file that has one line with it; None when it has something else."""
    lines = [line for line in content.splitlines() if line.strip() and not line.startswith(b"#")]
    return _blob(lines[0]) if len(lines) == 1 else None


def _blob(line: bytes) -> bytes | None:
    words = line.split(None, 2)
    try:
        algorithm, blob = words[0].decode("ascii"), base64.b64decode(words[1], validate=True)
    except (IndexError, UnicodeDecodeError, binascii.Error):
        return None
    return blob if algorithm and algorithm_of(blob) == algorithm else None


def _public_of_encrypted(path: Path, content: bytes) -> bytes:
    """The public key of an encrypted file: OpenSSH's format has it in the clear, else ``.pub`` has."""
    magic = b"openssh-key-v1\0"
    body = b"".join(line for line in content.splitlines() if not line.startswith(b"-----"))
    try:
        whole = base64.b64decode(body)
    except binascii.Error:
        whole = b""
    if whole.startswith(magic):
        message = paramiko.Message(whole[len(magic) :])
        for _ in ("cipher", "key derivation", "its options"):
            message.get_binary()
        return message.get_binary() if message.get_int() > 0 else b""
    try:
        return _public(path.with_name(f"{path.name}.pub").read_bytes()[:MAX_BYTES]) or b""
    except OSError:
        return b""
