"""Hooks around a run: a silence in Alertmanager, a message to a channel, a line in a log.

They subscribe to a run's events as the screen does, and none of them can stop a run or its rollback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.hooks.alertmanager import Alertmanager
from ferryman.hooks.hook import Hook, HookError, RunAction, RunNotice
from ferryman.hooks.log import Log
from ferryman.hooks.notifier import Notifier
from ferryman.hooks.webhook import Webhook

if TYPE_CHECKING:
    from ferryman.config.hooks import HooksConfig
    from ferryman.state import RunRequest

__all__ = [
    "Alertmanager",
    "Hook",
    "HookError",
    "Log",
    "Notifier",
    "RunAction",
    "RunNotice",
    "Webhook",
    "configured",
    "notifier_of",
]


def configured(config: HooksConfig) -> dict[str, Hook]:
    """The hooks of ``[hooks]`` by the name that warnings call each, the silences first."""
    tables: dict[str, Hook] = {
        **{
            f"alertmanager.{name}": Alertmanager(table, config.timeout)
            for name, table in config.alertmanager.items()
        },
        **{f"webhook.{name}": Webhook(table, config.timeout) for name, table in config.webhook.items()},
        **{f"log.{name}": Log(table) for name, table in config.log.items()},
    }
    return {f"hooks.{name} ({hook})": hook for name, hook in tables.items()}


def notifier_of(config: HooksConfig, request: RunRequest, operator: str, action: RunAction) -> Notifier:
    """What notifies all configured hooks of a run that this operator acts on."""
    return Notifier(configured(config), request, operator, action, config.timeout)
