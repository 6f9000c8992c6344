"""The driver of a director whose IPVS table nobody but ipvsadm fills.

Destinations are edited in place with ``ipvsadm -e``, one command each: ``ipvsadm -R`` with the same lines
saves processes, but its exit status is that of the last line alone, so that a refused line would go unseen.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from ferryman.directors.driver import CHANGED, Before, Driver, with_methods_of
from ferryman.directors.ipvs import (
    Destination,
    Table,
    VirtualServer,
    differences,
    edit_command,
    from_json,
    of_service,
    rules,
)
from ferryman.directors.ipvs_listing import READ_TABLE, read_table
from ferryman.model import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Forwarding


class IpvsadmDriver(Driver):
    """Edits this service's destinations in the kernel; nothing else on the director is touched."""

    def already(self, before: Before, forwarding: Forwarding) -> bool:
        """Whether each destination forwards by this method."""
        return not differences(self.wanted(before, forwarding), from_json(before["table"]))

    def edits(self, before: Before, forwarding: Forwarding) -> list[Edit]:
        """One command for each destination that is not as wanted."""
        return [
            Edit("director", self.host, command=command)
            for command in _commands(from_json(before["table"]), self.wanted(before, forwarding))
        ]

    def edits_back(self, before: Before, forwarding: Forwarding) -> list[Edit]:
        """One command for each destination that was changed."""
        return [
            Edit("director", self.host, command=command)
            for command in _commands(self.wanted(before, forwarding), from_json(before["table"]))
        ]

    def _look(self) -> tuple[Table, dict[str, Any]]:
        return self.read(), {}

    def _apply(self, before: Before, forwarding: Forwarding) -> None:
        now, wanted = self.read(), self.wanted(before, forwarding)
        strange = self._strange(before, now)
        if strange:
            raise self._changed(strange)
        self._verify(wanted, self._edited(now, wanted), "edited, but")

    def _restore(self, before: Before) -> None:
        now, wanted = self.read(), from_json(before["table"])
        seen = self._edited(now, with_methods_of(wanted, now))
        strange = self._strange(before, seen)
        if strange:
            raise self._changed(strange)
        self._verify(wanted, seen, "put back, but")

    def _edited(self, now: Table, wanted: Table) -> Table:
        """Edit what differs, if the table is still the one that was read; the table afterwards."""
        commands = list(_commands(now, wanted))
        if not commands:
            return now
        done = self.hosts.write(self.host, _script(now, commands))
        return of_service(read_table(self._written(done)), self.service)


def _commands(now: Table, wanted: Table) -> Iterator[str]:
    for server, one in _changes(now, wanted):
        yield edit_command(server, one)


def _changes(now: Table, wanted: Table) -> Iterator[tuple[VirtualServer, Destination]]:
    there = {(server.key, one.key): one for server in now for one in server.destinations}
    for server in wanted:
        for one in server.destinations:
            if there.get((server.key, one.key)) != one:
                yield server, one


def _script(now: Table, commands: list[str]) -> str:
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
{chr(10).join(commands)}
{READ_TABLE}
"""
