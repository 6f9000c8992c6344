"""What labs are made of: the default one, one of plain data, one after an inventory; each is a ``Topology``.

DEFAULT                                                  what ``ferryman lab up`` makes
from_data({"directors": […], "realservers": […], "services": […]})
from_inventory(folder, site, services=["web"])         in the image of somebody's inventory
lab.up(place, topology=…)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.topology.default import DEFAULT
from ferryman.lab.topology.values import (
    ALONE,
    BASTION,
    CANARY_ADDRESSES,
    CLAMPED_MSS_BYTES,
    CLIENT,
    CONTROL,
    CONTROL_ADDRESSES,
    ROUTER,
    Host,
    HostRole,
    LabService,
    Likeness,
    Mapped,
    Pod,
    ServiceDirector,
    Topology,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = [
    "ALONE",
    "BASTION",
    "CANARY_ADDRESSES",
    "CLAMPED_MSS_BYTES",
    "CLIENT",
    "CONTROL",
    "CONTROL_ADDRESSES",
    "DEFAULT",
    "ROUTER",
    "Host",
    "HostRole",
    "LabService",
    "Likeness",
    "Mapped",
    "Pod",
    "ServiceDirector",
    "Topology",
    "from_data",
    "from_inventory",
]


def from_data(
    data: object,
    where: Callable[[tuple[str | int, ...]], str] | None = None,
    *,
    folder: Path | None = None,
) -> Topology:
    """A topology of plain data, as YAML or JSON has it; ``docs/lab.md`` has its keys.

    The data are ``like: lab`` for today's, or ``inventory``, ``site`` and ``services``, or ``directors``,
    ``realservers`` and ``services``; addresses that are not given are chosen.

    Args:
        data: The mapping.
        where: Says for a path of keys below it where that stands: ``scenarios/one.yaml:3: topology.site``.
        folder: What the path of an inventory is relative to; the current folder when it is not given.

    Raises:
        TopologyError: Something is wrong with it; has a line for each thing.
        InventoryError: It names an inventory that cannot be used.
    """
    from ferryman.lab.topology import forms  # noqa: PLC0415  # pydantic stays out of start-up

    return forms.from_data(data, where, folder=folder)


def from_inventory(
    folder: Path, site: str, services: Sequence[str] = (), *, realservers: int | None = None
) -> Topology:
    """A topology in the image of an inventory: the same names, roles, ports, schedulers, flags, services.

    Args:
        folder: The inventory.
        site: The site that is meant.
        services: The services that are meant; all that the lab can hold when none is named.
        realservers: How many realservers of each service at most.

    Raises:
        InventoryError: It cannot be used, or has no such site or service.
        LabError: What is meant is more than the lab can hold, or nothing is left of it.
    """
    from ferryman.lab.topology import inventory  # noqa: PLC0415  # YAML and pydantic stay out of start-up

    return inventory.from_inventory(folder, site, services, realservers=realservers)
