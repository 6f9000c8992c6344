"""``puppet agent``: one run that began after it was asked for, judged by its exit status and its own summary.

The exit statuses are those of ``--detailed-exitcodes`` (puppet-agent(8)): 0 and 2 are fine, 4 and 6 had
resources that failed, and 1 is everything else: no catalog, another run under way, or disabled. Only the
first of these is a failure; the second is waited for, because a run that began before may have fetched its
catalog before the change. Where the files are, puppet says itself: they have moved from one version to the
next (``lastrunsummary`` went from ``statedir`` to ``publicdir`` with 7.0).
"""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.errors import DoubtError, VerifyError
from ferryman.hosts.verbs.agents import PuppetRun, PuppetState
from ferryman.inventory.yaml_nodes import loaded
from ferryman.management.agent import AgentRun
from ferryman.management.remote_agent import AgentOnHosts, Outcome, Retry, own_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.hosts.hosts import Hosts
    from ferryman.hosts.verbs.agents import PuppetReading

_FINE = (0, 2)
_RESOURCES_FAILED = (4, 6)
_UNDER_WAY = re.compile(r"already in progress")


class PuppetAgent(AgentOnHosts):
    """Runs ``puppet agent`` in the foreground, and judges the run by its exit status and summary."""

    default_run = ("puppet", "agent", "--test", "--color=false")

    def obstacles(self, hosts: Hosts, names: Sequence[str]) -> Mapping[str, VerifyError | DoubtError]:
        """Hosts where it is disabled, with what whoever disabled it said, and hosts that cannot be asked."""
        asked = hosts.read_all(dict.fromkeys(names, PuppetState()))
        return {
            name: reason for name, answer in asked.items() if (reason := _obstacle(name, answer)) is not None
        }

    def _run(self, hosts: Hosts, name: str, revision: str, timeout_s: float) -> Outcome:
        del revision  # config_version may be anything, a time or a commit: it is handed on
        run = hosts.write(name, PuppetRun(self.argv, timeout_s))
        if run.done.status in _FINE:
            return _judged(run)
        if run.done.status == 1 and run.disabled is not None:
            raise _is_disabled(name, run.disabled)
        if run.done.status == 1 and _UNDER_WAY.search(run.done.stdout):
            return Retry(
                DoubtError(
                    f"{name}: puppet: a run that began before has not ended in {self._config.timeout:g} s, "
                    "management.timeout; see what it does there: ps -ef | grep puppet"
                )
            )
        what = "resources failed" if run.done.status in _RESOURCES_FAILED else f"status {run.done.status}"
        raise VerifyError(f"{name}: {shlex.quote(self.command)}: {what}: {own_words(run.done)}")


def _judged(run: PuppetReading) -> AgentRun:
    """The run, if the summary says as the exit status does."""
    host, summary = run.done.host, _summary(run.summary)
    last_run, failed = _number(summary, "time", "last_run"), _number(summary, "resources", "failed")
    if last_run is None or last_run < run.started:
        raise VerifyError(
            f"{host}: puppet ended with status {run.done.status}, but its last_run_summary.yaml is not of "
            f"this run: time.last_run is {last_run}, wanted {run.started} or later on its own clock"
        )
    if failed:
        raise VerifyError(f"{host}: puppet: resources.failed is {failed}: {own_words(run.done)}")
    version = summary.get("version")
    return AgentRun(host, str(version.get("config", "")) if isinstance(version, dict) else "")


def _summary(text: str) -> dict[str, Any]:
    try:
        summary = loaded(text)
    except yaml.YAMLError:
        return {}
    return summary if isinstance(summary, dict) else {}


def _number(summary: dict[str, Any], table: str, key: str) -> int | None:
    values = summary.get(table)
    value = values.get(key) if isinstance(values, dict) else None
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _obstacle(host: str, answer: str | VerifyError | DoubtError | None) -> VerifyError | DoubtError | None:
    return _is_disabled(host, answer) if isinstance(answer, str) else answer


def _is_disabled(host: str, message: str) -> VerifyError:
    return VerifyError(
        f"{host}: puppet is disabled: {message or 'no reason given'}; "
        "when that is over: puppet agent --enable, then resume"
    )
