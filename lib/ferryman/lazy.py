"""Names that are imported late: a package can offer many, and who needs few of them waits for few.

A package that imports a module in its ``__getattr__`` (PEP 562) is quick to import itself, but whoever says
``from package import Name`` has the module imported there and then. Where that is too early, the import gets
a stand-in. Type checkers are shown the true names, in an ``if TYPE_CHECKING`` of the package.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """What is imported inside is no garbage: looking through it, again and again, takes a tenth of the time.

    What there is when it is over lives as long as the process, and is not looked through later either.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


class LazyName:
    """Stands for a class or a function, and imports it when it is called, subclassed or looked into."""

    __slots__ = ("_found", "_module", "_name")

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name
        self._found: Any = None

    def resolved(self) -> Any:  # noqa: ANN401  # whatever the module has under that name
        """What it stands for; raises what the import of its module raises."""
        if self._found is None:
            with collector_at_rest():
                self._found = getattr(import_module(self._module), self._name)
        return self._found

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401  # as what it stands for
        """Call it, or make an object of it."""
        return self.resolved()(*given, **named)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # the same
        return getattr(self.resolved(), name)

    def __setattr__(self, name: str, value: object) -> None:
        """Set it in what it stands for, as a test does that puts something else in a method's place."""
        if name in LazyName.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self.resolved(), name, value)

    def __getitem__(self, parameters: Any) -> Any:  # noqa: ANN401  # a generic class with its parameters
        return self.resolved()[parameters]

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[Any, ...]:
        return (self.resolved(),)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self.resolved())

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, self.resolved())

    def __or__(self, other: Any) -> Any:  # noqa: ANN401  # a union of types, in an annotation
        return self.resolved() | other

    def __ror__(self, other: Any) -> Any:  # noqa: ANN401  # the same
        return other | self.resolved()

    def __repr__(self) -> str:
        return f"<{self._name} of {self._module}, imported when it is used>"


def lazy_names(
    package: str,
    *,
    when_named: Mapping[str, Sequence[str]] | None = None,
    when_used: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[str], Any]:
    """A package's ``__getattr__`` for these names, listed by their module.

    ``when_named``: imported when somebody imports the name, so that whoever imports other names of the
    package does not wait for them. ``when_used``: a ``LazyName`` stands for it until it is called.
    """
    named, used = (
        {name: home for home, names in (table or {}).items() for name in names}
        for table in (when_named, when_used)
    )

    def attribute(name: str) -> Any:  # noqa: ANN401  # whatever has that name
        if name not in named and name not in used:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = LazyName(named.get(name) or used[name], name)
        return found.resolved() if name in named else found

    return attribute
