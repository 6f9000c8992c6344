"""The ``git`` command in one clone: the operator's own credentials, hooks and signing, and time limits.

A dry run reads what is here and does nothing else: what writes, or asks a remote, refuses before a process
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
    DryRunError,
    FerrymanError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    VerifyError,
)
from ferryman.permissions import ENTER, READ, WRITE, denied
from ferryman.redaction import redacted
from ferryman.trust import require_trusted

if TYPE_CHECKING:
    from typing import IO

LOCAL_S = 60.0
"""Seconds for a command that asks no other host; one that signs may wait for a passphrase."""
PRINTED_LINES = 12
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
_OF_ANYBODY = ("PATH", "LANG", "TERM", "TZ")
"""What of the environment git gets when it is run as another user: the rest may hold this one's secrets."""
_SETTINGS = ("gc.auto=0", "maintenance.auto=false", "user.useConfigOnly=true")
"""No tidying up of the operator's clone in passing, and no commit in a name that was guessed."""


class GitError(VerifyError):
    """git refused; names the clone, the command, the status and what it printed."""


@dataclass(frozen=True, slots=True)
class GitResult:
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
    dry_run: bool = False
    remote_s: float = 60.0
    """Seconds for a command that asks another host."""

    def read(self, *command: str) -> str:
        """What a command printed that only reads, and only in this clone.

        Raises:
            GitError: The command failed.
        """
        return self._require_success(command, self.try_read(*command)).text

    def content(self, thing: str) -> bytes:
        """A blob, byte for byte, such as ``main:services.yaml``; raises as ``read`` does."""
        command = ("cat-file", "blob", thing)
        return self._require_success(command, self.try_read(*command)).out

    def try_read(self, *command: str) -> GitResult:
        """As ``read``, for callers that look at the exit status themselves."""
        if command[0] not in _READING:
            raise ValueError(f"git {command[0]} may write, and was called as a read")
        return self._run(command, b"", LOCAL_S, finish=False)

    def found(self, *command: str) -> str | None:
        """What a command printed that only reads; None when it failed, as for what does not exist."""
        result = self.try_read(*command)
        return result.text if result.status == 0 else None

    def remote_read(self, *command: str) -> str:
        """What a command printed that reads from a remote, and changes nothing there.

        Raises:
            DryRunError: This is a dry run.
            UnreachableError: The remote could not be asked.
        """
        self._require_no_dry_run(command)
        result = self._run(command, b"", self.remote_s, finish=False)
        if result.status != 0:
            raise UnreachableError(self._error_text(command, result))
        return result.text

    def write(self, *command: str, stdin: bytes = b"") -> str:
        """What a command printed that writes in this clone; once begun it is finished, whatever signal comes.

        Raises:
            DryRunError: This is a dry run.
            GitError: The command failed.
        """
        self._require_no_dry_run(command)
        return self._require_success(command, self._run(command, stdin, LOCAL_S, finish=True)).text

    def try_write(self, *command: str) -> GitResult:
        """How a command ended that writes, here or to a remote; finished as ``write``.

        Raises:
            DryRunError: This is a dry run.
        """
        self._require_no_dry_run(command)
        return self._run(command, b"", self.remote_s, finish=True)

    def edited_by_hook(self, hook: str, text: str) -> str:
        """A text as the operator's hook leaves it in the file that it is given; raises as ``write`` does."""
        with TemporaryDirectory(prefix="ferryman-") as folder:
            file = Path(folder) / "message"
            file.write_text(text)
            if self._owner:
                for each in (file, Path(folder)):  # the folder last: nothing in it is theirs until then
                    os.chown(each, self._owner.uid, self._owner.gid)
            self.write("hook", "run", hook, "--", str(file))
            # Read as they would: a hook may have put a link to a file in its place that only root may read.
            read = self._started(["cat", "--", str(file)], b"", LOCAL_S, finish=False)
            if read.status != 0:
                raise GitError(f"{self.folder}: what its hook {hook} left cannot be read: {read.err}")
            return read.out.decode("utf-8", "replace")

    def has_hook(self, hook: str) -> bool:
        """Whether the clone has a hook of this name that would be called."""
        return os.access(self._own(f"hooks/{hook}"), os.X_OK)

    def obstacle(self, part: str) -> str | None:
        """Why a folder of git's own, such as ``objects``, cannot be written to; None when it can."""
        return denied(self._own(part), READ | WRITE | ENTER)

    def _own(self, part: str) -> Path:
        return self.folder / self.read("rev-parse", "--git-path", part)

    def _require_no_dry_run(self, command: tuple[str, ...]) -> None:
        if self.dry_run:
            raise DryRunError(f"{self.folder}: a dry run tried git {command[0]}; it was not run")

    def _require_success(self, command: tuple[str, ...], result: GitResult) -> GitResult:
        if result.status != 0:
            raise GitError(self._error_text(command, result))
        return result

    def _error_text(self, command: tuple[str, ...], result: GitResult) -> str:
        printed = redacted(result.err or result.text) or "nothing was printed"  # URLs may have a password
        return f"{self.folder}: git {' '.join(command)}: ended with {result.status}: {printed}"

    def _run(self, command: tuple[str, ...], stdin: bytes, limit_s: float, *, finish: bool) -> GitResult:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        return self._started(["git", *settings, *command], stdin, limit_s, finish=finish)

    def _started(self, argv: list[str], stdin: bytes, limit_s: float, *, finish: bool) -> GitResult:
        command = tuple(argv[1 + 2 * len(_SETTINGS) :] if argv[0] == "git" else argv)
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
            raise self._as_error(command, child.error, limit_s, finish=finish)
        assert child.result is not None
        return child.result

    def _as_error(
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
    def _owner(self) -> _Owner | None:
        """Whom the clone belongs to, where this is root and that is somebody else.

        git then runs as they do: what root wrote into their clone they could not write to again, and what
        their hooks and their configuration run must not be run by root.

        Raises:
            RefusedError: Somebody else may write what git would run there as this user.
        """
        if os.geteuid() != 0:
            return None
        parts = _what_runs(self.folder)
        owners = {part: part.stat() for part in parts}
        others = {found.st_uid for found in owners.values()} - {0}
        if len(others) > 1:
            raise RefusedError(
                f"{self.folder}: several users have parts of this clone: {', '.join(map(str, parts))}; git "
                "would run what any of them wrote there; let all of it belong to one of them (chown -R)"
            )
        if not others:
            for part in parts:
                require_trusted(part, "git clone", RefusedError)
            return None
        return _Owner.of(next(found for found in owners.values() if found.st_uid != 0))


@dataclass(frozen=True, slots=True)
class _Owner:
    """Another user, as whom git is run."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str

    @classmethod
    def of(cls, found: os.stat_result) -> _Owner:
        """Who owns a file; one without a name, as in a container, has no home and no other groups."""
        try:
            known = pwd.getpwuid(found.st_uid)
        except KeyError:
            return cls(found.st_uid, found.st_gid, (), str(found.st_uid), "/nonexistent")
        groups = tuple(os.getgrouplist(known.pw_name, known.pw_gid))
        return cls(known.pw_uid, known.pw_gid, groups, known.pw_name, known.pw_dir)


def _what_runs(folder: Path) -> list[Path]:
    """The folder, and of the clone around it what says what git runs, and where, as far as it is there."""
    whole = Path(os.path.realpath(folder))
    top = next((each for each in (whole, *whole.parents) if (each / ".git").exists()), None)
    if top is None:
        return [whole] if whole.exists() else []
    git = top / ".git"
    own = git
    with suppress(OSError, ValueError):
        if git.is_file():  # a worktree, or a submodule
            own = top / git.read_text(errors="replace").removeprefix("gitdir:").strip()
    common = own
    with suppress(OSError, ValueError):
        common = own / (own / "commondir").read_text(errors="replace").strip()
    inside = ("config", "config.worktree", "hooks", "info", "info/attributes", "objects", "HEAD")
    found = [whole, top, git, own, common, top / ".gitattributes", top / ".gitmodules"]
    found += [place / name for place in (own, common) for name in inside]
    if (common / "hooks").is_dir():
        found += [hook for hook in (common / "hooks").iterdir() if hook.suffix != ".sample"]
    return list(dict.fromkeys(part for part in found if part.exists()))


@dataclass
class _Child:
    """One process, run in a thread of its own: no signal interrupts it there."""

    argv: list[str]
    folder: Path
    stdin: bytes
    limit_s: float
    owner: _Owner | None
    result: GitResult | None = None
    error: Exception | None = None
    over: threading.Event = field(default_factory=threading.Event)
    """Waited for instead of the thread: a join that a signal interrupted takes the thread for ended."""
    _process: subprocess.Popen[bytes] | None = None
    _kill_wanted: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Start it, and wait for its end; the outcome is in ``result`` or ``error``."""
        try:
            # Files, not pipes: an ssh that stays for the next connection would keep a pipe open.
            with TemporaryFile() as put, TemporaryFile() as out, TemporaryFile() as err:
                put.write(self.stdin)
                put.seek(0)
                self.result = self._ended(put, out, err)
        except Exception as error:  # noqa: BLE001  # raised again where the run is
            self.error = error
        finally:
            self.over.set()

    def kill(self) -> None:
        """Kill the process, with all that it has started."""
        self._kill_wanted.set()
        if self._process is not None:
            self._kill_group(self._process)

    def _ended(self, put: IO[bytes], out: IO[bytes], err: IO[bytes]) -> GitResult:
        with self._started(put, out, err) as process:
            self._process = process
            if self._kill_wanted.is_set():
                self._kill_group(process)
            try:
                status = process.wait(self.limit_s)
            except subprocess.TimeoutExpired:
                self._kill_group(process)
                raise
        out.seek(0)
        err.seek(0)
        lines = err.read().decode("utf-8", "replace").strip().splitlines()
        return GitResult(status, out.read(), "\n".join(lines[-PRINTED_LINES:]))

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
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=owner.groups if owner else None,
        )

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _environment(owner: _Owner | None) -> dict[str, str]:
    """The environment of git; another user gets nothing of this one's that may be a secret."""
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    if owner:
        called_by = os.environ.get("SUDO_UID") == str(owner.uid)  # then the agent is their own
        wanted = {*_OF_ANYBODY, *(("SSH_AUTH_SOCK",) if called_by else ())}
        kept = {name: value for name, value in kept.items() if name in wanted}
        kept |= {"HOME": owner.home, "USER": owner.name, "LOGNAME": owner.name}
    # GIT_OPTIONAL_LOCKS: git status would write the index anew.
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
