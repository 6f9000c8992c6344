"""Edits of a text by place, and the lines around a place."""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.inventory.yaml_errors import LINE_BREAK


@dataclass(frozen=True, slots=True)
class Splice:
    """Replace ``text[start:end]``."""

    start: int
    end: int
    replacement: str = ""


def spliced(text: str, splices: list[Splice]) -> str:
    """The text with all splices made; they do not overlap."""
    for splice in sorted(splices, key=lambda one: (one.start, one.end), reverse=True):
        text = text[: splice.start] + splice.replacement + text[splice.end :]
    return text


def line_start(text: str, place: int) -> int:
    """Where the line begins that ``place`` is on."""
    start = 0
    for found in LINE_BREAK.finditer(text, max(0, text.rfind("\n", 0, place)), place):
        start = found.end()
    return start


def line_end(text: str, place: int) -> int:
    """Where the line ends that ``place`` is on, before its line break."""
    found = LINE_BREAK.search(text, place)
    return found.start() if found else len(text)


def next_line(text: str, place: int) -> int:
    """Where the line after that of ``place`` begins, or the end of the text."""
    found = LINE_BREAK.search(text, place)
    return found.end() if found else len(text)


def line_number(text: str, place: int) -> int:
    """The number of the line that ``place`` is on, from 1."""
    return sum(1 for _ in LINE_BREAK.finditer(text, 0, place)) + 1


def line_break_at(text: str, place: int) -> str:
    """How the line of ``place`` ends; for a last line without an end, how the one before it does."""
    found = LINE_BREAK.search(text, place)
    if found is None:
        before = LINE_BREAK.findall(text)
        return before[-1] if before else "\n"
    return found.group()


def lead(text: str, place: int) -> str:
    """What stands on the line before ``place``."""
    return text[line_start(text, place) : place]


def rest(text: str, place: int) -> str:
    """What stands on the line from ``place`` on."""
    return text[place : line_end(text, place)]


def without_lines(text: str, spans: list[tuple[int, int]]) -> list[Splice]:
    """Splices that take out the whole lines of each span; a missing final line break stays missing."""
    whole: list[tuple[int, int]] = []
    for start, end in sorted((line_start(text, start), next_line(text, end)) for start, end in spans):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    start, end = whole[-1]
    if end == len(text) and not text.endswith(_BREAKS):
        whole[-1] = (before_break(text, start), end)
    return [Splice(start, end) for start, end in whole]


_BREAKS = ("\r\n", "\n", "\r", "\x85", "\u2028", "\u2029")


def before_break(text: str, place: int) -> int:
    """Where the line ends that is above the one which begins at ``place``."""
    ends = next((ends for ends in _BREAKS if text.endswith(ends, 0, place)), "")
    return place - len(ends)
