"""What a command line says in place of what the configuration says."""

from __future__ import annotations

from typing import TypedDict


class Overrides(TypedDict, total=False):
    """What ``watch_options``, ``drain_option`` and ``accept_irreversible_option`` pass to a cookbook.

    None: as the configuration says. Times are in seconds.
    """

    soak: float | None
    failures: int | None
    flaps: int | None
    retries: int | None
    drain: float | None
    accept_irreversible: bool
