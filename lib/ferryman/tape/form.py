"""What the lines of a tape say: the header, the entries, and what each must have to be read at all.

A tape is data from anybody: nothing here makes an object of what it says, and whatever is not of the form is
one ``FormError`` that names the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ferryman.outcomes import RunOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Judge = Callable[[object, str], None]

SCHEMA = 1
"""The schema that is written, and the newest that is read."""

Action = Literal["perform", "resume", "rollback"]
Port = Literal[
    "hosts",
    "probe",
    "exchange",
    "path-mtu",
    "traffic",
    "catalog",
    "review",
    "cluster",
    "management",
    "dns",
    "operator",
    "locks",
]
Kind = Literal["call", "event", "wait", "time-up", "turn", "signal", "alarm", "packet", "outcome"]

FILES = ("services.yaml", "directors.yaml", "hosts.yaml", "clusters.yaml")
_NODES = re.compile(r"nodes/[A-Za-z0-9][A-Za-z0-9_-]{0,62}\.yaml")
_LONGEST_S = 1e9
"""No wait is as long as this many seconds: a number of a tape can be used in sums."""


class FormError(ValueError):
    """Something is not as a tape has it; the message names the key, what is wanted and what is there."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of the recorded plan: the name of its class, its title, and the names it is about."""

    step: str
    title: str
    about: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The step as the header has it."""
        return {"step": self.step, "title": self.title, "about": list(self.about)}


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: what was run, where, with what, and the part of the inventory that it needs."""

    ferryman: str
    """The version of Ferryman that wrote the tape."""
    python: str
    run: str
    action: Action
    began: str
    """RFC 3339."""
    cookbook: str
    cookbook_digest: str
    arguments: Mapping[str, Any]
    options: Mapping[str, Any]
    """At least ``dry_run`` and ``on_doubt``."""
    operator: str
    config: Mapping[str, Any]
    inventory: Mapping[str, str]
    """The text of each file, by its name in the inventory's folder."""
    plan: tuple[PlannedStep, ...]
    journal: Mapping[str, Any] | None = None
    """What the journal had of the run, where it was resumed or rolled back."""

    def as_json(self) -> dict[str, Any]:
        """The object of the first line."""
        return {
            "tape": SCHEMA,
            "ferryman": self.ferryman,
            "python": self.python,
            "run": self.run,
            "action": self.action,
            "began": self.began,
            "cookbook": self.cookbook,
            "cookbook_digest": self.cookbook_digest,
            "arguments": dict(self.arguments),
            "options": dict(self.options),
            "operator": self.operator,
            "config": dict(self.config),
            "inventory": dict(self.inventory),
            "plan": [step.as_json() for step in self.plan],
            "journal": None if self.journal is None else dict(self.journal),
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """A line after the first: what happened, and how many seconds after the line before it."""

    after_s: float
    kind: str
    data: dict[str, Any]

    def as_json(self) -> list[Any]:
        """The array of the line."""
        return [self.after_s, self.kind, self.data]


def header_of(value: object) -> Header:
    """The header that a first line's value is.

    Raises:
        FormError: A key is missing, unknown, or has another type; or a file has another name.
    """
    found = _fields(value, _HEADER, "", more=False)
    _fields(found["options"], _OPTIONS, "options.")
    for name, text in found["inventory"].items():
        if name not in FILES and not _NODES.fullmatch(name):
            raise FormError(f"inventory: {shown(name)} is no file of an inventory")
        _text(text, f"inventory.{name}")
    plan = tuple(_planned(step, f"plan.{number}") for number, step in enumerate(found["plan"]))
    return Header(**{**{key: found[key] for key in _HEADER if key != "tape"}, "plan": plan})


def entry_of(value: object) -> Entry:
    """The entry that a line's value is.

    Raises:
        FormError: It has not the form of its kind.
    """
    if not isinstance(value, list) or len(value) != _PARTS:
        raise FormError(f"wanted [seconds, kind, data], found {shown(value)}")
    after_s, kind, data = value
    _seconds(after_s, "seconds")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise FormError(f"kind: wanted one of {', '.join(_KINDS)}, found {shown(kind)}")
    _fields(data, _KINDS[kind], f"{kind}: ")
    if kind == "call":
        _answered(data)
    return Entry(float(after_s), kind, data)


def shown(value: object) -> str:
    """A value of a tape in a message: short, without control characters."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = ascii(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


_SHOWN = 60
_PARTS = 3


def _fields(value: object, wanted: Mapping[str, Judge], where: str, *, more: bool = True) -> dict[str, Any]:
    """The object, each wanted key of which was judged; ``more`` says whether it may have others."""
    if not isinstance(value, dict):
        raise FormError(f"{where or 'the line: '}wanted an object, found {shown(value)}")
    for key, judge in wanted.items():
        if key not in value:
            raise FormError(f"{where}{key}: missing")
        judge(value[key], f"{where}{key}")
    if not more and (unknown := value.keys() - wanted.keys()):
        raise FormError(f"{shown(min(unknown))}: unknown key")
    return value


def _of(kinds: type | tuple[type, ...], name: str) -> Judge:
    def judge(value: object, key: str) -> None:
        # A bool is an int of Python's.
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise FormError(f"{key}: wanted {name}, found {shown(value)}")

    return judge


_text = _of(str, "a text")
_bool = _of(bool, "true or false")
_int = _of(int, "a whole number")
_object = _of(dict, "an object")
_list = _of(list, "an array")


def _object_or_null(value: object, key: str) -> None:
    if value is not None:
        _object(value, key)


def _one_of(words: tuple[Any, ...]) -> Judge:
    def judge(value: object, key: str) -> None:
        if not isinstance(value, str) or value not in words:
            raise FormError(f"{key}: wanted one of {', '.join(words)}, found {shown(value)}")

    return judge


def _seconds(value: object, key: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LONGEST_S:
        raise FormError(f"{key}: wanted a number of seconds, found {shown(value)}")


def _names(value: object, key: str) -> None:
    if not isinstance(value, list):
        raise FormError(f"{key}: wanted an array, found {shown(value)}")
    for number, name in enumerate(value):
        _text(name, f"{key}.{number}")


def _error(value: object, key: str) -> None:
    _fields(value, {"type": _text, "message": _text}, f"{key}.")


_EVEN_HEX = re.compile(r"(?:[0-9a-f]{2}){1,65535}")


def _packet(value: object, key: str) -> None:
    if not (isinstance(value, str) and _EVEN_HEX.fullmatch(value)):
        raise FormError(f"{key}: wanted a packet's bytes in lower-case hex, found {shown(value)}")


def _planned(value: object, key: str) -> PlannedStep:
    found = _fields(value, {"step": _text, "title": _text, "about": _names}, f"{key}.", more=False)
    return PlannedStep(found["step"], found["title"], tuple(found["about"]))


def _answered(data: Mapping[str, Any]) -> None:
    if ("value" in data) == ("error" in data):
        raise FormError("call: wanted a value or an error")
    if "error" in data:
        _error(data["error"], "call: error")


_lane = _one_of(("run", "watch"))
_HEADER: dict[str, Judge] = {
    "tape": _int,
    "ferryman": _text,
    "python": _text,
    "run": _text,
    "action": _one_of(get_args(Action)),
    "began": _text,
    "cookbook": _text,
    "cookbook_digest": _text,
    "arguments": _object,
    "options": _object,
    "operator": _text,
    "config": _object,
    "inventory": _object,
    "plan": _list,
    "journal": _object_or_null,
}
_OPTIONS: dict[str, Judge] = {
    "dry_run": _bool,
    "on_doubt": _one_of(("hold", "rollback")),
}
_KINDS: dict[str, dict[str, Judge]] = {
    "call": {
        "port": _one_of(get_args(Port)),
        "host": _text,
        "verb": _text,
        "arguments": _object,
        "writes": _bool,
        "lane": _lane,
    },
    "event": {"event": _text},
    "wait": {"lane": _lane, "seconds": _seconds, "interrupted": _bool},
    "time-up": {"lane": _lane},
    "turn": {"lane": _lane},
    "signal": {"name": _text},
    "alarm": {"error": _error},
    "packet": {"sent": _bool, "hex": _packet},
    "outcome": {
        "outcome": _one_of(get_args(RunOutcome)),
        "exit_code": _int,
        "reason": _text,
        "seconds": _seconds,
    },
}
