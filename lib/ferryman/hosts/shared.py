"""The readings of one moment: what several steps ask hosts at the same time is asked once, and together.

Whoever runs the steps says beforehand what they are going to ask (``begin``). When the first of it is asked,
all of it is: one command for each host, all hosts at once. What nobody has said beforehand is asked as it
comes, each time anew: that costs a round trip, and nothing else.

No reading outlives its moment, so none is older than the change that it judges. A moment ends when the next
one begins or ``end`` is called, and what was read in it counts no more once something is written on any host,
or the run has let time pass: then what is asked again is read again. What a write is followed by in the same
command (``read_back``) was read after it. Only the thread that began the moment shares its readings:
the watch and a pool's threads ask for themselves.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman import waits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ferryman.errors import DoubtError, VerifyError
    from ferryman.hosts.hosts import Hosts, Questions
    from ferryman.hosts.verbs import ReadVerb, Verb, WriteVerb

    Question = tuple[str, ReadVerb[Any]]
    """A host, and what it is asked."""

T = TypeVar("T")


class SharedReadings:
    """Hosts whose answers of one moment are shared by whoever asks the same."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._lock = threading.Lock()
        self._thread: int | None = None
        """The thread that began the moment; None outside of any."""
        self._asked: dict[str, list[ReadVerb[Any]]] = {}
        """What is going to be asked, by host."""
        self._alone: dict[str, list[ReadVerb[Any]]] = {}
        """The same, once the run has waited."""
        self._known: dict[str, list[tuple[ReadVerb[Any], Any]]] = {}
        """What was answered, by host."""
        self._back: dict[str, tuple[ReadVerb[Any], ...]] = {}
        """What is asked right after each write, by host."""
        self._waits = 0

    def begin(
        self, questions: Iterable[Question], then: Iterable[Question] = (), *, continues: bool = False
    ) -> None:
        """Begin a moment: nothing that was read before counts; these questions are asked together.

        The first time with those of ``then``, which come right after, unless the run waits in between. With
        ``continues``, what was read in the moment until now counts, if nothing was waited for since.
        """
        own, behind = list(questions), list(then)
        known = self._known if continues and self._is_own and not self._has_waited else {}
        self.end()
        with self._lock:
            self._asked, self._alone = _by_host([*own, *behind]), _by_host(own)
            self._known = known
            self._thread, self._waits = threading.get_ident(), waits.times_waited()

    def end(self) -> None:
        """End the moment: from now on everything is asked anew."""
        with self._lock:
            self._thread, self._asked, self._alone, self._known, self._back = None, {}, {}, {}, {}

    def read_back(self, host: str, questions: Sequence[ReadVerb[Any]]) -> None:
        """Ask these right after each write to the host in this moment, in the same command."""
        if self._is_own:
            self._back[host] = tuple(questions)

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        """Ask a host something, or return what it has answered in this moment; see ``Hosts.read``."""
        if not self._is_shared(host, verb):
            return self._hosts.read(host, verb)
        answer = self._answer(host, verb)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]  # the verb's own value

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        """Ask each host its question, or return what it has answered; see ``Hosts.read_all``."""
        if not all(self._is_shared(host, verb) for host, verb in verbs.items()):
            return self._hosts.read_all(verbs)
        return {host: self._answer(host, verb) for host, verb in verbs.items()}

    def read_together(self, questions: Questions) -> dict[str, list[Any]]:
        """Ask each host all of its questions anew; see ``Hosts.read_together``."""
        return self._hosts.read_together(questions)

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        """Do something to a host, and ask it what is to be read back; see ``Hosts.write``."""
        back = self._written(host)
        if back is None:
            return self._hosts.write(host, verb)
        value, answers = self._hosts.write_and_read(host, verb, _without_included(back, verb))
        self._learn(host, verb, value)
        for question, answer in zip(_without_included(back, verb), answers, strict=True):
            self._learn(host, question, answer)
        return value

    def write_and_read(
        self, host: str, verb: WriteVerb[T], questions: Sequence[ReadVerb[Any]]
    ) -> tuple[T, list[Any]]:
        """Do something to a host and ask it then; see ``Hosts.write_and_read``."""
        self._written(host)
        return self._hosts.write_and_read(host, verb, questions)

    @property
    def _is_own(self) -> bool:
        return self._thread == threading.get_ident()

    @property
    def _has_waited(self) -> bool:
        return self._waits != waits.times_waited()

    def _is_shared(self, host: str, verb: ReadVerb[Any]) -> bool:
        """Whether it is one of the questions of this moment, or answered by one of them."""
        asked = self._asked.get(host, []) if self._is_own else []
        return verb in asked or verb in _included(asked)

    def _answer(self, host: str, verb: ReadVerb[Any]) -> Any:  # noqa: ANN401  # of each verb another
        if self._has_waited:
            self._known, self._asked, self._waits = {}, self._alone, waits.times_waited()
        if not self._knows(host, verb):
            missing = {
                each: [question for question in asked if not self._knows(each, question)]
                for each, asked in self._asked.items()
            }
            questions = {each: asked for each, asked in missing.items() if asked}
            for each, answers in self._hosts.read_together(questions).items():
                for question, answer in zip(questions[each], answers, strict=True):
                    self._learn(each, question, answer)
        if not self._knows(host, verb):  # what would have answered it too has failed
            return self._hosts.read_together({host: [verb]})[host][0]
        return next(answer for known, answer in self._known[host] if known == verb)

    def _knows(self, host: str, verb: ReadVerb[Any]) -> bool:
        return any(known == verb for known, _ in self._known.get(host, ()))

    def _learn(self, host: str, verb: Verb[Any], answer: object) -> None:
        known = self._known.setdefault(host, [])
        if verb.reads:
            known.append((verb, answer))  # type: ignore[arg-type]  # it reads
        if not isinstance(answer, Exception):
            known += [(question, made(answer)) for question, made in verb.includes]

    def _written(self, host: str) -> tuple[ReadVerb[Any], ...] | None:
        """Forget what was read before a write; what is to be read back with it, None for nothing."""
        with self._lock:
            self._known, self._asked, self._alone = {}, {}, {}
            if not self._is_own or host not in self._back:
                return None
            self._waits = waits.times_waited()
            self._asked = self._alone = {host: _without_included(self._back[host])}
            return self._back[host]


def read_back(hosts: Hosts, host: str, *questions: ReadVerb[Any]) -> None:
    """Have these read right after each write to the host, where its answers are shared; else do nothing."""
    if isinstance(hosts, SharedReadings):
        hosts.read_back(host, questions)


def _by_host(questions: Iterable[Question]) -> dict[str, list[ReadVerb[Any]]]:
    """The questions for each host, each once, and none that another one answers too."""
    asked: dict[str, list[ReadVerb[Any]]] = {}
    for host, verb in questions:
        of_host = asked.setdefault(host, [])
        if verb.reads and verb not in of_host:
            of_host.append(verb)
    return {host: _without_included(verbs) for host, verbs in asked.items()}


def _without_included(verbs: Sequence[ReadVerb[Any]], *others: Verb[Any]) -> list[ReadVerb[Any]]:
    """The verbs without those that another one of these, or of the others, answers too."""
    included = _included([*verbs, *others])
    return [verb for verb in verbs if verb not in included]


def _included(verbs: Iterable[Verb[Any]]) -> list[ReadVerb[Any]]:
    return [question for verb in verbs for question, _ in verb.includes]
