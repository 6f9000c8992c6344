"""A topology of plain data: directors, realservers and services, each mistake named by its key.

Addresses of hosts are chosen, never given; a VIP may be given, inside the lab's own network. So nothing that
is made of data has an address of anybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from ferryman.errors import LabError
from ferryman.inventory.problems import dotted
from ferryman.inventory.schema import Strict, checked
from ferryman.lab.topology.addresses import FIRST, PODS_PER_NODE, numbers, pods_behind, segment_host
from ferryman.lab.topology.consistency import problems_of
from ferryman.lab.topology.limits import FLAGS, SCHEDULERS, too_busy, too_many
from ferryman.lab.topology.values import (
    VIP_NETWORKS,
    DriverName,
    LabService,
    ServiceDirector,
    Topology,
    TrafficPolicy,
)
from ferryman.lab.topology.vips import Vips
from ferryman.model import Forwarding, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.lab.topology.values import HostRole

KeyPath = tuple[str | int, ...]
Where = Callable[[KeyPath], str]
"""Says for a path of keys where that stands, as a complaint begins with it."""

RoleName = Literal["primary", "secondary"]
_NAME = Field(min_length=1, description="a name")


def _vip(value: object) -> str:
    if value in ("ipv4", "ipv6") or Vips.is_in_the_lab(value):
        return str(value)
    four, six = VIP_NETWORKS
    raise PydanticCustomError(
        "expected", "{words}", {"words": f"ipv4, ipv6, or an address of {four} or {six}"}
    )


def _one_of(words: tuple[str, ...]) -> PlainValidator:
    def check(value: object) -> str:
        if value in words:
            return str(value)
        raise PydanticCustomError("expected", "{words}", {"words": f"one of {', '.join(words)}"})

    return PlainValidator(check)


class _Director(Strict):
    name: str = _NAME
    role: RoleName = Field(description="primary or secondary")
    driver: DriverName = Field("keepalived", description="keepalived or ipvsadm")


class _Realserver(Strict):
    name: str = _NAME
    kind: Literal["server", "kubernetes"] = Field("server", description="server or kubernetes")
    pods: int = Field(PODS_PER_NODE, ge=0, le=8, description="how many pods, 0 to 8")
    cluster: str | None = Field(None, description="the name of a Kubernetes cluster")
    far: bool = Field(False, description="true or false")


class _DirectorOfService(Strict):
    host: str = _NAME
    role: RoleName = Field(description="primary or secondary")
    driver: DriverName = Field("keepalived", description="keepalived or ipvsadm")
    ipip_enabled: bool = Field(True, description="true or false")


class _Service(Strict):
    name: str = _NAME
    port: int = Field(ge=1, le=65535, description="a port number, 1 to 65535")
    vips: dict[str, Annotated[str, PlainValidator(_vip)]] = Field(
        default_factory=lambda: {"default": "ipv4"},
        min_length=1,
        description="a mapping LABEL: ipv4 or ipv6, or an address",
    )
    protocol: Literal["tcp"] = Field("tcp", description="tcp: the lab's web server answers nothing else")
    scheduler: Annotated[str, _one_of(SCHEDULERS)] = "wrr"
    scheduler_flags: list[Annotated[str, _one_of(FLAGS)]] = Field(
        default_factory=list, description="a list of scheduler flags, such as [mh-port]"
    )
    realservers: list[str] | None = Field(None, min_length=1, description="a list of realservers' names")
    directors: list[_DirectorOfService] | None = Field(
        None, min_length=1, description="a list of {host, role, driver}"
    )
    driver: DriverName | None = Field(None, description="keepalived or ipvsadm")
    forwarding: Literal["direct", "ipip"] = Field("direct", description="direct or ipip")
    encryption: bool = Field(False, description="true or false")
    class_: str | None = Field(None, alias="class", min_length=1, description="a class of directors")
    cluster: str = Field("edge", min_length=1, description="the name of a conftool cluster")
    pool: str | None = Field(None, min_length=1, description="the name of a service in the conftool cluster")
    paths: list[str] = Field(default_factory=lambda: ["/"], description="a list of HTTP paths")
    traffic_policy: TrafficPolicy = Field("Local", description="Local or Cluster")


class _Topology(Strict):
    site: str = Field("lab", min_length=1, description="the name of a site")
    directors: list[_Director] = Field(min_length=1, description="a list of {name, role, driver}")
    realservers: list[_Realserver] = Field(min_length=1, description="a list of {name, kind}")
    services: list[_Service] = Field(min_length=1, description="a list of {name, port}")


def key_of(path: KeyPath) -> str:
    """Where something stands when nobody knows a file: its keys."""
    return dotted(("topology", *path))


def of_parts(data: object, where: Where = key_of) -> Topology:
    """The topology that these parts make.

    Raises:
        LabError: Something is wrong with them; has a line for each thing.
    """
    model, faults = checked(_Topology, data)
    if model is None:
        raise _wrong(faults, where)
    counts = {"directors": len(model.directors), "realservers": len(model.realservers)}
    counts |= {"services": len(model.services)}
    if problems := list(too_many(counts, sum(given.pods for given in model.realservers if _is_node(given)))):
        raise _wrong(problems, where)
    topology = _made(model)
    if problems := problems_of(topology) or list(too_busy(topology)):
        raise _wrong(problems, where)
    return topology


def _is_node(given: _Realserver) -> bool:
    return given.kind == "kubernetes"


def _wrong(problems: Iterable[tuple[KeyPath, str]], where: Where) -> LabError:
    return LabError("\n".join(dict.fromkeys(f"{where(path)}: {message}" for path, message in problems)))


def _made(model: _Topology) -> Topology:
    roles: list[HostRole] = ["director" for _ in model.directors]
    roles += ["node" if _is_node(given) else "server" for given in model.realservers]
    clusters = [""] * len(model.directors) + [given.cluster or "" for given in model.realservers]
    names = [given.name for given in model.directors] + [given.name for given in model.realservers]
    far = {given.name for given in model.realservers if given.far}
    hosts = [
        segment_host(name, role, number, (cluster or "lab") if role == "node" else "", far=name in far)
        for name, role, number, cluster in zip(names, roles, numbers(roles), clusters, strict=True)
    ]
    of_role = {role: tuple(host for host in hosts if host.role == role) for role in FIRST}
    pods = {given.name: given.pods for given in model.realservers}
    vips = Vips(word for given in model.services for word in given.vips.values())
    return Topology(
        directors=of_role["director"],
        servers=of_role["server"],
        nodes=of_role["node"],
        pods=pods_behind(of_role["node"], pods),
        services=tuple(_services(model, vips)),
        site=model.site,
    )


def _services(model: _Topology, vips: Vips) -> Iterable[LabService]:
    classes: dict[tuple[ServiceDirector, ...], str] = {}
    for given in model.services:
        directors = tuple(_directors(model, given))
        unnamed = f"class-{len(classes) + 1}" if classes else "low-traffic"
        yield LabService(
            name=given.name,
            vips=tuple(vips.address(word) for word in given.vips.values()),
            port=given.port,
            scheduler=given.scheduler,
            realservers=tuple(given.realservers or (realserver.name for realserver in model.realservers)),
            directors=directors,
            scheduler_flags=tuple(given.scheduler_flags),
            forwarding=Forwarding.TUNNEL if given.forwarding == "ipip" else Forwarding.DIRECT,
            encryption=given.encryption,
            labels=tuple(given.vips),
            lvs_class=given.class_ or classes.setdefault(directors, unnamed),
            cluster=given.cluster,
            pool=given.pool or "",
            paths=tuple(given.paths),
            traffic_policy=given.traffic_policy,
        )


def _directors(model: _Topology, given: _Service) -> list[ServiceDirector]:
    """A service's directors, the primary first: its own, else all with the service's driver or their own."""
    if given.directors is not None:
        found = [
            ServiceDirector(own.host, Role(own.role), own.driver, own.ipip_enabled) for own in given.directors
        ]
    else:
        found = [
            ServiceDirector(each.name, Role(each.role), given.driver or each.driver)
            for each in model.directors
        ]
    return sorted(found, key=lambda director: director.role is not Role.PRIMARY)
