"""Whether directors send a realserver new connections now, as their tables were read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.hosts.verbs.directors import DirectorState
from ferryman.ipvs.table import key_of

if TYPE_CHECKING:
    from ferryman.directors.observe import DirectorStates
    from ferryman.model import Address, VirtualService


def out_of_rotation(virtual: VirtualService, realserver: Address, states: DirectorStates) -> str:
    """Which directors send it no new connections, in words; empty where all do, and where it is not known.

    That is what becomes of a realserver whose health checks fail, or that somebody has drained.
    """
    without, drained = [], []
    for host, state in states.items():
        if not isinstance(state, DirectorState) or state.table is None:
            continue
        server = next((server for server in state.table if server.key == key_of(virtual)), None)
        if server is None:
            continue
        weights = [entry.weight for entry in server.destinations if entry.address == realserver]
        if not weights:
            without.append(host)
        elif not any(weights):
            drained.append(host)
    words = [
        f"{' and '.join(hosts)} {what}" for hosts, what in ((without, _WITHOUT), (drained, _DRAINED)) if hosts
    ]
    return ", ".join(words)


_WITHOUT, _DRAINED = "without it in the table", "with its weight at 0"
