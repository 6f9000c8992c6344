"""Lines of ``iptables-save`` and of files for ``iptables-restore``, taken apart as libxtables does.

What stands in quotes is one word, in which a backslash keeps the next character. How many words an option
takes is its own business, so a comment is never an option, whatever it looks like. iptables-save puts a
string in quotes only where one of its characters needs that: ``--comment -j`` has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.)*)"(?=[ \t\n]|\Z)|(?P<plain>[^ \t\n"][^ \t\n]*)|(?P<open>")', re.DOTALL
)
"""Blanks are those of iptables-restore; a space that does not break a line is none."""
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
TARGET = "-j"
"""The module of the options that belong to a rule's target."""

LONG = {
    "--protocol": "-p", "--source": "-s", "--src": "-s", "--destination": "-d", "--dst": "-d",
    "--in-interface": "-i", "--out-interface": "-o", "--fragment": "-f", "--match": "-m", "--jump": "-j",
    "--goto": "-g", "--ipv4": "-4", "--ipv6": "-6", "--set-counters": "-c",
    "--source-port": "--sport", "--destination-port": "--dport",
    "--source-ports": "--sports", "--destination-ports": "--dports",
}  # fmt: skip
"""Options of iptables(8) and iptables-extensions(8) by their other names."""
SHORT = frozenset(LONG.values())
NONE = frozenset({
    "-f", "-4", "-6", "--syn", "--invert", "--loose", "--validmark", "--accept-local", "--notrack",
    "--clamp-mss-to-pmtu", "--limit-iface-in", "--limit-iface-out", "--return-nomatch", "--update-counters",
    "--update-subcounters", "--exist", "--map-mark", "--map-prio", "--map-queue", "--rcheck", "--update",
    "--remove", "--reap", "--rttl", "--rsource", "--rdest", "--random", "--random-fully", "--persistent",
    "--save-mark", "--restore-mark", "--save", "--restore", "--log-tcp-sequence", "--log-tcp-options",
    "--log-ip-options", "--log-uid", "--log-macdecode", "--queue-bypass", "--queue-cpu-fanout",
    "--physdev-is-in", "--physdev-is-out", "--physdev-is-bridged", "--icase", "--strict", "--next",
    "--kerneltz", "--contiguous", "--utc", "--localtz", "--ecn-tcp-cwr", "--ecn-tcp-ece",
    "--ecn-tcp-remove", "--socket-exists", "--suppl-groups", "--nowildcard", "--transparent",
    "--restore-skmark", "--checksum-fill", "--led-always-blink", "--connlimit-saddr", "--connlimit-daddr",
    "--hashlimit-rate-match", "--rateest-delta", "--ipvs", "--ahres", "--fragres", "--fragfirst",
    "--fragmore", "--fraglast", "--soft", "--rt-0-res", "--rt-0-not-strict", "--sack-perm", "--timestamp",
    "--ecn", "--alarm", "--new", "--nodst",
})  # fmt: skip
"""Options without a word of their own; iptables-extensions(8)."""
TWO = frozenset({
    "--tcp-flags", "--match-set", "--add-set", "--del-set", "--map-set", "--chunk-types", "-c",
})  # fmt: skip
STRINGS = frozenset({
    "--comment", "--log-prefix", "--nflog-prefix", "--ulog-prefix", "--string", "--hex-string", "--bytecode",
    "--object-pinned", "--path", "--name", "--label", "--helper", "--hashlimit-name", "--rateest-name",
    "--rateest1", "--rateest2", "--nfacct-name", "--led-trigger-id", "--selctx", "--genre", "--u32",
    "-p", "-s", "-d", "-i", "-o", "-m", "-j", "-g",
})  # fmt: skip
"""Options that take one word, whatever it looks like."""
KNOWN = tuple(
    sorted({
        *NONE, *TWO, *STRINGS, *LONG, "--sport", "--dport", "--sports", "--dports", "--ports", "--mark",
        "--state", "--ctstate", "--ctstatus", "--ctdir", "--pkt-type", "--src-range", "--dst-range",
        "--src-type", "--dst-type", "--set-mark", "--set-xmark", "--and-mark", "--or-mark", "--xor-mark",
        "--to-destination", "--to-ports", "--reject-with", "--set-mss", "--zone", "--zone-orig",
        "--zone-reply",
    })
)  # fmt: skip
"""What an abbreviation may stand for."""


class Option(NamedTuple):
    """An option of a rule."""

    name: str
    value: str
    """Its words, with blanks between them."""
    negated: bool = False
    """Whether it follows a ``!``."""
    module: str = ""
    """The match that it was said to; or the target's."""


class Word(NamedTuple):
    """A word of a line, and whether it stood in quotes."""

    text: str
    quoted: bool

    @property
    def is_option(self) -> bool:
        """Whether it can begin an option, where no other takes it."""
        return not self.quoted and re.match(r"-[^\d\s]", self.text) is not None


@dataclass(frozen=True, slots=True)
class Parts:
    """A rule taken apart."""

    matches: tuple[Option, ...]
    jump: str
    """``-j`` or ``-g``; empty where the rule only counts."""
    target: str
    details: tuple[Option, ...]
    """The target's own options."""


def lines_of(text: str) -> Iterator[str]:
    """The lines of a text; one whose quotes are open goes on, for a comment may have a line's end in it.

    Raises:
        ValueError: The last quote does not close.
    """
    begun: list[str] = []
    for line in text.split("\n"):
        if not begun and line.startswith("#"):
            continue
        closes = '"' not in line or ESCAPED.sub("", line).count('"') % 2 == 0
        if not begun and closes:
            yield line.strip(" \t\r")
            continue
        begun.append(line)
        if not closes and len(begun) > 1:
            yield "\n".join(begun)
            begun = []
    if begun:
        raise ValueError("quotes do not close")


def words_of(line: str) -> list[Word]:
    """The words of a line.

    Raises:
        ValueError: A quote does not close.
    """
    words: list[Word] = []
    for found in WORD.finditer(line):
        if found["open"]:
            raise ValueError("quotes do not close")
        if found["quoted"] is not None:
            words.append(Word(ESCAPED.sub(r"\1", found["quoted"]), True))
        else:
            words.append(Word(found["plain"], False))
    return words


def parts_of(line: str) -> Parts:
    """A line such as ``-A INPUT -s 10.0.0.1/32 -j ACCEPT``, taken apart.

    Raises:
        ValueError: It is no such line.
    """
    found = _parts_or_fault(line)
    if isinstance(found, ValueError):
        raise ValueError(*found.args)  # noqa: TRY004  # anew: the same error would collect tracebacks
    return found


@lru_cache(maxsize=1 << 16)
def _parts_or_fault(line: str) -> Parts | ValueError:
    """The parts of a line, or why it has none: each packet meets each rule, also one that cannot be read."""
    try:
        return _parts_of(line)
    except ValueError as error:
        return error


def _parts_of(line: str) -> Parts:
    reading = _Reading(words_of(line)[2:])
    options = tuple(reading.options())
    jumps = [option for option in options if option.name in ("-j", "-g")]
    if len(jumps) > 1 or any(jump.negated for jump in jumps):
        raise ValueError("more than one target")
    jump = jumps[0] if jumps else Option("", "")
    return Parts(
        tuple(option for option in options if option.module != TARGET and option not in jumps),
        jump.name,
        jump.value,
        tuple(option for option in options if option.module == TARGET),
    )


class _Reading:
    """Words being read as options."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.place = 0
        self.module = ""

    def options(self) -> list[Option]:
        """All of them."""
        found: list[Option] = []
        while self.place < len(self.words):
            negated = self._negated()
            word = self._next()
            if not word.is_option:
                raise ValueError(f"not an option: {word.text[:80]}")
            found.append(self._option(word.text, negated=negated))
        return found

    def _option(self, text: str, *, negated: bool) -> Option:
        text, equals, joined = text.partition("=") if text.startswith("--") else (text, "", "")
        name = _full(text, self.module)
        negated = ((name not in STRINGS or name in SHORT) and self._negated()) or negated
        values = [joined] if equals else self._values(name)
        module = "" if name in SHORT else self.module
        if name == "-m":
            self.module = values[0]
        elif name in ("-j", "-g"):
            self.module = TARGET
        return Option(name, " ".join(values), negated, module)

    def _values(self, name: str) -> list[str]:
        if name in NONE or (name == "--set" and self.module == "recent"):
            return []
        if name in TWO or name in STRINGS:
            return [self._next().text for _ in range(2 if name in TWO else 1)]
        values: list[str] = []
        while self.place < len(self.words) and (values == [] or self.words[self.place].text != "!"):
            if self.words[self.place].is_option or (not values and self.words[self.place] == ("!", False)):
                break
            values.append(self._next().text)
        return values

    def _negated(self) -> bool:
        """Whether a ``!`` stands here; it is passed over."""
        negated = self.place < len(self.words) and self.words[self.place] == ("!", False)
        self.place += negated
        return negated

    def _next(self) -> Word:
        if self.place >= len(self.words):
            raise ValueError("it ends too early")
        self.place += 1
        return self.words[self.place - 1]


def _full(text: str, module: str) -> str:
    """The name by which an option is known here, from one of its other names or from an abbreviation."""
    if not text.startswith("--") or (text == "--proto" and module == "policy"):
        return text
    if text not in KNOWN:
        likely = [name for name in KNOWN if name.startswith(text)]
        singular = [name for name in likely if f"{name}s" in likely]
        if len(likely) == 2 and singular:  # noqa: PLR2004  # --dport and --dports
            likely = [name for name in likely if (module == "multiport") is (name not in singular)]
        text = likely[0] if len({LONG.get(name, name) for name in likely}) == 1 else text
    return LONG.get(text, text)
