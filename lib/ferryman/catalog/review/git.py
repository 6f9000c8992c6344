"""The ``git`` command in one clone: the operator's own credentials, hooks and signing, and time limits.

A rehearsal reads what is here and does nothing else: what writes, or asks a remote, refuses before a process
is started. Nothing here touches the operator's working tree, index or current branch by itself.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING

from ferryman.errors import (
    DoubtError,
    FerrymanError,
    RefusedError,
    RehearsalError,
    UnknownOutcomeError,
    UnreachableError,
    VerifyError,
)

if TYPE_CHECKING:
    from typing import IO

LOCAL_S = 60.0
"""Seconds for a command that asks no other host; one that signs may wait for a passphrase."""
SAID_LINES = 12
"""Lines of what git printed that are shown."""

_READING = {
    *("cat-file", "check-ref-format", "config", "log", "ls-tree"),
    *("merge-base", "rev-parse", "status", "symbolic-ref", "var"),
}
"""What ``read`` may call; how it is called here writes nothing."""
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
"""Set where Ferryman is called from a hook: they would lead git to another clone."""
_SETTINGS = ("gc.auto=0", "maintenance.auto=false", "user.useConfigOnly=true")
"""No tidying up of the operator's clone in passing, and no commit in a name that was guessed."""


class GitError(VerifyError):
    """git said no; names the clone, the command, the status and what it printed."""


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it printed."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """What it printed, as one stripped text."""
        return self.out.decode("utf-8", "replace").strip()


@dataclass(frozen=True)
class Git:
    """git in one folder.

    Raises:
        RefusedError: From every method: there is no git.
        DoubtError: As above: it did not end within its time; it was killed, with all that it had started.
    """

    folder: Path
    rehearsal: bool = False
    remote_s: float = 60.0
    """Seconds for a command that asks another host."""

    def read(self, *command: str) -> str:
        """What a command printed that only reads, and only here.

        Raises:
            GitError: It said no.
        """
        return self._agreed(command, self.attempt(*command)).text

    def content(self, thing: str) -> bytes:
        """A blob, byte for byte, such as ``main:services.yaml``; raises as ``read`` does."""
        command = ("cat-file", "blob", thing)
        return self._agreed(command, self.attempt(*command)).out

    def attempt(self, *command: str) -> Said:
        """As ``read``, for whoever wants to know how it ended."""
        if command[0] not in _READING:
            raise ValueError(f"git {command[0]} may write, and was to be asked in a read")
        return self._run(command, b"", LOCAL_S, finish=False)

    def found(self, *command: str) -> str | None:
        """What a command printed that only reads; None where there is no such thing."""
        said = self.attempt(*command)
        return said.text if said.status == 0 else None

    def ask(self, *command: str) -> str:
        """What a command printed that asks a remote, and changes nothing there.

        Raises:
            RehearsalError: This is a rehearsal.
            UnreachableError: The remote could not be asked.
        """
        self._require_no_rehearsal(command)
        said = self._run(command, b"", self.remote_s, finish=False)
        if said.status != 0:
            raise UnreachableError(self._refusal(command, said))
        return said.text

    def write(self, *command: str, stdin: bytes = b"") -> str:
        """What a command printed that writes here; once begun it is finished, whatever signal comes.

        Raises:
            RehearsalError: This is a rehearsal.
            GitError: It said no.
        """
        self._require_no_rehearsal(command)
        return self._agreed(command, self._run(command, stdin, LOCAL_S, finish=True)).text

    def attempt_write(self, *command: str) -> Said:
        """How a command ended that writes, here or to a remote; finished as ``write``.

        Raises:
            RehearsalError: This is a rehearsal.
        """
        self._require_no_rehearsal(command)
        return self._run(command, b"", self.remote_s, finish=True)

    def edited_by_hook(self, hook: str, text: str) -> str:
        """A text as the operator's hook leaves it in the file that it is given; raises as ``write`` does."""
        with TemporaryDirectory(prefix="ferryman-") as folder:
            file = Path(folder) / "message"
            file.write_text(text)
            if self._owner:
                for each in (Path(folder), file):
                    os.chown(each, self._owner.pw_uid, self._owner.pw_gid)
            self.write("hook", "run", hook, "--", str(file))
            return file.read_text()

    def _require_no_rehearsal(self, command: tuple[str, ...]) -> None:
        if self.rehearsal:
            raise RehearsalError(f"{self.folder}: a rehearsal tried git {command[0]}; it was not run")

    def _agreed(self, command: tuple[str, ...], said: Said) -> Said:
        if said.status != 0:
            raise GitError(self._refusal(command, said))
        return said

    def _refusal(self, command: tuple[str, ...], said: Said) -> str:
        printed = said.err or said.text or "nothing was printed"
        return f"{self.folder}: git {' '.join(command)}: ended with {said.status}: {printed}"

    def _run(self, command: tuple[str, ...], stdin: bytes, limit_s: float, *, finish: bool) -> Said:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        argv = ["git", *settings, *command]
        child = _Child(argv, self.folder, stdin, limit_s, self._owner)
        worker = threading.Thread(target=child.run, name=f"git {command[0]}", daemon=True)
        worker.start()
        try:
            child.over.wait()
        except BaseException:
            if not finish:
                child.kill()
            child.over.wait()
            raise
        if child.error is not None:
            raise self._in_words(command, child.error, limit_s, finish=finish)
        assert child.said is not None
        return child.said

    def _in_words(
        self, command: tuple[str, ...], error: Exception, limit_s: float, *, finish: bool
    ) -> FerrymanError:
        where = f"{self.folder}: git {command[0]}"
        if isinstance(error, subprocess.TimeoutExpired):
            kind = UnknownOutcomeError if finish else DoubtError
            return kind(f"{where}: did not end within {limit_s:g} seconds, and was killed")
        if isinstance(error, FileNotFoundError) and self.folder.is_dir():
            return RefusedError(f"{where}: there is no git on this host; apt-get install git")
        return RefusedError(f"{where}: cannot be run: {error}")

    @cached_property
    def _owner(self) -> pwd.struct_passwd | None:
        """Whom the clone belongs to, where this is root and that is somebody else.

        git then runs as they do: what root wrote into their clone they could not write to again.
        """
        with suppress(OSError, KeyError):
            owner = self.folder.stat().st_uid
            if os.geteuid() == 0 and owner != 0:
                return pwd.getpwuid(owner)
        return None


@dataclass
class _Child:
    """One process, run in a thread of its own: there no signal cuts it short."""

    argv: list[str]
    folder: Path
    stdin: bytes
    limit_s: float
    owner: pwd.struct_passwd | None
    said: Said | None = None
    error: Exception | None = None
    over: threading.Event = field(default_factory=threading.Event)
    """Waited for instead of the thread: a join that a signal cut short takes the thread for ended."""
    _process: subprocess.Popen[bytes] | None = None
    _doomed: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Start it, and wait for its end; what came of it is in ``said`` or ``error``."""
        try:
            # Files, not pipes: an ssh that stays for the next connection would keep a pipe open.
            with TemporaryFile() as put, TemporaryFile() as out, TemporaryFile() as err:
                put.write(self.stdin)
                put.seek(0)
                self.said = self._ended(put, out, err)
        except Exception as error:  # noqa: BLE001  # raised again where the run is
            self.error = error
        finally:
            self.over.set()

    def kill(self) -> None:
        """End it, with all that it has started."""
        self._doomed.set()
        if self._process is not None:
            self._kill_group(self._process)

    def _ended(self, put: IO[bytes], out: IO[bytes], err: IO[bytes]) -> Said:
        with self._started(put, out, err) as process:
            self._process = process
            if self._doomed.is_set():
                self._kill_group(process)
            try:
                status = process.wait(self.limit_s)
            except subprocess.TimeoutExpired:
                self._kill_group(process)
                raise
        out.seek(0)
        err.seek(0)
        lines = err.read().decode("utf-8", "replace").strip().splitlines()
        return Said(status, out.read(), "\n".join(lines[-SAID_LINES:]))

    def _started(self, put: IO[bytes], out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes]:
        owner = self.owner
        return subprocess.Popen(
            self.argv,
            cwd=self.folder,
            env=_environment(owner),
            stdin=put,
            stdout=out,
            stderr=err,
            start_new_session=True,  # no terminal to ask for a password on, and a group to kill
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=os.getgrouplist(owner.pw_name, owner.pw_gid) if owner else None,
        )

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _environment(owner: pwd.struct_passwd | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    theirs = {"HOME": owner.pw_dir, "USER": owner.pw_name, "LOGNAME": owner.pw_name} if owner else {}
    if owner:
        kept.pop("XDG_CONFIG_HOME", None)
    # GIT_OPTIONAL_LOCKS: git status would write the index anew.
    never = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    return {**kept, **theirs, **never}
