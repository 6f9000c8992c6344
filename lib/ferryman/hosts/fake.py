"""Hosts that answer by the verb that they are asked, and keep state: for tests of everything that asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import DoubtError, DryRunError, UnreachableError, VerifyError
from ferryman.hosts.completed import Completed, shown
from ferryman.hosts.hosts import each_by_itself, value_or_error
from ferryman.hosts.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.hosts.hosts import Questions
    from ferryman.hosts.verbs import ReadVerb, WriteVerb

T = TypeVar("T")
ANY_HOST = "*"


@dataclass(frozen=True, slots=True)
class Call:
    """One verb that a fake host was asked."""

    host: str
    verb: Any
    """The verb, with its arguments as attributes."""

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return not bool(self.verb.reads)


@dataclass(frozen=True, slots=True)
class Printed:
    """What a script printed and how it ended, for the verb's own parser."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0


Reply = Any
"""The verb's value; or ``Printed``, which its parser makes the value of; an error to raise; or what makes one
of these from the call, and may change the fake world on the way."""
Asked = type[Verb[Any]] | Verb[Any] | str | Callable[[Verb[Any]], bool] | None
"""A verb with its arguments, any of its class or of its name, those that a function says, or all."""


@dataclass
class FakeHosts:
    """Hosts whose answers are given beforehand, by host and verb; the newest that fits is taken.

    >>> from ferryman.hosts.verbs.realservers import ReadCounters
    >>> hosts = FakeHosts()
    >>> hosts.answer("rs1", ReadCounters, {"ListenDrops": 3})
    >>> hosts.read("rs1", ReadCounters())
    {'ListenDrops': 3}
    """

    dry_run: bool = False
    calls: list[Call] = field(default_factory=list)
    """Everything that was asked, in order; refused writes are not in it."""
    commands: list[tuple[str, tuple[Verb[Any], ...]]] = field(default_factory=list)
    """The commands in which that went to a host, and the verbs of each."""
    _answers: list[_Answer] = field(default_factory=list)
    _down: dict[str, DoubtError] = field(default_factory=dict)

    def answer(
        self,
        host: str,
        asked: Asked,
        *replies: Reply,
    ) -> None:
        """Answer a verb on a host (``*``: any): one with these arguments, or any of its class or name.

        A function instead says which verbs are answered; None: all. Several replies are given in turn; the
        last one stays.
        """
        assert replies, "an answer needs a reply"
        self._answers.insert(0, _Answer(host, asked, list(replies)))

    def down(self, host: str, error: DoubtError | None = None) -> None:
        """Make a host fail every verb from now on; unreachable, unless another error is given."""
        self._down[host] = error or UnreachableError(f"{host}: connect: connection refused; nothing ran")

    def up(self, host: str) -> None:
        """Let a host answer again."""
        self._down.pop(host, None)

    def written(self, host: str | None = None) -> list[Verb[Any]]:
        """The verbs that changed something."""
        return [call.verb for call in self.calls if call.writes and host in (None, call.host)]

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        """Answer as was given; a verb without an answer fails the test that asked."""
        verb.require_kind(reads=True)
        return self._value(Call(host, verb))  # type: ignore[no-any-return]  # the test gave a value of the verb's

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        """Answer as was given; refuses in a dry run as the fleet does."""
        verb.require_kind(reads=False)
        if self.dry_run:
            raise DryRunError(f"{host}: a dry run tried to run {shown(verb.shown)}")
        return self._value(Call(host, verb))  # type: ignore[no-any-return]  # the test gave a value of the verb's

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        """One answer for each host, an error in the place of one that is down."""
        return {host: value_or_error(self, host, verb) for host, verb in verbs.items()}

    def read_together(self, questions: Questions) -> dict[str, list[Any]]:
        """One answer for each question, each of which is a call of its own."""
        commands = len(self.commands)
        answers = each_by_itself(self, questions)
        self.commands[commands:] = [(host, tuple(verbs)) for host, verbs in questions.items()]
        return answers

    def write_and_read(
        self, host: str, verb: WriteVerb[T], questions: Sequence[ReadVerb[Any]]
    ) -> tuple[T, list[Any]]:
        """The write, and then one answer for each question, each a call of its own."""
        commands = len(self.commands)
        value = self.write(host, verb)
        answers = each_by_itself(self, {host: questions})[host]
        self.commands[commands:] = [(host, (verb, *questions))]
        return value, answers

    def _value(self, call: Call) -> Any:  # noqa: ANN401  # of each verb another
        self.calls.append(call)
        self.commands.append((call.host, (call.verb,)))
        if call.host in self._down:
            raise self._down[call.host]
        answer = next((answer for answer in self._answers if answer.fits(call)), None)
        assert answer is not None, f"{call.host}: no answer for {shown(call.verb.shown)}"
        return value_of(call, answer.reply())


@dataclass
class _Answer:
    host: str
    asked: Asked
    replies: list[Reply]

    def fits(self, call: Call) -> bool:
        if self.host not in (ANY_HOST, call.host):
            return False
        if self.asked is None or self.asked == call.verb:
            return True
        if isinstance(self.asked, str):
            return bool(call.verb.name == self.asked)
        if isinstance(self.asked, type):
            return isinstance(call.verb, self.asked)
        return not isinstance(self.asked, Verb) and bool(self.asked(call.verb))

    def reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def value_of(call: Call, reply: Reply) -> Any:  # noqa: ANN401  # of each verb another
    """The value that a reply means; raises the error that it is."""
    if callable(reply):
        reply = reply(call)
    if isinstance(reply, Exception):
        raise reply
    if isinstance(reply, Printed):
        done = Completed(call.host, call.verb.shown, reply.status, reply.stdout, reply.stderr)
        return call.verb.value(done)
    return reply
