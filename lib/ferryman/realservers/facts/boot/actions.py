"""What one line of a host's configuration does at boot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Deed(Enum):
    """What is done."""

    MAKE = "make"
    """A device is made."""
    RAISE = "raise"
    """A device is set up."""
    ADDRESS = "address"
    """An address is given to a device, or is named in a line of something that does so."""
    SET = "set"
    """A kernel setting is written."""
    APPLY = "apply"
    """The files of sysctl.d are applied again."""


@dataclass(frozen=True, slots=True)
class ConfigLine:
    """A line of a file."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that is done at boot."""

    deed: Deed
    subject: str
    """The device; of a setting its path below /proc/sys, which may be a glob; empty where it is not said."""
    value: str
    """The address, or what is written to the setting."""
    line: ConfigLine
    who: str
    """The program or unit that does it."""
    inactive: str = ""
    """Why it will not be done after all; empty: nothing is known that keeps it from being done."""
    conditional: bool = False
    """Whether it stands in a part of a script that may be passed over."""

    def __str__(self) -> str:
        return f"{self.line} ({self.who})"
