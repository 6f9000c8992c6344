"""Workloads whose pods are made again, one after the other; nothing takes that back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypedDict

from ferryman import retry, waits
from ferryman.cookbook.steps.cluster_pods import ClusterPods
from ferryman.cookbook.steps.pod_mtu import command_for
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import DoubtError, RefusedError, VerifyError
from ferryman.kubernetes.cluster import ClusterRefusedError, EvictionRefusedError
from ferryman.kubernetes.mtu.seen import SHOWN, listed
from ferryman.kubernetes.mtu.stages import Stage, assigned, key_of, members
from ferryman.kubernetes.mtu.way import Way, way_for
from ferryman.model import Edit, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.cookbook.memory import WorkloadKey
    from ferryman.engine.plan import Step
    from ferryman.kubernetes.mtu.seen import SeenPod
    from ferryman.kubernetes.objects import Budget, Pod, Workload

CHECK = "workload-restart"
POLL_S = 2.0
TRIES = 5
"""How often a restart is asked for, each time of the workload as it is by then."""


class RestartBefore(TypedDict):
    """Which workload, and the MTU that its pods may have; what its pods were, nothing brings back."""

    workload: str
    limit: int


@dataclass(frozen=True, slots=True)
class _State:
    """A workload with its pods, at one time."""

    workload: Workload | None
    pods: tuple[SeenPod, ...]
    budgets: tuple[Budget, ...]
    limit: int

    @property
    def large(self) -> list[SeenPod]:
        """Its pods that are too large and are not about to go."""
        return [seen for seen in self.pods if seen.is_large(self.limit) and not seen.pod.terminating]

    @property
    def unseen(self) -> list[SeenPod]:
        """Its ready pods whose MTU is not known; one that is still being made has none."""
        return [seen for seen in self.pods if seen.unknown and seen.pod.ready and not seen.pod.terminating]


@dataclass(frozen=True)
class WorkloadRestarted(Change[RestartBefore]):
    """{kind} {namespace}/{name} of {cluster}, stage {stage.name}, has no pod that is too large."""

    ferry: Ferry
    cluster: str
    stage: Stage
    namespace: str
    kind: str
    name: str
    deadline_s: float

    @property
    def _key(self) -> WorkloadKey:
        return self.cluster, self.namespace, self.kind, self.name

    @property
    def _target(self) -> str:
        return f"{self.cluster}: {self.kind} {self.namespace}/{self.name}"

    @property
    def _all(self) -> ClusterPods:
        return ClusterPods(self.ferry, self.cluster)

    def _mine(self, pods: Sequence[Pod]) -> list[Pod]:
        return members(pods, (self.namespace, self.kind, self.name))

    def _first_state(self) -> _State:
        """As the plan was made of it."""
        view = self._all.first_view()
        found = (each for each in view.workloads if key_of(each) == (self.namespace, self.kind, self.name))
        pods = self._all.seen(self._mine(view.pods))
        return _State(next(found, None), pods, view.budgets, self._all.limit)

    def _state(self) -> _State:
        """As it is now; its budgets are asked by every eviction."""
        client = self._all.client
        workload = client.workload(self.kind, self.namespace, self.name)
        pods = self._all.seen(self._mine(client.pods(namespace=self.namespace)))
        return _State(workload, pods, (), self._all.limit)

    def check(self, report: Report) -> RestartBefore | NoChange:
        """Whether a pod of it is too large, and how it is restarted then.

        The before says nothing of single pods: others may make them again at any time, which is no harm. So
        a run that is resumed takes over what somebody else has restarted meanwhile.
        """
        ways = self.ferry.memory.restart_ways
        way = ways.get(self._key)
        state = self._first_state() if way is None else self._state()
        before = RestartBefore(workload=self._target, limit=state.limit)
        if way is not None:
            if way.kind == "none" and not (state.large and way.reason == _SMALL):
                return NoChange(way.reason)
            return before
        if state.workload is None:
            ways[self._key] = Way("none", _GONE)
            return NoChange(_GONE)
        if unseen := state.unseen:
            seen = f"{self._target}: the MTU of {listed(unseen, self._all.now)} is not known"
            raise DoubtError(f"{seen}: {unseen[0].unknown}; nothing was changed there")
        if not state.large:
            ways[self._key] = Way("none", _SMALL)
            return NoChange(_SMALL, before if self.ferry.resumed else None)
        return self._restartable(state, state.workload, before, report)

    def _restartable(
        self, state: _State, workload: Workload, before: RestartBefore, report: Report
    ) -> RestartBefore | NoChange:
        way = way_for(workload, [seen.pod for seen in state.large], state.budgets)
        large = listed(state.large, self._all.now, node=True)
        if way.kind != "none":
            self.ferry.memory.restart_ways[self._key] = way
            seen = f"{way.kind}: {way.reason}; too large: {large}; not reversible"
            report.finding(Finding(CHECK, self._target, Verdict.WARN, seen, "pods that are small enough"))
            return before
        words = f"{self._target}: can neither be evicted nor restarted: {way.reason}; too large: {large}"
        if self.stage.blocked == "refuse":
            raise RefusedError(f"{words}; or let the stage {self.stage.name} skip such: blocked: skip")
        self.ferry.memory.restart_ways[self._key] = Way("none", f"skipped: {way.reason}")
        report.finding(
            Finding(CHECK, self._target, Verdict.WARN, f"skipped: {way.reason}; too large: {large}", "none")
        )
        return NoChange(f"skipped: {way.reason}")

    def edits(self, before: RestartBefore) -> Sequence[Edit]:
        """How it is restarted; the pods that an eviction takes are those that are too large by then."""
        return [Edit("cluster", before["workload"], command=f"{self._command}  # not reversible")]

    @property
    def _command(self) -> str:
        way = self.ferry.memory.restart_ways.get(self._key, Way("none", ""))
        first = self._all.first_view().workloads
        found = next((each for each in first if key_of(each) == (self.namespace, self.kind, self.name)), None)
        return command_for(found, way.kind) if found is not None else "restart it"

    def do(self, before: RestartBefore) -> Sequence[Edit]:
        """Have its pods made again; a pod that is small enough by now is left alone by an eviction.

        Whoever stops the run meanwhile waits for this workload, and for no other.
        """
        self.ferry.memory.restarted.add(self._key)
        if not (self._state().large or self._is_asked_for):
            return []
        way = self.ferry.memory.restart_ways.get(self._key, Way("restart", ""))
        if way.kind == "evict":
            self._evict_all()
        else:
            self._restart()
        return self.edits(before)

    @property
    def _stamp(self) -> str:
        """What the run writes into the template: of the run, so that a resumed one asks for no other."""
        found = re.match(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)", self.ferry.run_id)
        if found is None:
            return self.ferry.run_id
        year, month, day, hour, minute, second = found.groups()
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}Z"

    @property
    def _is_asked_for(self) -> bool:
        """Whether this run has asked for its restart."""
        workload = self._all.client.workload(self.kind, self.namespace, self.name)
        return workload is not None and workload.restarted_at == self._stamp

    def _evict_all(self) -> None:
        """Evict each pod that is too large, and wait for the one in its place before the next."""
        client, large = self._all.client, sorted(self._state().large, key=lambda seen: seen.pod.name)
        known = {seen.pod.uid for seen in large}
        for seen in large:
            evict = partial(self._try, partial(client.evict, seen.pod), EvictionRefusedError)
            if refusal := self._until(evict):
                where = f"{self._target}: {seen.pod.full_name} cannot be evicted"
                raise VerifyError(f"{where}: {refusal}; {_LEFT}")
            self._wait_until_whole({seen.pod.uid}, known)

    def _restart(self) -> None:
        """Ask for a rollout, unless this run has; and wait for its end."""
        old = {seen.pod.uid for seen in self._state().large}
        refusal = retry.retry(
            lambda _: self._try(self._ask_for_restart, ClusterRefusedError), bool, tries=TRIES, pause_s=POLL_S
        )
        if refusal:
            raise VerifyError(f"{self._target}: cannot be restarted: {refusal}; {_LEFT}")
        self._wait_until_whole(old, old)

    def _ask_for_restart(self) -> None:
        client = self._all.client
        workload = client.workload(self.kind, self.namespace, self.name)
        if workload is not None and workload.restarted_at != self._stamp:
            client.restart(workload, self._stamp)

    @staticmethod
    def _try(act: Callable[[], None], refusal: type[ClusterRefusedError]) -> str:
        """Do what may be asked for again; why it was not done, or may not have been, or empty.

        Raises:
            ClusterRefusedError: It was refused for another reason, or for good.
        """
        try:
            act()
        except refusal as refused:
            if isinstance(refused, EvictionRefusedError) and refused.for_good:
                raise
            return str(refused)
        except DoubtError as doubt:
            return str(doubt)
        return ""

    def _until(self, look: Callable[[], str]) -> str:
        """Look until there is nothing to be said, or the deadline is over; what is said then."""
        return retry.poll_until(look, lambda why: not why, within_s=self.deadline_s, every_s=POLL_S)

    def _wait_until_whole(self, gone: set[str], known: set[str]) -> None:
        """Wait until the pods in ``gone`` are gone, and as many as it should have are ready.

        Raises:
            VerifyError: It takes longer than the deadline, or a pod is too large that is not ``known`` to be.
        """
        if lacking := self._until(lambda: self._lacks(gone, known)):
            raise VerifyError(f"{self._target}: not whole after {self.deadline_s:g} s: {lacking}; {_LEFT}")

    def _lacks(self, gone: set[str], known: set[str]) -> str:
        """What it waits for, in words; empty when it is whole."""
        try:
            state = self._state()
        except DoubtError as doubt:
            return str(doubt)
        if (workload := state.workload) is None:
            return ""
        staying = [seen for seen in state.pods if not seen.pod.terminating]
        if left := [seen.pod.name for seen in staying if seen.pod.uid in gone]:
            return f"{', '.join(left[:SHOWN])} not replaced yet"
        if large := [seen for seen in state.large if seen.pod.uid not in known]:
            words = listed(large, self._all.now, node=True)
            raise VerifyError(f"{self._target}: pods made again are too large too: {words}; {_CNI}")
        ready = min(sum(seen.pod.ready for seen in staying), workload.ready)
        if ready < workload.replicas:
            return f"{ready} of {workload.replicas} pods are ready"
        if state.unseen:
            return f"the MTU of {len(state.unseen)} pods is not known: {state.unseen[0].unknown}"
        return ""

    def verify(self, report: Report) -> None:
        """See on its nodes that no pod is too large; where it was restarted, that it is whole."""
        way = self.ferry.memory.restart_ways.get(self._key)
        if way is not None and way.kind == "none" and way.reason not in (_SMALL, _GONE):
            return
        if self._key in self.ferry.memory.restarted and (lacking := self._until(self._lacks_any)):
            raise VerifyError(f"{self._target}: {lacking}; {_LEFT}")
        state = self._require_small()
        most = max((seen.mtu or 0 for seen in state.pods), default=0)
        seen = f"{len(state.pods)} pods, {most} bytes at most"
        report.finding(Finding(CHECK, self._target, Verdict.PASS, seen, f"{state.limit} bytes at most"))

    def _lacks_any(self) -> str:
        """As ``_lacks``, with no pod known to be too large any more; one that is, is waited for."""
        try:
            large = self._state().large
        except DoubtError as doubt:
            return str(doubt)
        if large:
            return f"still too large: {listed(large, self._all.now, node=True)}"
        return self._lacks(set(), set())

    def verify_again(self, before: RestartBefore, report: Report) -> None:
        """See that none of its pods is too large; how many are ready is its owner's own business by now."""
        del before, report
        self._require_small()

    def _require_small(self) -> _State:
        state = self._state()
        if state.large:
            large = listed(state.large, self._all.now, node=True)
            raise VerifyError(f"{self._target}: still too large: {large}; {_LEFT}")
        return state

    def undo(self, before: RestartBefore) -> Sequence[Edit]:
        """Do nothing: its old pods are gone, and nothing brings them back."""
        del before
        return []

    def undo_edits(self, before: RestartBefore) -> Sequence[Edit]:
        """None: there is nothing to be done by hand either."""
        del before
        return ()

    def require_undoable(self, before: RestartBefore, report: Report) -> None:
        """Refuse: a restart cannot be undone."""
        del report
        raise RefusedError(
            f"{before['workload']}: not reversible: its pods were made again, and run with {before['limit']}"
            " bytes at most; nothing was changed"
        )

    def diff_after_undo(self, before: RestartBefore, report: Report) -> str | None:
        """None: of what a rollback could put back there is nothing."""
        del before, report
        return None

    def kept_after_undo(self, before: RestartBefore) -> str:
        """That pods which were made again stay so."""
        return (
            f"{before['workload']}: its pods that were made again stay, with {before['limit']} bytes at most:"
            " a restart is not reversible"
        )

    def effect_seen(self, before: RestartBefore | None, report: Report) -> str | None:
        """None: pods that are small enough are what anybody's restart leaves."""
        del before, report
        return None


_SMALL = "none of its pods is too large"
_GONE = "it is gone"
_LEFT = "it is left as it is; see why (kubectl describe), then start again: what is done is passed over"
_CNI = "the CNI gives new pods too much: ferryman mtu status tells which file and whose; then start again"


@dataclass(frozen=True)
class StageSoaked(Look):
    """{cluster}: nothing went wrong with the stage {stage.name} after its restarts."""

    ferry: Ferry
    cluster: str
    stage: Stage
    workloads: tuple[tuple[str, str, str], ...]

    def look(self, report: Report) -> None:
        """Wait as long as the stage says, if this process restarted any; then see that all are whole."""
        pods = ClusterPods(self.ferry, self.cluster)
        begun = [key for key in self.workloads if (self.cluster, *key) in self.ferry.memory.restarted]
        if not begun:
            seen = f"stage {self.stage.name}: nothing was restarted"
            report.finding(Finding("stage-soak", self.cluster, Verdict.PASS, seen, "for the record"))
            return
        waits.sleep(self.stage.soak_s)
        now = {key_of(workload): workload for workload in pods.client.workloads()}
        for key in begun:
            workload = now.get(key)
            if workload is not None and workload.ready < workload.replicas:
                namespace, kind, name = key
                raise VerifyError(
                    f"{self.cluster}: {kind} {namespace}/{name}: {workload.ready} of {workload.replicas} pods"
                    f" are ready {self.stage.soak_s:g} s after the stage's restarts; the stages after it are"
                    " not begun"
                )
        seen = f"stage {self.stage.name}: {len(begun)} workloads are whole after {self.stage.soak_s:g} s"
        report.finding(Finding("stage-soak", self.cluster, Verdict.PASS, seen, "all pods ready"))


def restart_steps(ferry: Ferry, cluster: str) -> tuple[Step, ...]:
    """The workloads of a cluster, stage by stage, each with its restart and each stage with its soak.

    Raises:
        RefusedError: The cluster could not be read.
    """
    pods = ClusterPods(ferry, cluster)
    view, rollout = pods.first_view(), pods.rollout
    steps: list[Step] = []
    for stage, workloads in assigned(rollout.stages, view.workloads, view.pods).items():
        keys = tuple(key_of(workload) for workload in workloads)
        steps += [WorkloadRestarted(ferry, cluster, stage, *key, rollout.deadline_s) for key in keys]
        if keys:
            steps.append(StageSoaked(ferry, cluster, stage, keys))
    return tuple(steps)
