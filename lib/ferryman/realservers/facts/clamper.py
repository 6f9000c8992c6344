"""tcp-mss-clamper: an eBPF program at the device's egress that lowers the MSS of what leaves."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from ferryman.numerals import numeral

if TYPE_CHECKING:
    from ferryman.model import Address

UNIT = "tcp-mss-clamper.service"


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a command line of the clamper."""

    words: tuple[str, ...]

    def mss(self, version: int) -> int | None:
        """The MSS in bytes that it clamps to, None when it leaves this IP version alone."""
        return numeral(self._option(f"--ipv{version}-mss"))

    def serves(self, address: Address, port: int) -> bool:
        """Whether it clamps what comes from this address and port."""
        return (address, port) in map(_place, self._option("-s").split(","))

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The devices at whose egress it clamps."""
        return tuple(filter(None, self._option("-i").split(",")))

    def _option(self, name: str) -> str:
        for word, following in zip_longest(self.words, self.words[1:], fillvalue=""):
            if word == name:
                return following
            if word.startswith(f"{name}="):
                return word.removeprefix(f"{name}=")
        return ""


@dataclass(frozen=True, slots=True)
class Clamper:
    """The clamper's unit on a host, and what of it is running."""

    active: bool
    enabled: bool
    stale: bool
    """Whether the unit's file has changed since systemd read it."""
    configured: Arguments
    """The arguments with which its unit starts it."""
    running: Arguments | None
    """What was started; None when it could not be read."""

    @property
    def restart_pending(self) -> bool:
        """Whether what runs is not what the unit would start now.

        A unit with variables of the environment in it cannot be compared.
        """
        if self.stale:
            return True
        if not self.active or self.running is None or any("$" in word for word in self.configured.words):
            return False
        return self.running.words[1:] != self.configured.words[1:]


def parse_clamper(shown: str, cmdline: str) -> Clamper:
    """From ``systemctl show`` and the process's /proc/PID/cmdline; that one is empty when nothing runs.

    Raises:
        ValueError: It is no output of ``systemctl show``.
    """
    properties = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if "ActiveState" not in properties:
        raise ValueError("not what systemctl show prints")
    started = re.search(r"argv\[\]=(.*?) ; ", properties.get("ExecStart", ""))
    words = tuple(cmdline.rstrip("\0\n").split("\0")) if cmdline.strip("\0\n") else None
    return Clamper(
        active=properties["ActiveState"] == "active",
        enabled=properties.get("UnitFileState", "").startswith("enabled"),
        stale=properties.get("NeedDaemonReload") == "yes",
        configured=Arguments(tuple(word.strip("\"'") for word in started[1].split()) if started else ()),
        running=None if words is None else Arguments(words),
    )


def _place(text: str) -> tuple[Address, int] | None:
    """An address and a port; None for what is none."""
    address, _, port = text.strip().rpartition(":")
    try:
        return ipaddress.ip_address(address.strip("[]")), int(port)
    except ValueError:
        return None
