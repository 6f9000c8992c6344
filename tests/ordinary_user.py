"""An ordinary user, for tests that root runs: no right of root's, but CAP_NET_RAW where that is given."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[1]
USER = 4711
"""Has no name, as in a container. It is not nobody, who has every right in the lab's user namespace."""
SHOWN = (Path(sys.base_prefix), Path(sys.prefix), REPOSITORY)
"""What the user must be able to read to run Ferryman."""


def argv_of_user(command: list[str], *, beside: Path, capability: bool = False) -> list[str]:
    """The command, run by ``USER`` with no right of root's but CAP_NET_RAW, where that is given.

    ``beside`` is a path that nothing is at, in a folder that everybody may enter.
    """
    given = ",+net_raw" if capability else ""
    rights = [f"--inh-caps=-all{given}", f"--ambient-caps=-all{given}", "--bounding-set=-all,+net_raw"]
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *rights]
    return argv_where_shown([*user, *command], beside=beside)


def argv_where_shown(command: list[str], *, beside: Path) -> list[str]:
    """The command, run as root where everybody may read what ``SHOWN`` names, below /root too.

    In a mount namespace of its own an empty folder covers the one that is closed.
    """
    hidden = [path for path in SHOWN if _closed(path) is not None]
    places = {path: beside.with_name(f"{beside.name}{number}") for number, path in enumerate(hidden)}
    lines = ["mount --make-rprivate /"]
    for path, place in places.items():
        lines += [f"mkdir -p {_quoted(place)}", f"mount --bind {_quoted(path)} {_quoted(place)}"]
    for folder in sorted({str(_closed(path)) for path in hidden}):
        lines.append(f"mount -t tmpfs -o mode=755 shown {shlex.quote(folder)}")
    for path, place in places.items():
        lines += [f"mkdir -p {_quoted(path)}", f"mount --bind {_quoted(place)} {_quoted(path)}"]
    script = "\n".join([*lines, 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-ec", script, "sh", *command]


def as_user(function: Callable[[], object]) -> str:
    """What the function returns when ``USER`` calls it, as text, in a child of this process.

    Who is not root calls it as they are. An exception is its class and its text.
    """
    if os.getuid() != 0:
        return _outcome(function)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            os.write(writing, _outcome(function).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        returned = pipe.read().decode()
    os.waitpid(child, 0)
    return returned


def _outcome(function: Callable[[], object]) -> str:
    try:
        return str(function())
    except Exception as error:  # noqa: BLE001  # it cannot be raised in the process that asks
        return f"{type(error).__name__}: {error}"


def give(folder: Path) -> None:
    """Let the folder, and all in it, belong to the user; who is not root has it anyway."""
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER)


def _closed(path: Path) -> Path | None:
    """The outermost folder on the way there that only its owner may enter."""
    whole = path.resolve()
    ways = (folder for folder in (*reversed(whole.parents), whole) if not folder.stat().st_mode & 0o001)
    return next(ways, None)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
