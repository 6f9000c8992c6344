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

    from ferryman.engine.endings import Ending
    from ferryman.events import Occurrence
    from ferryman.testing.fakes import Cut, Harness, OwnPart, Scene, ThirdParty, WayOn

T = TypeVar("T")

_WARNS = {Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN}
AGAIN = 3
"""How often a run that was held or stranded is taken up again, in peace, before it must have settled."""


class Observed(Cuts):
    """Counts the calls, lets somebody write before one of them, and sees which calls changed the world."""

    whole_scripts = True

    def __init__(self, at: int | None = None, *cuts: Cut) -> None:
        super().__init__(*cuts)
        self.at = at
        self.scene: Scene | None = None
        self.party: ThirdParty | None = None
        self.changes: list[int] = []
        """The numbers of the calls that changed the world."""
        self.made: set[str] = set()
        """What of the change was in the world after each of them."""
        self.wrote = False
        self.mattered = False
        """Whether what they wrote made a difference."""
        self.put: frozenset[str] = frozenset()
        """What of the change they put into the world."""
        self.took: frozenset[str] = frozenset()
        """What of the change they took out of it."""
        self.rest: object = None

    @property
    def own(self) -> OwnPart:
        """What of the world is the plan's own."""
        assert self.scene
        assert self.scene.own, "the scene does not say what is its own: see OwnPart"
        return self.scene.own

    def call(self, effect: Callable[[], T]) -> T:
        """One call to the outside; whose time it is writes before it."""
        self.let_in()
        return super().call(lambda: self._watched(effect))

    def spare(self) -> None:
        """Cut nothing from now on: what goes wrong is for the first command alone."""
        self._cuts = ()

    def let_in(self) -> None:
        """Somebody writes, if it is their time."""
        if self.wrote or self.party is None or self.at is None or self.calls < self.at:
            return
        self.wrote = True
        world, there, lacking = self._world(), set(self.own.in_place()), set(self.own.missing())
        self.party.write()
        self.mattered = self._world() != world
        self.put = frozenset(self.own.in_place()) - there
        self.took = frozenset(self.own.missing()) - lacking
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


def commanded(dock: Harness, scene: Scene, command: str) -> Ending | None:
    """One command in a process of its own; None when it was killed."""
    try:
        if command == "perform":
            return dock.perform(scene.plan())
        way: WayOn = "resume" if command == "resume" else "rollback"
        try:
            return dock.go_on(scene.plan(), way)
        except UsageError as error:
            if "--accept-changed-plan" not in str(error):
                raise
            return dock.go_on(scene.plan(), way, accept_changed_plan=True)
    except Killed:
        return None


def in_a_row(said: Sequence[str]) -> str:
    """What it said, once for each time that it was something else."""
    other = [one for number, one in enumerate(said) if said[number - 1 : number] != [one]]
    return "\n    then: ".join(one.replace("\n", "\n        ") for one in other)


def warnings(heard: Sequence[Occurrence]) -> list[str]:
    """The findings among what was heard that do not simply pass, in words."""
    found = [one.event.finding for one in heard if isinstance(one.event, FindingMade)]
    return [str(finding) for finding in found if finding.verdict in _WARNS]


def say_no() -> None:
    """A host refuses."""
    raise VerifyError("the host said no")


def kill() -> None:
    """Die by kill -9."""
    raise Killed
