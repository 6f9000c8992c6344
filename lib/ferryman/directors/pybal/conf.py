"""What a ``pybal.conf`` says of virtual servers.

Each section but ``[global]`` is one virtual server: ``protocol``, ``ip``, ``port``, ``scheduler``, and
``tunneling`` for how it forwards. The names of sections are free, so they are found by what is in them.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

from ferryman.errors import VerifyError
from ferryman.model import Forwarding, Protocol

if TYPE_CHECKING:
    from ferryman.ipvs.table import Table, VirtualServer
    from ferryman.model import Address

_GLOBAL = "global"
FLAG = "scheduler-flag"
"""The key of the scheduler's flags, separated by commas."""


@dataclass(frozen=True, slots=True)
class Section:
    """One virtual server as the file has it."""

    name: str
    """The section's, and the pool's in the instrumentation."""
    key: tuple[Protocol, Address, int]
    scheduler: str
    flags: tuple[str, ...] | None
    """None: the file says nothing of them."""
    forwarding: Forwarding

    def configured(self, server: VirtualServer) -> VirtualServer:
        """The virtual server as a daemon that loads this section makes it."""
        flags = server.scheduler_flags if self.flags is None else self.flags
        forwarded = server.forwarded(self.forwarding)
        return replace(forwarded, scheduler=self.scheduler, scheduler_flags=flags)


@dataclass(frozen=True, slots=True)
class PybalConf:
    """What one ``pybal.conf`` says: its virtual servers, and whether PyBal speaks BGP."""

    sections: tuple[Section, ...]
    speaks_bgp: bool

    @classmethod
    def read(cls, text: str, where: str) -> PybalConf:
        """The file with this text.

        Raises:
            VerifyError: It is not understood; the message begins with ``where``.
        """
        parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
        try:
            parser.read_string(text)
            names = [name for name in parser.sections() if name != _GLOBAL]
            bgp = parser.getboolean(_GLOBAL, "bgp", fallback=False)
            return cls(tuple(_section(parser[name]) for name in names), bgp)
        except (configparser.Error, ValueError) as error:
            raise VerifyError(f"{where}: not understood: {' '.join(str(error).split())}") from error

    def configured(self, table: Table) -> Table:
        """These virtual servers as a daemon that loads this file makes them; those not in it are omitted."""
        known = {section.key: section for section in self.sections}
        return tuple(known[server.key].configured(server) for server in table if server.key in known)


def _section(values: configparser.SectionProxy) -> Section:
    name = values.name
    missing = [key for key in ("ip", "port", "scheduler") if key not in values]
    if missing:
        raise ValueError(f"[{name}] has no {', '.join(missing)}")
    protocol = values.get("protocol", "tcp")
    if protocol not in ("tcp", "udp"):
        raise ValueError(f"[{name}] protocol is {protocol!r}, expected tcp or udp")
    flags = values.get(FLAG)
    return Section(
        name,
        (cast("Protocol", protocol), ip_address(values["ip"]), int(values["port"])),
        values["scheduler"],
        None if flags is None else tuple(word.strip() for word in flags.split(",") if word.strip()),
        Forwarding.TUNNEL if values.getboolean("tunneling", fallback=False) else Forwarding.DIRECT,
    )
