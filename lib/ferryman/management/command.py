"""Agents that are a command: the operator's own, and ``ansible-pull``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ferryman.errors import VerifyError
from ferryman.management.agent import AgentRun
from ferryman.management.remote_agent import AgentOnHosts, Outcome, Retry, contained, own_words

if TYPE_CHECKING:
    from ferryman.hosts.hosts import Hosts


class CommandAgent(AgentOnHosts):
    """Runs ``management.run``; 0 is fine. ``management.revision`` prints what was applied, newest first."""

    def _run(self, hosts: Hosts, name: str, revision: str, timeout_s: float) -> Outcome:
        done = hosts.write(name, f"{self.command} </dev/null", timeout_s=timeout_s)
        if done.status != 0:
            raise VerifyError(f"{name}: {self.command}: status {done.status}: {own_words(done)}")
        applied = self._revision(hosts, name)
        if contained(revision, applied) is False:
            return Retry(
                VerifyError(
                    f"{name}: {self.command}: applied {_newest(applied)}, which does not have the change, "
                    f"{revision}; is it merged, and where this host gets its revisions from?"
                )
            )
        return AgentRun(name, _newest(applied))

    def _revision(self, hosts: Hosts, name: str) -> str:
        """What the host says it has applied; empty where ``management.revision`` gives no command for it.

        Raises:
            CommandFailedError: The command for it failed.
        """
        return hosts.read(name, asked).checked().stdout if (asked := self._ask_revision()) else ""

    def _ask_revision(self) -> str:
        return shlex.join(self._config.revision)


class AnsiblePull(CommandAgent):
    """Runs ``ansible-pull`` as ``management.run`` gives it, and asks its checkout what was applied.

    The checkout is shallow unless ``--full`` is given: then it knows its newest revision alone.
    """

    default_run = ("ansible-pull",)

    def _ask_revision(self) -> str:
        folder = _folder(self._config.run)
        history = "log --format=%H -n 1000"
        return super()._ask_revision() or f"git -C {folder} {history}"


def _folder(run: tuple[str, ...]) -> str:
    """The folder of ``ansible-pull``'s checkout, as a word for the shell."""
    for place, word in enumerate(run):
        if word in ("-d", "--directory") and place + 1 < len(run):
            return shlex.quote(run[place + 1])
        if word.startswith("--directory="):
            return shlex.quote(word.partition("=")[2])
    return '~/.ansible/pull/"$(hostname -f)"'


def _newest(printed: str) -> str:
    return next((line.strip() for line in printed.splitlines() if line.strip()), "")
