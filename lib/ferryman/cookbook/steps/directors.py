"""Looks at directors, and the changes of what they do with a service: how they forward and schedule it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferryman import directors, waits
from ferryman.cookbook.memory import Key, VerifiedTarget, key_of
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import DoubtError, FerrymanError, NotFollowedError, RefusedError, VerifyError
from ferryman.hosts.shared import read_back
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.model import Edit, Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.engine.steps import Purpose
    from ferryman.hosts.shared import Question
    from ferryman.hosts.verbs import ReadVerb
    from ferryman.model import Director, Service


ACCEPT_IRREVERSIBLE = "--accept-irreversible"
TUNNELLED = directors.SetForwarding(Forwarding.TUNNEL)


@dataclass(frozen=True)
class DirectorsAgree(Look):
    """Every director forwards {service.name} as the catalog says, and as the others do."""

    ferry: Ferry
    service: Service

    def questions(self, purpose: Purpose, before: object) -> Iterator[Question]:
        """What each director is asked."""
        del purpose, before
        without = [driver.host for driver in self._drivers if not driver.has_ipvs]
        yield from directors.director_questions(self.service, without_ipvs=without).items()

    @property
    def _drivers(self) -> list[directors.Driver]:
        return [self.ferry.driver(director, self.service) for director in self.service.directors]

    def look(self, report: Report) -> None:
        """Compare each director's IPVS table with catalog, inventory and the others'; gates, MTUs, settings.

        What their outer sources really are is remembered, for the probes to be sent with.
        """
        drivers = self._drivers
        without = {driver.host: driver for driver in drivers if not driver.has_ipvs}
        seen = directors.observe_directors(self.service, self.ferry.hosts, without_ipvs=without)
        self.ferry.memory.director_states[self.service.name] = seen
        by_host = {driver.host: driver for driver in drivers}
        for finding in directors.findings_of(self.service, seen, lambda host: _moving(by_host[host])):
            report.finding(finding)
        for driver in without.values():
            for finding in driver.findings(self.service, driver.read()):
                report.finding(finding)


def _moving(driver: directors.Driver) -> Collection[tuple[Any, str]]:
    """Which weights move by themselves on a director; none is known where it cannot be asked."""
    try:
        return driver.moving_weights()
    except FerrymanError:
        return ()


@dataclass(frozen=True)
class DirectorsEditable(Look):
    """Every director can be edited for {service.name} to be tunnelled."""

    ferry: Ferry
    service: Service

    def questions(self, purpose: Purpose, before: object) -> Iterator[Question]:
        """What each driver asks its director."""
        del before
        for director in self.service.directors:
            driver = self.ferry.driver(director, self.service)
            yield from ((director.host, verb) for verb in driver.questions(purpose, None, TUNNELLED))

    def look(self, report: Report) -> None:
        """Ask each driver what would refuse the edit; for a runbook that makes none, and so checks none."""
        for director in self.service.directors:
            try:
                found = self.ferry.driver(director, self.service).obstacles(TUNNELLED)
            except (DoubtError, VerifyError) as problem:
                found = [Finding("director-edit", director.host, Verdict.UNKNOWN, str(problem), _AN_ANSWER)]
            for finding in found:
                report.finding(finding)


@dataclass(frozen=True)
class DirectorChanged(Change[dict[str, Any]]):
    """{director.host}, {role}, has {service.name} as {goal}."""

    ferry: Ferry
    service: Service
    director: Director

    @property
    @abstractmethod
    def goal(self) -> directors.Target:
        """The target: what is changed of the service's entries, and to what."""

    @property
    @abstractmethod
    def wanted(self) -> Service:
        """The service as the catalog has it once it is changed."""

    @property
    def role(self) -> str:
        """``primary`` or ``secondary`` for the title, and whether the change cannot be undone."""
        final = ", not reversible" if self.driver.irreversible_reason(self.goal) else ""
        return f"{self.director.role.value}{final}"

    @property
    def driver(self) -> directors.Driver:
        """The driver that reads, changes and restores this director."""
        return self.ferry.driver(self.director, self.service)

    @property
    def reads_back(self) -> bool:
        """Whether what is read in the command that writes is what has become of it."""
        return self.driver.table_follows_at_once

    def questions(self, purpose: Purpose, before: dict[str, Any] | None) -> Iterator[Question]:
        """What its driver asks."""
        yield from ((self.director.host, verb) for verb in self.driver.questions(purpose, before, self.goal))

    @property
    def _after_edit(self) -> Sequence[ReadVerb[Any]]:
        """What is asked of the director right after each edit, beside what the driver asks."""
        return ()

    def check(self, report: Report) -> dict[str, Any] | NoChange:
        """Read its table and its files, and make sure that they may be changed."""
        driver = self.driver
        before = driver.before(self.goal)
        for finding in driver.remarks:
            report.finding(finding)
        if driver.already(before, self.goal):
            return NoChange(f"it is {self.goal} already")
        if reason := driver.irreversible_reason(self.goal) or self._no_way_back(before):
            self._require_consent(reason, report)
        return before

    def _no_way_back(self, before: dict[str, Any]) -> str | None:
        """Why what the change makes of the network's ways could not be put back; None when it can."""
        del before
        return None

    def _require_consent(self, reason: str, report: Report) -> None:
        """Refuse a change that cannot be undone unless the operator has accepted it; then it is a warning."""
        host = self.director.host
        if not self.ferry.irreversible_accepted:
            raise RefusedError(
                f"{host}: not reversible: {reason}; once changed it stays so, whatever goes wrong afterwards;"
                f" say {ACCEPT_IRREVERSIBLE} if that is meant"
            )
        wanted = f"a change that can be rolled back; {ACCEPT_IRREVERSIBLE} was given"
        report.finding(Finding("irreversible", host, Verdict.WARN, f"not reversible: {reason}", wanted))

    def edits(self, before: dict[str, Any]) -> Sequence[Edit]:
        """The edits that the driver makes to reach the target."""
        return self.driver.edits(before, self.goal)

    def cannot_tell_before(self, before: dict[str, Any]) -> str | None:
        """What the driver must wait for until it knows what it has to do."""
        return self.driver.cannot_tell_before(before, self.goal)

    def undo_edits(self, before: dict[str, Any]) -> Sequence[Edit]:
        """The edits that the driver makes to restore the before."""
        return self.driver.undo_edits(before, self.goal)

    def do(self, before: dict[str, Any]) -> Sequence[Edit]:
        """Make the entries what the target says."""
        self.ferry.memory.forget(self._key)
        self.ferry.memory.others_before[self._key] = self._others_in(self.driver.read_all())
        self._read_back(IpvsTable())
        return self.driver.apply(before, self.goal)

    def _read_back(self, *questions: ReadVerb[Any]) -> None:
        if self.reads_back:
            read_back(self.ferry.hosts, self.director.host, *questions, *self._after_edit)

    def verify(self, report: Report) -> None:
        """Read IPVS back: this service as the catalog will have it, other services untouched.

        Raises:
            NotFollowedError: It follows the catalog, and has not yet: it may do so by itself, at any time.
        """
        table = self.driver.read_all()
        found = self.driver.findings(self.wanted, directors.of_service(table, self.service))
        wrong = [str(finding) for finding in found if finding.verdict is Verdict.FAIL]
        if wrong and self.driver.follows_catalog:
            raise NotFollowedError("\n".join(wrong))
        self._report_verified([*found, *self._others_findings(table)], report)

    def verify_again(self, before: dict[str, Any], report: Report) -> None:
        """Read table and files once more: what was made of the entries that are there, and nothing else.

        Which destinations there are is for health checks to say, and for those who change it by hand.
        """
        seen = self.driver.applied_state(before, self.goal)
        mine = directors.of_service(seen.table, self.service)
        if self.driver.has_ipvs:
            found = [
                still_as_made(self.director, self.service, self.goal, mine),
                *self._beside([*directors.membership(mine, self.service), *seen.others]),
            ]
        else:
            found = self.driver.findings(self.wanted, mine)
        host, wanted = self.director.host, f"{self.goal}, as this run made it"
        found += [Finding("director-files", host, Verdict.FAIL, line, wanted, _WHO) for line in seen.gone]
        self._report_verified(found, report)

    def _report_verified(self, found: Sequence[Finding], report: Report) -> None:
        """Report the findings, and remember for the watch whether the change stands."""
        for finding in found:
            report.finding(finding)
        if not any(finding.verdict.stops for finding in found):
            waits.turn()
            self.ferry.memory.verified[self._key] = VerifiedTarget(self.goal, self.ferry.clock.now())

    def undo(self, before: dict[str, Any]) -> Sequence[Edit]:
        """Restore what was changed, and nothing else."""
        return self._restore(before, self._begin_undo())

    def _begin_undo(self) -> directors.Table:
        """Forget that the change stands; the table right before it is undone."""
        self.ferry.memory.forget(self._key)
        table = self.driver.read_all()
        self.ferry.memory.others_before.setdefault(self._key, self._others_in(table))
        return table

    def _restore(self, before: dict[str, Any], table: directors.Table) -> Sequence[Edit]:
        del table
        self._read_back(*self.driver.questions("verify", before, self.goal))
        try:
            made = self.driver.restore(before, self.goal)
        except NotFollowedError:
            self.ferry.memory.not_followed.add(self._key)
            raise
        self.ferry.memory.not_followed.discard(self._key)
        return made

    def require_undoable(self, before: dict[str, Any], report: Report) -> None:
        """Look whether the driver could put it back: table, files, daemon, agent."""
        del report
        self.driver.require_restorable(before, self.goal)

    def diff_after_undo(self, before: dict[str, Any], report: Report) -> str | None:
        """What was made of the entries and is there still; what others made of them is a warning.

        A destination that a director has lost while it was told to go back is not somebody else's doing.
        """
        seen = self.driver.compare(before, self.goal)
        lost = self._key in self.ferry.memory.not_followed
        for finding in self._beside([*(() if lost else seen.missing), *seen.others]):
            report.finding(finding)
        then = self.ferry.memory.others_before.get(self._key)
        if then is not None and self.driver.has_ipvs:
            now = self._others_in(seen.table)
            for finding in directors.others_not_restored(self.director.host, then, now):
                report.finding(finding)
        return self._in_effect([*seen.ours, *(seen.missing if lost else ())])

    def effect_seen(self, before: dict[str, Any] | None, report: Report) -> str | None:
        """What of it is in the table or the files, on a director that may be in any state."""
        del report
        return self._in_effect(self.driver.in_effect(before, self.goal))

    def _in_effect(self, lines: Sequence[str]) -> str | None:
        host = self.director.host
        return "\n".join(f"{host}: still in effect: {line}" for line in lines) or None

    def _beside(self, lines: Sequence[str]) -> list[Finding]:
        """Warnings about what others, or health checks, have changed of this service."""
        if not lines:
            return []
        host, wanted = self.director.host, "as before this run changed it"
        return [Finding(CHANGED_BY_OTHERS, host, Verdict.WARN, "; ".join(lines), wanted, _THEIRS)]

    @property
    def _key(self) -> Key:
        return key_of(self.director, self.service)

    def _others_in(self, table: directors.Table) -> directors.Table:
        return directors.of_others(table, self.service)

    def _others_findings(self, table: directors.Table) -> list[Finding]:
        """What became of other services' entries; none where an earlier process made the edit."""
        before = self.ferry.memory.others_before.get(self._key)
        if before is None or not self.driver.has_ipvs:
            return []
        return directors.others_findings(self.director.host, before, self._others_in(table))


def still_as_made(
    director: Director, service: Service, target: directors.Target, table: directors.Table, since: str = ""
) -> Finding:
    """Whether the service's entries in the table are as the target says, each virtual server among them."""
    present = {(server.protocol, server.vip, server.port) for server in table}
    lines = [
        *(
            f"{virtual_service}: not in the table"
            for virtual_service in service.virtual_services
            if (virtual_service.protocol, virtual_service.vip, virtual_service.port) not in present
        ),
        *directors.differences(target.apply(table), table),
    ]
    wanted = f"{target}, as this run made it"
    if not lines:
        return Finding(STILL_CHECK, director.host, Verdict.PASS, f"still {target}", wanted)
    return Finding(STILL_CHECK, director.host, Verdict.FAIL, "; ".join(lines) + since, wanted, _WHO)


CHANGED_BY_OTHERS = "changed-by-others"
STILL_CHECK = "director-table"
_AN_ANSWER = "an answer to whether its configuration can be edited"
_WHO = "see who or what changed it there: a restart, a restored table, somebody's edit"
_THEIRS = "see who did: it was left as it is, and may be what was meant"
