"""An agent that is a command on each host: many hosts at once, one time limit for all that is done on one."""

from __future__ import annotations

import re
import shlex
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman import retry, waits
from ferryman.errors import DoubtError, UnreachableError, VerifyError
from ferryman.management.agent import Agent, AgentRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ferryman.config import ManagementConfig
    from ferryman.hosts.completed import Completed
    from ferryman.hosts.hosts import Hosts

RERUN_S = 5.0
"""Seconds between two runs on a host, when the first did not have the change."""
SHOWN_LINES = 5
"""Lines of its own that a host is quoted with."""
_COMPLAINT = re.compile(r"^\s*(error|fatal|failed|critical)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Retry:
    """A run that came to nothing, or that did not have the change yet: another may."""

    error: VerifyError | DoubtError
    """What it is when no other run comes in time."""


Outcome = AgentRun | Retry


class AgentOnHosts(Agent):
    """Runs a command on each host, ``batch`` hosts at a time, ``timeout`` seconds for each."""

    default_run: tuple[str, ...] = ()
    """The command that is run where ``management.run`` gives none."""

    def __init__(self, config: ManagementConfig, *, sleep: Callable[[float], None] = waits.sleep) -> None:
        self._config = config
        self._sleep = sleep

    @property
    def command(self) -> str:
        """What is run on each host, as a shell would take it."""
        return shlex.join(self.argv)

    @property
    def argv(self) -> tuple[str, ...]:
        """What is run on each host, word by word."""
        return self._config.run or self.default_run

    def converge(
        self, hosts: Hosts, names: Sequence[str], *, revision: str = ""
    ) -> Mapping[str, AgentRun | VerifyError | DoubtError]:
        """Run the command on every host; returns and raises as ``Agent.converge`` does."""

        def outcome(name: str) -> AgentRun | VerifyError | DoubtError:
            return self._outcome(hosts, name, revision)

        if not names:
            return {}
        with ThreadPoolExecutor(min(self._config.batch, len(names)), "ferryman-agent") as pool:
            return dict(zip(names, pool.map(outcome, names), strict=True))

    @abstractmethod
    def _run(self, hosts: Hosts, name: str, revision: str, timeout_s: float) -> Outcome:
        """Run the agent once on one host.

        Raises:
            VerifyError: It failed there.
            DoubtError: What became of it is not known.
        """

    def _outcome(self, hosts: Hosts, name: str, revision: str) -> AgentRun | VerifyError | DoubtError:
        """The first run that counts, or why there is none; all in the time that one host has."""
        end = waits.monotonic() + self._config.timeout

        def run() -> Outcome:
            return self._run(hosts, name, revision, max(1.0, end - waits.monotonic()))

        try:
            last = retry.poll_until(
                run,
                lambda outcome: isinstance(outcome, AgentRun),
                within_s=self._config.timeout,
                every_s=RERUN_S,
                sleep=self._sleep,
            )
        except (VerifyError, DoubtError) as error:
            return error
        return last.error if isinstance(last, Retry) else last


def contained(revision: str, printed: str) -> bool | None:
    """Whether a change is in what was applied: revisions, newest first, one to a line; None: unknown.

    One revision alone that is another one may come after the change or before it: only a history tells.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if not revision or any(_same(revision, line.split()[0]) for line in lines):
        return True
    return False if len(lines) > 1 else None


SHORT_COMMIT = 7
"""Characters that git shortens a commit to."""


def _same(revision: str, other: str) -> bool:
    """Whether two names of commits, of which either may be shortened, are the same."""
    if min(len(revision), len(other)) < SHORT_COMMIT:
        return revision == other
    return revision.startswith(other) or other.startswith(revision)


def own_words(done: Completed) -> str:
    """What a host itself said went wrong: its lines that begin with a word for that, else its last ones."""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    complaints = [line for line in lines if _COMPLAINT.match(line)]
    return " / ".join((complaints or lines[-SHOWN_LINES:])[:SHOWN_LINES]) or "it printed nothing"


def raise_failures(outcomes: Mapping[str, AgentRun | VerifyError | DoubtError]) -> None:
    """Return when the run went well on every host.

    Raises:
        VerifyError: It failed on some; the message has each host's own words.
        DoubtError: It failed nowhere, but of some hosts it is not known.
    """
    failed = [str(outcome) for outcome in outcomes.values() if isinstance(outcome, VerifyError)]
    unknown = [outcome for outcome in outcomes.values() if isinstance(outcome, DoubtError)]
    if failed:
        raise VerifyError("\n".join([*failed, *map(str, unknown)]))
    if len(unknown) == 1:
        raise unknown[0]
    if unknown:
        kind = (
            UnreachableError if all(isinstance(error, UnreachableError) for error in unknown) else DoubtError
        )
        raise kind("\n".join(map(str, unknown)))
