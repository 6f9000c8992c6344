"""The boundary of every store: whatever is raised inside leaves it as an error that the engine knows.

A run is rolled back when its journal fails. What its database, its cluster, or whatever answers in their
place makes Python raise must not come between the trouble and that rollback.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar, cast

from ferryman.errors import BusyError, InterruptedRunError, JournalError, UsageError
from ferryman.plain_text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable


class _Named(Protocol):
    where: str


_OWN = (UsageError, BusyError, InterruptedRunError)
"""What a store raises on purpose, and the operator's signal; ``JournalError`` is a ``UsageError``."""

S = TypeVar("S", bound=_Named)
P = ParamSpec("P")
T = TypeVar("T")


def guarded(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A method of a store, from which nothing but errors of ours comes out.

    Raises:
        JournalError: The method raised what is none of them.
    """

    @wraps(method)
    def call(store: S, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(store, *args, **kwargs)
        except (*_OWN, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise JournalError(
                f"{store.where}: the journal cannot be used: {type(error).__name__}: {text_of(error)}; see "
                "whether what is there is a journal of ferryman's, and has room"
            ) from error

    return cast("Callable[Concatenate[S, P], T]", call)
