"""What applies the catalog to a host: an agent of configuration management, or ferryman's own drivers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.errors import DoubtError, VerifyError
    from ferryman.hosts.hosts import Hosts


@dataclass(frozen=True, slots=True)
class AgentRun:
    """One run of an agent on one host that went well."""

    host: str
    revision: str = ""
    """What it applied, in its own words (a commit, a version); empty when it does not say."""

    def __str__(self) -> str:
        return f"{self.host} applied {self.revision}" if self.revision else f"{self.host} applied it"


class Agent(ABC):
    """Applies to hosts what the catalog says now."""

    @property
    @abstractmethod
    def command(self) -> str:
        """The command that it runs on each host, for people to read; empty when it runs none."""

    def obstacles(
        self,
        hosts: Hosts,  # noqa: ARG002  # whoever overrides it asks them
        names: Sequence[str],  # noqa: ARG002
    ) -> Mapping[str, VerifyError | DoubtError]:
        """Why it could not run, for the hosts where it could not; it only reads."""
        return {}

    @abstractmethod
    def converge(
        self, hosts: Hosts, names: Sequence[str], *, revision: str = ""
    ) -> Mapping[str, AgentRun | VerifyError | DoubtError]:
        """Run it on each of these hosts, and wait for a run that began after this call.

        ``revision`` is the commit of the catalog's change, where there is one: a run that says which commit
        it applied must contain it. A host where it failed has the reason instead; it stops no other host.

        Raises:
            DryRunError: This is a dry run; nothing ran.
            BusyError: Another process has resumed the run; nothing more ran.
        """


class NoAgent(Agent):
    """No agent: ferryman's own drivers write what has to be written."""

    @property
    def command(self) -> str:
        """An empty text, for this agent runs no command."""
        return ""

    def converge(
        self,
        hosts: Hosts,  # noqa: ARG002  # nothing is asked of them
        names: Sequence[str],
        *,
        revision: str = "",  # noqa: ARG002
    ) -> Mapping[str, AgentRun | VerifyError | DoubtError]:
        """Return a run for each host at once: no change is needed there."""
        return {name: AgentRun(name) for name in names}
