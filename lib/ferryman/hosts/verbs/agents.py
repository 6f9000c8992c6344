"""Configuration management's agents on a host: run, and asked what they applied."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.errors import VerifyError
from ferryman.hosts.completed import Completed
from ferryman.hosts.verbs.kinds import ARGV, FOLDER, SECONDS
from ferryman.hosts.verbs.verb import MIB, ReadVerb, WriteVerb

if TYPE_CHECKING:
    from collections.abc import Sequence

_DISABLED, _SUMMARY, _STATUS = "== disabled", "== summary", "== status"
_PLACES = """\
export LC_ALL=C
place() { puppet config print --section agent "$1"; }
"""
_SHOW_DISABLED = f"""\
echo '{_DISABLED}'
cat -- "$(place agent_disabled_lockfile)" 2>/dev/null || :
"""


@dataclass(frozen=True)
class AgentRun(WriteVerb[Completed]):
    """Runs an agent that is a command; its value is how it ended."""

    name = "agent-run"
    limit = 32 * MIB
    script = '"$@" </dev/null'

    argv: tuple[str, ...] = field(metadata=ARGV)
    timeout_s: float = field(metadata=SECONDS)

    @property
    def shown(self) -> str:
        """The operator's own command."""
        return shlex.join(self.argv)

    @property
    def deadline_s(self) -> float:
        """What is left of ``management.timeout``."""
        return self.timeout_s

    @property
    def words(self) -> Sequence[str]:
        """The command."""
        return self.argv

    def parse(self, done: Completed) -> Completed:
        """How it ended."""
        return done


@dataclass(frozen=True)
class AgentRevision(ReadVerb[str]):
    """Reads what an agent applied, from the command that the operator gave for it."""

    name = "agent-revision"
    script = '"$@"'

    argv: tuple[str, ...] = field(metadata=ARGV)

    @property
    def shown(self) -> str:
        """The operator's own command."""
        return shlex.join(self.argv)

    @property
    def words(self) -> Sequence[str]:
        """The command."""
        return self.argv

    def parse(self, done: Completed) -> str:
        """What it printed: revisions, newest first."""
        return done.checked().stdout


@dataclass(frozen=True)
class CheckoutRevision(ReadVerb[str]):
    """Reads which commits the checkout of ``ansible-pull`` has, newest first, a thousand at most."""

    name = "checkout-revision"
    script = 'exec git -C "${1:-$HOME/.ansible/pull/$(hostname -f)}" log --format=%H -n 1000'

    folder: str | None = field(default=None, metadata=FOLDER)
    """None: the one that ansible-pull takes by itself."""

    @property
    def words(self) -> Sequence[str]:
        """The folder."""
        return (self.folder or "",)

    def parse(self, done: Completed) -> str:
        """The commits, a line each."""
        return done.checked().stdout


@dataclass(frozen=True)
class PuppetState(ReadVerb[str | None]):
    """Reads why puppet is disabled; None where it is not."""

    name = "puppet-state"
    script = f"""\
{_PLACES}command -v puppet >/dev/null || {{ echo "no puppet here" >&2; exit 127; }}
{_SHOW_DISABLED}"""

    def parse(self, done: Completed) -> str | None:
        """What whoever disabled it said; it may be empty."""
        return _disabled(done.checked().stdout)


@dataclass(frozen=True, slots=True)
class PuppetReading:
    """One run of puppet: its output, its exit status, and what puppet wrote about it."""

    done: Completed
    """The output and status of puppet itself."""
    started: int
    """Seconds since the epoch on the host's own clock, right before it began."""
    disabled: str | None
    """What whoever disabled it said; None where it is not disabled."""
    summary: str
    """The text of puppet's ``last_run_summary.yaml``."""


@dataclass(frozen=True)
class PuppetRun(WriteVerb[PuppetReading]):
    """Runs puppet in the foreground, and reads what puppet wrote about the run."""

    name = "puppet-run"
    limit = 32 * MIB
    script = f"""\
{_PLACES}started=$(date +%s)
"$@" </dev/null
echo "{_STATUS} $? $started"
{_SHOW_DISABLED}echo '{_SUMMARY}'
cat -- "$(place lastrunsummary)"
"""

    argv: tuple[str, ...] = field(metadata=ARGV)
    timeout_s: float = field(metadata=SECONDS)

    @property
    def deadline_s(self) -> float:
        """What is left of ``management.timeout``."""
        return self.timeout_s

    @property
    def words(self) -> Sequence[str]:
        """The command."""
        return self.argv

    def parse(self, done: Completed) -> PuppetReading:
        """The run."""
        own, _, rest = done.stdout.rpartition(f"{_STATUS} ")
        numbers, _, rest = rest.partition("\n")
        lock_file, _, summary = rest.partition(f"{_SUMMARY}\n")
        try:
            status, started = map(int, numbers.split())
        except ValueError:
            raise VerifyError(f"{done.host}: puppet could not be run: {done.complaint}") from None
        printed = Completed(done.host, done.command, status, own, done.stderr)
        return PuppetReading(printed, started, _disabled(lock_file), summary)


def _disabled(shown: str) -> str | None:
    """Why it is disabled, from the lock file's JSON; None when there is no such file."""
    text = shown.partition(f"{_DISABLED}\n")[2].strip()
    if not text:
        return None
    try:
        lock = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text
    return str(lock.get("disabled_message", "")) if isinstance(lock, dict) else text
