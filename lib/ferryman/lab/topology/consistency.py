"""Whether the parts of a topology fit together: names, references, and what two services cannot share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ferryman.inventory.problems import nearest, shown
from ferryman.lab.topology.names import HOST_FORM, RESERVED, SERVICE_FORM, is_host_name, is_service_name
from ferryman.lab.topology.values import SSH_PORT
from ferryman.model import Role, host_port

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from ferryman.lab.topology.values import LabService, Topology

KeyPath = tuple[str | int, ...]


def problems_of(topology: Topology) -> list[tuple[KeyPath, str]]:
    """Everything that keeps a topology from being built: a path of keys, and what is wrong there."""
    found = [*_names(topology), *_services_names(topology), *_references(topology)]
    return found or [*_shared(topology), *_ports(topology)]


def _names(topology: Topology) -> Iterator[tuple[KeyPath, str]]:
    if not is_service_name(topology.site):
        yield ("site",), f"is {shown(topology.site)}, expected {SERVICE_FORM}"
    pods = {pod.name for pod in topology.pods}
    directors = {host.name for host in topology.directors}
    times = Counter(host.name for host in topology.segment)
    for key, hosts in (
        ("directors", topology.directors),
        ("realservers", (*topology.servers, *topology.nodes)),
    ):
        for host in hosts:
            if host.name in RESERVED:
                yield (key,), f"{shown(host.name)} is a name that the lab has use for, expected another one"
            elif not is_host_name(host.name):
                yield (key,), f"{shown(host.name)} is no name that a host can have here, expected {HOST_FORM}"
            elif key == "realservers" and host.name in directors:
                yield (key,), f"{host.name} is a director too, expected each host to be either"
            elif times[host.name] > 1 or host.name in pods:
                yield (key,), f"{host.name} stands twice, expected each name once"


def _services_names(topology: Topology) -> Iterator[tuple[KeyPath, str]]:
    times = Counter(service.name for service in topology.services)
    for index, service in enumerate(topology.services):
        for what, name in (("name", service.name), ("class", service.lvs_class)):
            if not is_service_name(name):
                yield ("services", index, what), f"is {shown(name)}, expected {SERVICE_FORM}"
        if times[service.name] > 1:
            yield ("services", index, "name"), f"{service.name} stands twice, expected each service once"


def _references(topology: Topology) -> Iterator[tuple[KeyPath, str]]:
    realservers = [host.name for host in (*topology.servers, *topology.nodes)]
    directors = [host.name for host in topology.directors]
    for index, service in enumerate(topology.services):
        named = [director.host for director in service.directors]
        for key, known, names in (
            ("realservers", realservers, service.realservers),
            ("directors", directors, named),
        ):
            for name, times in Counter(names).items():
                if name not in known:
                    message = f"{service.name}: {shown(name)} is not in {key}, {nearest(name, known)}"
                    yield ("services", index, key), message
                elif times > 1:
                    yield ("services", index, key), f"{service.name}: {name} stands twice, expected it once"
        primaries = [director.host for director in service.directors if director.role is Role.PRIMARY]
        if len(primaries) != 1:
            message = f"{service.name}: has {len(primaries)} primary directors, expected one"
            yield ("services", index, "directors"), message


def _shared(topology: Topology) -> Iterator[tuple[KeyPath, str]]:
    """What two services share must be the same for both: of a class, a pool, a VIP."""
    seen: dict[Hashable, tuple[str, object]] = {}
    for index, service in enumerate(topology.services):
        keys = _sharing(service)
        for what, key, value in keys:
            other, before = seen.setdefault((what, key), (service.name, value))
            if before != value:
                message = f"{service.name}: shares {what} with {other}, expected the same there for both"
                yield ("services", index), message
        for vip in service.vips:
            endpoint = host_port(vip, service.port)
            other, _ = seen.setdefault(("endpoint", endpoint), (service.name, None))
            if other != service.name:
                yield (
                    ("services", index),
                    f"{service.name}: {endpoint} is {other}'s, expected one service on it",
                )
        if len(set(service.vips)) != len(service.vips):
            yield ("services", index, "vips"), f"{service.name}: has a VIP twice, expected each once"


def _sharing(service: LabService) -> Iterator[tuple[str, Hashable, object]]:
    yield "the directors of its class", service.lvs_class, service.directors
    pool = service.pool or service.name
    yield "the realservers of its pool", (service.cluster, pool), service.realservers
    for vip in service.vips:
        hosts = tuple(director.host for director in service.directors)
        yield f"the directors of VIP {vip}", vip, hosts


def _ports(topology: Topology) -> Iterator[tuple[KeyPath, str]]:
    """Of a plain server: each port speaks TLS or does not, and sshd has its own."""
    speaks: dict[tuple[str, int], LabService] = {}
    for index, service in enumerate(topology.services):
        for name in service.realservers:
            if topology.by_name[name].role != "server":
                continue
            if service.port == SSH_PORT:
                yield ("services", index, "port"), f"{service.name}: is {SSH_PORT}, which sshd has on {name}"
            other = speaks.setdefault((name, service.port), service)
            if other.encryption != service.encryption:
                message = (
                    f"{service.name}: port {service.port} of {name} is {other.name}'s too, "
                    "expected both with encryption or both without"
                )
                yield ("services", index, "encryption"), message
