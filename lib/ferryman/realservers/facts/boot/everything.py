"""All that is done at boot, in the order in which it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.realservers.facts.boot import ifupdown, ini, scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.realservers.facts.boot.actions import Action
    from ferryman.realservers.facts.boot.collected import Boot

IN_ORDER = (
    ifupdown.actions_of,
    ini.networkd,
    ini.network_manager,
    scripts.cloud_init,
    scripts.addresses_by_text,
    scripts.units,
    scripts.tuned,
    scripts.scripts,
    scripts.ufw,  # before the network, and again whenever it is reloaded
)


def everything(boot: Boot) -> Sequence[Action]:
    """What is done after sysctl.d was applied first: who is later has the last word.

    The order is that of the units: ifupdown, networkd and NetworkManager, then what the host's own units and
    tuned do, then scripts. ufw comes before all of them, and once more with each reload, long after a boot.
    """
    return [action for source in IN_ORDER for action in source(boot)]
