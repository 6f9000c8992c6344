"""What the files of an inventory may say, as pydantic models: the only module that imports pydantic here.

Each field's description is what a complaint about it says was expected. In services.yaml, which belongs to
others, unknown keys are ignored; in our own files they are mistakes.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from ferryman.config.jump import Jump
from ferryman.inventory.problems import KeyPath, nearest, shown
from ferryman.names import EXPECTED, is_host, is_name, is_user

if TYPE_CHECKING:
    from collections.abc import Callable

M = TypeVar("M", bound=BaseModel)


def _address(value: object) -> IPv4Address | IPv6Address:
    try:
        return ip_address(value if isinstance(value, str) else "")
    except ValueError as error:
        quoted = "" if isinstance(value, str) else ", in quotes"
        raise PydanticCustomError("expected", "an IP address{quoted}", {"quoted": quoted}) from error


def _address4(value: object) -> IPv4Address | None:
    return _of_family(value, IPv4Address, "an IPv4 address such as 10.0.0.1")


def _address6(value: object) -> IPv6Address | None:
    return _of_family(value, IPv6Address, "an IPv6 address in quotes such as 'fd00::1'")


A = TypeVar("A", IPv4Address, IPv6Address)


def _of_family(value: object, family: type[A], expected: str) -> A | None:
    if value is None:
        return None
    try:
        return family(value if isinstance(value, str) else "")
    except ValueError as error:
        raise PydanticCustomError("expected", "{words}", {"words": expected}) from error


def _flags(value: object) -> object:
    """A scheduler flag is written as a string, with commas as ipvsadm has them, or as a list."""
    if isinstance(value, str):
        return [flag.strip() for flag in value.split(",") if flag.strip()]
    return [] if value is None else value


def _jump(word: str) -> str:
    try:
        Jump.parse(word)
    except ValueError as error:
        raise PydanticCustomError("expected", "a jump host as [USER@]HOST[:PORT]") from error
    return word


def _named(is_allowed: Callable[[str], bool]) -> Callable[[str], str]:
    def judge(text: str) -> str:
        if not is_allowed(text):
            raise PydanticCustomError("expected", "{words}", {"words": EXPECTED})
        return text

    return judge


Name = Annotated[str, AfterValidator(_named(is_name))]
HostName = Annotated[str, AfterValidator(_named(is_host))]
UserName = Annotated[str, AfterValidator(_named(is_user))]
Vip = Annotated[IPv4Address | IPv6Address, PlainValidator(_address)]


class Strict(BaseModel):
    """A mapping of ours: an unknown key is a mistake, and so is a number where a string belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Lenient(BaseModel):
    """A mapping of the service catalog: only the keys that are used here are looked at."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Conftool(Lenient):
    """Where a service's realservers stand in nodes/SITE.yaml."""

    cluster: Name = Field(description="the name of a cluster in nodes/SITE.yaml")
    service: Name = Field(description="the name of a service in nodes/SITE.yaml")


class Lvs(Lenient):
    """How a service stands behind the load balancers."""

    enabled: bool = Field(description="true or false")
    class_: Name = Field(alias="class", description="a class of directors, such as low-traffic")
    conftool: Conftool = Field(description="a mapping with cluster and service")
    scheduler: str = Field("wrr", description="an IPVS scheduler, such as wrr or mh")
    scheduler_flag: Annotated[list[str], BeforeValidator(_flags)] = Field(
        default_factory=list, description="a scheduler flag such as mh-port, or a list of them"
    )
    protocol: Literal["tcp", "udp"] = Field("tcp", description="tcp or udp")
    ipip_encapsulation: list[Name] | None = Field(None, description="a list of site names, such as [codfw]")


class ProbeEntry(Lenient):
    """One of the catalog's own probes of a service."""

    type: str = Field(description="a kind of probe, such as http")
    path: str | None = Field(None, description="an HTTP path, such as /healthz")
    post_json: Any = None


class CatalogService(Lenient):
    """An entry of the service catalog."""

    ip: dict[Name, dict[Name, Vip]] = Field(description="a mapping SITE: {LABEL: address}")
    port: int = Field(ge=1, le=65535, description="a port number, 1 to 65535")
    sites: list[Name] = Field(description="a list of site names, such as [codfw, eqiad]")
    state: str = Field(description="a state, such as production")
    encryption: bool = Field(description="true or false")
    lvs: Lvs | None = Field(None, description="a mapping")
    probes: list[ProbeEntry] = Field(default_factory=list, description="a list of probes")


class DirectorEntry(BaseModel):
    """A director; keys that are not named here are its driver's."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    host: HostName = Field(min_length=1, description="a host name")
    role: Literal["primary", "secondary"] = Field(description="primary or secondary")
    driver: Name = Field(min_length=1, description="the name of a driver, such as keepalived")
    ipip_enabled: bool = Field(True, description="true or false")
    outer_sources: list[Vip] = Field(
        default_factory=list, description="a list of addresses, such as [172.16.1.1, '100::1']"
    )


class Room(Strict):
    """The path MTU from the directors, and the way that TCP segments are kept small enough for it."""

    mss: Literal["clamp", "pod_mtu", "jumbo"] | None = Field(None, description="clamp, pod_mtu or jumbo")
    path_mtu: int | None = Field(None, ge=1280, le=65535, description="an MTU in bytes, 1280 to 65535")


class HostEntry(Room):
    """How a host is reached, and what kind of realserver it is."""

    address: Annotated[IPv4Address | None, PlainValidator(_address4)] = None
    address6: Annotated[IPv6Address | None, PlainValidator(_address6)] = None
    port: int = Field(22, ge=1, le=65535, description="an SSH port, 1 to 65535")
    user: UserName | None = Field(None, description="a user name")
    sudo: bool | None = Field(None, description="true or false")
    jump: list[Annotated[str, AfterValidator(_jump)]] | None = Field(
        None, description="a list of jump hosts, such as [bastion]; [] for none"
    )
    kind: Literal["server", "kubernetes", "bastion"] = Field(
        "server", description="server, kubernetes or bastion"
    )
    cluster: Name | None = Field(None, description="the name of a cluster in clusters.yaml")


class StageEntry(Strict):
    """Some workloads of a cluster, restarted together; each is in the first stage that takes it."""

    name: Name = Field(description="a name, such as staging")
    namespaces: list[str] | None = Field(
        None, min_length=1, description="a list of namespaces or patterns, such as [staging-*]"
    )
    selector: dict[str, str] | None = Field(
        None, min_length=1, description="labels of pods, such as {tier: auxiliary}"
    )
    soak: float = Field(300.0, ge=0, le=86_400, description="seconds, 0 to 86400")
    blocked: Literal["refuse", "skip"] = Field("refuse", description="refuse or skip")


class RolloutEntry(Strict):
    """How a cluster's pods are made again."""

    stages: list[StageEntry] = Field(min_length=1, description="a list of stages")
    deadline: float = Field(600.0, gt=0, le=86_400, description="seconds, more than 0, 86400 at most")


class ClusterEntry(Room):
    """A Kubernetes cluster: how its API server is reached, and what its nodes and pods should be like."""

    api: str | None = Field(None, description="the URL of the API server, or in-cluster")
    kubeconfig: str | None = Field(None, description="the path of a kubeconfig file")
    context: str | None = Field(None, description="the name of a context in the kubeconfig")
    pod_mtu: int | None = Field(None, ge=1280, le=65535, description="an MTU in bytes, 1280 to 65535")
    stage: str | None = Field(None, description="a stage, such as staging or production")
    rollout: RolloutEntry | None = Field(None, description="a mapping with stages")

    @property
    def has_api_server(self) -> bool:
        """Whether it says where the API server is, so that the cluster can be asked."""
        return bool(self.api or self.kubeconfig)


NodesOfCluster = dict[str, list[str] | None]
"""HOST: [SERVICE, …]."""


Fault = tuple[KeyPath, str]
"""A key path inside an entry, and what is wrong there."""


def checked(model: type[M], value: object) -> tuple[M | None, list[Fault]]:
    """The entry as a model, or everything that is wrong with it."""
    if not isinstance(value, dict):
        return None, [((), f"is {shown(value)}, expected a mapping")]
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        return None, [_fault(model, dict(detail)) for detail in error.errors(include_url=False)]


_BY_TYPE = {
    "string_type": "a string",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def _fault(model: type[BaseModel], detail: dict[str, Any]) -> Fault:
    path: KeyPath = detail["loc"]
    kind, value, message = detail["type"], detail["input"], detail["msg"]
    if path[-1] == "[key]" and kind == "expected":
        return path[:-2], f"has the key {shown(value)}, expected {message}"
    if path[-1] == "[key]":
        return path[:-2], f"has the key {shown(value)}, expected a string; quote it"
    known, expected = _described(model, path)
    if kind == "missing":
        return path, f"is missing, expected {expected}"
    if kind == "extra_forbidden":
        return path, f"is no key that is known here; {nearest(str(path[-1]), known)}"
    if kind == "expected":
        return path, f"is {shown(value)}, expected {message}"
    return path, f"is {shown(value)}, expected {expected or _BY_TYPE.get(kind, message)}"


def _described(model: type[BaseModel], path: KeyPath) -> tuple[list[str], str | None]:
    """The keys known where the path ends, and the description of the field that it ends at."""
    known: dict[str, Any] = {}
    inner: type[BaseModel] | None = model
    field = None
    for key in path:
        if inner is not None:
            known = {entry.alias or name: entry for name, entry in inner.model_fields.items()}
        field = known.get(key) if isinstance(key, str) else None
        if field is not None:
            inner = _model_in(field.annotation)
    return list(known), field.description if field is not None else None


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
