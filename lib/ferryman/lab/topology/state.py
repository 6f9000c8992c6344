"""A topology as the text that a lab keeps of itself, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from ferryman.lab.topology.values import (
    Host,
    LabService,
    Likeness,
    Mapped,
    Pod,
    ServiceDirector,
    Topology,
)
from ferryman.model import Forwarding, Role

if TYPE_CHECKING:
    from collections.abc import Mapping


def to_json(topology: Topology) -> str:
    """The topology as JSON; ``of_json`` makes an equal one of it."""
    return json.dumps(asdict(topology), default=_plain, indent=1)


def of_json(text: str) -> Topology:
    """The topology that ``to_json`` wrote; the text is this program's own, and taken as it is."""
    kept: dict[str, Any] = json.loads(text)
    likeness = kept["likeness"]
    return Topology(
        directors=tuple(_host(host) for host in kept["directors"]),
        servers=tuple(_host(host) for host in kept["servers"]),
        nodes=tuple(_host(host) for host in kept["nodes"]),
        pods=tuple(Pod(**_addressed(pod)) for pod in kept["pods"]),
        services=tuple(_service(service) for service in kept["services"]),
        site=kept["site"],
        likeness=None
        if likeness is None
        else Likeness(
            likeness["source"],
            tuple(Mapped(**mapped) for mapped in likeness["mapped"]),
            tuple(likeness["different"]),
            tuple(likeness["left_out"]),
        ),
    )


def _plain(value: object) -> str:
    if isinstance(value, Forwarding | Role):
        return str(value.value)
    assert isinstance(value, IPv4Address | IPv6Address)
    return str(value)


def _addressed(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **kept,
        "address": IPv4Address(kept["address"]),
        "address6": IPv6Address(kept["address6"]),
    }


def _host(kept: Mapping[str, Any]) -> Host:
    return Host(**_addressed(kept))


def _service(kept: Mapping[str, Any]) -> LabService:
    lists = {name: tuple(kept[name]) for name in ("realservers", "scheduler_flags", "labels", "paths")}
    directors = tuple(
        ServiceDirector(**{**director, "role": Role(director["role"])}) for director in kept["directors"]
    )
    return LabService(
        **{
            **kept,
            **lists,
            "vips": tuple(ip_address(vip) for vip in kept["vips"]),
            "directors": directors,
            "forwarding": Forwarding(kept["forwarding"]),
        }
    )
