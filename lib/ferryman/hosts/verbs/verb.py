"""What a verb is: one question to a host, or one thing done to it, with everything that makes it safe.

A verb has a fixed script, and arguments that reach it as positional parameters or on standard input; no
argument ever becomes a part of the script's text. So a program on the host that holds the same scripts needs
the arguments alone, and there is one place where a value could become words of a shell: ``framing.py``.

Each argument is a field of a frozen dataclass and says in its metadata of which kind it is (``kinds``); a
value of another form is refused when the verb is made, wherever it came from: the inventory, a host, the
journal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from ferryman.errors import FerrymanError, VerifyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ferryman.hosts.completed import Completed

    Included = Sequence[tuple["ReadVerb[Any]", Callable[[Any], Any]]]
    """Questions, each with what makes its answer of another verb's value."""

T_co = TypeVar("T_co", covariant=True)

KIB, MIB = 1 << 10, 1 << 20
GARBLED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What a parser raises at text that is not what it should be."""


@dataclass(frozen=True)
class Verb(ABC, Generic[T_co]):
    """Something that a host can be asked, or told to do; what comes of it is a ``T_co``.

    A subclass is a frozen dataclass: its fields are the arguments.
    """

    name: ClassVar[str]
    """How the verb is called in messages, records and lists of what a user may do."""
    reads: ClassVar[bool]
    """Whether it changes nothing on the host; a dry run does no other."""
    script: ClassVar[str]
    """The fixed POSIX sh that does it; ``$1`` and so on are what ``words`` returns."""
    limit: ClassVar[int] = MIB
    """The most bytes of an answer that are taken."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """Patterns of what is secret in its arguments or its answer, each with one group for the secret."""
    kept_as_text: ClassVar[bool] = False
    """Whether a record of the run keeps what was printed, not the value: it is large, or no plain data."""
    needs_root: ClassVar[bool] = True
    """Whether a user without rights of root is refused what the script does."""

    def __post_init__(self) -> None:
        """Look at each argument.

        Raises:
            ArgumentError: One is not of its kind; names verb and argument.
        """
        for argument in fields(self):
            argument.metadata["kind"].require(f"{self.name}: {argument.name}", getattr(self, argument.name))

    def require_kind(self, *, reads: bool) -> None:
        """Raise a TypeError where a verb is given to whoever only reads, or only writes, and does the other.

        A dry run relies on it: it refuses by kind.
        """
        if reads is not self.reads:
            does, was = ("reads", "was to write") if self.reads else ("writes", "was to be read")
            raise TypeError(f"{self.name} {does}, and {was}: a bug in who asks; nothing ran")

    @property
    def shown(self) -> str:
        """What people are told of it in a message: its name, or the operator's own command."""
        return self.name

    @property
    def deadline_s(self) -> float | None:
        """Seconds until its answer must be there; None: those of ``[ssh] command_timeout``."""
        return None

    @property
    def includes(self) -> Included:
        """Other questions that its answer answers too, each with what makes that answer of its value."""
        return ()

    @property
    def words(self) -> Sequence[str]:
        """The positional parameters of the script."""
        return ()

    @property
    def stdin(self) -> str:
        """What the script reads on standard input."""
        return ""

    @abstractmethod
    def parse(self, done: Completed) -> T_co:
        """The value of an answer, which may be of a script that failed.

        Raises:
            CommandFailedError: The script ended with an error.
            VerifyError: The answer is not understood; names the host.
        """

    def value(self, done: Completed) -> T_co:
        """The value of an answer; whatever the parser meets in it becomes a VerifyError."""
        try:
            return self.parse(done)
        except FerrymanError:
            raise
        except GARBLED as error:
            raise VerifyError(
                f"{done.host}: {self.shown}: the answer is not understood: {type(error).__name__}: {error}"
            ) from error


@dataclass(frozen=True)
class ReadVerb(Verb[T_co]):
    """A verb that changes nothing on the host."""

    reads = True


@dataclass(frozen=True)
class WriteVerb(Verb[T_co]):
    """A verb that changes something on the host; a dry run refuses it, and a fence guards it."""

    reads = False
