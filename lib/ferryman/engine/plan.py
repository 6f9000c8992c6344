"""A plan: looks and changes in order, and the locks that a run of it takes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any

from ferryman.docstrings import docstring
from ferryman.engine.readings import NothingShared, Readings
from ferryman.engine.steps import Change, Look

Step = Look | Change[Any]

_WRITTEN_AS_TEXT = (IPv4Address, IPv6Address, IPv4Network, IPv6Network, PurePath, date, timedelta)
_OPAQUE = object()


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks that are made all the time; each must hold before the first change as well as after the last."""

    looks: Sequence[Look]
    every_s: float
    """Seconds from the end of one round to the next. The first is made after as long."""
    failures: int = 2
    """How many times in a row a look fails before it counts."""
    flaps: int = 3
    """Looks that failed and passed when made again, of all: with more, the state is unknown."""
    often: Sequence[Look] = ()
    """As ``looks``, but made more often than these."""
    often_s: float = 1.0
    """Seconds from the end of one round of them to the next."""
    retries: int = 5
    """Rounds within a minute in which a host answered only on a retry; with more, it is unknown too."""


@dataclass(frozen=True)
class Plan:
    """What a cookbook returns: steps, locks, and what is watched meanwhile.

    Raises:
        ValueError: A step has no title of its own, or there is no step at all.
    """

    steps: Sequence[Step]
    locks: Sequence[str] = ()
    """One for each thing that no two runs may work on at the same time, such as ``web/codfw``."""
    writes: Sequence[str] = ()
    """One for each thing that other runs write too, such as a director: they wait for each other."""
    watch: Watch | None = None
    """Looks that are made all the time while the run asks, waits or soaks."""
    shows_passing: bool = False
    """Whether people are shown findings that pass too: where these are what was asked for."""
    readings: Readings = field(default=NothingShared(), repr=False, compare=False)
    """How the steps share what they ask at the same moment; whoever builds the plan for a run sets it."""
    titles: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a plan needs one step at least")
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "locks", tuple(sorted(set(self.locks))))
        object.__setattr__(self, "writes", tuple(sorted(set(self.writes))))
        object.__setattr__(self, "titles", tuple(_title(step) for step in self.steps))

    @property
    def keys(self) -> tuple[str, ...]:
        """All locks that a run of it acquires, at once."""
        return tuple(dict.fromkeys([*self.locks, *self.writes]))

    @property
    def changes(self) -> frozenset[int]:
        """The places of the changes."""
        return frozenset(place for place, step in enumerate(self.steps) if isinstance(step, Change))

    @property
    def first_change(self) -> int:
        """The place of the first change; the number of steps when there is none."""
        places = (place for place, step in enumerate(self.steps) if isinstance(step, Change))
        return next(places, len(self.steps))

    def change(self, place: int) -> Change[Any]:
        """The step at this place, which must be a change."""
        step = self.steps[place]
        assert isinstance(step, Change), f"step {place} is a look: {self.titles[place]}"
        return step

    @property
    def fingerprint(self) -> str:
        """A digest, equal for equal plans: of titles, classes, locks and every field that is a plain value.

        What is no value (a connection, a fake world) and what only mirrors the current state (a field whose
        metadata says ``observed``) does not count: both may differ when a run is resumed.
        """
        steps = [
            [type(step).__qualname__, title, _fields(step)]
            for step, title in zip(self.steps, self.titles, strict=True)
        ]
        return hashlib.sha256(json.dumps([steps, self.locks, self.writes]).encode()).hexdigest()[:16]


def _title(step: Step) -> str:
    name = type(step).__name__
    own = [cls for cls in type(step).__mro__ if cls not in Look.__mro__ + Change.__mro__]
    described = ((cls.__name__, docstring(cls)) for cls in own)
    source, text = next(((cls, doc) for cls, doc in described if doc is not None), (name, ""))
    # A dataclass without a docstring is given its signature as one.
    if not text.strip() or text.startswith(f"{source}("):
        raise ValueError(f"{name}: needs a docstring, its first line is the step's title")
    if not (title := step.title.strip()):
        raise ValueError(
            f"{name}: the first line of its docstring is empty once it is filled in; it is the step's title"
        )
    return title


def _plain(value: object) -> object:
    """The part of a value that is the same in every process, as JSON; ``_OPAQUE`` when there is none."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, _WRITTEN_AS_TEXT):
        return str(value)
    if isinstance(value, Enum):
        return [type(value).__qualname__, value.name]
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _is_plain(value):
        return [type(value).__qualname__, _fields(value)]
    return _collection(value)


def _collection(value: object) -> object:
    if isinstance(value, Mapping):
        return sorted([str(key), item] for key, item in _plain_items(value.items()))
    if isinstance(value, AbstractSet):
        return sorted((item for _, item in _plain_items(enumerate(value))), key=repr)
    if isinstance(value, (tuple, list)):
        return [item for _, item in _plain_items(enumerate(value))]
    return _OPAQUE


def _plain_items(items: Iterable[tuple[object, object]]) -> Iterator[tuple[object, object]]:
    """Each key with its value as JSON; opaque values are left out."""
    for key, item in items:
        if (plain := _plain(item)) is not _OPAQUE:
            yield key, plain


def _is_plain(value: object) -> bool:
    """Whether a dataclass is frozen and compared by its fields: any other is a tool, or the world itself."""
    params = getattr(type(value), "__dataclass_params__")  # noqa: B009  # mypy knows no such attribute
    return bool(params.frozen and params.eq)


def _fields(value: Any) -> dict[str, object]:  # noqa: ANN401  # any dataclass; there is no type for that
    counting = [
        (part.name, getattr(value, part.name))
        for part in (dataclasses.fields(value) if dataclasses.is_dataclass(value) else ())
        if not part.name.startswith("_") and not part.metadata.get("observed")
    ]
    return {str(name): plain for name, plain in _plain_items(counting)}
