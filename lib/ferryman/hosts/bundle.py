r"""Several verbs for one host as one command line, each of which is what would be sent for it alone.

One after the other in a process of its own, with its own token and its own input: so an answer is taken out
of its part as it would be out of a whole one, and a verb that fails keeps no other from being asked. Between
the parts there are marks in both outputs, and the last of them has the status.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman.errors import FerrymanError, UnknownOutcomeError
from ferryman.hosts.framing import LONGEST, framed, new_token, unframed
from ferryman.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ferryman.hosts.completed import Completed
    from ferryman.hosts.verbs import Verb


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verb as it would be sent to a host alone."""

    verb: Verb[Any]
    line: str
    stdin: str
    judged: Callable[[Completed], Completed]
    """Takes the verb's answer out of what came back; raises where it is none."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Verbs that go to a host in one command line."""

    parts: tuple[Prepared, ...]
    token: str
    line: str

    @property
    def verbs(self) -> list[Verb[Any]]:
        """The verbs, in order."""
        return [part.verb for part in self.parts]

    def outcomes(self, raw: Completed) -> list[Completed | FerrymanError]:
        """Each verb's answer, or why there is none, out of everything that came back."""
        try:
            whole = unframed(raw, self.token, self.parts[0].verb)
        except FerrymanError as error:
            return [error] * len(self.parts)
        return [_judged(part, answer) for part, answer in zip(self.parts, self._split(whole), strict=True)]

    def _split(self, whole: Completed) -> Iterator[Completed | FerrymanError]:
        out, errors = whole.stdout, whole.stderr
        for part in self.parts:
            own, _, rest = out.partition(f"\n{self.token} ended ")
            status, _, out = rest.partition("\n")
            own_errors, _, errors = errors.partition(f"\n{self.token} ended\n")
            if (number := numeral(status)) is None:
                yield UnknownOutcomeError(
                    f"{whole.host}: run: {part.verb.shown}: outcome unknown: what came back has no end of "
                    "it; look at the host before anything is repeated"
                )
            else:
                yield replace(whole, command=part.verb.shown, status=number, stdout=own, stderr=own_errors)


def bundles(parts: Sequence[Prepared]) -> Iterator[Bundle | Prepared]:
    """The parts in as few command lines as a host takes, in their order; one that is alone as it is."""
    rest = list(parts)
    while rest:
        count, made = len(rest), _bundle(rest)
        while count > 1 and len(made.line) > LONGEST:
            count -= 1
            made = _bundle(rest[:count])
        yield made if count > 1 else rest[0]
        rest = rest[count:]


def _bundle(parts: Sequence[Prepared]) -> Bundle:
    token = new_token()
    return Bundle(tuple(parts), token, framed("".join(map(_script, parts)), token))


def _script(part: Prepared) -> str:
    """The shell's text for one part; its input is given by the shell, for there is only one from outside."""
    given = f"printf %s {shlex.quote(part.stdin)} |" if part.stdin else ""
    taken = "" if part.stdin else " </dev/null"
    return (
        f"{given} ( {part.line} ){taken}\n"
        'printf "\\n%s ended %s\\n" "$T" "$?"; printf "\\n%s ended\\n" "$T" >&2\n'
    )


def _judged(part: Prepared, answer: Completed | FerrymanError) -> Completed | FerrymanError:
    if isinstance(answer, FerrymanError):
        return answer
    if max(len(answer.stdout), len(answer.stderr)) > part.verb.limit:
        return UnknownOutcomeError(
            f"{answer.host}: run: {part.verb.shown}: outcome unknown: its answer is longer than the "
            f"{part.verb.limit} bytes that are taken; look at the host before anything is repeated"
        )
    try:
        return part.judged(answer)
    except FerrymanError as error:
        return error
