"""A run that begins and ends, as hooks are told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman.events import RunFinished
from ferryman.hooks import RunNotice
from ferryman.state import RunRequest

if TYPE_CHECKING:
    from ferryman.outcomes import RunOutcome

REQUEST = RunRequest(
    cookbook="migrate",
    arguments={"service": "web", "site": "codfw", "batch": None, "force": False},
    operator="alice@cumin1",
    reason="IPIP for web",
    task="T123",
)
BEGUN = RunNotice(run="20261122-221943-abcd", request=REQUEST, operator="bob@cumin2", action="begins")


def ended(outcome: RunOutcome = "done", exit_code: int = 0, reason: str = "all verified") -> RunNotice:
    return replace(BEGUN, finished=RunFinished(outcome, exit_code, 12.0, reason))
