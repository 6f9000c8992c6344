"""A run with its tape: who listens at the world's ports, and what the tape's first line says."""

from __future__ import annotations

import logging
import platform
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ferryman import __version__, events, waits
from ferryman.engine.clock import SystemClock, stamp
from ferryman.inventory import Needed
from ferryman.inventory.extract import catalog_part
from ferryman.model import Director, Realserver, Service
from ferryman.tape.appending import TapeWriter, free_path
from ferryman.tape.form import Header, PlannedStep
from ferryman.tape.keys import CONFIRM
from ferryman.tape.recorder import Recorder
from ferryman.tape.recording import RecordingHosts, recording_fence, recording_fleet, recording_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ferryman.config import Config
    from ferryman.cookbook.context import Ferry
    from ferryman.engine.plan import Plan, Step
    from ferryman.engine.runner import Confirm, Runner
    from ferryman.hosts.hosts import Hosts
    from ferryman.hosts.ssh import Fleet
    from ferryman.model import Edit
    from ferryman.outcomes import RunResult
    from ferryman.state import Run, Store
    from ferryman.tape.form import Action

CONFIGURED = ("probe", "traffic", "directors", "watch", "catalog", "management")
"""The tables of the configuration that decide what a run does; what reaches or notifies others does not."""
_EVENTS = {kind.event for kind in vars(events).values() if isinstance(kind, type) and hasattr(kind, "event")}


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TapedCommand:
    """What a command does about a run."""

    plan: Plan
    cookbook: Path
    """The cookbook's file."""
    on_doubt: str = "hold"
    action: Action = "perform"
    journal: Mapping[str, Any] | None = None
    """What the run's journal has, where it is taken up again."""


@dataclass
class Taping:
    """The tape of one command about a run; one that may not be kept is not, and the run goes on."""

    config: Config
    recorder: Recorder = field(default_factory=Recorder)
    _writer: TapeWriter | None = None

    def listening(self, ferry: Ferry, fleet: Fleet | None) -> Ferry:
        """The same world, with a recorder at each of its ports."""
        hosts: Hosts = ferry.hosts
        recorded = recording_fleet(fleet, self.recorder) if fleet else RecordingHosts(hosts, self.recorder)
        ports = recording_ports(
            ferry.ports, self.recorder, lambda: {each.service for each in ferry.memory.needed}
        )
        fence_off = ferry.fence_off and recording_fence(ferry.fence_off, self.recorder)
        return replace(ferry, hosts=recorded, ports=ports, fence_off=fence_off)

    def followed(self, runner: Runner) -> Runner:
        """The same runner, followed by the recorder."""
        return replace(
            runner,
            subscribers=[self.recorder.heard, *runner.subscribers],
            observer=self.recorder,
            confirm=self._asking(runner.confirm),
        )

    def _asking(self, confirm: Confirm) -> Confirm:
        def ask(edits: Sequence[Edit]) -> bool:
            return self.recorder.call(CONFIRM, lambda: confirm(edits))

        return ask

    @contextmanager
    def of(self, header: Header) -> Iterator[Callable[[RunResult], RunResult]]:
        """Keep the tape for as long as the ``with`` lasts; what it yields takes the run's result."""
        ended: list[RunResult] = []

        def end(result: RunResult) -> RunResult:
            ended.append(result)
            return result

        writer = TapeWriter(
            free_path(self.config.tapes, header.run), header, keep=self.config.tape.keep or None
        )
        self.recorder.start(writer)
        try:
            with waits.using(self.recorder):
                yield end
        finally:
            self.recorder.close(_outcome(ended[0]) if ended else None)
            if writer.trouble:
                _log.warning("this run has no whole tape: %s", writer.trouble)

    def header(self, ferry: Ferry, command: TapedCommand) -> Header:
        """The first line of the tape."""
        request, journal = ferry.request, command.journal
        needed = [*ferry.memory.needed]
        if self.config.probe.self_test:
            sites = dict.fromkeys(each.site for each in needed)
            needed += [Needed(self.config.probe.self_test, site) for site in sites]
        dumped = self.config.model_dump(mode="json", include=set(CONFIGURED), exclude_defaults=True)
        return Header(
            ferryman=__version__,
            python=platform.python_version(),
            run=request.run_id,
            action=command.action,
            began=stamp(SystemClock().now()),
            cookbook=request.cookbook,
            cookbook_digest=digest_of(command.cookbook),
            arguments=self.recorder.without_secrets(dict(request.arguments)),
            options={"dry_run": request.dry_run, "on_doubt": command.on_doubt},
            operator=request.operator,
            config=self.recorder.without_secrets({**dumped, "inventory": str(self.config.inventory)}),
            inventory=self.recorder.without_secrets(ferry.inventory.part(needed, ferry.memory.clusters)),
            plan=planned(command.plan),
            journal=None
            if journal is None
            else self.recorder.without_secrets(_with_parts(journal, {each.service for each in needed})),
        )


def digest_of(cookbook: Path) -> str:
    """The digest of a cookbook's file."""
    return f"sha256:{sha256(cookbook.read_bytes()).hexdigest()}"


def planned(plan: Plan) -> tuple[PlannedStep, ...]:
    """The steps of a plan: of which class each is, and what it is about."""
    return tuple(
        PlannedStep(type(step).__name__, title, tuple(_about(step)))
        for step, title in zip(plan.steps, plan.titles, strict=True)
    )


def _about(step: Step) -> Iterator[str]:
    fields: Mapping[str, object] = getattr(step, "__dataclass_fields__", {})
    for each in fields:
        match getattr(step, each):
            case Director(host=name) | Realserver(host=name) | Service(name=name) | str(name):
                yield name


def journal_of(store: Store, entry: Run) -> dict[str, Any]:
    """What a run's journal has of its progress, for whoever takes it up on a tape; secrets included."""
    return {
        "plan": list(entry.plan),
        "fingerprint": entry.fingerprint,
        "outcome": entry.outcome,
        "exit_code": entry.exit_code,
        "ending": entry.ending,
        "records": [
            {
                "time": record.time,
                "kind": record.kind,
                "payload": dict(record.payload),
                "step": record.step,
                "phase": record.phase,
            }
            for record in store.exact_records(entry.id)
            if record.kind not in _EVENTS
        ],
    }


def _with_parts(value: Any, services: set[str]) -> Any:  # noqa: ANN401  # JSON
    """The same JSON, with the part of the catalog that the run needs wherever there is a whole one."""
    if isinstance(value, list):
        return [_with_parts(item, services) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"sha256", "text"} and isinstance(value["text"], str):
        part = catalog_part(value["text"].encode("utf-8", "surrogateescape"), services)
        return {"sha256": sha256(part).hexdigest(), "text": part.decode("utf-8", "replace")}
    return {key: _with_parts(item, services) for key, item in value.items()}


def _outcome(result: RunResult) -> dict[str, Any]:
    return {
        "outcome": result.outcome,
        "exit_code": result.exit_code,
        "reason": result.reason,
        "seconds": 0,
    }
