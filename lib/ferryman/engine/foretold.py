"""What a dry run foretold, what a run then did, and in what the two differ.

Both are the same value, a ``Course``: of each change what was said or made of it, and of each check the worst
verdict before the first change. Steps are matched by title, so that a plan with a director more or less can
still be compared. Texts are without secrets, and without the run's id, which no dry run can know.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from ferryman.events import Answer, Difference
from ferryman.model import Verdict
from ferryman.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ferryman.events import Occurrence
    from ferryman.state import Record

RUN = "<run>"
"""What stands for the id of the run in what a dry run says."""
SCHEMA = 1

_KINDS = ("step-started", "finding", "change", "no-change", "cannot-tell")
_WORST_FIRST = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.WARN, Verdict.PASS, Verdict.SKIP)
_STOPS_OR_WARNS = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.WARN)


@dataclass(frozen=True, slots=True)
class Effect:
    """One edit as text: where, and the diff or command."""

    target: str
    text: str


@dataclass(slots=True)
class Course:
    """How a run, or a dry run, went; a subscriber to its events."""

    run: str
    names: Sequence[str]
    """Of each step of the plan, its title, with a number where an earlier step has the same."""
    said: dict[str, Answer] = field(default_factory=dict)
    """By step: what a dry run said of the change."""
    effects: dict[str, list[Effect]] = field(default_factory=dict)
    """By step: the edits that were foretold, or made."""
    verdicts: dict[tuple[str, str, str], Verdict] = field(default_factory=dict)
    """By step, check and host: the worst verdict before the first change."""
    _phase: str = ""
    _changes_began: bool = False

    @classmethod
    def of(cls, run: str, titles: Sequence[str]) -> Course:
        """An empty course of a run with these steps."""
        seen: Counter[str] = Counter()
        names = []
        for title in titles:
            seen[title] += 1
            names.append(redacted(title if seen[title] == 1 else f"{title} ({seen[title]})"))
        return cls(run, names)

    def __call__(self, occurrence: Occurrence) -> None:
        """Take in one event."""
        if occurrence.event.event in _KINDS:
            self.take(occurrence.event.event, occurrence.event.as_dict())

    def take_records(self, records: Iterable[Record]) -> None:
        """Take in what earlier processes of the run recorded, as far as it can be understood."""
        for record in records:
            with suppress(KeyError, TypeError, ValueError, IndexError):
                self.take(record.kind, record.payload)

    def take(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Take in one event as the journal has it; other records are passed over."""
        if kind not in _KINDS:
            return
        name = self.names[payload["step"]]
        match kind:
            case "step-started":
                self._phase = payload["phase"]
                if self._phase == "do":
                    self._changes_began = True
                    self.effects[name] = []  # made anew after a rollback that was given up
            case "finding" if not self._changes_began:
                self._take_verdict((name, payload["check"], payload["host"]), Verdict(payload["verdict"]))
            case "change" if not payload["applied"]:
                self.said[name] = "would-change"
                self.effects.setdefault(name, []).append(self._effect(payload))
            case "change" if self._phase != "undo":
                self.effects.setdefault(name, []).append(self._effect(payload))
            case "no-change":
                self.said[name] = "no-change"
            case "cannot-tell":
                self.said[name] = "cannot-tell"
                self.effects[name] = [self._effect(edit) for edit in payload["edits"]]

    def _take_verdict(self, key: tuple[str, str, str], verdict: Verdict) -> None:
        others = [verdict, self.verdicts[key]] if key in self.verdicts else [verdict]
        self.verdicts[key] = min(others, key=_WORST_FIRST.index)

    def _effect(self, edit: Mapping[str, Any]) -> Effect:
        return Effect(*(self._plain(text) for text in (edit["target"], edit.get("diff") or edit["command"])))

    def _plain(self, text: str) -> str:
        return redacted(text.replace(self.run, RUN) if self.run else text)


@dataclass(frozen=True, slots=True)
class Foretelling:
    """A dry run's course, as it is kept until a run follows."""

    course: Course
    ended: str
    """When the dry run ended, RFC 3339 in UTC."""
    refused: bool
    """Whether something blocked: then no change was foretold to be made."""

    def as_json(self) -> dict[str, Any]:
        """The value that is kept."""
        course = self.course
        return {
            "schema": SCHEMA,
            "run": course.run,
            "ended": self.ended,
            "refused": self.refused,
            "said": course.said,
            "effects": {
                name: [[effect.target, effect.text] for effect in effects]
                for name, effects in course.effects.items()
            },
            "verdicts": [[*key, verdict.value] for key, verdict in course.verdicts.items()],
        }

    @classmethod
    def from_json(cls, value: object) -> Foretelling | None:
        """What was kept; None when it is anything else."""
        try:
            return cls._from_json(value)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    @classmethod
    def _from_json(cls, value: Any) -> Foretelling:  # noqa: ANN401  # whatever a file has
        if value["schema"] != SCHEMA or not isinstance(value["refused"], bool):
            raise ValueError(value["schema"])
        said = {_text(name): _answer(answer) for name, answer in value["said"].items()}
        effects = {
            _text(name): [Effect(_text(target), _text(text)) for target, text in pairs]
            for name, pairs in value["effects"].items()
        }
        verdicts = {
            (_text(name), _text(check), _text(host)): Verdict(verdict)
            for name, check, host, verdict in value["verdicts"]
        }
        course = Course(_text(value["run"]), list(said), said, effects, verdicts)
        return cls(course, _text(value["ended"]), value["refused"])

    def differences(self, now: Course, *, refused: bool) -> tuple[Difference, ...]:
        """In what a run went differently; ``refused``: it was stopped before its first change."""
        verdicts = tuple(_verdicts_differ(self.course, now))
        if self.refused and refused:
            return verdicts
        return (*verdicts, *_changes_differ(self.course, now))


def _changes_differ(foretold: Course, now: Course) -> Iterator[Difference]:
    for name, answer in foretold.said.items():
        expected, made = foretold.effects.get(name, []), now.effects.get(name, [])
        if answer == "would-change":
            yield from _edits_differ(name, expected, made)
        else:
            # What could not be told may be made or not, as long as it was named.
            named = expected if answer == "cannot-tell" else []
            for effect in made:
                if effect not in named:
                    yield Difference("not-foretold", name, effect.target, "", effect.text)
    for name, made in now.effects.items():
        if name not in foretold.said:
            for effect in made:
                yield Difference("not-foretold", name, effect.target, "", effect.text)


def _edits_differ(name: str, expected: Sequence[Effect], made: Sequence[Effect]) -> Iterator[Difference]:
    if list(expected) == list(made):
        return
    missing, more = _without(expected, made), _without(made, expected)
    if not missing and not more:
        texts = ("\n".join(effect.text for effect in effects) for effects in (expected, made))
        yield Difference("other-edit", name, expected[0].target, *texts)
    for effect in missing:
        instead = next((other for other in more if other.target == effect.target), None)
        if instead is None:
            yield Difference("not-made", name, effect.target, effect.text, "")
        else:
            more.remove(instead)
            yield Difference("other-edit", name, effect.target, effect.text, instead.text)
    for effect in more:
        yield Difference("not-foretold", name, effect.target, "", effect.text)


def _without(effects: Iterable[Effect], others: Iterable[Effect]) -> list[Effect]:
    """The effects that are not among the others, each as often as it is more often here than there."""
    left, rest = [], Counter(others)
    for effect in effects:
        if rest[effect]:
            rest[effect] -= 1
        else:
            left.append(effect)
    return left


def _verdicts_differ(foretold: Course, now: Course) -> Iterator[Difference]:
    """Verdicts that changed; what a dry run did not look at (``skip``) it did not foretell."""
    not_looked_at = {key[0] for key, verdict in foretold.verdicts.items() if verdict is Verdict.SKIP}
    for key in dict.fromkeys([*foretold.verdicts, *now.verdicts]):
        name, check, host = key
        was, found = foretold.verdicts.get(key), now.verdicts.get(key)
        if was is found or Verdict.SKIP in (was, found):
            continue
        if None in (was, found) and (name in not_looked_at or (was or found) not in _STOPS_OR_WARNS):
            continue
        words = (verdict.value if verdict is not None else "" for verdict in (was, found))
        yield Difference("verdict", name, f"{check} {host}".strip(), *words)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _answer(value: Any) -> Answer:  # noqa: ANN401  # whatever a file has
    if value not in get_args(Answer):
        raise ValueError(value)
    answer: Answer = value
    return answer
