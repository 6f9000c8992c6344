"""What paramiko's exceptions mean, and the error that they become before a command was sent."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ferryman.errors import FerrymanError, UnreachableError
from ferryman.hosts.ssh_library import paramiko

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPLANATIONS: dict[type[BaseException], str] = {
    paramiko.PasswordRequiredException: "the key is encrypted",
    paramiko.BadAuthenticationType: "the host takes no public keys from this user",
    paramiko.ssh_exception.PartialAuthentication: "the key was taken, but the host asks for more than a key",
    paramiko.ssh_exception.UnableToAuthenticate: "the host refused every key",
    paramiko.AuthenticationException: "the host refused the key",
    paramiko.BadHostKeyException: "the host key is not the known one",
    paramiko.ssh_exception.MessageOrderError: "the peer broke the order of the key exchange",
    paramiko.ssh_exception.IncompatiblePeer: "no algorithm in common",
    paramiko.ProxyCommandFailure: "the proxy command failed",
    paramiko.ChannelException: "the host refused another session",
    paramiko.ssh_exception.CouldNotCanonicalize: "the name could not be made canonical",
    paramiko.ConfigParseError: "the ssh_config could not be understood",
    paramiko.ssh_exception.NoValidConnectionsError: "no address took the connection",
    paramiko.pkey.UnknownKeyType: "a key of a kind that is not supported",
    paramiko.hostkeys.InvalidHostKey: "a host key that could not be read",
    paramiko.SSHException: "the SSH protocol failed",
    EOFError: "the host closed the connection",
    TimeoutError: "no answer in time",
    OSError: "the connection broke",
}
"""What an exception out of paramiko means, most specific first; any other is shown as it is."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())


@contextmanager
def nothing_ran(host: str, phase: str) -> Iterator[None]:
    """Whatever goes wrong in here goes wrong before a command was sent."""
    try:
        yield
    except FerrymanError:
        raise
    except Exception as error:  # paramiko hands on whatever its own thread met
        raise unreachable(host, phase, error) from error


def unreachable(host: str, phase: str, error: Exception) -> UnreachableError:
    """The error of a host where nothing ran, from whatever went wrong in a phase."""
    return UnreachableError(f"{host}: {phase}: {why(error)}; nothing ran there")


def why(error: BaseException) -> str:
    """What an exception means, from ``EXPLANATIONS``, and its own message."""
    meaning = next((words for kind, words in EXPLANATIONS.items() if isinstance(error, kind)), None)
    own = " ".join(str(error).split())
    if meaning is None:
        return f"{type(error).__name__}: {own}"
    return f"{meaning}: {own}" if own else meaning
