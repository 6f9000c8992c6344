"""A look that makes sure that this machine's probes get out, and that their answers come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ferryman.engine.steps import Look, Report
from ferryman.errors import InventoryError
from ferryman.model import Finding, ProbeVerdict, Verdict
from ferryman.probe import probe_targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.model import ProbeResult, Service

CONTROL = "control"
"""The host that findings about this machine are for."""


@dataclass(frozen=True)
class ControlHostCanProbe(Look):
    """This host's probes get through to a service that is encapsulated already."""

    sends_probes: ClassVar[bool] = True
    ferry: Ferry
    service: Service

    def look(self, report: Report) -> None:
        """Probe the service that ``[probe] self_test`` names: one realserver that answers is enough."""
        name = self.ferry.config.probe.self_test
        if name is None:
            report.finding(_finding(Verdict.SKIP, "no service is named for it", _NAME_ONE))
        elif self.ferry.dry_run:
            report.finding(_finding(Verdict.SKIP, "not sent in a dry run"))
        else:
            report.finding(self._probed_by_name(name))

    def _probed_by_name(self, name: str) -> Finding:
        try:
            known_good = self.ferry.service(name, self.service.site)
        except InventoryError as error:  # its entry is no part of what this run is about
            return _finding(Verdict.WARN, f"{name} cannot be used for it: {error}", _NAME_ONE)
        return self._probed(known_good)

    def _probed(self, known_good: Service) -> Finding:
        if not known_good.encapsulated:
            return _finding(Verdict.WARN, f"{known_good} is not encapsulated itself", _NAME_ONE)
        targets = probe_targets(known_good)
        results = self.ferry.probe_briefly(targets)
        if not _good(results):
            results = self.ferry.probe(targets, quick=True)
        good = _good(results)
        seen = f"{good} of {len(results)} probes of {known_good} were accepted"
        if good:
            return _finding(Verdict.PASS, seen)
        return _finding(Verdict.FAIL, seen, "look at this host's routes and firewall, and at uRPF on its way")


_NAME_ONE = "name a service that is encapsulated already: [probe] self_test in ferryman.toml"


def _good(results: Sequence[ProbeResult]) -> int:
    return sum(result.verdict is ProbeVerdict.ACCEPTED for result in results)


def _finding(verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    wanted = "an answer from a service that is known to be good"
    return Finding("control-host", CONTROL, verdict, seen, wanted, remedy)
