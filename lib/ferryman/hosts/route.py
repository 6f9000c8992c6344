"""The way to each host: what ferryman's own files say of it, then ssh_config, then OpenSSH's defaults.

A jump host is looked up as any other host is, and may itself be behind another.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.config.jump import Jump
from ferryman.errors import ConfigError, UnreachableError
from ferryman.hosts.hop import ROOT, SSH_PORT, Hop, KeySettings
from ferryman.hosts.hosts import HostAddress
from ferryman.hosts.known_hosts import known_names
from ferryman.hosts.ssh_config import DEFAULT, NONE, SshConfigFile, SshHost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.config import SshConfig

DEFAULT_IDENTITIES = (Path("~/.ssh/id_ed25519"), Path("~/.ssh/id_ecdsa"), Path("~/.ssh/id_rsa"))
DEFAULT_KNOWN_HOSTS = (
    Path("~/.ssh/known_hosts"),
    Path("~/.ssh/known_hosts2"),
    Path("/etc/ssh/ssh_known_hosts"),
    Path("/etc/ssh/ssh_known_hosts2"),
)
_OVERRULED = {
    "user": ("user",),
    "port": ("port",),
    "hostname": ("hostname",),
    "jump": ("proxyjump", "proxycommand"),
    "known_hosts": ("userknownhostsfile", "globalknownhostsfile"),
    "identity": ("identityfile",),
}
"""What ferryman's own files may say, and the keywords of ssh_config that do not count then."""


class Routes:
    """Says of each host how it is reached."""

    def __init__(self, addresses: Mapping[str, HostAddress], ssh: SshConfig) -> None:
        """Read the ssh_config file.

        Raises:
            ConfigError: It cannot be used, or the jump hosts of ``[ssh]`` go round in a circle.
        """
        self._addresses = addresses
        self._ssh = ssh
        self.file = (
            SshConfigFile()
            if ssh.config is False
            else SshConfigFile.load((ssh.config or DEFAULT).expanduser(), required=ssh.config is not None)
        )
        self._common = tuple(map(Jump.parse, ssh.jump)) if ssh.jump is not None else None
        with suppress(UnreachableError):  # what ssh_config has for them is told with each host behind them
            self._via(self._common or (), (), common=False)

    def to(self, host: str) -> Hop:
        """The way to a host.

        Raises:
            ConfigError: Its jump hosts go round in a circle.
            UnreachableError: ssh_config says something about it that ferryman does not do.
        """
        common = host not in {jump.host for jump in self._common or ()}
        return self._hop(Jump(host), (host,), common=common)

    def _hop(
        self, asked: Jump, trail: tuple[str, ...], *, common: bool, before: Sequence[Jump] | None = None
    ) -> Hop:
        """One host, behind those that are to come before it; None: those that are configured for it.

        ``common``: whether the jump hosts of ``[ssh]`` are for it: they are not for themselves.
        """
        name = asked.host
        own = self._addresses.get(name) or HostAddress(name)
        user, port = asked.user or own.user or self._ssh.user, asked.port or own.port
        said = self.file.host(name, user=user, port=port)
        if before is not None:
            jumps: Sequence[Jump] | None = before
        elif own.jump is not None:
            jumps = tuple(map(Jump.parse, own.jump))
        elif common and self._common is not None:
            jumps, common = self._common, False
        else:
            jumps = None
        settled = {
            "user": user,
            "port": port,
            "hostname": own.address,
            "jump": jumps,
            "known_hosts": self._ssh.known_hosts,
            "identity": self._ssh.identity,
        }
        _object(name, said, {key for key, value in settled.items() if value is not None})
        target, port = own.address or said.hostname or name, port or said.port or SSH_PORT
        return Hop(
            name=name,
            target=target,
            port=port,
            user=user or said.user or ROOT,
            known_as=(said.alias.lower(),) if said.alias else known_names(name, target, port),
            known_hosts=self._known_hosts(said),
            keys=self._keys(said),
            via=self._via(jumps if jumps is not None else said.jump or (), trail, common=common),
        )

    def _via(self, jumps: Sequence[Jump], trail: tuple[str, ...], *, common: bool) -> Hop | None:
        """The last of these jump hosts, behind the others; the first is reached as it says itself."""
        if not jumps:
            return None
        last, before = jumps[-1], jumps[:-1]
        further = (*trail, last.host)
        if last.host in trail:
            raise ConfigError(
                f"jump: {' goes through '.join(further)}: a circle; "
                "see ssh.jump, jump in hosts.yaml (jump: [] for none) and ProxyJump in ssh_config"
            )
        return self._hop(last, further, common=common, before=before or None)

    @property
    def common_known_hosts(self) -> tuple[Path, ...]:
        """The known_hosts files of hosts of which ssh_config says nothing."""
        return self._known_hosts(SshHost())

    @property
    def common_keys(self) -> KeySettings:
        """The keys of hosts of which ssh_config says nothing."""
        return self._keys(SshHost())

    def _known_hosts(self, said: SshHost) -> tuple[Path, ...]:
        if self._ssh.known_hosts is not None:
            return (self._ssh.known_hosts.expanduser(),)
        return said.known_hosts or tuple(path.expanduser() for path in DEFAULT_KNOWN_HOSTS)

    def _keys(self, said: SshHost) -> KeySettings:
        if self._ssh.identity is not None:
            identities: tuple[Path, ...] = (self._ssh.identity.expanduser(),)
        elif said.identities is not None:
            identities = said.identities
        else:
            identities = tuple(path.expanduser() for path in DEFAULT_IDENTITIES)
        return KeySettings(identities, said.certificates, said.identities_only, _agent(said.agent))


def _object(host: str, said: SshHost, settled: set[str]) -> None:
    overruled = {keyword for key in settled for keyword in _OVERRULED[key]}
    objections = [text for keyword, text in said.objections.items() if keyword not in overruled]
    if objections:
        raise UnreachableError(
            f"{host}: ssh_config: {'; '.join(objections)}; give the host its own keys in hosts.yaml, or name "
            f"another file, or none, as ssh.config; nothing ran there"
        )


def _agent(said: str | None) -> Path | None:
    """The agent's socket: what IdentityAgent says, else what the environment says."""
    if said is not None and said.lower() == NONE:
        return None
    if said is None or said == "SSH_AUTH_SOCK":
        said = os.environ.get("SSH_AUTH_SOCK")
    elif said.startswith("$"):
        said = os.environ.get(said[1:])
    return Path(os.path.expanduser(said)) if said else None  # noqa: PTH111  # which raises at an unknown user
