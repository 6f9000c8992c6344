"""Directors that become what the catalog says: an agent writes their file, a daemon loads it.

What is done to one is the same in a migration and in a rollback, only the catalog says something else: the
agent is run until the file says what is wanted; the daemon is made to load the file; then the daemon's own
status and the kernel's table are read until both are as wanted. Only the table proves anything: daemons
restart without having read, and report health without having forwarded.

Each part looks first. A file that says it already needs no agent, and a process that is younger than the file
and has the table right is not restarted again.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ferryman import retry
from ferryman.directors.comparison import Comparison, compare_tables
from ferryman.directors.driver import AppliedState, Before, Driver, Observation
from ferryman.errors import NotFollowedError, VerifyError
from ferryman.ipvs.table import Table, differences, from_json, key_of, of_service
from ferryman.management import NoAgent, raise_failures
from ferryman.model import Edit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ferryman.directors.driver import Purpose
    from ferryman.directors.target import Target
    from ferryman.hosts.verbs import ReadVerb
    from ferryman.hosts.verbs.daemons import DaemonReading

AGENT_AGAIN_S = 5.0
"""Seconds until the agent is run again, when the file did not say what is wanted after it."""


@dataclass(frozen=True, slots=True)
class State(Observation):
    """What a director that follows was seen to be, in one round trip."""

    text: str
    """What the daemon's configuration file has in it."""
    answers: Mapping[str, str]
    """What each of the driver's own questions brought, by its name."""


class ConfigManagedDriver(Driver):
    """Runs the agent, makes the daemon load its file, and waits until the kernel has it.

    A driver says what the file means (``_table_from_file``), how the daemon is made to load it
    (``reload_command``, ``_reload``), and, from what ``_question`` brings, whether it has
    (``_pending_reload``) and what is wrong with it (``_health_problems``). Its keys: ``config``,
    ``follow_timeout``, ``converge_timeout``.
    """

    default_config: ClassVar[str]
    """Where the daemon's configuration is, unless directors.yaml says otherwise."""

    def _read_options(self) -> None:
        self.config = self.options.path("config", self.default_config)
        self.follow_s = self.options.seconds("follow_timeout", 60.0)
        self.converge_s = self.options.seconds("converge_timeout", 120.0)

    @property
    def follows_catalog(self) -> bool:
        """Always true: what writes its file takes it from the catalog."""
        return True

    def questions(self, purpose: Purpose, before: Before | None, target: Target) -> Sequence[ReadVerb[Any]]:
        """Table, file and the daemon's answers, in one verb."""
        del purpose, before, target
        return (self._question,)

    @property
    @abstractmethod
    def reload_command(self) -> str:
        """The command that makes the daemon load its file, for people to read."""

    @property
    @abstractmethod
    def _question(self) -> ReadVerb[DaemonReading]:
        """What asks for the table, the file, and how the daemon is."""

    @abstractmethod
    def _table_from_file(self, text: str, table: Table) -> Table:
        """These virtual servers as a daemon that loads this file makes them; those not in it are omitted.

        Only what the file decides is changed: forwarding methods, schedulers, flags.

        Raises:
            VerifyError: The file is not understood.
        """

    @abstractmethod
    def _reload(self) -> None:
        """Make the daemon load the file.

        Raises:
            VerifyError: It refused.
        """

    @abstractmethod
    def _pending_reload(self, state: State) -> str | None:
        """Why the daemon cannot have loaded this file, in words; None when it may have."""

    @abstractmethod
    def _health_problems(self, state: State) -> list[str]:
        """What the daemon itself says is wrong, a line for each thing; empty when it is well."""

    def _before(self, target: Target | None) -> dict[str, Any]:
        """What is there now; see ``Driver.before``. Refuses too where following would harm, or do nothing."""
        found = super()._before(target)
        state = self._state()
        pending = [*self._pending(state), *self._own_pending(state, target)]
        self._refuse([*self._no_agent(), *pending, *self._health_problems(state), *self._not_in_file(state)])
        return found

    def already(self, before: Before, target: Target) -> bool:
        """Whether table, file and process all say so."""
        wanted = self.wanted(before, target)
        if differences(wanted, from_json(before["table"])):
            return False
        state = self._state()
        return not self._says_otherwise(state, wanted, target) and self._pending_reload(state) is None

    def edits(self, before: Before, target: Target) -> list[Edit]:  # noqa: ARG002  # the catalog says what
        """The agent's command, and the one that makes the daemon load its file, as far as they are needed."""
        return [
            Edit("director", self.host, command=command)
            for command in (self.agent.command, self.reload_command)
            if command
        ]

    def undo_edits(self, before: Before, target: Target) -> list[Edit]:
        """The commands of ``edits``: by then the catalog says what it said before."""
        return self.edits(before, target)

    def _look(self) -> tuple[Table, dict[str, Any]]:
        """The table alone: the file is the agent's, which may write it whenever it likes."""
        return self.read(), {}

    def _apply(self, before: Before, target: Target, made: list[Edit]) -> None:
        state = self._settled_state(before, target)
        if changes := self._follow(state, before, target, self.wanted(before, target), made):
            raise self._changed(changes)

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
            made.append(Edit("director", self.host, command=self.reload_command))
            self._reload()
        return self._await(before, target, wanted, after=self.reload_command if renewed else "")

    def applied_state(self, before: Before, target: Target) -> AppliedState:
        """The table, and whether the file still says what the target does; one round trip."""
        state = self._state()
        gone = self._says_otherwise(state, self.wanted(before, target), target)
        return AppliedState(state.table, [f"{self.config}: {line}" for line in gone])

    def _observe(self, before: Before | None) -> State:
        del before
        return self._state()

    def _compared(self, before: Before, target: Target, observation: Observation) -> Comparison:
        """The table's, and what the file says as the target does: the next restart would make it."""
        assert isinstance(observation, State)
        was = from_json(before["table"])
        configured = self._table_from_file(observation.text, was)
        words = differences(target.revert(was, configured), configured)
        ours = tuple(f"{self.config}: {line}" for line in words)
        return super()._compared(before, target, observation) + Comparison(ours=ours)

    def in_effect(self, before: Before | None, target: Target) -> list[str]:
        """What of this target is in the table: the file is the agent's, which writes it when it likes."""
        mine = self._mine(self._state())
        if before is None:
            return target.matching(mine)
        return list(compare_tables(from_json(before["table"]), mine, target).ours)

    def _require_restorable(self, before: Before, target: Target, observation: Observation) -> None:
        del before, target
        assert isinstance(observation, State)
        self._refuse([*self._no_agent(), *self._pending(observation), *self._not_in_file(observation)])

    def _settled_state(self, before: Before, target: Target) -> State:
        """What is there, when nobody else has changed it; a daemon that was just restarted fills its table.

        Raises:
            WorldChangedError: Somebody has.
        """

        def changes(state: State) -> list[str]:
            return self._foreign_changes(before, target, self._mine(state))

        state = self._until(self._state, lambda seen: not changes(seen), self.converge_s)
        if lines := changes(state):
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
        configured = self._table_from_file(state.text, wanted)
        return differences(wanted, target.copy_from(configured, wanted)) + self._left_out(configured, wanted)

    def _left_out(self, configured: Table, wanted: Table) -> list[str]:
        present = {server.key for server in configured}
        return [f"{server} is not in it" for server in wanted if server.key not in present]

    def _is_behind(self, state: State, wanted: Table, target: Target) -> bool:
        """Whether the daemon has to load the file."""
        now = self._mine(state)
        return (
            bool(differences(target.copy_from(wanted, now), now)) or self._pending_reload(state) is not None
        )

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
            stale = self._pending_reload(state)
            lines = [*differences(wanted, self._mine(state)), *self._health_problems(state)]
            return [*lines, stale] if stale is not None else lines

        seen = self._until(self._state, lambda state: not wrong(state), self.converge_s)
        if not (lines := wrong(seen)):
            return []
        changes = self._foreign_changes(before, target, self._mine(seen))
        if not after and changes == lines:
            return changes
        when = f"{after} ran, but after {self.converge_s:g} s" if after else f"after {self.converge_s:g} s"
        raise NotFollowedError("\n".join(f"{self.host}: {when}: {line}" for line in lines))

    def _spare_others(self, state: State) -> None:
        """Go on where loading the file changes this service alone.

        Raises:
            VerifyError: It would change others too.
        """
        if lines := self._pending(state):
            raise VerifyError("\n".join(f"{self.host}: {line}" for line in lines))

    def _pending(self, state: State) -> list[str]:
        """What loading the file would change of other services: somebody's work that is not finished."""
        own = {key_of(virtual_service) for virtual_service in self.service.virtual_services}
        others = tuple(server for server in state.table if server.key not in own)
        return [
            f"{self.config} has a change that is not in the kernel yet, and {self.reload_command!r} would"
            f" make it: {line}; finish that first, or take it back"
            for line in differences(self._table_from_file(state.text, others), others)
        ]

    def _own_pending(self, state: State, target: Target | None) -> list[str]:
        """What loading the file would change of this service, but for what is to be changed."""
        if target is None:
            return []
        mine = self._mine(state)
        configured = self._table_from_file(state.text, mine)
        kept = {server.key for server in configured}
        now = tuple(server for server in mine if server.key in kept)
        return [
            f"{self.config} has a change of {self.service.name} that is not in the kernel yet, and"
            f" {self.reload_command!r} would make it: {line}; finish that first, or take it back"
            for line in differences(target.copy_from(now, configured), now)
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
        lines = self._left_out(self._table_from_file(state.text, mine), mine)
        return [f"{self.config}: {line}: is it another daemon's?" for line in lines]

    def _mine(self, state: State) -> Table:
        return of_service(state.table, self.service)

    def _state(self) -> State:
        """Table, file and the daemon's answers."""
        reading = self.hosts.read(self.host, self._question)
        return State(reading.table, reading.text, reading.answers)

    def _until(
        self, look: Callable[[], State], good: Callable[[State], bool], within_s: float, every_s: float = 1.0
    ) -> State:
        return retry.poll_until(look, good, within_s=within_s, every_s=every_s, sleep=self._sleep)
