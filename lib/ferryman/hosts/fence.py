"""What keeps a command of a dead process from taking effect late.

A process can die, or be stopped, while a command of its is on the way to a host: in a queue, or in the middle
of its work. Whoever resumes the run looks at the host, finds it as before, and says so; then the late
command comes. So each writing command carries its holder's number, which grows each time the run is resumed,
and the host keeps the greatest that it has seen: under a lock, so that a command which has begun is
waited for, and one with a smaller number does nothing. (A fencing token, kept by the resource itself.)

The number is in ``/run/ferryman``, for each run and host: it goes with a reboot, and so do all commands.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.errors import BusyError, UnreachableError

if TYPE_CHECKING:
    from ferryman.hosts.completed import Completed

FOLDER = "/run/ferryman"
OVERTAKEN, OCCUPIED = 93, 94
"""Exit statuses of the guard: another holder has the run; a command of an earlier one still works."""
WAIT_S = 15
"""How long a command waits for an earlier one; less than ``ssh.command_timeout``, so that it can say so."""
_KEPT_DAYS = 7


GUARD = (
    f"""command -v flock >/dev/null || {{ echo "no flock here (util-linux)" >&2; exit 1; }}
fence_folder=${{fence_file%/*}}
[ -d "$fence_folder" ] || mkdir -p -m 755 "$fence_folder"
[ -e "$fence_file" ] || find "$fence_folder" -type f -mtime +{_KEPT_DAYS} -delete
exec 9>>"$fence_file" || exit 1
flock -w {WAIT_S} 9 || exit {OCCUPIED}
read -r seen <"$fence_file" || seen=0
[ "$seen" -le "$fence_token" ] || exit {OVERTAKEN}
[ "$seen" -eq "$fence_token" ] || echo "$fence_token" >"$fence_file"
(
exec 9>&-
""",
    "\n)",
)
"""What stands before a guarded command and behind it; ``fence_file`` and ``fence_token`` are set before it.

Descriptor 9 is closed for the command itself: a daemon that it starts must not keep the lock.
"""


@dataclass(frozen=True, slots=True)
class Fence:
    """Who may write: one holder of one run."""

    run: str
    token: int
    """Grows each time that the run is resumed."""

    def around(self, host: str, command: str) -> str:
        """The command, guarded: it does nothing once a later holder has been here."""
        file = shlex.quote(f"{FOLDER}/{self.file(host)}")
        return f"fence_file={file} fence_token={self.token}\n{GUARD[0]}{command}{GUARD[1]}"

    def file(self, host: str) -> str:
        """The file of ``FOLDER`` that has the number, without its folder."""
        return f"{self.run}.{host}"

    def judged(self, done: Completed) -> Completed:
        """What came of a guarded command, where it ran.

        Raises:
            BusyError: Another process has resumed the run; nothing ran.
            UnreachableError: A command of an earlier process did not end; nothing ran.
        """
        if done.status == OVERTAKEN:
            raise BusyError(
                f"{done.host}: {self.run} was resumed by another process: nothing more is written from "
                f"here; see ferryman show {self.run}"
            )
        if done.status == OCCUPIED:
            raise UnreachableError(
                f"{done.host}: a command of an earlier process of {self.run} has not ended after {WAIT_S} s; "
                f"nothing ran; see what works there: fuser -v {FOLDER}/{self.run}.{done.host}"
            )
        return done
