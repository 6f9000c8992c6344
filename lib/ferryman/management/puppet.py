"""``puppet agent``: one run that began after it was asked for, judged by its exit status and its own summary.

The exit statuses are those of ``--detailed-exitcodes`` (puppet-agent(8)): 0 and 2 are fine, 4 and 6 had
resources that failed, and 1 is everything else: no catalog, another run under way, or disabled. Only the
first of these is a failure; the second is waited for, because a run that began before may have fetched its
catalog before the change. Where the files are, puppet says itself: they have moved from one version to the
next (``lastrunsummary`` went from ``statedir`` to ``publicdir`` with 7.0).
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.errors import DoubtError, VerifyError
from ferryman.management.agent import AgentRun
from ferryman.management.remote_agent import AgentOnHosts, Outcome, Retry, own_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.hosts.hosts import Completed, Hosts

_FINE = (0, 2)
_RESOURCES_FAILED = (4, 6)
_UNDER_WAY = re.compile(r"already in progress")
_DISABLED, _SUMMARY, _STATUS = "== disabled", "== summary", "== status"

_PLACES = """\
export LC_ALL=C
place() { puppet config print --section agent "$1"; }
"""
_SHOW_DISABLED = f"""\
echo '{_DISABLED}'
cat -- "$(place agent_disabled_lockfile)" 2>/dev/null || :
"""
_LOOK = f"""\
{_PLACES}command -v puppet >/dev/null || {{ echo "no puppet here" >&2; exit 127; }}
{_SHOW_DISABLED}"""


class PuppetAgent(AgentOnHosts):
    """Runs ``puppet agent`` in the foreground, and judges the run by its exit status and summary."""

    default_run = ("puppet", "agent", "--test", "--color=false")

    def obstacles(self, hosts: Hosts, names: Sequence[str]) -> Mapping[str, VerifyError | DoubtError]:
        """Hosts where it is disabled, with what whoever disabled it said, and hosts that cannot be asked."""
        asked = hosts.read_all(dict.fromkeys(names, _LOOK))
        return {name: reason for name, done in asked.items() if (reason := _obstacle(done)) is not None}

    def _run(self, hosts: Hosts, name: str, revision: str, timeout_s: float) -> Outcome:
        del revision  # config_version may be anything, a time or a commit: it is handed on
        script = f"""{_PLACES}started=$(date +%s)
{self.command} </dev/null
echo "{_STATUS} $? $started"
{_SHOW_DISABLED}echo '{_SUMMARY}'
cat -- "$(place lastrunsummary)"
"""
        run = _PuppetRun.of(hosts.write(name, script, timeout_s=timeout_s))
        if run.status in _FINE:
            return run.judged()
        if run.status == 1 and run.disabled is not None:
            raise _is_disabled(name, run.disabled)
        if run.status == 1 and _UNDER_WAY.search(run.done.stdout):
            return Retry(
                DoubtError(
                    f"{name}: puppet: a run that began before has not ended in {self._config.timeout:g} s, "
                    "management.timeout; see what it does there: ps -ef | grep puppet"
                )
            )
        what = "resources failed" if run.status in _RESOURCES_FAILED else f"status {run.status}"
        raise VerifyError(f"{name}: {shlex.quote(self.command)}: {what}: {own_words(run.done)}")


@dataclass(frozen=True, slots=True)
class _PuppetRun:
    """One run of puppet: its output, its exit status, and what puppet wrote about it."""

    done: Completed
    """The output and status of puppet itself."""
    status: int
    started: int
    """Seconds since the epoch on the host's own clock, right before it began."""
    disabled: str | None
    summary: str

    @classmethod
    def of(cls, done: Completed) -> _PuppetRun:
        own, _, rest = done.stdout.rpartition(f"{_STATUS} ")
        numbers, _, rest = rest.partition("\n")
        lock_file, _, summary = rest.partition(f"{_SUMMARY}\n")
        try:
            status, started = map(int, numbers.split())
        except ValueError:
            raise VerifyError(f"{done.host}: puppet could not be run: {own_words(done)}") from None
        printed = type(done)(done.host, done.command, status, own, done.stderr)
        return cls(printed, status, started, _disabled(lock_file), summary)

    def judged(self) -> AgentRun:
        """The run, if the summary says as the exit status does."""
        host, summary = self.done.host, _summary(self.summary)
        last_run, failed = _number(summary, "time", "last_run"), _number(summary, "resources", "failed")
        if last_run is None or last_run < self.started:
            raise VerifyError(
                f"{host}: puppet ended with status {self.status}, but its last_run_summary.yaml is not of "
                f"this run: time.last_run is {last_run}, wanted {self.started} or later on its own clock"
            )
        if failed:
            raise VerifyError(f"{host}: puppet: resources.failed is {failed}: {own_words(self.done)}")
        version = summary.get("version")
        return AgentRun(host, str(version.get("config", "")) if isinstance(version, dict) else "")


def _summary(text: str) -> dict[str, Any]:
    try:
        summary = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return summary if isinstance(summary, dict) else {}


def _number(summary: dict[str, Any], table: str, key: str) -> int | None:
    values = summary.get(table)
    value = values.get(key) if isinstance(values, dict) else None
    return int(value) if isinstance(value, int | float) else None


def _obstacle(done: Completed | DoubtError) -> VerifyError | DoubtError | None:
    if isinstance(done, DoubtError):
        return done
    try:
        message = _disabled(done.checked().stdout)
    except VerifyError as error:
        return error
    return None if message is None else _is_disabled(done.host, message)


def _is_disabled(host: str, message: str) -> VerifyError:
    return VerifyError(
        f"{host}: puppet is disabled: {message or 'no reason given'}; "
        "when that is over: puppet agent --enable, then resume"
    )


def _disabled(shown: str) -> str | None:
    """Why it is disabled, from the lock file's JSON; None when there is no such file."""
    text = shown.partition(f"{_DISABLED}\n")[2].strip()
    if not text:
        return None
    try:
        lock = json.loads(text)
    except json.JSONDecodeError:
        return text
    return str(lock.get("disabled_message", "")) if isinstance(lock, dict) else text
