"""Pods that are too large say a smaller MSS by their default route, until they are made again."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ferryman.cookbook.steps.cluster_pods import ClusterPods
from ferryman.encapsulation import mss_for_mtu
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import RefusedError, VerifyError, WorldChangedError
from ferryman.hosts.verbs.pods import (
    IS_ROUTE,
    EditPodRoutes,
    ReadPodNetworks,
    RouteEdit,
    edit_commands,
    with_advmss,
)
from ferryman.model import Edit, Finding, Verdict
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.engine.plan import Step
    from ferryman.engine.steps import Purpose
    from ferryman.hosts.shared import Question
    from ferryman.realservers.facts.pods import NodePods, PodNetwork

CHECK = "pod-mss"

Eased = list[list[Any]]
"""Pods as the journal keeps them: ``[namespace, address, [[version, route before, after], …]]`` each."""


@dataclass(frozen=True, slots=True)
class _Pod:
    """A pod whose routes are edited."""

    namespace: str
    address: str
    edits: tuple[RouteEdit, ...]

    def verb(self, *, back: bool = False) -> EditPodRoutes:
        """What edits its routes; ``back`` to what they were."""
        edits = tuple(RouteEdit(e.version, e.wanted, e.expected) for e in self.edits) if back else self.edits
        return EditPodRoutes(self.namespace, ip_address(self.address), edits)

    def seen_in(self, reading: NodePods) -> PodNetwork | None:
        """Its network as it is now; None where it is gone."""
        found = reading.network_of({ip_address(self.address)})
        return found if found is not None and found.namespace == self.namespace else None

    def routes(self, reading: NodePods) -> list[tuple[RouteEdit, str]]:
        """Each of its edits, and the route as it is now; none where the pod is gone."""
        network = self.seen_in(reading)
        return (
            []
            if network is None
            else [(edit, network.pod.routes.get(edit.version, "")) for edit in self.edits]
        )


def _pods(before: Eased) -> list[_Pod]:
    return [
        _Pod(namespace, address, tuple(RouteEdit(*edit) for edit in edits))
        for namespace, address, edits in before
    ]


@dataclass(frozen=True)
class PodsSayLess(Change[Eased]):
    """Pods of {host} that have more than {limit} bytes say an MSS that fits."""

    ferry: Ferry
    host: str
    limit: int

    def questions(self, purpose: Purpose, before: Eased | None) -> Iterator[Question]:
        """The pods' networks."""
        del purpose, before
        yield self.host, ReadPodNetworks()

    def _read(self) -> NodePods:
        reading = self.ferry.hosts.read(self.host, ReadPodNetworks())
        if isinstance(reading.pods, Unknown):
            raise VerifyError(f"{self.host}: its pods cannot be seen: {reading.pods.reason}; left alone")
        return reading

    def check(self, report: Report) -> Eased | NoChange:
        """The pods that are too large and do not say so, with their default routes; others' are not touched.

        Those that were found first are looked at again: a pod that is gone by then needs nothing, and one
        that has come since is for the next run.
        """
        reading = self._read()
        first = self.ferry.memory.eased.get(self.host)
        if first is not None:
            return [self._again(pod, entry, reading) for pod, entry in zip(_pods(first), first, strict=True)]
        found = sorted(self._large(reading), key=lambda entry: (entry[0], entry[1]))
        if not found:
            return NoChange("none is too large, or those that are say so")
        self.ferry.memory.eased[self.host] = found
        seen = f"{len(found)} pods get a smaller MSS until they are made again; it helps TCP alone"
        report.finding(Finding(CHECK, self.host, Verdict.WARN, seen, f"pods of {self.limit} bytes", _LATER))
        return found

    @staticmethod
    def _again(pod: _Pod, entry: list[Any], reading: NodePods) -> list[Any]:
        now = pod.routes(reading)
        if not now or all(route == edit.expected for edit, route in now):
            return entry
        return [pod.namespace, pod.address, [[edit.version, route, edit.wanted] for edit, route in now]]

    def _large(self, reading: NodePods) -> Iterator[list[Any]]:
        networks = () if isinstance(reading.pods, Unknown) else reading.pods
        for network in networks:
            if network.end.mtu <= self.limit or not network.addresses:
                continue
            edits: list[list[Any]] = []
            for version, route in network.pod.routes.items():
                mss = mss_for_mtu(version, self.limit)
                if not route or network.pod.says_at_most(version, mss):
                    continue
                edits.append([version, route, with_advmss(route, mss)])
                if IS_ROUTE.fullmatch(route) is None:
                    raise RefusedError(
                        f"{self.host}: {network.namespace}: its default route cannot be put back as it is:"
                        f" {route[:200]!r}; nothing was changed; have this pod made again instead"
                    )
            if edits:
                yield [network.namespace, str(min(network.addresses, key=str)), edits]

    def edits(self, before: Eased) -> Sequence[Edit]:
        """The commands on the node."""
        return self._commands((pod.namespace, pod.edits) for pod in _pods(before))

    def undo_edits(self, before: Eased) -> Sequence[Edit]:
        """The commands that put each route back as it was."""
        return self._commands((pod.namespace, pod.verb(back=True).edits) for pod in _pods(before))

    def _commands(self, edits: Iterable[tuple[str, Sequence[RouteEdit]]]) -> list[Edit]:
        return [
            Edit("host", self.host, command=command)
            for namespace, each in edits
            for command in edit_commands(namespace, each)
        ]

    def do(self, before: Eased) -> Sequence[Edit]:
        """Edit each pod's routes, compared on the node itself; a pod that is gone needs nothing."""
        made: list[Edit] = []
        for pod in _pods(before):
            outcome = self.ferry.hosts.write(self.host, pod.verb())
            if outcome == "other":
                raise WorldChangedError(f"{self.host}: {pod.namespace}: {_OTHER}")
            if outcome == "done":
                made += self._commands([(pod.namespace, pod.edits)])
        return made

    def verify(self, report: Report) -> None:
        """Read the routes back: of the pods that were found first, else of all."""
        reading = self._read()
        first = self.ferry.memory.eased.get(self.host)
        if first is not None:
            self._require(_pods(first), reading)
        elif left := list(self._large(reading)):
            names = ", ".join(entry[0] for entry in left[:5])
            raise VerifyError(f"{self.host}: {len(left)} pods are too large and do not say so: {names}")
        report.finding(Finding(CHECK, self.host, Verdict.PASS, "their routes say so", "an MSS that fits"))

    def verify_again(self, before: Eased, report: Report) -> None:
        """Read the routes back of the pods that are still there."""
        del report
        self._require(_pods(before), self._read())

    def _require(self, pods: Sequence[_Pod], reading: NodePods) -> None:
        for pod in pods:
            for edit, route in pod.routes(reading):
                if route != edit.wanted:
                    raise VerifyError(
                        f"{self.host}: {pod.namespace}: its default route is {route[:200]!r}, wanted"
                        f" {edit.wanted!r}; see who changed it"
                    )

    def undo(self, before: Eased) -> Sequence[Edit]:
        """Put each route back; one that somebody else changed is left alone, and named at the end."""
        made: list[Edit] = []
        others: list[str] = []
        for pod in _pods(before):
            verb = pod.verb(back=True)
            outcome = self.ferry.hosts.write(self.host, verb)
            if outcome == "other":
                others.append(pod.namespace)
            elif outcome == "done":
                made += self._commands([(pod.namespace, verb.edits)])
        if others:
            raise WorldChangedError(f"{self.host}: {', '.join(others)}: {_OTHER}")
        return made

    def require_undoable(self, before: Eased, report: Report) -> None:
        """See that the node can be asked."""
        del before, report
        self._read()

    def diff_after_undo(self, before: Eased, report: Report) -> str | None:
        """Which routes still say what the run made them say; what others made of them is a warning."""
        reading = self._read()
        left = []
        for pod in _pods(before):
            for edit, route in pod.routes(reading):
                if route == edit.wanted:
                    left.append(f"{pod.namespace}: still {route}")
                elif route != edit.expected:
                    seen = f"{pod.namespace}: {route[:200] or 'no default route'}"
                    report.finding(
                        Finding(CHECK, self.host, Verdict.WARN, seen, edit.expected, "see who changed it")
                    )
        return f"{self.host}: {'; '.join(left)}" if left else None

    def effect_seen(self, before: Eased | None, report: Report) -> str | None:
        """The routes that say what this run would make them say; without a before, of any pod too large."""
        del report
        reading = self._read()
        if before is not None:
            pods = _pods(before)
            left = [pod.namespace for pod in pods if any(r == e.wanted for e, r in pod.routes(reading))]
        else:
            networks = () if isinstance(reading.pods, Unknown) else reading.pods
            left = [
                network.namespace
                for network in networks
                for version, route in network.pod.routes.items()
                if network.end.mtu > self.limit and f" advmss {mss_for_mtu(version, self.limit)}" in route
            ]
        names = ", ".join(dict.fromkeys(left))
        return f"{self.host}: {names}: their default routes say a smaller MSS" if left else None


_LATER = "have them made again later: ferryman mtu rollout says how"
_OTHER = "someone else changed its default route; it was left alone: see who did"


@dataclass(frozen=True)
class EasedUntilRemade(Look):
    """What a smaller MSS helps, and how long, is told."""

    cluster: str

    def look(self, report: Report) -> None:
        """Tell that it lasts until a pod is made again, and helps TCP alone."""
        seen = "it lasts until a pod is made again, and helps new TCP connections alone: no UDP, no old ones"
        report.finding(Finding(CHECK, self.cluster, Verdict.WARN, seen, "pods made again", _LATER))


def live_steps(ferry: Ferry, cluster: str) -> tuple[Step, ...]:
    """A smaller MSS for the pods of each node that are too large.

    Raises:
        RefusedError: The cluster could not be read.
    """
    pods = ClusterPods(ferry, cluster)
    hosts = sorted(set(pods.hosts().values()))
    return (EasedUntilRemade(cluster), *(PodsSayLess(ferry, host, pods.limit) for host in hosts))
