"""The driver of a director whose IPVS table keepalived fills.

The files in which the service's virtual servers stand are changed, not the kernel: in a file that begins with
ferryman's marker line the whole text is rendered from the catalog; in any other, the words of
the service's virtual servers that say how it forwards, or how it is scheduled, are edited and everything else
stays byte for byte. ``keepalived_files`` finds
the files, the verb ``keepalived-write`` tests, replaces and loads them.

keepalived compares a reloaded configuration with its previous one, not with the kernel, and reloads in its
own time: so the kernel's table is read until it is as wanted. Its health checks may set a weight to 0 or
take a destination out meanwhile; that is told as what it is, never as done. A reload that changes the method
of a realserver whose health check has failed puts it back to work (tried with 2.2.7), and leaves it there
while the check goes on failing: so nothing is begun while one is out, or quiescent at weight 0.

keepalived changes a destination's method in place since 2.0.19; before, it took it out and put it in anew.
What is older than 2.2.7 is refused: its reloads lose weights, persistence and whole virtual servers
(issues 1354, 1587, 1904), and nothing here was tried with it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman import retry
from ferryman.directors.checks.preconditions import blockers
from ferryman.directors.comparison import Comparison, compare_tables
from ferryman.directors.driver import AppliedState, Before, Driver, Observation
from ferryman.directors.keepalived.applied import Texts, Words, matching_words
from ferryman.directors.keepalived.blockers import not_followed, quiescent, taken_by_others
from ferryman.directors.keepalived.daemon import config_id, daemon_blockers, with_snmp
from ferryman.directors.keepalived.edit import edited
from ferryman.directors.keepalived.files import holders, reached, virtuals_in
from ferryman.directors.keepalived.pending import pending_edits
from ferryman.directors.keepalived.render import owned, rendered
from ferryman.directors.keepalived.tester import Tester
from ferryman.directors.keepalived.text import TextError
from ferryman.directors.keepalived.weights import Weights, set_by_snmp
from ferryman.directors.sed import edit_command
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.errors import NotFollowedError, RefusedError, VerifyError, WorldChangedError
from ferryman.hosts.verbs.keepalived import KeepalivedRead, KeepalivedWrite
from ferryman.ipvs.table import Table, between, differences, from_json, of_service, to_json
from ferryman.model import Edit, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ferryman.directors.driver import Purpose
    from ferryman.directors.keepalived.files import Files
    from ferryman.directors.target import Target
    from ferryman.hosts.verbs import ReadVerb
    from ferryman.hosts.verbs.keepalived import FileReading
    from ferryman.ipvs.table import Key
    from ferryman.model import VirtualService


@dataclass(frozen=True, slots=True)
class KeepalivedObservation(Observation):
    """What one round trip read of a director with keepalived."""

    daemon: list[str]
    """Why nothing may be changed through its keepalived, a line for each reason."""
    config_id: str
    """What decides which lines under ``@id`` count for it; empty: the director's name."""
    snmp: bool
    """Whether it was started with SNMP, so that a manager may set weights through it."""
    files: dict[str, Any]
    """Every file that its configuration may include, by path."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How a director gets from one state to another."""

    before: Before
    wanted: Callable[[Table], Table]
    """What a table is to be, of the table itself."""
    texts: Texts
    """What the files are expected to say."""
    new: Texts
    """What they are to say."""


class KeepalivedDriver(Driver):
    """Edits this service's files and reloads keepalived.

    Without ``service_file`` they are found by following the includes of ``config``.

    Its keys: ``config``, ``service_file``, ``reload``, ``converge_timeout``.
    """

    targets = (SetForwarding, SetScheduler)
    table_follows_at_once = True
    """The reload waits on the host until it has followed (``hosts/verbs/keepalived.py``)."""

    def _read_options(self) -> None:
        self.config = self.options.path("config", "/etc/keepalived/keepalived.conf")
        given = "service_file" in self.director.options
        self.service_file = self.options.path("service_file", "") if given else None
        self.reload = self.options.command("reload", "systemctl reload keepalived")
        self.converge_s = self.options.seconds("converge_timeout", 30.0)
        self._tester = Tester(self.hosts, self.host, self.config)

    def questions(self, purpose: Purpose, before: Before | None, target: Target) -> Sequence[ReadVerb[Any]]:
        """Table, daemon and files in one verb; and where an edit is to be made, keepalived's own test."""
        if before is None:
            return (self._question(None),)
        old, new = _texts(before), self._texts(before, target)
        match purpose:
            case "check":
                return self._question(None), self._tester.question(before, old, new)
            case "undo":
                return self._question(before), self._tester.question(before, new, old)
        return (self._question(before),)

    def _before(self, target: Target | None) -> dict[str, Any]:
        """What is there now; refused too: quiescent realservers, and edits that wait for a reload."""
        self.remarks = []
        observation = self._observe(None)
        self._refuse(observation.daemon)
        found = self._found(observation)
        self._refuse(
            [*blockers(from_json(found["table"]), self.service), *taken_by_others(found, self.service)]
        )
        self._refuse([*quiescent(found), *self._pending(observation, target)])
        if target is None or self.already(found, target):
            return found
        said, remarks = self._tester.plan(found, self._texts(found, target), target)
        self.remarks += remarks
        return {**found, **said}

    def moving_weights(self) -> list[tuple[Key, str]]:
        """Of its dynamic health checks."""
        found = self._found(self._observe(None))
        return list(_weights(found).moving_in(from_json(found["table"])))

    def obstacles(self, target: Target) -> list[Finding]:
        """Why its files could not be edited, or what is to be said of them."""
        try:
            self.before(target)
        except RefusedError as problem:
            if blockers(self.read(), self.service):
                return []
            wanted = f"files that can be edited for {self.service.name} to become {target}"
            return [Finding("director-edit", self.host, Verdict.FAIL, str(problem), wanted)]
        return self.remarks

    def _pending(self, observation: KeepalivedObservation, target: Target | None) -> list[str]:
        """What a reload would load that is not in the kernel: somebody's work that is not finished."""
        files, problems = reached(self.config, observation.files)
        self.remarks += [not_followed(self.host, problem) for problem in problems]
        return [
            f"{line}; a reload would make it so: see whose edit that is, then reload keepalived there"
            f" ({self.reload}), or take the edit back"
            for line in pending_edits(files, observation.table, self.service, target)
        ]

    def wanted(self, before: Before, target: Target) -> Table:
        """The table as it is to be; a weight that moves by itself is the one that its file has."""
        return target.apply(_as_before(before))

    def already(self, before: Before, target: Target) -> bool:
        """Whether kernel and files both say so."""
        return self._texts(before, target) == _texts(before) and not differences(
            self.wanted(before, target), _as_before(before)
        )

    def edits(self, before: Before, target: Target) -> list[Edit]:
        """The files' diffs, and the reload."""
        return self._rewritten(_texts(before), self._texts(before, target))

    def undo_edits(self, before: Before, target: Target) -> list[Edit]:
        """Commands that make the files what they were, and the reload: for people to type."""
        old, new = self._texts(before, target), _texts(before)
        commands = [edit_command(path, old[path], new[path]) for path in old if old[path] != new[path]]
        return [Edit("director", self.host, command=command) for command in (*commands, self.reload)]

    def _rewritten(self, old: Texts, new: Texts) -> list[Edit]:
        files = [
            Edit("director", f"{self.host}:{path}", diff=_diff(path, old[path], new[path]))
            for path in old
            if old[path] != new[path]
        ]
        return [*files, Edit("director", self.host, command=self.reload)]

    def _look(self) -> tuple[Table, dict[str, Any]]:
        observation = self._observe(None)
        return of_service(observation.table, self.service), self._ours(observation.files)

    def _found(self, observation: KeepalivedObservation) -> dict[str, Any]:
        files = self._ours(observation.files)
        read, _ = reached(self.config, observation.files)
        found: dict[str, Any] = {"table": [], "files": files}
        if observation.config_id:
            found["config_id"] = observation.config_id
        if observation.snmp or set_by_snmp(read):
            found["weights"] = "snmp"
        mine = _weights(found).settled(of_service(observation.table, self.service))
        return {**found, "table": to_json(mine)}

    def _observe(self, before: Before | None) -> KeepalivedObservation:
        """Table, daemon, and every file that it reads; one round trip."""
        reading = self.hosts.read(self.host, self._question(before))
        return KeepalivedObservation(
            reading.table,
            daemon_blockers(reading.version, reading.running, self.config),
            config_id(reading.running, self.config),
            with_snmp(reading.running, self.config),
            _journal_values(reading.files),
        )

    def _question(self, before: Before | None) -> KeepalivedRead:
        more = before["files"] if before else [self.service_file] if self.service_file else []
        return KeepalivedRead(self.config, tuple(more))

    def _ours(self, files: Files) -> dict[str, Any]:
        """Of the files that were read, those in which this service's virtual servers stand."""
        if self.service_file:
            if self.service_file not in files:
                raise VerifyError(
                    f"{self.host}: {self.service_file}: there is no such file; put it back, or correct"
                    " service_file in directors.yaml"
                )
            return {self.service_file: files[self.service_file]}
        try:
            ours = holders(self.config, files, self.service.virtual_services)
        except TextError as problem:
            raise RefusedError(
                f"{self.host}: {problem}; correct the configuration, or name the file as service_file in"
                " directors.yaml"
            ) from problem
        return {path: files[path] for path in ours}

    def _texts(self, before: Before, target: Target) -> Texts:
        """The files' texts for this target, made from the before."""
        return {path: self._text(path, before, target) for path in before["files"]}

    def _text(self, path: str, before: Before, target: Target) -> str:
        text: str = before["files"][path]["text"]
        try:
            share = self._share(before, text)
            if owned(text):
                service = replace(self.service, virtual_services=share)
                return rendered(text, service, self.wanted(before, target))
            return edited(text, share, target)
        except TextError as problem:
            raise RefusedError(
                f"{self.host}: {path}: {problem}; correct the file, or service_file in directors.yaml"
            ) from problem

    def _share(self, before: Before, text: str) -> tuple[VirtualService, ...]:
        """The virtual services that a file is to hold; the only file is to hold them all."""
        every = self.service.virtual_services
        return every if len(before["files"]) == 1 else virtuals_in(text, every)

    def _apply(self, before: Before, target: Target, made: list[Edit]) -> None:
        now, texts = self._now(before, self._observe(None))
        if foreign := self._foreign_files(before, target, texts):
            raise self._files_changed(foreign)
        if changes := self._foreign_changes(before, target, now):
            raise self._changed(changes)
        wanted = self.wanted(before, target)
        way = _Way(before, lambda _: wanted, texts, self._texts(before, target))
        self._reach(way, now, made)

    def _restore(self, before: Before, target: Target, made: list[Edit]) -> None:
        now, texts = self._now(before, self._observe(before))
        if foreign := self._foreign_files(before, target, texts):
            if self.compare(before, target).ours:
                raise self._files_changed(foreign)
            return
        as_before = _as_before(before)
        way = _Way(before, lambda table: target.revert(as_before, table), texts, _texts(before))
        seen = self._reach(way, now, made)
        if lost := compare_tables(as_before, seen, target).ours:
            raise VerifyError("\n".join(f"{self.host}: put back, but: {line}" for line in lost))

    def _now(self, before: Before, observation: KeepalivedObservation) -> tuple[Table, Texts]:
        """Table and texts as they are now; of weights as ``wanted`` has them."""
        table = _weights(before).settled(of_service(observation.table, self.service))
        return table, _texts({"files": self._from(before, observation)})

    def _foreign_changes(self, before: Before, target: Target, now: Table) -> list[str]:
        as_before = _as_before(before)
        return differences(as_before, target.revert(as_before, now))

    def _foreign_files(self, before: Before, target: Target, texts: Texts) -> list[str]:
        """The files whose text is none that this run knows."""
        ours, theirs = self._texts(before, target), _texts(before)
        return [path for path in theirs if texts.get(path) not in (ours[path], theirs[path])]

    def _files_changed(self, paths: list[str]) -> WorldChangedError:
        return WorldChangedError(
            f"{self.host}: {', '.join(paths)}: someone else changed it since it was read;"
            " it was left alone; find out who did, then begin again"
        )

    def applied_state(self, before: Before, target: Target) -> AppliedState:
        """The table, and whether the files still say what the target made of them."""
        observation = self._observe(before)
        words = self._words(before, target, observation)
        return AppliedState(observation.table, words.gone, words.others)

    def _compared(self, before: Before, target: Target, observation: Observation) -> Comparison:
        assert isinstance(observation, KeepalivedObservation)
        words = self._words(before, target, observation)
        files = Comparison(ours=tuple(words.ours), others=tuple(words.others))
        now = _weights(before).settled(of_service(observation.table, self.service))
        return compare_tables(_as_before(before), now, target) + files

    def _matching_in_files(self, target: Target, observation: Observation) -> list[str]:
        assert isinstance(observation, KeepalivedObservation)
        return matching_words(_texts({"files": observation.files}), self.service, target)

    def _words(self, before: Before, target: Target, observation: KeepalivedObservation) -> Words:
        read, _ = reached(self.config, observation.files)
        texts = _texts(
            {"files": {**{path: observation.files[path] for path in read}, **self._from(before, observation)}}
        )
        return Words(target, _texts(before), self._texts(before, target), texts, self.service)

    def _from(self, before: Before, observation: KeepalivedObservation) -> dict[str, Any]:
        """The files of the before, as they are now, as far as they are there."""
        return {path: observation.files[path] for path in before["files"] if path in observation.files}

    def _require_restorable(self, before: Before, target: Target, observation: Observation) -> None:
        assert isinstance(observation, KeepalivedObservation)
        self._refuse(observation.daemon)
        texts = _texts({"files": self._from(before, observation)})
        if foreign := self._foreign_files(before, target, texts):
            raise self._files_changed(foreign)
        self._refuse(self._pending(observation, target))
        if texts != _texts(before):
            self._tester.status_of(before, texts, _texts(before))

    def _reach(self, way: _Way, now: Table, made: list[Edit]) -> Table:
        """Replace the texts, reload, wait until the kernel's table is as wanted, and return that.

        Texts that are there already are only reloaded, and not even that where nothing is wrong. keepalived
        leaves out a reload that comes while it is at another: so a table that does not follow gets a second.
        """
        wanted, texts, new = way.wanted, way.texts, way.new
        if texts == new and not differences(wanted(now), now):
            return now
        status = self._tester.status_of(way.before, texts, new)
        made += self._rewritten(texts, new)
        seen = self._reloaded(way, status, now)
        if differences(wanted(seen), seen):
            seen = self._reloaded(replace(way, texts=new), status)
        if wrong := differences(wanted(seen), seen):
            raise self._not_followed(wrong, following=between(seen, now, wanted(seen)))
        return seen

    def _reloaded(self, way: _Way, status: int = 0, expected: Table = ()) -> Table:
        """The table once it is as wanted, or the time is up; ``expected`` is what it is before."""
        id_, weights = way.before.get("config_id", ""), _weights(way.before)
        moved = any(weights.moving_in(expected))
        write = KeepalivedWrite(
            self.config, self.reload, way.texts, way.new, id_, status, expected, not moved
        )
        self.hosts.write(self.host, write)
        return retry.poll_until(
            lambda: weights.settled(self.read()),
            lambda table: not differences(way.wanted(table), table),
            within_s=self.converge_s,
            every_s=1.0,
            sleep=self._sleep,
        )

    def _not_followed(self, wrong: Iterable[str], *, following: bool) -> VerifyError | NotFollowedError:
        """A table that is as before, wholly or in part, is a director that may still follow: a doubt."""
        after = f"reloaded twice, but the table did not follow within {self.converge_s:g} s"
        lines = [f"{self.host}: {after}: {line}" for line in wrong]
        if not following:
            return VerifyError("\n".join(lines))
        advice = f"see there whether keepalived is stopped, what it logs, and whom {self.reload!r} reaches"
        return NotFollowedError("\n".join([*lines, f"{self.host}: {advice}"]))


def _weights(before: Before) -> Weights:
    """Which weights of the service's destinations move by themselves, and what its files say they are."""
    return Weights.of(_texts(before).values(), every=before.get("weights") == "snmp")


def _as_before(before: Before) -> Table:
    return _weights(before).settled(from_json(before["table"]))


def _texts(before: Before) -> Texts:
    return {path: file["text"] for path, file in before["files"].items()}


def _journal_values(files: Mapping[str, FileReading]) -> dict[str, Any]:
    """The files as they stand in a before."""
    return {path: {"text": file.text, "mode": file.mode} for path, file in files.items()}


def _diff(path: str, old: str, new: str) -> str:
    before, after = (text.splitlines(keepends=True) for text in (old, new))
    return "".join(difflib.unified_diff(before, after, f"{path} (before)", path))
