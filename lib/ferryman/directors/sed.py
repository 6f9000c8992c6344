"""A file's change as one command that a person can type: for what has to be put back by hand.

A diff says what is to be changed and cannot be typed; ``patch`` is not on every host, ``sed`` is.
"""

from __future__ import annotations

import shlex
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def edit_command(path: str, old: str, new: str) -> str:
    r"""The command of GNU sed that makes the new text of the old one; other lines are not touched.

    Only lines are changed: both texts end in a newline, or neither does.

    >>> edit_command("/etc/a.conf", "one\ntwo\n", "one\n  three\n")
    "sed -i -e '2c\\  three' /etc/a.conf"
    """
    lines, wanted = old.splitlines(), new.splitlines()
    words = " ".join(f"-e {shlex.quote(edit)}" for edit in _edits(lines, wanted))
    return f"sed -i {words} {shlex.quote(path)}"


def _edits(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """The expressions; addresses are those of the old text, whatever was edited before."""
    for tag, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        fresh, count = new[start:end], last - first
        # ``c`` begins the next line at once: what comes behind the last one goes with it.
        lines = [[line] for line in fresh[:count]]
        more = fresh[count:]
        if lines:
            lines[-1] += more
            yield from (f"{number + 1}c{_text(line)}" for number, line in enumerate(lines, first))
        elif more:
            yield f"{last}a{_text(more)}" if last else f"1i{_text(more)}"
        if len(fresh) < count:
            yield f"{first + len(fresh) + 1},{last}d"


def _text(lines: Sequence[str]) -> str:
    r"""Lines behind one of sed's commands; on the same line where that is one, which sed reads as it stands.

    Not an empty one, nor one that begins with a backslash: GNU sed takes ``c\\`` for the line's end there.
    """
    escaped = [line.replace("\\", "\\\\") for line in lines]
    gap = "" if len(lines) == 1 and lines[0] and not lines[0].startswith("\\") else "\n"
    return "\\" + gap + "\\\n".join(escaped)
