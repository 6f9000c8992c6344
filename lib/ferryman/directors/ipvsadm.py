"""The driver of a director whose IPVS table nobody but ipvsadm fills.

Entries are edited in place with ``ipvsadm -e`` and ``-E``, one command each: ``ipvsadm -R`` with the same
lines saves processes, but its exit status is that of the last line alone, so that a refused line would go
unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.directors.driver import Before, Driver
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.hosts.verbs.ipvs import EditTable
from ferryman.ipvs.table import Table, differences, edits, from_json, of_service
from ferryman.model import Edit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.directors.target import Target


class IpvsadmDriver(Driver):
    """Edits this service's entries in the kernel; nothing else on the director is touched."""

    targets = (SetForwarding, SetScheduler)
    table_follows_at_once = True

    def _read_options(self) -> None:
        """Read nothing: this driver has no keys of its own in directors.yaml."""

    def already(self, before: Before, target: Target) -> bool:
        """Whether the table is as the target says."""
        return not differences(self.wanted(before, target), from_json(before["table"]))

    def edits(self, before: Before, target: Target) -> list[Edit]:
        """One command for each entry that is not as wanted."""
        return self._as_edits(_commands(from_json(before["table"]), self.wanted(before, target)))

    def undo_edits(self, before: Before, target: Target) -> list[Edit]:
        """One command for each entry that was changed."""
        return self._as_edits(_commands(self.wanted(before, target), from_json(before["table"])))

    def _look(self) -> tuple[Table, dict[str, Any]]:
        return self.read(), {}

    def _apply(self, before: Before, target: Target, made: list[Edit]) -> None:
        now, wanted = self.read(), self.wanted(before, target)
        if changes := self._foreign_changes(before, target, now):
            raise self._changed(changes)
        self._verify(wanted, self._edited(now, wanted, made), "edited, but")

    def _restore(self, before: Before, target: Target, made: list[Edit]) -> None:
        now = self.read()
        wanted = target.revert(from_json(before["table"]), now)
        self._verify(wanted, self._edited(now, wanted, made), "put back, but")

    def _edited(self, now: Table, wanted: Table, made: list[Edit]) -> Table:
        """Edit what differs, if the table is still the one that was read; the table afterwards."""
        commands = _commands(now, wanted)
        if not commands:
            return now
        made += self._as_edits(commands)
        return of_service(self.hosts.write(self.host, EditTable(now, wanted)), self.service)

    def _as_edits(self, commands: Iterable[str]) -> list[Edit]:
        return [Edit("director", self.host, command=command) for command in commands]


def _commands(now: Table, wanted: Table) -> list[str]:
    """What makes the entries as wanted, for people to read."""
    return [f"ipvsadm {words}" for words in edits(now, wanted)]
