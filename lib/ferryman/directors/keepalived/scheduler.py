"""Edits the scheduler and its flags in a keepalived configuration, and not one other byte.

The word of ``lvs_sched`` (``lb_algo`` is its older name) is replaced. A flag is a line of its own; keepalived
takes it only below the line of the scheduler that it belongs to, and refuses a configuration in which a flag
remains that does not. So the flags' lines go, and those that are wanted come right below the scheduler's,
unless the right ones stand there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.directors.keepalived.text import (
    Statement,
    TextError,
    block_of,
    check_plain,
    no_comment,
    parse,
)
from ferryman.directors.schedulers import FLAG_WORDS, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.directors.target import SetScheduler
    from ferryman.model import VirtualService

_WORDS = ("lvs_sched", "lb_algo")
_Splice = tuple[int, int, str]
"""The place of what is replaced, and what comes there."""


def with_scheduler(text: str, virtuals: Iterable[VirtualService], target: SetScheduler) -> str:
    """The text with these virtual services' blocks scheduled so; twice is the same as once.

    Raises:
        TextError: A block is missing, or its scheduler cannot be edited safely.
    """
    statements = parse(text)
    splices = [
        splice for virtual in virtuals for splice in _splices(text, block_of(statements, virtual), target)
    ]
    for start, end, new in sorted(splices, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _splices(text: str, block: Statement, target: SetScheduler) -> Iterator[_Splice]:
    check_plain(block)
    scheduler = _scheduler_of(block)
    word = scheduler.words[1]
    flags = list(block.within(*FLAG_WORDS))
    if word.text != target.scheduler:
        yield word.start, word.end, target.scheduler
    elif in_order(word.text, (flag.texts[0] for flag in flags)) == target.flags:
        return
    yield from (_without_line(text, flag) for flag in flags)
    if target.flags:
        margin, ending, below = _line_of(text, scheduler)
        yield below, below, "".join(f"{margin}{flag}{ending}" for flag in target.flags)


def _scheduler_of(block: Statement) -> Statement:
    found = list(block.within(*_WORDS))
    if len(found) != 1:
        raise TextError(
            f"line {block.line}: {' '.join(block.texts)} has {len(found) or 'no'} lvs_sched,"
            " wanted one line `lvs_sched NAME`"
        )
    if len(found[0].words) != 2:  # noqa: PLR2004  # lvs_sched NAME
        raise TextError(
            f"line {found[0].line}: {' '.join(found[0].texts)}: expected `lvs_sched NAME`,"
            f" and nothing after it{no_comment(found[0])}"
        )
    return found[0]


def _line_of(text: str, statement: Statement) -> tuple[str, str, int]:
    """What stands before a statement on its line, how that line ends, and where the next one begins."""
    start = text.rfind("\n", 0, statement.words[0].start) + 1
    below = text.find("\n", statement.words[-1].end) + 1
    margin = text[start : statement.words[0].start]
    if margin.strip() or not below:
        raise TextError(f"line {statement.line}: {' '.join(statement.texts)}: expected on a line of its own")
    return margin, "\r\n" if text.endswith("\r\n", 0, below) else "\n", below


def _without_line(text: str, flag: Statement) -> _Splice:
    """Without a flag's line; where a comment follows on it, without the flag alone."""
    margin, _, below = _line_of(text, flag)
    start, end = flag.words[0].start, flag.words[-1].end
    if text[end:below].strip():
        return start, end, ""
    return start - len(margin), below, ""
