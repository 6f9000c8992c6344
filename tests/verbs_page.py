"""Writes the table of docs/verbs.md from the code: ``python -m tests.verbs_page``."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.hosts.helper.forms import FORMS
from ferryman.hosts.verbs import Verb
from ferryman.hosts.verbs.kinds import TOKEN
from ferryman.hosts.verbs.registry import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[1] / "docs" / "verbs.md"
BEGIN, END = "<!-- made by python -m tests.verbs_page -->\n", "<!-- end -->\n"
COLUMNS = ("verb", "what it does", "arguments", "at most", "deadline", "root", "in sudoers of")
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"
KIB, MIB = 1 << 10, 1 << 20


def table() -> str:
    """The table, as it must stand on the page."""
    parts = (
        f"### Verbs that {kind}\n\n{HEAD}{''.join(row(verb) for verb in VERBS if verb.reads is reads)}"
        for kind, reads in (("read", True), ("write", False))
    )
    return "\n".join(parts)


def row(verb: type[Verb[Any]]) -> str:
    """One verb's line."""
    cells = (
        f"`{verb.name}`",
        first_sentence(verb.__doc__),
        "; ".join(arguments(verb)) or "none",
        f"{verb.limit // MIB} MiB" if verb.limit >= MIB else f"{verb.limit // KIB} KiB",
        deadline(verb),
        "yes" if verb.needs_root else "no",
        ", ".join(FORMS[verb.name].parts) if verb.name in FORMS else "",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def arguments(verb: type[Verb[Any]]) -> Iterator[str]:
    """Each argument with the form that it must have."""
    for argument in fields(verb):
        if argument.metadata["kind"] is not TOKEN["kind"]:
            yield f"`{argument.name}`: {argument.metadata['kind'].what}"


def deadline(verb: type[Verb[Any]]) -> str:
    """How long it may take, in the words of its own property where it has one."""
    own = next(vars(kind)["deadline_s"] for kind in verb.__mro__ if "deadline_s" in vars(kind))
    base = vars(Verb)["deadline_s"]
    return "`[ssh] command_timeout`" if own is base else first_sentence(own.__doc__)


def first_sentence(doc: str | None) -> str:
    """The first line of a docstring, without its point, in the page's markup."""
    assert doc
    return re.sub(r"``([^`]*)``", r"`\1`", doc.splitlines()[0]).rstrip(".")


def with_table(page: str) -> str:
    """The page with the table of now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
