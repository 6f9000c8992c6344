"""``ferryman runs``, ``show``, ``resume``, ``rollback``: the journal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ferryman.cli.operator import operator
from ferryman.cli.state import enter_lab, journal_of, store_of
from ferryman.click_shim import Choice, IntRange, argument, command, option, pass_obj
from ferryman.console import tables
from ferryman.errors import LabError
from ferryman.printable import each_text
from ferryman.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.cli.app import App
    from ferryman.engine.runner import OnDoubt
    from ferryman.events import RunFinished
    from ferryman.state import Record, Run, RunRequest, Store

_accept = option(
    "--accept-changed-plan", is_flag=True, help="Though the cookbook or the inventory changed since."
)


@command("runs")
@option("--limit", type=IntRange(1, 1_000_000), default=50, show_default=True, help="How many, newest first.")
@pass_obj
def runs(app: App, limit: int) -> None:
    """The runs in the journal, newest first."""
    columns = ["run", "cookbook", "arguments", "operator", "started", "outcome", "process", "reason"]
    with journal_of(app) as store:
        rows = [_listed(store, entry) for entry in store.runs(limit)]
    tables.show(rows, columns, as_json=app.json, empty="no runs yet", whole=["started", "outcome"])


@command("show")
@argument("run")
@pass_obj
def show(app: App, run: str) -> None:
    """One run of the journal, whole: what was asked, seen, changed, and what became of it."""
    with journal_of(app) as store:
        entry = store.run(run)
        head = _listed(store, entry)
        rows = [_recorded(record) for record in store.show(run)]
        faults = store.faults(run)
    if not app.json:
        tables.show_one({**head, "ending": entry.ending})
        for fault in faults:
            tables.say(f"DAMAGED  {fault}")
    columns = ["seq", "time", "step", "kind", "what"]
    tables.show(rows, columns, as_json=app.json, empty="nothing recorded", whole=["time", "kind"])


@command("resume")
@argument("run")
@_accept
@option(
    "--on-doubt",
    type=Choice(["hold", "rollback"]),
    default="hold",
    show_default=True,
    help="What to do when something cannot be determined.",
)
@pass_obj
def resume(app: App, run: str, accept_changed_plan: bool, on_doubt: OnDoubt) -> None:
    """Go on with a run that did not end; the world is looked at first, and trusted over the journal."""
    from ferryman.cli import run as run_cookbook  # noqa: PLC0415  # brings in everything

    run_cookbook.resume(app, run, accept_changed_plan=accept_changed_plan, on_doubt=on_doubt)


@command("rollback")
@argument("run")
@_accept
@pass_obj
def rollback(app: App, run: str, accept_changed_plan: bool) -> None:
    """Put back what a run changed: one that did not end, or one that is done and still stands."""
    from ferryman.cli import run as run_cookbook  # noqa: PLC0415  # brings in everything

    run_cookbook.roll_back(app, run, accept_changed_plan=accept_changed_plan)


@command("close")
@argument("run")
@option("--reason", required=True, metavar="TEXT", help="What was put right by hand, for the journal.")
@pass_obj
def close(app: App, run: str, reason: str) -> None:
    """Give up a run that a person has put right by hand: its locks go, and nothing is looked at or changed.

    For a run that neither resume nor rollback can end: its journal is damaged, its cookbook is gone, or
    somebody else's work stands where it changed something.
    """
    from ferryman.engine.force_close import force_close  # noqa: PLC0415  # few need it

    who = operator()
    with store_of(app.config) as store:
        request = store.run(run).request
        finished = force_close(store, run, who, reason)
    tables.say(f"{run}: closed; nothing was looked at, and its locks are free")
    _notify_hooks(app, request, who, run, finished)


def _notify_hooks(app: App, request: RunRequest, who: str, run: str, finished: RunFinished) -> None:
    """Notify the hooks of the run's end, so that a silence ends with its run."""
    if app.config.hooks.is_empty:
        return
    from ferryman.hooks import notifier_of  # noqa: PLC0415  # its HTTP client takes a while

    try:
        enter_lab(app.config)
    except LabError as gone:
        tables.say(f"no hook was told of it: {gone}", error=True)
    else:
        notifier_of(app.config.hooks, request, who, "is closed").ended(run, finished)


def _listed(store: Store, entry: Run) -> Mapping[str, object]:
    request = entry.request
    return {
        "run": entry.id,
        "cookbook": request.cookbook,
        "arguments": request.given,
        "operator": request.operator,
        "started": entry.started,
        "outcome": entry.outcome or "open",
        "process": _process(store, entry),
        "exit_code": entry.exit_code,
        "reason": request.reason,
        "task": request.task,
    }


def _process(store: Store, entry: Run) -> str:
    """Of a run that did not end: whether its process is alive, and how that is known; else empty."""
    if entry.outcome is not None:
        return ""
    liveness = store.liveness(entry.id, entry.owner)
    owner = entry.owner
    return f"at work: pid {owner.pid} on {owner.host}" if liveness.alive else f"dead: {liveness.evidence}"


def _recorded(record: Record) -> Mapping[str, object]:
    # The journal has files as they were, to put them back; nobody else is shown the secrets in them.
    payload = each_text(record.payload, redacted)
    what = ", ".join(f"{name}={_short(value)}" for name, value in payload.items())
    return {
        "seq": record.seq,
        "time": record.time,
        "step": "" if record.step is None else record.step + 1,
        "kind": record.kind if record.sound else f"DAMAGED {record.kind}",
        "what": what,
        "payload": payload,
        "sound": record.sound,
    }


def _short(value: object, longest: int = 120) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
