"""Calls into a cookbook's own code: what comes out can be recorded, shown and judged, whatever it was.

A step may call ``sys.exit``, raise an error whose text cannot be made, or report values that are no texts.
None of that may keep the run from being rolled back, or from saying how it ended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman import errors
from ferryman.errors import FerrymanError, InventoryError
from ferryman.model import Edit, Finding, Verdict
from ferryman.plain_text import has_text, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_TEXTS = ("check", "host", "seen", "wanted", "remedy")


def call_own(call: Callable[[], T]) -> T:
    """Call it, and return what it returns.

    Raises:
        Exception: What it raised, or where that has no text, or is no ``Exception`` (``SystemExit``), the
            nearest error that has and is. A ``KeyboardInterrupt`` stays one.
    """
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except Exception as error:
        if has_text(error):
            raise
        raise _with_text(error) from error
    except SystemExit as error:
        raise RuntimeError(f"called sys.exit({_shown(error.code)}); a step raises an error") from error
    except BaseException as error:
        raise RuntimeError(
            f"raised {type(error).__name__}: {text_of(error)}; a step raises an Exception"
        ) from error


def plain_finding(finding: Finding) -> Finding:
    """The same finding with texts that can be stored, and a verdict; one that is none is ``UNKNOWN``."""
    verdict = _verdict(finding.verdict)
    odd = {name: text_of(value) for name in _TEXTS if not _is_plain(value := getattr(finding, name))}
    if not odd and verdict is finding.verdict:
        return finding
    return replace(finding, verdict=verdict, **odd)


def plain_edits(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The same edits, each of whose fields is a text."""
    return tuple(map(_plain_edit, edits))


def _plain_edit(edit: Edit) -> Edit:
    texts = {"target": edit.target, "diff": edit.diff, "command": edit.command}
    odd: dict[str, Any] = {
        name: text_of(value) for name, value in texts.items() if value is not None and type(value) is not str
    }
    return replace(edit, **odd) if odd else edit


def _is_plain(value: object) -> bool:
    return type(value) is str and value.isascii()


def _verdict(value: object) -> Verdict:
    """The verdict that it is, or that it is the word of."""
    try:
        return Verdict(value)
    except ValueError:
        return Verdict.UNKNOWN


def _with_text(error: Exception) -> Exception:
    """An error of the nearest class of ours, or a bug's, in the place of one whose text cannot be made."""
    text = f"{type(error).__name__}, an error whose text cannot be made"
    for kind in type(error).__mro__:
        if issubclass(kind, FerrymanError) and kind.__module__ == errors.__name__:
            return InventoryError([text]) if kind is InventoryError else kind(text)
    return RuntimeError(text)


def _shown(code: object) -> str:
    return repr(code) if isinstance(code, (int, str, type(None))) else text_of(code)
