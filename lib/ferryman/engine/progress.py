"""Which changes of a run are applied: folded from its records, both while it runs and when it is resumed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from ferryman.errors import JournalError
from ferryman.model import ChangeKind, Edit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ferryman.state import Record

ChangeState = Literal["checked", "intent", "made", "foreign", "verified", "undone", "left"]
"""The kinds of record that move a change on: checked before the first change, begun, made, changed by someone
else (``foreign``), verified, put back, not restored (``left``)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was there before the run changed anything."""

    title: str
    before: Any
    edits: tuple[Edit, ...]
    already: str = ""
    """Why no change was needed; empty where one was."""


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """A change that may have taken effect: its intent is on disk, and it has not been put back."""

    title: str
    before: Any
    edits: tuple[Edit, ...]
    made: bool = False
    """``do`` said that it worked."""
    verified: bool = False
    foreign: bool = False
    """``do`` refused to overwrite what someone else had written."""


class Progress:
    """Which changes are applied, by their place in the plan."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.applied: dict[int, AppliedChange] = {}
        self.restored: dict[int, AppliedChange] = {}
        """Those that were applied, and were put back."""
        self.checked: dict[int, Checked] = {}
        """The state before the run of every change, as checked before the first one was made."""
        for record in records:
            if record.step is not None:
                self.fold(record.kind, record.step, record.payload)

    def fold(self, kind: str, place: int, payload: Mapping[str, Any]) -> None:
        """Take in one more record; kinds that are no ``ChangeState`` are ignored."""
        if kind == "checked":
            known = _known(kind, place, payload)
            self.checked.setdefault(place, Checked(*known, _text(kind, place, payload.get("already", ""))))
        elif kind == "intent":
            self.applied[place] = AppliedChange(*_known(kind, place, payload))
            self.restored.pop(place, None)
        elif kind == "left" and place in self.restored:
            self.applied[place] = self.restored.pop(place)
        elif place not in self.applied:
            return
        elif kind == "undone":
            self.restored[place] = self.applied.pop(place)
        elif kind == "made":
            self.applied[place] = replace(self.applied[place], made=True)
        elif kind == "foreign":
            self.applied[place] = replace(self.applied[place], foreign=True)
        elif kind == "verified":
            self.applied[place] = replace(self.applied[place], verified=True)


def _known(kind: str, place: int, payload: Mapping[str, Any]) -> tuple[str, Any, tuple[Edit, ...]]:
    """Title, before and edits out of a record's payload.

    Raises:
        JournalError: It has not what such a record has.
    """
    try:
        title, before = _text(kind, place, payload["title"]), payload["before"]
        edits = tuple(_edit(edit) for edit in payload["edits"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unlike(kind, place) from error
    return title, before, edits


def _edit(value: Mapping[str, Any]) -> Edit:
    if value["kind"] not in get_args(ChangeKind) or not isinstance(value["target"], str):
        raise TypeError("edit")
    texts = (value.get("diff"), value.get("command"))
    if not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError("edit")
    return Edit(value["kind"], value["target"], *texts)


def _text(kind: str, place: int, value: object) -> str:
    if not isinstance(value, str):
        raise _unlike(kind, place)
    return value


def _unlike(kind: str, place: int) -> JournalError:
    return JournalError(
        f"a record of the journal ({kind}, step {place + 1}) has not what ferryman writes into one: what it "
        "says was there before cannot be trusted; see who wrote there, and put the hosts back by hand"
    )


def checked(title: str, before: object, edits: Sequence[Edit] = (), *, already: str = "") -> dict[str, Any]:
    """The payload of a ``checked`` record: what was there before the run changed anything."""
    return {**intent(title, before, edits), "already": already}


def intent(title: str, before: object, edits: Sequence[Edit]) -> dict[str, Any]:
    """The payload of an ``intent`` record: all that a rollback needs."""
    return {"title": title, "before": before, "edits": [asdict(edit) for edit in edits]}
