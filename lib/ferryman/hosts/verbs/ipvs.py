"""What is asked of the kernel's IPVS and done to it: its table, and its connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.errors import VerifyError
from ferryman.hosts.verbs.changed import CHANGED, changed_error
from ferryman.hosts.verbs.kinds import TABLE, VIRTUALS
from ferryman.hosts.verbs.verb import MIB, ReadVerb, WriteVerb
from ferryman.ipvs.connections import Connection, connections, kernels_key
from ferryman.ipvs.listing import read_table
from ferryman.ipvs.table import Key, Table, edits, rules
from ferryman.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.hosts.completed import Completed
    from ferryman.hosts.verbs.verb import Included

TABLE_SCRIPT = "ipvsadm -Sn && echo == && ipvsadm -Ln --thresholds"
"""Prints the table as ``read_table`` understands it; other verbs begin with it."""
CONNECTIONS = "/proc/net/ip_vs_conn"
OTHER_TABLE = "its table is not the one just read"
OURS_ARE = """\
ours() { ipvsadm -Sn | grep -F -e "$1" | sort; }
"""
"""A shell function that prints the lines of some virtual servers, told by the first of ``expected_lines``."""
OF_SERVICE = (
    'BEGIN { for (i = 1; i < ARGC - 1; i++) { ours[ARGV[i]]; ARGV[i] = "" } } ($1 " " $4 " " $5) in ours'
)
"""Selects in awk the lines of the connection table of some virtual services: the words before the file."""


def table_in(done: Completed, text: str) -> Table:
    """The table in a part of an answer.

    Raises:
        VerifyError: It is not understood; names the host and the line.
    """
    try:
        return read_table(text)
    except VerifyError as error:
        raise VerifyError(f"{done.host}: {error}") from error


def expected_lines(servers: Table) -> tuple[str, str]:
    """What tells the lines of these virtual servers from others, and the lines themselves, in order."""
    ours = "\n".join(f"{server.named} " for server in servers)
    return ours, "\n".join(sorted(line for server in servers for line in rules(server)))


@dataclass(frozen=True)
class IpvsTable(ReadVerb[Table]):
    """Reads every virtual server of the kernel's table, of all services."""

    name = "ipvs-table"
    limit = 16 * MIB
    script = TABLE_SCRIPT

    def parse(self, done: Completed) -> Table:
        """The table."""
        return table_in(done, done.checked().stdout)


@dataclass(frozen=True)
class EditTable(WriteVerb[Table]):
    """Edits entries in place, if the table still is as expected, and reads the table back.

    There is no time between the comparison and the edits for anybody else.
    """

    name = "edit-table"
    limit = 16 * MIB
    script = f"""\
set -euf
export LC_ALL=C
{OURS_ARE}if [ "$(ours "$1")" != "$2" ]; then
    echo "{OTHER_TABLE}" >&2
    exit {CHANGED}
fi
while read -r edit; do
    ipvsadm $edit </dev/null
done
{TABLE_SCRIPT}
"""

    now: Table = field(metadata=TABLE)
    """The virtual servers as they are expected to be."""
    wanted: Table = field(metadata=TABLE)
    """The same virtual servers as they are to be."""

    @property
    def includes(self) -> Included:
        """The table."""
        return ((IpvsTable(), lambda table: table),)

    @property
    def words(self) -> Sequence[str]:
        """The virtual servers, and the lines that are expected of them."""
        return expected_lines(self.now)

    @property
    def stdin(self) -> str:
        """The edits, a line of ipvsadm's words for each."""
        return "".join(f"{edit}\n" for edit in edits(self.now, self.wanted))

    def parse(self, done: Completed) -> Table:
        """The whole table after the edits.

        Raises:
            WorldChangedError: It was another one than expected; nothing was edited.
        """
        if done.status == CHANGED:
            raise changed_error(done.host, done.stderr.strip().splitlines())
        return table_in(done, done.checked().stdout)


@dataclass(frozen=True, slots=True)
class ConnectionsReading:
    """The connections of some virtual services, and what becomes of those that are over."""

    connections: frozenset[Connection]
    reuse_mode: int | None
    """``net.ipv4.vs.conn_reuse_mode``; None where there is no such setting."""


@dataclass(frozen=True)
class Connections(ReadVerb[ConnectionsReading]):
    """Reads the connections of some virtual services that the kernel has at this moment."""

    name = "connections"
    limit = 128 * MIB
    kept_as_text = True
    script = f"""\
cat /proc/sys/net/ipv4/vs/conn_reuse_mode 2>/dev/null || echo none
exec awk '{OF_SERVICE} {{ print $1, $2, $3, $4, $5, $6, $7, $8 }}' "$@" {CONNECTIONS}
"""

    virtuals: tuple[Key, ...] = field(metadata=VIRTUALS)

    @property
    def words(self) -> Sequence[str]:
        """The virtual services as the kernel's lines have them."""
        return tuple(map(kernels_key, self.virtuals))

    def parse(self, done: Completed) -> ConnectionsReading:
        """The connections and the setting."""
        mode, _, lines = done.checked().stdout.partition("\n")
        return ConnectionsReading(frozenset(connections(lines, done.host)), numeral(mode))
