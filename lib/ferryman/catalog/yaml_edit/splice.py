"""Edits of a text by place, and the lines around a place; lines end in LF."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Splice:
    """One edit of a text: ``replacement`` in place of ``text[start:end]``."""

    start: int
    end: int
    replacement: str = ""


def spliced(text: str, splices: list[Splice]) -> str:
    """The text with all splices made; they do not overlap."""
    for splice in sorted(splices, key=lambda splice: (splice.start, splice.end), reverse=True):
        text = text[: splice.start] + splice.replacement + text[splice.end :]
    return text


def line_start(text: str, place: int) -> int:
    """Where the line begins that ``place`` is on."""
    return text.rfind("\n", 0, place) + 1


def line_end(text: str, place: int) -> int:
    """Where the line ends that ``place`` is on, before its line break."""
    found = text.find("\n", place)
    return len(text) if found < 0 else found


def line_number(text: str, place: int) -> int:
    """The number of the line that ``place`` is on, from 1."""
    return text.count("\n", 0, place) + 1


def lead(text: str, place: int) -> str:
    """What stands on the line before ``place``."""
    return text[line_start(text, place) : place]


def rest(text: str, place: int) -> str:
    """What stands on the line from ``place`` on."""
    return text[place : line_end(text, place)]


def without_lines(text: str, spans: list[tuple[int, int]]) -> list[Splice]:
    """Splices that take out the whole lines of each span; a missing final line break stays missing."""
    whole: list[tuple[int, int]] = []
    for start, end in sorted((line_start(text, start), line_end(text, end) + 1) for start, end in spans):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    start, end = whole[-1]
    if end > len(text):
        whole[-1] = (start - 1, len(text))
    return [Splice(start, end) for start, end in whole]
