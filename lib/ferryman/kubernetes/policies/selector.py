"""Calico's expressions over labels, such as ``app == 'web' && !has(debug)``, and Kubernetes' LabelSelectors.

The grammar is that of Calico's documentation ("Selector syntax"). What an expression says of a label that is
not there: ``!=`` and ``not in`` hold, all other comparisons do not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Labels = Mapping[str, str]
    Matches = Callable[[Labels], bool]

MAX_CHARACTERS = 8192
MAX_DEPTH = 50
"""Brackets and negations within each other."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator>&&|\|\||==|!=|!|\(|\)|\{|\}|,)
      | (?P<string>"[^"]*"|'[^']*')
      | (?P<word>[A-Za-z0-9_./-]+)
    )""",
    re.VERBOSE,
)
_LABEL = re.compile(r"[A-Za-z0-9_./-]{1,512}")


class UnreadableSelectorError(ValueError):
    """It is no expression of Calico's, or no LabelSelector; the message says what was expected, and where."""


@lru_cache(maxsize=4096)
def calico_selector(text: str) -> Matches:
    """What an expression says of labels; an empty one selects everything.

    Raises:
        UnreadableSelectorError: It is no expression.
    """
    if len(text) > MAX_CHARACTERS:
        raise UnreadableSelectorError(f"has {len(text)} characters, {MAX_CHARACTERS} are read at most")
    if not text.strip():
        return _everything
    return _Parser(text).whole()


def _everything(labels: Labels) -> bool:
    del labels
    return True


class _Parser:
    """Reads an expression from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        place = 0
        end = len(text.rstrip())
        while place < end:
            found = _TOKEN.match(text, place)
            if found is None:
                place = end - len(text[place:end].lstrip())
                raise UnreadableSelectorError(f"{text!r}: character {place + 1} begins nothing that is known")
            kind = found.lastgroup or ""
            self._tokens.append((kind, found[kind], found.start(kind)))
            place = found.end()
        self._next = 0
        self._depth = 0

    def whole(self) -> Matches:
        """The whole expression."""
        made = self._either()
        if self._next < len(self._tokens):
            raise self._expected("&& or ||")
        return made

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        place = self._next + ahead
        return self._tokens[place][:2] if place < len(self._tokens) else ("end", "")

    def _take(self, text: str) -> bool:
        is_it = self._peek() in (("operator", text), ("word", text))
        self._next += is_it
        return is_it

    def _require(self, text: str) -> None:
        if not self._take(text):
            raise self._expected(text)

    def _expected(self, what: str) -> UnreadableSelectorError:
        at_end = self._next >= len(self._tokens)
        where = "its end" if at_end else f"character {self._tokens[self._next][2] + 1}"
        return UnreadableSelectorError(f"{self._text!r}: expected {what} at {where}")

    def _either(self) -> Matches:
        parts = [self._both()]
        while self._take("||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda labels: any(part(labels) for part in parts)

    def _both(self) -> Matches:
        parts = [self._single()]
        while self._take("&&"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else lambda labels: all(part(labels) for part in parts)

    def _single(self) -> Matches:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableSelectorError(f"is nested more than {MAX_DEPTH} deep")
        made = self._negated() if self._take("!") else self._group() if self._take("(") else self._term()
        self._depth -= 1
        return made

    def _negated(self) -> Matches:
        inner = self._single()
        return lambda labels: not inner(labels)

    def _group(self) -> Matches:
        inner = self._either()
        self._require(")")
        return inner

    def _term(self) -> Matches:
        kind, word = self._peek()
        if kind != "word":
            raise self._expected("a label, has(), all(), ! or a bracket")
        self._next += 1
        if self._peek() == ("operator", "(") and word in ("all", "global", "has"):
            return self._call(word)
        if not _LABEL.fullmatch(word):
            raise self._expected("a label")
        return self._comparison(word)

    def _call(self, word: str) -> Matches:
        self._require("(")
        if word == "has":
            kind, label = self._peek()
            if kind != "word":
                raise self._expected("a label")
            self._next += 1
            self._require(")")
            return lambda labels: label in labels
        self._require(")")
        if word == "all":
            return _everything
        return lambda labels: NAMESPACE_LABEL not in labels

    def _comparison(self, label: str) -> Matches:
        for words, made in _OF_A_TEXT.items():
            if self._take_all(words):
                return made(label, self._string())
        for words, made_of_texts in _OF_TEXTS.items():
            if self._take_all(words):
                return made_of_texts(label, self._strings())
        raise self._expected("==, !=, in, not in, contains, starts with or ends with")

    def _take_all(self, words: tuple[str, ...]) -> bool:
        there = all(self._peek(ahead)[1] == word for ahead, word in enumerate(words))
        self._next += len(words) * there
        return there

    def _string(self) -> str:
        kind, text = self._peek()
        if kind != "string":
            raise self._expected("a text in quotes")
        self._next += 1
        return text[1:-1]

    def _strings(self) -> frozenset[str]:
        self._require("{")
        found: set[str] = set()
        if self._take("}"):
            return frozenset()
        found.add(self._string())
        while self._take(","):
            found.add(self._string())
        self._require("}")
        return frozenset(found)


_OF_A_TEXT: dict[tuple[str, ...], Callable[[str, str], Matches]] = {
    ("==",): lambda label, value: lambda labels: labels.get(label) == value,
    ("!=",): lambda label, value: lambda labels: labels.get(label) != value,
    ("contains",): lambda label, value: lambda labels: label in labels and value in labels[label],
    ("starts", "with"): lambda label, value: (
        lambda labels: label in labels and labels[label].startswith(value)
    ),
    ("ends", "with"): lambda label, value: lambda labels: label in labels and labels[label].endswith(value),
}
"""What is compared with one text."""
_OF_TEXTS: dict[tuple[str, ...], Callable[[str, frozenset[str]], Matches]] = {
    ("in",): lambda label, values: lambda labels: labels.get(label) in values,
    ("not", "in"): lambda label, values: lambda labels: labels.get(label) not in values,
}
"""What is compared with several."""

NAMESPACE_LABEL = "projectcalico.org/namespace"
"""What Calico adds to everything that is in a namespace."""


def label_selector(selector: Any) -> Matches:  # noqa: ANN401  # whatever a manifest holds
    """What a Kubernetes LabelSelector says of labels; an empty one selects everything.

    Raises:
        UnreadableSelectorError: It is none.
    """
    if not isinstance(selector, dict) or set(selector) - {"matchLabels", "matchExpressions"}:
        raise UnreadableSelectorError("is no LabelSelector: matchLabels and matchExpressions are known")
    equal = selector.get("matchLabels") or {}
    if not isinstance(equal, dict) or not all(
        isinstance(text, str) for pair in equal.items() for text in pair
    ):
        raise UnreadableSelectorError("matchLabels: expected labels and values, all of them texts")
    wanted = tuple(equal.items())
    expressions = selector.get("matchExpressions") or []
    if not isinstance(expressions, list):
        raise UnreadableSelectorError("matchExpressions: expected a list")
    parts = tuple(_expression(each) for each in expressions)
    return lambda labels: (
        all(labels.get(key) == value for key, value in wanted) and all(part(labels) for part in parts)
    )


def _expression(each: Any) -> Matches:  # noqa: ANN401  # whatever a manifest holds
    if not isinstance(each, dict) or not isinstance(each.get("key"), str):
        raise UnreadableSelectorError("matchExpressions: expected key, operator and values")
    key: str = each["key"]
    given = each.get("values") or []
    if not isinstance(given, list) or not all(isinstance(value, str) for value in given):
        raise UnreadableSelectorError(f"matchExpressions: {key}: values: expected a list of texts")
    values = frozenset(given)
    match each.get("operator"):
        case "In" if values:
            return lambda labels: labels.get(key) in values
        case "NotIn" if values:
            return lambda labels: labels.get(key) not in values
        case "Exists" if not values:
            return lambda labels: key in labels
        case "DoesNotExist" if not values:
            return lambda labels: key not in labels
        case _:
            raise UnreadableSelectorError(
                f"matchExpressions: {key}: expected In or NotIn with values, Exists or DoesNotExist without"
            )
