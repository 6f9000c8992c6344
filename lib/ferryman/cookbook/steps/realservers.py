"""A look at realservers' settings, and the run of the agent that brings them in line with the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.cookbook.steps.probes import ProbesAnswered
from ferryman.engine.steps import Change, Look, Report
from ferryman.errors import FerrymanError, RefusedError
from ferryman.kubernetes import spoofing_findings
from ferryman.management import raise_failures
from ferryman.model import Edit
from ferryman.realservers.checks import service_readiness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.engine.plan import Step
    from ferryman.model import Service


@dataclass(frozen=True)
class RealserversReady(Look):
    """Every realserver of {service.name} is set up to unwrap IPIP."""

    valid_after_change: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Read every realserver's settings, in one round trip each, and what its cluster says of a node."""
        for finding in service_readiness(self.service, self.ferry.hosts):
            report.finding(finding)
        for finding in self.ferry.node_states(self.service).findings:
            report.finding(finding)
        for finding in spoofing_findings(self.service, self.ferry.clusters_of(self.service)):
            report.finding(finding)


@dataclass(frozen=True)
class RealserversConverged(Change[list[str]]):
    """Every realserver of {service.name} has what the catalog says."""

    ferry: Ferry
    service: Service

    def check(self, report: Report) -> list[str]:
        """The realservers' names, if the agent can run on each of them; that is all that undo needs."""
        del report
        names = [realserver.host for realserver in self.service.realservers]
        if reasons := self.ferry.agent.obstacles(self.ferry.hosts, names):
            raise RefusedError("\n".join(map(str, reasons.values())))
        return names

    def edits(self, before: list[str]) -> Sequence[Edit]:
        """The agent's command on each of them."""
        return [Edit("host", name, command=self.ferry.agent.command) for name in before]

    def undo_edits(self, before: list[str]) -> Sequence[Edit]:
        """The same command again: by then the catalog says what it said before."""
        return self.edits(before)

    def do(self, before: list[str]) -> None:
        """Run the agent, ``management.batch`` hosts at once; one that fails keeps no other from its run."""
        self._run(before)

    def verify(self, report: Report) -> None:
        """Look at their settings once more, now that the agent may have changed them."""
        for finding in service_readiness(self.service, self.ferry.hosts):
            report.finding(finding)

    def undo(self, before: list[str]) -> Sequence[Edit]:
        """Run the agent again on each of them, now that the catalog says what it said before."""
        try:
            self._run(before)
        except FerrymanError as error:
            self.ferry.memory.realservers_not_restored[self.service.name] = str(error)
            raise
        self.ferry.memory.realservers_not_restored.pop(self.service.name, None)
        return self.edits(before)

    def require_undoable(self, before: list[str], report: Report) -> None:
        """See that the agent can run on each of them."""
        del report
        if reasons := self.ferry.agent.obstacles(self.ferry.hosts, before):
            raise RefusedError("\n".join(map(str, reasons.values())))

    def diff_after_undo(self, before: list[str], report: Report) -> str | None:
        """Whether the agent has had its run: what it has made of them can only be asked of the agent."""
        del before, report
        return self.ferry.memory.realservers_not_restored.get(self.service.name)

    def effect_seen(self, before: list[str] | None, report: Report) -> str | None:
        """None: what an agent does is what the catalog says by then, whoever runs it."""
        del before, report
        return None

    def _run(self, names: list[str]) -> None:
        raise_failures(
            self.ferry.agent.converge(self.ferry.hosts, names, revision=self.ferry.memory.catalog_revision)
        )


def realserver_steps(ferry: Ferry, service: Service) -> tuple[Step, ...]:
    """The agents' run and probes of its result; no steps unless ``management.realservers`` is set."""
    if not ferry.config.management.realservers:
        return ()
    return (RealserversConverged(ferry, service), ProbesAnswered(ferry, service))
