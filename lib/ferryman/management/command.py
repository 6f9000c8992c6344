"""Agents that are a command: the operator's own, and ``ansible-pull``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.errors import VerifyError
from ferryman.hosts.verbs.agents import AgentRevision, CheckoutRevision
from ferryman.hosts.verbs.agents import AgentRun as AgentCommand
from ferryman.management.agent import AgentRun
from ferryman.management.remote_agent import AgentOnHosts, Outcome, Retry, contained, own_words

if TYPE_CHECKING:
    from ferryman.hosts.hosts import Hosts
    from ferryman.hosts.verbs import ReadVerb


class CommandAgent(AgentOnHosts):
    """Runs ``management.run``; 0 is fine. ``management.revision`` prints what was applied, newest first."""

    def _run(self, hosts: Hosts, name: str, revision: str, timeout_s: float) -> Outcome:
        done = hosts.write(name, AgentCommand(self.argv, timeout_s))
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
        question = self._revision_question()
        return "" if question is None else hosts.read(name, question)

    def _revision_question(self) -> ReadVerb[str] | None:
        return AgentRevision(self._config.revision) if self._config.revision else None


class AnsiblePull(CommandAgent):
    """Runs ``ansible-pull`` as ``management.run`` gives it, and asks its checkout what was applied.

    The checkout is shallow unless ``--full`` is given: then it knows its newest revision alone.
    """

    default_run = ("ansible-pull",)

    def _revision_question(self) -> ReadVerb[str]:
        return super()._revision_question() or CheckoutRevision(checkout_folder(self._config.run))


def checkout_folder(run: tuple[str, ...]) -> str | None:
    """The folder of ``ansible-pull``'s checkout; None where that is left to it."""
    for place, word in enumerate(run):
        if word in ("-d", "--directory") and place + 1 < len(run):
            return run[place + 1]
        if word.startswith("--directory="):
            return word.partition("=")[2]
    return None


def _newest(printed: str) -> str:
    return next((line.strip() for line in printed.splitlines() if line.strip()), "")
