"""Values put into an operator's text for a shell: a value there is never anything but a value.

A value of letters, digits and ``%+,-./:=@_`` is put in as it is: it means itself wherever it stands. Any
other is quoted, and that is right only where the text around it is not quoted already: within quotes,
backticks, a here-document or a comment the quotes of a value would mean something else, so it is refused
there.
"""

from __future__ import annotations

import re
import shlex
from string import Formatter
from typing import TYPE_CHECKING

from ferryman.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE_LINE = re.compile(r"<<|`|(?:^|\s)#")
"""What makes everything behind it something else than words."""


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template of ``str.format`` with its values, each of them quoted where it must be.

    Raises:
        ArgumentError: A value cannot be put where its placeholder stands.
    """
    text = around = ""
    for literal, name, _, _ in Formatter().parse(template):
        text, around = text + literal, around + literal
        if name is not None:
            text += quoted(values[name], name, around)
            around += "word"
    return text


def quoted(value: str, name: str, before: str) -> str:
    """A value as it stands behind this text of the operator's; raises as ``filled`` does.

    >>> quoted("web", "service", "flip '"), quoted("two words", "service", "flip ")
    ('web', "'two words'")
    """
    word = shlex.quote(value)
    if word == value or not value:
        return word
    if not value.isprintable() or not _is_bare(before):
        raise ArgumentError(
            f"{{{name}}} is {value!r}, which cannot be put into a text for a shell as it stands there: take"
            " it out of quotes, backticks, comments and here-documents, or give the command as a list of"
            " words; nothing was sent to a host"
        )
    return word


def _is_bare(before: str) -> bool:
    """Whether what follows this text is not quoted by anything in it."""
    quote, escaped = "", False
    for character in before:
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
    return not quote and not escaped and not _WHOLE_LINE.search(before)
