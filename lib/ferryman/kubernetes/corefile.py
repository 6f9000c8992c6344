"""A Corefile, as far as sizes matter: which server blocks limit their answers over UDP."""

from __future__ import annotations

from ferryman.printable import printable

NO_LIMIT = 65535
"""What an answer may have where nothing limits it."""
DEFAULT_BUFSIZE = 1232
"""Of the plugin bufsize where it names none (coredns.io/plugins/bufsize)."""
LONGEST_ZONES = 100


def bufsizes(corefile: str) -> dict[str, int]:
    """By server block, as its first line names it: the largest answer over UDP, in bytes.

    >>> lines = [".:53 {", "  bufsize 1232", "  cache 30 {", "  }", "}", "example.org {", "}"]
    >>> bufsizes(chr(10).join(lines))
    {'.:53': 1232, 'example.org': 65535}
    """
    found: dict[str, int] = {}
    zones, depth = "", 0
    for line in corefile.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if depth == 0:
            is_snippet = words[0].startswith("(")
            zones = "" if is_snippet else printable(" ".join(words).rstrip("{ "))[:LONGEST_ZONES]
            if zones and words[-1] == "{":
                found.setdefault(zones, NO_LIMIT)
        elif depth == 1 and words[0] == "bufsize" and zones in found:
            found[zones] = _size(words)
        depth = max(0, depth + (words[-1] == "{") - (words[0] == "}"))
    return found


def _size(words: list[str]) -> int:
    if len(words) > 1 and words[1].isascii() and words[1].isdecimal() and len(words[1]) <= len("65535"):
        return int(words[1])
    return DEFAULT_BUFSIZE
