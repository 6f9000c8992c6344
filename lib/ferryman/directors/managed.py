"""Directors that become what the catalog says: an agent writes their file, a daemon takes it up.

What is done to one is the same forwards and back, only the catalog says something else: the agent is run
until the file says what is wanted; the daemon is made to take the file up; then the daemon's own account of
itself and the kernel's table are read until both are as wanted. Only the table proves anything: daemons
restart without having read, and report health without having forwarded.

Each part looks first. A file that says it already needs no agent, and a process that is younger than the file
and has the table right is not restarted again.
"""

from __future__ import annotations

import base64
import shlex
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ferryman import retry
from ferryman.directors.comparison import Comparison, compare_tables
from ferryman.directors.driver import Before, Driver, Sight, Standing
from ferryman.directors.ipvs import Table, differences, from_json, key_of, of_service
from ferryman.directors.ipvs_listing import READ_TABLE, read_table
from ferryman.errors import NotFollowedError, VerifyError
from ferryman.management import NoAgent, raise_failures
from ferryman.model import Edit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.directors.target import Target

AGENT_AGAIN_S = 5.0
"""Seconds until the agent is run again, when the file did not say what is wanted after it."""
_FILE, _PROCESS = "== file", "== process"


@dataclass(frozen=True, slots=True)
class State(Sight):
    """What a director that follows was seen to be, in one round trip."""

    text: str
    """The daemon's configuration file."""
    answers: str
    """What the driver's own questions printed."""


class Follower(Driver):
    """Runs the agent, makes the daemon take its file up, and waits until the kernel has it.

    A driver says what the file means (``_configured``), how the daemon takes it up (``renewal``, ``_renew``),
    and, from what ``_questions`` print, whether it has (``_stale``) and how it is (``_unwell``). Its keys:
    ``config``, ``follow_timeout``, ``converge_timeout``.
    """

    default_config: ClassVar[str]
    """Where the daemon's configuration is, unless directors.yaml says otherwise."""

    def _read_options(self) -> None:
        self.config = self.options.text("config", self.default_config)
        self.follow_s = self.options.seconds("follow_timeout", 60.0)
        self.converge_s = self.options.seconds("converge_timeout", 120.0)

    @property
    def follows_catalog(self) -> bool:
        """It does; that is the whole of it."""
        return True

    @property
    @abstractmethod
    def renewal(self) -> str:
        """The command that makes the daemon take its file up, for people to read."""

    @property
    @abstractmethod
    def _questions(self) -> str:
        """A shell command that asks the daemon how it is; it only reads, and its exit status is ignored."""

    @abstractmethod
    def _configured(self, text: str, table: Table) -> Table:
        """These virtual servers as a daemon that takes this file up makes them; those not in it left out.

        Only what the file decides is changed: forwarding methods, schedulers, flags.

        Raises:
            VerifyError: The file is not understood.
        """

    @abstractmethod
    def _renew(self) -> None:
        """Make the daemon take the file up.

        Raises:
            VerifyError: It refused.
        """

    @abstractmethod
    def _stale(self, state: State) -> str | None:
        """Why the daemon cannot have taken this file up, in words; None when it may have."""

    @abstractmethod
    def _unwell(self, state: State) -> list[str]:
        """What the daemon itself says is wrong, a line for each thing; empty when it is well."""

    def before(self, target: Target | None = None) -> dict[str, Any]:
        """What is there now; see ``Driver.before``. Refuses too where following would harm, or do nothing."""
        found = super().before(target)
        state = self._state()
        pending = [*self._pending(state), *self._own_pending(state, target)]
        self._refuse([*self._no_agent(), *pending, *self._unwell(state), *self._not_in_file(state)])
        return found

    def already(self, before: Before, target: Target) -> bool:
        """Whether table, file and process all say so."""
        wanted = self.wanted(before, target)
        if differences(wanted, from_json(before["table"])):
            return False
        state = self._state()
        return not self._says_otherwise(state, wanted, target) and self._stale(state) is None

    def edits(self, before: Before, target: Target) -> list[Edit]:  # noqa: ARG002  # the catalog says what
        """The agent's command, and the daemon's."""
        return [Edit("director", self.host, command=one) for one in (self.agent.command, self.renewal) if one]

    def undo_edits(self, before: Before, target: Target) -> list[Edit]:
        """The same commands: by then the catalog says what it said before."""
        return self.edits(before, target)

    def _look(self) -> tuple[Table, dict[str, Any]]:
        """The table alone: the file is the agent's, which may write it whenever it likes."""
        return self.read(), {}

    def _apply(self, before: Before, target: Target) -> None:
        state = self._settled_state(before, target)
        if strange := self._follow(state, before, target, self.wanted(before, target), []):
            raise self._changed(strange)

    def _restore(self, before: Before, target: Target, made: list[Edit]) -> None:
        self._follow(self._state(), before, target, from_json(before["table"]), made)

    def _follow(
        self, state: State, before: Before, target: Target, wanted: Table, made: list[Edit]
    ) -> list[str]:
        """Reach what is wanted, by way of the file; what others have changed beside it."""
        state = self._with_file(state, wanted, target, made)
        renewed = self._is_behind(state, wanted, target)
        if renewed:
            self._spare_others(state)
            made.append(Edit("director", self.host, command=self.renewal))
            self._renew()
        return self._await(before, target, wanted, after=self.renewal if renewed else "")

    def standing(self, before: Before, target: Target) -> Standing:
        """The table, and whether the file still says what the target does; one round trip."""
        state = self._state()
        gone = self._says_otherwise(state, self.wanted(before, target), target)
        return Standing(state.table, [f"{self.config}: {line}" for line in gone])

    def _sight(self, before: Before | None) -> State:
        del before
        return self._state()

    def _compared(self, before: Before, target: Target, sight: Sight) -> Comparison:
        """The table's, and what the file says as the target does: the next restart would make it."""
        assert isinstance(sight, State)
        was = from_json(before["table"])
        configured = self._configured(sight.text, was)
        words = differences(target.reverted(was, configured), configured)
        ours = tuple(f"{self.config}: {line}" for line in words)
        return super()._compared(before, target, sight) + Comparison(ours=ours)

    def in_effect(self, before: Before | None, target: Target) -> list[str]:
        """What of this target is in the table: the file is the agent's, which writes it when it likes."""
        mine = self._mine(self._state())
        if before is None:
            return target.made_in(mine)
        return list(compare_tables(from_json(before["table"]), mine, target).ours)

    def _require_restorable(self, before: Before, target: Target, sight: Sight) -> None:
        del before, target
        assert isinstance(sight, State)
        self._refuse([*self._no_agent(), *self._pending(sight), *self._not_in_file(sight)])

    def _settled_state(self, before: Before, target: Target) -> State:
        """What is there, when nobody else has changed it; a daemon that was just restarted fills its table.

        Raises:
            WorldChangedError: Somebody has.
        """

        def strange(state: State) -> list[str]:
            return self._foreign_changes(before, target, self._mine(state))

        state = self._until(self._state, lambda seen: not strange(seen), self.converge_s)
        if lines := strange(state):
            raise self._changed(lines)
        return state

    def _with_file(self, state: State, wanted: Table, target: Target, made: list[Edit]) -> State:
        """What is there once the file says what is wanted, by the agent's doing if need be.

        Raises:
            VerifyError: The agent failed, or the file still says something else after it.
            DoubtError: What became of the agent is not known.
        """
        if not self._says_otherwise(state, wanted, target):
            return state

        def run() -> State:
            made.append(Edit("director", self.host, command=self.agent.command))
            raise_failures(self.agent.converge(self.hosts, [self.host]))
            return self._state()

        seen = self._until(
            run,
            lambda now: not self._says_otherwise(now, wanted, target),
            self.follow_s,
            every_s=AGENT_AGAIN_S,
        )
        if lines := self._says_otherwise(seen, wanted, target):
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            raise VerifyError(
                f"{self.host}: {self.config}: {lines[0]}{more}, although {self.agent.command!r} ran; "
                "is the catalog's change where this host gets it from, and may this director tunnel at all?"
            )
        return seen

    def _says_otherwise(self, state: State, wanted: Table, target: Target) -> list[str]:
        """What the file says other than what is wanted, in the target's aspect."""
        configured = self._configured(state.text, wanted)
        return differences(wanted, target.taken_from(configured, wanted)) + self._left_out(configured, wanted)

    def _left_out(self, configured: Table, wanted: Table) -> list[str]:
        there = {one.key for one in configured}
        return [f"{one} is not in it" for one in wanted if one.key not in there]

    def _is_behind(self, state: State, wanted: Table, target: Target) -> bool:
        """Whether the daemon has to take the file up."""
        now = self._mine(state)
        return bool(differences(target.taken_from(wanted, now), now)) or self._stale(state) is not None

    def _await(self, before: Before, target: Target, wanted: Table, after: str) -> list[str]:
        """Wait until the kernel has what is wanted and the daemon is well.

        Returns:
            What somebody else has changed beside it, where the daemon was not touched and nothing else is
            wrong.

        Raises:
            NotFollowedError: It does not come to that in time; the message has each destination that is not
                so.
        """

        def wrong(state: State) -> list[str]:
            stale = self._stale(state)
            lines = [*differences(wanted, self._mine(state)), *self._unwell(state)]
            return [*lines, stale] if stale is not None else lines

        seen = self._until(self._state, lambda state: not wrong(state), self.converge_s)
        if not (lines := wrong(seen)):
            return []
        strange = self._foreign_changes(before, target, self._mine(seen))
        if not after and strange == lines:
            return strange
        when = f"{after} ran, but after {self.converge_s:g} s" if after else f"after {self.converge_s:g} s"
        raise NotFollowedError("\n".join(f"{self.host}: {when}: {line}" for line in lines))

    def _spare_others(self, state: State) -> None:
        """Go on where taking the file up changes this service alone.

        Raises:
            VerifyError: It would change others too.
        """
        if lines := self._pending(state):
            raise VerifyError("\n".join(f"{self.host}: {line}" for line in lines))

    def _pending(self, state: State) -> list[str]:
        """What taking the file up would change of other services: somebody's work that is not finished."""
        own = {key_of(virtual_service) for virtual_service in self.service.virtual_services}
        others = tuple(one for one in state.table if one.key not in own)
        return [
            f"{self.config} has a change that is not in the kernel yet, and {self.renewal!r} would make it: "
            f"{line}; finish that first, or take it back"
            for line in differences(self._configured(state.text, others), others)
        ]

    def _own_pending(self, state: State, target: Target | None) -> list[str]:
        """The same of this service, but for what is to be changed."""
        if target is None:
            return []
        mine = self._mine(state)
        configured = self._configured(state.text, mine)
        kept = {one.key for one in configured}
        now = tuple(one for one in mine if one.key in kept)
        return [
            f"{self.config} has a change of {self.service.name} that is not in the kernel yet, and"
            f" {self.renewal!r} would make it: {line}; finish that first, or take it back"
            for line in differences(target.taken_from(now, configured), now)
        ]

    def _no_agent(self) -> list[str]:
        """Why nothing would write the file."""
        if isinstance(self.agent, NoAgent):
            who = f"driver {self.director.driver} waits for configuration management to write {self.config}"
            return [f"{who}, and nothing runs it: set agent in [management] of ferryman.toml"]
        return [
            str(obstacle).removeprefix(f"{self.host}: ")
            for obstacle in self.agent.obstacles(self.hosts, [self.host]).values()
        ]

    def _not_in_file(self, state: State) -> list[str]:
        mine = self._mine(state)
        lines = self._left_out(self._configured(state.text, mine), mine)
        return [f"{self.config}: {line}: is it another daemon's?" for line in lines]

    def _mine(self, state: State) -> Table:
        return of_service(state.table, self.service)

    def _state(self) -> State:
        """Table, file and the daemon's answers."""
        script = (
            f"{READ_TABLE} || exit\necho '{_FILE}'\nbase64 -w0 -- {shlex.quote(self.config)} || exit\n"
            f"echo\necho '{_PROCESS}'\n{{\n{self._questions}\n}} 2>&1 || :"
        )
        output = self.hosts.read(self.host, script).checked().stdout
        table, _, rest = output.partition(f"{_FILE}\n")
        file, _, answers = rest.partition(f"\n{_PROCESS}\n")
        text = base64.b64decode(file).decode("utf-8", "surrogateescape")
        return State(read_table(table), text, answers)

    def _until(
        self, look: Callable[[], State], good: Callable[[State], bool], within_s: float, every_s: float = 1.0
    ) -> State:
        return retry.poll_until(look, good, within_s=within_s, every_s=every_s, sleep=self._sleep)
