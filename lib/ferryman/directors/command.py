"""The driver of a director that the operator's own commands change: apply, verify, undo.

``command_template`` says how they are written. Each runs on the director; one with ``{vip}`` in it runs once
for each virtual service. What they promise:

``apply``   makes it as the values say; 0 is done.
``verify``  only reads, in a dry run too; 0: it is so, 1: it is not, anything else: not known.
``undo``    puts back what ``apply`` changed; its values are those of before. 0 is done. ``undo: false`` says
            that there is none: such a change is *not reversible*, and each run needs consent.
``read``    optional: prints what is there, and nothing that changes by itself. It goes into the journal, must
            still be the same when ``apply`` begins, and ``undo`` has it on standard input.

Where the director has an IPVS table (``ipvs``, true unless said otherwise) that is read back as well, after
``verify`` has said yes: a command that lies is found out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman import retry
from ferryman.directors.command_template import read_commands
from ferryman.directors.comparison import Comparison
from ferryman.directors.driver import AppliedState, Before, Driver
from ferryman.directors.expected_table import expected_table
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.errors import DoubtError, NotFollowedError, VerifyError, WorldChangedError
from ferryman.hosts.verbs.operator import OperatorCommand, OperatorQuestion
from ferryman.ipvs.table import Table, differences, from_json
from ferryman.model import Edit, Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.directors.driver import Observation
    from ferryman.directors.target import Target
    from ferryman.model import Service

VERIFY_CHECK = "director-verify"
NOT_AS_WANTED = 1
"""What ``verify`` ends with when it could look, and it is not as the values say."""


class CommandDriver(Driver):
    """Runs the operator's commands and reads back.

    Its keys: ``apply``, ``verify``, ``undo``, ``read``, ``shell``, ``ipvs``, ``follows_catalog``,
    ``command_timeout``, ``converge_timeout``.
    """

    targets = (SetForwarding, SetScheduler)

    def _read_options(self) -> None:
        self.commands = read_commands(self.options)
        self._ipvs = self.options.switch("ipvs", default=True)
        self._follows = self.options.switch("follows_catalog", default=False)
        self.command_s = self.options.seconds("command_timeout", 60.0)
        self.converge_s = self.options.seconds("converge_timeout", 30.0)

    @property
    def has_ipvs(self) -> bool:
        """Whether the director has an IPVS table to read back: ``ipvs`` in directors.yaml."""
        return self._ipvs

    @property
    def follows_catalog(self) -> bool:
        """Whether it becomes what the catalog says: ``follows_catalog`` in directors.yaml."""
        return self._follows

    def irreversible_reason(self, target: Target) -> str | None:
        """That directors.yaml says ``undo: false``; None where it has a command."""
        del target
        return None if "undo" in self.commands else f"{self.options.where}: undo: is false: nothing undoes it"

    def read_all(self) -> Table:
        """The kernel's table; without IPVS, this service's as the catalog has it and ``verify`` says."""
        if self.has_ipvs:
            return super().read_all()
        tunnelled = expected_table(self.service, Forwarding.TUNNEL)
        return expected_table(self.service, Forwarding.DIRECT) if self._refusals(tunnelled) else tunnelled

    def _before(self, target: Target | None) -> dict[str, Any]:
        """The table as it is now, with what the ``read`` commands print; raises as every driver's does."""
        return {**super()._before(target), **self._read_out()}

    def findings(self, service: Service, table: Table) -> list[Finding]:
        """The table's; without IPVS, what ``verify`` says."""
        if self.has_ipvs:
            return super().findings(service, table)
        method = Forwarding.TUNNEL if service.encapsulated else Forwarding.DIRECT
        wanted = f"verify says that {service.name} is forwarded {method.word}, as the catalog does"
        refusals = self._refusals(expected_table(service, method))
        verdict = Verdict.FAIL if refusals else Verdict.PASS
        return [Finding(VERIFY_CHECK, self.host, verdict, "; ".join(refusals) or "it says so", wanted)]

    def already(self, before: Before, target: Target) -> bool:
        """Whether ``verify`` says so, and the table too; that ``verify`` can be run is seen here.

        Raises:
            RefusedError: The commands are not about what is to be changed.
        """
        self.require_supported(target)
        wanted = self.wanted(before, target)
        refusals = self._refusals(wanted)
        return not (refusals or (self.has_ipvs and differences(wanted, from_json(before["table"]))))

    def unsupported(self, target: Target) -> list[str]:
        """What the operator's commands are not about."""
        reasons = [f"{self.options.where}: {reason}" for reason in self._not_about(target)]
        return super().unsupported(target) or reasons

    def _not_about(self, target: Target) -> Iterator[str]:
        """Commands that name the other aspect alone, or none where one must be named.

        A command without either is one for forwarding: to run it for a scheduler would flip the service.
        """
        forwarding = isinstance(target, SetForwarding)
        meant, other = ("forwarding", "scheduler") if forwarding else ("scheduler", "forwarding")
        for key in ("apply", "undo"):
            names = self.commands[key].names if key in self.commands else {meant}
            if meant not in names and (other in names or not forwarding):
                yield f"{key}: does not name {{{meant}}}, which is to be changed"
        if not self.has_ipvs and meant not in self.commands["verify"].names:
            yield f"verify: does not name {{{meant}}}, and without IPVS nothing else tells whether it changed"

    def edits(self, before: Before, target: Target) -> list[Edit]:
        """The ``apply`` commands, filled in exactly as they will run."""
        return self._as_edits("apply", self.wanted(before, target))

    def undo_edits(self, before: Before, target: Target) -> list[Edit]:
        """The ``undo`` commands, filled in; where there are none, a comment that says what to do by hand."""
        if reason := self.irreversible_reason(target):
            return [Edit("director", self.host, command=f"# by hand, for {reason}: {self._by_hand(before)}")]
        return self._as_edits("undo", from_json(before["table"]))

    def _look(self) -> tuple[Table, dict[str, Any]]:
        return self.read(), {}

    def _apply(self, before: Before, target: Target, made: list[Edit]) -> None:
        now, wanted = self.read(), self.wanted(before, target)
        if self.has_ipvs and (changes := self._foreign_changes(before, target, now)):
            raise self._changed(changes)
        if not self._wrong(wanted, lambda _: wanted):
            return
        if self._read_out().get("read") != before.get("read"):
            raise WorldChangedError(
                f"{self.host}: read prints something else than when it was looked at;"
                " it was left alone; find out who changed it, then begin again"
            )
        made += self._as_edits("apply", wanted)
        self._run("apply", wanted)
        self._reached("applied", wanted, lambda _: wanted)

    def _restore(self, before: Before, target: Target, made: list[Edit]) -> None:
        was = from_json(before["table"])

        def as_was(now: Table) -> Table:
            return target.revert(was, now)

        if self._wrong(was, as_was):
            if reason := self.irreversible_reason(target):
                raise VerifyError(f"{self.host}: not reversible: {reason}; by hand: {self._by_hand(before)}")
            made += self._as_edits("undo", was)
            self._run("undo", was, stdin=str(before.get("read", "")))
            self._reached("undone", was, as_was)

    def _compared(self, before: Before, target: Target, observation: Observation) -> Comparison:
        """The table's, and what ``verify`` says: no to what was before is ours, for only it knows why."""
        found = super()._compared(before, target, observation) if self.has_ipvs else Comparison()
        found += Comparison(ours=tuple(self._refusals(from_json(before["table"]))))
        if not found.ours and "read" in before and self._read_out().get("read") != before["read"]:
            found += Comparison(others=("read prints something else than before",))
        return found

    def _require_restorable(self, before: Before, target: Target, observation: Observation) -> None:
        del observation
        if reason := self.irreversible_reason(target):
            raise VerifyError(f"{self.host}: not reversible: {reason}; by hand: {self._by_hand(before)}")

    def in_effect(self, before: Before | None, target: Target) -> list[str]:
        """What of this target is in the world; without a before and IPVS, whether ``verify`` says so."""
        if before is not None or self.has_ipvs:
            return super().in_effect(before, target)
        wanted = target.apply(expected_table(self.service, Forwarding.DIRECT))
        return [] if self._refusals(wanted) else [f"verify says that it is {target}"]

    def applied_state(self, before: Before, target: Target) -> AppliedState:
        """The table, and whether ``verify`` still says that it is as the target wants it."""
        return AppliedState(self.read_all(), self._refusals(self.wanted(before, target)))

    def _by_hand(self, before: Before) -> str:
        states = (f"{server} {_values_of((server,))['forwarding']}" for server in from_json(before["table"]))
        return f"make {self.service.name} as it was there: {', '.join(states)}"

    def _reached(self, done: str, to: Table, table_is: Callable[[Table], Table]) -> None:
        """Wait until nothing is wrong.

        Raises:
            NotFollowedError: Something still is.
            DoubtError: ``verify`` could not say.
        """
        wrong = retry.poll_until(
            lambda: self._wrong(to, table_is),
            lambda lines: not lines,
            within_s=self.converge_s,
            every_s=1.0,
            sleep=self._sleep,
        )
        if wrong:
            after = f"{done}, but not so within {self.converge_s:g} s"
            raise NotFollowedError("\n".join(f"{self.host}: {after}: {line}" for line in wrong))

    def _wrong(self, to: Table, table_is: Callable[[Table], Table]) -> list[str]:
        """What ``verify`` refuses and what differs in the table; empty when all is as it is to be."""
        refusals = self._refusals(to)
        if not self.has_ipvs:
            return refusals
        now = self.read()
        return [*refusals, *differences(table_is(now), now)]

    def _refusals(self, to: Table) -> list[str]:
        """What ``verify`` says no to, a line for each.

        Raises:
            DoubtError: It could not say.
        """
        lines = []
        for command in self._filled("verify", to):
            done = self.hosts.read(
                self.host, OperatorQuestion(command, self._shell("verify"), timeout_s=self.command_s)
            )
            printed = (
                " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:]) or "it printed nothing"
            )
            if done.status == NOT_AS_WANTED:
                lines.append(f"{done.command}: not as wanted: {printed}")
            elif done.status:
                raise DoubtError(
                    f"{self.host}: verify: {done.command}: ended with status {done.status}, expected"
                    f" 0 (as wanted) or 1 (not as wanted): {printed}; run it there by hand"
                )
        return lines

    def _read_out(self) -> dict[str, Any]:
        """What ``read`` prints, where there is such a command."""
        if "read" not in self.commands:
            return {}
        questions = (
            OperatorQuestion(command, self._shell("read"), timeout_s=self.command_s)
            for command in self._filled("read", expected_table(self.service, Forwarding.DIRECT))
        )
        asked = (self.hosts.read(self.host, question).checked() for question in questions)
        return {"read": "".join(answer.stdout for answer in asked)}

    def _run(self, key: str, to: Table, stdin: str = "") -> None:
        for command in self._filled(key, to):
            verb = OperatorCommand(command, self._shell(key), stdin, self.command_s)
            self.hosts.write(self.host, verb).checked()

    def _as_edits(self, key: str, to: Table) -> list[Edit]:
        verbs = (OperatorCommand(command, self._shell(key)) for command in self._filled(key, to))
        return [Edit("director", self.host, command=verb.shown) for verb in verbs]

    def _shell(self, key: str) -> bool:
        return self.commands[key].shell

    def _filled(self, key: str, to: Table) -> Iterator[tuple[str, ...]]:
        """The command with its values: once for each virtual service where it has {vip}, else once."""
        command = self.commands[key]
        for part in [(server,) for server in to] if "vip" in command.names else [to]:
            yield command.filled(self._values(part))

    def _values(self, part: Table) -> dict[str, str]:
        addresses = dict.fromkeys(
            address
            for server in part
            for realserver in self.service.realservers
            if (address := realserver.address_for(server.vip)) is not None
        )
        return {
            "service": self.service.name,
            "site": self.service.site,
            "director": self.host,
            "realservers": ",".join(map(str, addresses)),
            **_values_of(part),
        }


def _values_of(part: Table) -> dict[str, str]:
    """What the entries of a table say: they are one virtual service, or all of one service."""
    first = part[0]
    tunnelled = all(
        destination.forwarding is Forwarding.TUNNEL for server in part for destination in server.destinations
    )
    return {
        "vip": str(first.vip),
        "port": str(first.port),
        "protocol": first.protocol,
        "forwarding": "ipip" if tunnelled else "direct",
        "scheduler": first.scheduler,
        "scheduler_flags": ",".join(first.scheduler_flags),
    }
