"""Shell commands that set the network up, as they stand in scripts, units and ``up`` lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ferryman.realservers.facts.boot.actions import Deed
from ferryman.realservers.facts.sysctl_d import normal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = re.compile(r"&&|\|\||[;|&]|\bthen\b|\bdo\b|\belse\b")
"""What ends a command and begins the next."""
REDIRECTED = re.compile(
    r"\becho\s+(?:-n\s+)?[\"']?(?P<value>[^\s\"'>|]+)[\"']?\s*>+\s*[\"']?/proc/sys/(?P<key>[^\s\"';]+)"
)
WHOLE_LOOP = re.compile(
    r"\bfor\s+(?P<name>\w+)\s+in\s+/proc/sys/(?P<glob>[^\s;]*rp_filter)\s*(?:;|$)(?P<rest>.*)"
)
VALUE_TO = re.compile(r"\becho\s+[\"']?(?P<value>\d+)[\"']?\s*>+\s*[\"']?\$\{?(?P<name>\w+)")
OBJECTS = {
    "link": ("l", "li", "lin", "link"),
    "addr": ("a", "ad", "addr", "address"),
    "tunnel": ("t", "tunnel", "tunl"),
}
ADDING = ("a", "add", "replace", "change", "r")


@dataclass(frozen=True, slots=True)
class Command:
    """What a command does: a deed, to what, and with which value."""

    deed: Deed
    subject: str
    value: str = ""


def commands_in(text: str) -> Iterator[Command]:
    """What the commands of one line do; what is not understood does nothing."""
    if text.lstrip().startswith("#"):
        return
    for found in REDIRECTED.finditer(text):
        yield Command(Deed.SET, normal(f"/{found['key']}"), found["value"])
    for part in COMMANDS.split(text):
        words = [word.strip("\"'`(){}") for word in part.split()]
        yield from _command([word for word in words if word])


def loops_in(texts: Sequence[str]) -> Iterator[tuple[int, Command]]:
    """``for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 >$f; done``, over one line or several.

    Gives the place of the line that writes.
    """
    pattern = name = ""
    for place, text in enumerate(texts):
        rest = text
        if (begun := WHOLE_LOOP.search(text)) is not None and not text.lstrip().startswith("#"):
            pattern, name, rest = begun["glob"], begun["name"], begun["rest"]
        written = VALUE_TO.search(rest) if pattern else None
        if written is not None and written["name"] == name and not text.lstrip().startswith("#"):
            yield place, Command(Deed.SET, normal(f"/{pattern}"), written["value"])
            pattern = ""


def _command(words: Sequence[str]) -> Iterator[Command]:
    words = [word.rpartition("/")[2] if place == 0 else word for place, word in enumerate(words)]
    while words and words[0] in ("sudo", "exec", "if", "!", "nice", "time", "-"):
        words = words[1:]
    if not words:
        return
    program, *rest = words
    if program == "ip":
        yield from _ip([word for word in rest if not word.startswith("-")])
    elif program in ("link", "addr", "address", "tunnel"):  # of a batch of ip
        yield from _ip(words)
    elif program == "ifconfig" and rest:
        yield from _ifconfig(rest)
    elif program == "sysctl":
        yield from _sysctl(rest)
    elif program == "systemd-sysctl":
        yield Command(Deed.APPLY, "", "")


def _ip(words: Sequence[str]) -> Iterator[Command]:
    if len(words) < 3:  # noqa: PLR2004  # what, verb, subject
        return
    what = next((name for name, forms in OBJECTS.items() if words[0] in forms), "")
    verb, rest = words[1], list(words[2:])
    if what == "addr" and verb in ADDING:
        yield Command(Deed.ADDRESS, _after("dev", rest), _after("local", rest) or rest[0])
    elif what in ("link", "tunnel") and verb in ADDING:
        device = _after("name", rest) or _after("dev", rest) or rest[0]
        kind = _after("type", rest) or _after("mode", rest)
        yield Command(Deed.MAKE, device, kind)
        if "up" in rest:
            yield Command(Deed.RAISE, device)
    elif what == "link" and verb in ("set", "s") and "up" in rest:
        yield Command(Deed.RAISE, _after("dev", rest) or next((w for w in rest if w != "up"), ""))


def _ifconfig(words: Sequence[str]) -> Iterator[Command]:
    device = words[0].partition(":")[0]
    if len(words) > 1 and "down" not in words:
        yield Command(Deed.RAISE, device)
        if words[1] != "up":
            yield Command(Deed.ADDRESS, device, words[1])


def _sysctl(words: Sequence[str]) -> Iterator[Command]:
    if "--system" in words:
        yield Command(Deed.APPLY, "")
        return
    for place, word in enumerate(words):
        if word in ("-p", "--load"):
            files = [other for other in words[place + 1 :] if other.startswith("/")]
            yield from (Command(Deed.APPLY, "", file) for file in files or ["/etc/sysctl.conf"])
            return
        if word.startswith(("-p/", "--load=/")):
            yield Command(Deed.APPLY, "", word[word.index("/") :])
            return
    for word in words:
        key, equals, value = word.partition("=")
        if equals and not word.startswith("-"):
            yield Command(Deed.SET, normal(key), value)


def _after(word: str, words: Sequence[str]) -> str:
    """The word that follows this one; empty when there is none."""
    return next((following for here, following in pairwise(words) if here == word), "")
