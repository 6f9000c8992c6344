"""Commands that are run at boot, and the scripts that they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferryman.realservers.facts.boot.actions import Action, Deed
from ferryman.realservers.facts.boot.shell import commands_in, loops_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.realservers.facts.boot.actions import ConfigLine
    from ferryman.realservers.facts.boot.collected import Boot

UNITS = ("/etc/systemd/system/", "/run/systemd/system/", "/usr/local/lib/systemd/system/")
CONFIGURATION = ("/etc/network/interfaces", "/etc/sysctl", "/etc/default/", "/etc/keepalived/")
"""What a command may name and does not run."""
CONDITION = re.compile(r"^\s+\S|\b(if|case|while|for|until)\b|&&|\|\|")
"""What makes a line of a script one that may be passed over."""
LITERAL = re.compile(r"(?<![\w.:])(?:\d+\.\d+\.\d+\.\d+|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F]*)(?![\w.:])")


def run_command(  # noqa: PLR0913, PLR0917  # what a command has
    boot: Boot, command: str, line: ConfigLine, who: str, inactive: str, seen: set[str]
) -> Iterator[Action]:
    """What a command does, and what the scripts do that it names; of those in ``seen`` it is known."""
    for found in commands_in(re.sub(r"\b(?:ba|da)?sh -c ", "; ", command)):
        yield Action(found.deed, found.subject, found.value, line, who, inactive)
    for word in command.split():
        file = word.strip("\"'")
        known = f"{file} {bool(inactive)}"
        if file in boot.files and known not in seen and not file.startswith((*UNITS, *CONFIGURATION)):
            seen.add(known)
            yield from run_script(boot, file, who, inactive)


def run_script(boot: Boot, file: str, who: str, inactive: str) -> Iterator[Action]:
    """What the lines of a script do."""
    lines = boot.lines(file)
    for place, command in loops_in([line.text for line in lines]):
        yield Action(command.deed, command.subject, command.value, lines[place], who, inactive)
    for line in lines:
        conditional = CONDITION.search(line.text) is not None
        for command in commands_in(line.text):
            if "$" not in command.subject or command.deed is not Deed.SET:
                yield Action(command.deed, command.subject, command.value, line, who, inactive, conditional)
        if not line.text.lstrip().startswith("#"):
            yield from literal_addresses(line, who, inactive)


def literal_addresses(line: ConfigLine, who: str, inactive: str) -> Iterator[Action]:
    """Addresses that a script has in a variable or a list, and gives to a device further down."""
    for found in LITERAL.findall(line.text):
        yield Action(Deed.ADDRESS, "", found, line, who, inactive)
