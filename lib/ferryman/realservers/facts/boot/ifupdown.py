"""ifupdown: /etc/network/interfaces and what it includes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferryman.realservers.facts.boot.actions import Action, Deed
from ferryman.realservers.facts.boot.running import run_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.realservers.facts.boot.actions import ConfigLine
    from ferryman.realservers.facts.boot.collected import Boot

WHO = "ifupdown"
MAIN = "/etc/network/interfaces"
COMMANDS = {"pre-up", "up", "post-up"}
PROGRAMS = ("/sbin/ifup", "/usr/sbin/ifup")
INCLUDED = re.compile(r"[\w-]+")
"""Names of the files that ``source-directory`` takes; interfaces(5)."""


def actions_of(boot: Boot) -> Iterator[Action]:
    """What ``ifup -a`` does at boot, in its order.

    Sources: interfaces(5); ``ifup --no-act --verbose`` of ifupdown 0.8: every method but loopback's sets the
    device up after its ``pre-up`` lines, whether it has addresses or not.
    """
    lines = [*_included(boot)]
    automatic = {
        name
        for line in lines
        if (words := line.text.split())[:1] == ["auto"] or words[:1] in (["allow-auto"], ["allow-hotplug"])
        for name in words[1:]
    }
    missing = "" if boot.there.intersection(PROGRAMS) else "ifup is not installed"
    inactive = missing or boot.not_started("networking.service")
    device, why = "", inactive
    seen: set[str] = set()
    for line in lines:
        word, *rest = line.text.split() or [""]
        if word in ("auto", "iface", "mapping", "source", "source-directory") or word.startswith("allow-"):
            device = ""
        if word == "iface" and rest:
            device = rest[0].partition(":")[0]
            why = inactive or ("" if rest[0] in automatic else f"{rest[0]} is not auto")
            if "tunnel" in rest:
                yield Action(Deed.MAKE, device, "tunnel", line, WHO, why)
            yield Action(Deed.RAISE, device, "", line, WHO, why)
        elif device and word in COMMANDS:
            command = re.sub(r"\$IFACE\b|\$\{IFACE\}", device, " ".join(rest))
            yield from run_command(boot, command, line, WHO, why, seen)
        elif device and word == "address" and rest:
            yield Action(Deed.ADDRESS, device, rest[0], line, WHO, why)


def _included(boot: Boot) -> Iterator[ConfigLine]:
    """The lines of the main file, those of what it includes in the place of the line that does so."""
    for line in boot.lines(MAIN):
        word, *rest = line.text.split() or [""]
        if word == "source" and rest:
            pattern = rest[0] if rest[0].startswith("/") else f"/etc/network/{rest[0]}"
            fits = re.compile(re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]"))
            for file in boot.below("/etc/", "/run/"):
                if fits.fullmatch(file) or file.startswith(f"{pattern}/"):
                    yield from boot.lines(file)
        elif word == "source-directory" and rest:
            folder = rest[0] if rest[0].startswith("/") else f"/etc/network/{rest[0]}"
            for file in boot.below(f"{folder}/"):
                if INCLUDED.fullmatch(file.removeprefix(f"{folder}/")):
                    yield from boot.lines(file)
        else:
            yield line
