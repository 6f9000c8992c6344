"""Commands about a run, each in a process of its own, and which of their calls changed the world."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, TypeVar

from ferryman.errors import UsageError, VerifyError
from ferryman.events import FindingMade
from ferryman.model import Verdict
from ferryman.testing.fakes import Cuts, Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.events import Occurrence
    from ferryman.outcomes import RunResult
    from ferryman.testing.fakes import Cut, Harness, OwnPart, RecoveryCommand, Scene, ThirdParty

T = TypeVar("T")

_WARNS = {Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN}
ATTEMPTS = 3
"""How often a run that was held or stranded is resumed or rolled back, undisturbed, before it must end."""


class Observed(Cuts):
    """Counts the calls, lets a third party write before one, and notes which changed the world."""

    whole_scripts = True

    def __init__(self, at: int | None = None, *cuts: Cut) -> None:
        super().__init__(*cuts)
        self.at = at
        self.scene: Scene | None = None
        self.third_party: ThirdParty | None = None
        self.changes: list[int] = []
        """The numbers of the calls that changed the world."""
        self.made: set[str] = set()
        """Lines of the plan's own part that were in place after any of them."""
        self.wrote = False
        self.mattered = False
        """Whether what the third party wrote made a difference."""
        self.put: frozenset[str] = frozenset()
        """Lines of the plan's own part that the third party put in place."""
        self.took: frozenset[str] = frozenset()
        """Lines of the plan's own part that the third party removed."""
        self.rest: object = None

    @property
    def own(self) -> OwnPart:
        """The part of the world that is the plan's own."""
        assert self.scene
        assert self.scene.own, "the scene does not say what is its own: see OwnPart"
        return self.scene.own

    def call(self, effect: Callable[[], T]) -> T:
        """One call to the outside; the third party writes before it when it is time."""
        self.let_in()
        return super().call(lambda: self._watched(effect))

    def spare(self) -> None:
        """Cut nothing from now on: only the first command is cut."""
        self._cuts = ()

    def let_in(self) -> None:
        """Let the third party write, if it is time."""
        if self.wrote or self.third_party is None or self.at is None or self.calls < self.at:
            return
        self.wrote = True
        world, in_place, missing = self._world(), set(self.own.in_place()), set(self.own.missing())
        self.third_party.write()
        self.mattered = self._world() != world
        self.put = frozenset(self.own.in_place()) - in_place
        self.took = frozenset(self.own.missing()) - missing
        self.rest = deepcopy(self.own.rest())

    def _watched(self, effect: Callable[[], T]) -> T:
        before, number = self._world(), self.calls - 1
        try:
            return effect()
        finally:
            if self._world() != before:
                self.changes.append(number)
                self.made |= set(self.own.in_place())

    def _world(self) -> object:
        assert self.scene
        return deepcopy(self.scene.world())


def observed(build: Callable[[Cuts], Scene], cuts: Observed) -> Scene:
    """A fresh scene whose calls are observed."""
    cuts.scene = build(cuts)
    cuts.rest = deepcopy(cuts.own.rest())
    return cuts.scene


def run_command(harness: Harness, scene: Scene, command: str) -> RunResult | None:
    """Run one command in a process of its own; None when it was killed."""
    try:
        if command == "perform":
            return harness.perform(scene.plan())
        way: RecoveryCommand = "resume" if command == "resume" else "rollback"
        try:
            return harness.recover(scene.plan(), way)
        except UsageError as error:
            if "--accept-changed-plan" not in str(error):
                raise
            return harness.recover(scene.plan(), way, accept_changed_plan=True)
    except Killed:
        return None


def without_repeats(messages: Sequence[str]) -> str:
    """The messages, each on a line of its own, without immediate repeats."""
    changed = [text for number, text in enumerate(messages) if messages[number - 1 : number] != [text]]
    return "\n    then: ".join(text.replace("\n", "\n        ") for text in changed)


def warnings(events: Sequence[Occurrence]) -> list[str]:
    """The findings among these events that do not simply pass, in words."""
    found = [line.event.finding for line in events if isinstance(line.event, FindingMade)]
    return [str(finding) for finding in found if finding.verdict in _WARNS]


def refuse() -> None:
    """Fail as when a host refuses a command."""
    raise VerifyError("the host said no")


def kill() -> None:
    """End the process as kill -9 does."""
    raise Killed
