"""The operator's own commands, those of the ``command`` driver: how a director is changed that is not known.

They are a vector of words, of which no shell ever reads one; or, where the operator says so, one text for
``/bin/sh``, in which every value that was filled in is quoted (``directors/command_template.py``).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.hosts.verbs.kinds import ARGV, INPUT, OPTIONAL_SECONDS, SWITCH
from ferryman.hosts.verbs.verb import MIB, ReadVerb, WriteVerb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.hosts.completed import Completed

_SCRIPT = """\
if [ "$1" = text ]; then
    text=$2
    set --
    eval "$text"
else
    shift
    "$@"
fi
"""


@dataclass(frozen=True)
class _Command:
    """A command of an operator's, whether it reads or writes; its value is how it ended."""

    argv: tuple[str, ...] = field(metadata=ARGV)
    shell: bool = field(default=False, metadata=SWITCH)
    """Whether ``argv`` is one text for ``/bin/sh``."""
    given: str = field(default="", metadata=INPUT)
    """What the command has on standard input."""
    timeout_s: float | None = field(default=None, metadata=OPTIONAL_SECONDS)

    @property
    def shown(self) -> str:
        """The command itself: whoever wrote it knows it by that."""
        return self.argv[0] if self.shell else shlex.join(self.argv)

    @property
    def deadline_s(self) -> float | None:
        """``command_timeout`` of the director."""
        return self.timeout_s

    @property
    def words(self) -> Sequence[str]:
        """How the command is meant, and the command."""
        return ("text" if self.shell else "words", *self.argv)

    @property
    def stdin(self) -> str:
        """What the command is given."""
        return self.given

    def parse(self, done: Completed) -> Completed:
        """How it ended, whatever its status means: the operator's commands have statuses of their own."""
        return done


@dataclass(frozen=True)
class OperatorQuestion(_Command, ReadVerb["Completed"]):
    """Runs a command of the operator's that only reads: ``verify`` and ``read``."""

    name = "operator-question"
    limit = 16 * MIB
    script = _SCRIPT


@dataclass(frozen=True)
class OperatorCommand(_Command, WriteVerb["Completed"]):
    """Runs a command of the operator's that changes something: ``apply`` and ``undo``."""

    name = "operator-command"
    limit = 16 * MIB
    script = _SCRIPT
