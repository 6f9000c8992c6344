"""Hooks around a run: a silence in Alertmanager, a message to a channel, a line in a log.

They subscribe to a run's events as the screen does, and none of them can stop a run or its way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.hooks.alertmanager import Alertmanager
from ferryman.hooks.hook import Hook, HookError, RunAction, RunNotice
from ferryman.hooks.log import Log
from ferryman.hooks.notifier import Notifier
from ferryman.hooks.webhook import Webhook

if TYPE_CHECKING:
    from ferryman.hookconfig import HooksConfig
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
    """The hooks of ``[hooks]``, by table and place; the silences first."""
    tables: dict[str, Hook] = {
        **{
            f"alertmanager.{name}": Alertmanager(one, config.timeout)
            for name, one in config.alertmanager.items()
        },
        **{f"webhook.{name}": Webhook(one, config.timeout) for name, one in config.webhook.items()},
        **{f"log.{name}": Log(one) for name, one in config.log.items()},
    }
    return {f"hooks.{name} ({hook})": hook for name, hook in tables.items()}


def notifier_of(config: HooksConfig, order: RunRequest, who: str, way: RunAction) -> Notifier:
    """Who tells all hooks of a run that this operator acts on."""
    return Notifier(configured(config), order, who, way, config.timeout)
