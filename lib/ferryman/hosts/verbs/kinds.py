"""The forms that arguments of verbs must have: the one place where values are looked at before they are sent.

A kind is given as the metadata of a field: ``config: str = field(metadata=PATH)``. NUL is in none of them: no
argument of a process can have one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferryman.errors import ArgumentError
from ferryman.ipvs.forms import SCHEDULER, is_address, is_server, is_virtual, is_whole
from ferryman.ipvs.table import VirtualServer

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = 80
"""Characters of a wrong value that a message shows."""
LONGEST_PATH = 4096
LONGEST_TEXT = 1 << 16
"""Bytes of an operator's command: a host takes twice as many in one word."""
ID = r"(?:[A-Za-z0-9_.:@%+][A-Za-z0-9_.:@%+-]{0,63})?"
_DEVICE = r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]{0,14}"
_FOLDER = re.compile(r"[^-\x00-\x1f\x7f][^\x00-\x1f\x7f]*")
_URL = r"https?://[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]{1,2000}"


@dataclass(frozen=True)
class Kind:
    """One form of an argument."""

    what: str
    """What is expected, in words, with its article."""
    fits: Callable[[Any], object]
    """Whether a value has it; any error that it raises says no."""
    is_secret: bool = False
    """Whether a value may have a password in it, so that no message shows one."""

    def require(self, where: str, value: object) -> None:
        """Return when the value has this form.

        Raises:
            ArgumentError: It has not.
        """
        try:
            good = self.fits(value)
        except (TypeError, ValueError, AttributeError):
            good = False
        if not good:
            seen = f"a {type(value).__name__} that is not shown here" if self.is_secret else repr(value)
            seen = seen if len(seen) <= SHOWN else f"{seen[:SHOWN]} …"
            raise ArgumentError(f"{where} is {seen}, expected {self.what}; nothing was sent to a host")


Metadata = dict[str, Kind]


def kind(what: str, fits: Callable[[Any], object], *, is_secret: bool = False) -> Metadata:
    """A kind as the metadata of a field."""
    return {"kind": Kind(what, fits, is_secret)}


def matching(what: str, pattern: str) -> Metadata:
    """A text that is wholly matched by a pattern."""
    compiled = re.compile(pattern)
    return kind(what, lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None)


def each(of: Metadata, what: str, *, least: int = 0) -> Metadata:
    """A tuple of such values."""
    fits = of["kind"].fits
    return kind(
        what, lambda value: isinstance(value, tuple) and len(value) >= least and all(map(fits, value))
    )


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_text(value: object, longest: int) -> bool:
    return (
        isinstance(value, str)
        and "\0" not in value
        and len(value.encode("utf-8", "surrogateescape")) <= longest
    )


def _is_input(value: object) -> bool:
    return isinstance(value, str) and isinstance(value.encode("utf-8", "surrogateescape"), bytes)


def _is_path(value: object) -> bool:
    return _is_text(value, LONGEST_PATH) and re.fullmatch(r"/[^\x00-\x1f\x7f]*", str(value)) is not None


def _is_argv(value: object) -> bool:
    if not isinstance(value, tuple) or not value or not all(_is_text(word, LONGEST_TEXT) for word in value):
        return False
    return bool(value[0].strip()) and not value[0].startswith("-")


def _is_server(value: object) -> bool:
    return isinstance(value, VirtualServer) and is_server(value)


ADDRESS = kind("an IP address without a scope", is_address)
ADDRESSES = each(ADDRESS, "a tuple of IP addresses without a scope")
SWITCH = kind("true or false", lambda value: isinstance(value, bool))
SECONDS = kind("a number of seconds, 0 to 86400", lambda value: _is_number(value, 0, 86_400))
OPTIONAL_SECONDS = kind(
    "a number of seconds, 0 to 86400, or None", lambda value: value is None or _is_number(value, 0, 86_400)
)
COUNT = kind("a whole number from 0", lambda value: is_whole(value, 0, (1 << 53) - 1))
DEVICE = matching("the name of a network device", _DEVICE)
NAME = matching("letters, digits, '.', '_' and '-', not first a '-'", r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
NAMES = each(NAME, "a tuple of names: letters, digits, '.', '_' and '-'")
CONFIG_ID = matching("64 letters, digits and any of .:@%_+- at most, not first a '-', or nothing", ID)
TOKEN = matching("hexadecimal digits", r"[0-9a-f]{8,64}")
CHECKSUM = matching("a SHA-256 checksum", r"[0-9a-f]{64}")
URL = matching("an http or https URL", _URL)
PATH = kind("an absolute path without control characters", _is_path)
PATHS = each(PATH, "a tuple of absolute paths without control characters")
FOLDER = kind(
    "a path without control characters that is no option, or None",
    lambda value: (
        value is None
        or (_is_text(value, LONGEST_PATH) and re.fullmatch(r"[^-\x00-\x1f\x7f][^\x00-\x1f\x7f]*", value))
    ),
)
TEXT = kind(
    "a command that is not empty, without NUL, of 64 KiB at most",
    lambda value: _is_text(value, LONGEST_TEXT) and bool(value.strip()),
)
TEXTS = kind(
    "texts by absolute path",
    lambda value: (
        isinstance(value, Mapping) and all(_is_path(path) and _is_input(text) for path, text in value.items())
    ),
    is_secret=True,
)
INPUT = kind("a text", _is_input, is_secret=True)
ARGV = kind("a tuple of words without NUL, the first no option and not empty", _is_argv)
MODULE = matching("the name of a scheduler of IPVS", SCHEDULER)
VIRTUALS = each(kind("", is_virtual), "a tuple of (protocol, VIP, port)", least=1)
TABLE = each(kind("", _is_server), "a table of virtual servers, each value in the form that ipvsadm prints")
