"""The driver of a director whose IPVS table nobody but ipvsadm fills.

Entries are edited in place with ``ipvsadm -e`` and ``-E``, one command each: ``ipvsadm -R`` with the same
lines saves processes, but its exit status is that of the last line alone, so that a refused line would go
unseen.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from ferryman.directors.driver import CHANGED, Before, Driver
from ferryman.ipvs.listing import READ_TABLE, read_table
from ferryman.ipvs.table import (
    Table,
    differences,
    edit_command,
    edit_server_command,
    from_json,
    of_service,
    rules,
    scheduling,
)
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.hosts.script import script
from ferryman.model import Edit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.directors.target import Target


class IpvsadmDriver(Driver):
    """Edits this service's entries in the kernel; nothing else on the director is touched."""

    targets = (SetForwarding, SetScheduler)

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

    def _apply(self, before: Before, target: Target) -> None:
        now, wanted = self.read(), self.wanted(before, target)
        if changes := self._foreign_changes(before, target, now):
            raise self._changed(changes)
        self._verify(wanted, self._edited(now, wanted, []), "edited, but")

    def _restore(self, before: Before, target: Target, made: list[Edit]) -> None:
        now = self.read()
        wanted = target.revert(from_json(before["table"]), now)
        self._verify(wanted, self._edited(now, wanted, made), "put back, but")

    def _edited(self, now: Table, wanted: Table, made: list[Edit]) -> Table:
        """Edit what differs, if the table is still the one that was read; the table afterwards."""
        commands = list(_commands(now, wanted))
        if not commands:
            return now
        made += self._as_edits(commands)
        done = self.hosts.write(self.host, edit_script(now, wanted))
        return of_service(read_table(self._written(done)), self.service)

    def _as_edits(self, commands: Iterable[str]) -> list[Edit]:
        return [Edit("director", self.host, command=command) for command in commands]


def _commands(now: Table, wanted: Table) -> Iterator[str]:
    """What makes the entries as wanted: each virtual server, then its destinations, as far as they differ."""
    current = {server.key: server for server in now}
    for server in wanted:
        known = current.get(server.key)
        if known is None or scheduling(known) != scheduling(server):
            yield edit_server_command(server)
        as_now = {destination.key: destination for destination in known.destinations} if known else {}
        yield from (
            edit_command(server, destination)
            for destination in server.destinations
            if as_now.get(destination.key) != destination
        )


@script
def edit_script(now: Table, wanted: Table) -> str:
    """Compare, edit, read back: one round trip, and no time between the compare and the edit for others."""
    expected = "\n".join(sorted(line for server in now for line in rules(server)))
    ours = " ".join(f"-e {shlex.quote(server.named + ' ')}" for server in now)
    return f"""set -eu
export LC_ALL=C
now=$(ipvsadm -Sn | grep -F {ours} | sort)
if [ "$now" != {shlex.quote(expected)} ]; then
    echo "its table is not the one just read" >&2
    exit {CHANGED}
fi
{chr(10).join(_commands(now, wanted))}
{READ_TABLE}
"""
