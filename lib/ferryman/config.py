"""``ferryman.toml``: what it may say, and what is wrong with it, all at once."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ferryman.errors import ConfigError
from ferryman.hookconfig import HooksConfig

_ETCD_PORT = 2379
_LONGEST_PROBE_S = 3600
Seconds = Annotated[float, Field(gt=0, le=3600)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class SshConfig(_Table):
    """``[ssh]``: how hosts are reached."""

    user: str = "root"
    identity: Path = Path("~/.ssh/id_ed25519")
    known_hosts: Path = Path("~/.ssh/known_hosts")
    """An unknown or changed host key is a failure, never accepted silently."""
    connect_timeout: Seconds = 5.0
    command_timeout: Seconds = 30.0
    concurrency: int = Field(default=32, ge=1, le=512)
    """Hosts asked at a time."""


class OuterSource(_Table):
    """The outer source addresses of probes.

    The defaults are Katran's (``balancer_consts.h``): 172.16.0.0/16 and RFC 6666's discard prefix.
    """

    ipv4: IPv4Address = IPv4Address("172.16.1.1")
    ipv6: IPv6Address = IPv6Address("100::1")


class ProbeConfig(_Table):
    """``[probe]``: how encapsulated SYNs are sent."""

    outer_source: OuterSource = OuterSource()
    """Of realservers for which no director's outer source is known."""
    timeout: Seconds = 0.5
    """Seconds that the first try waits for its answers."""
    backoff: float = Field(default=2.0, ge=1, le=10)
    """Each further try waits this many times as long."""
    tries: int = Field(default=3, ge=1, le=20)
    samples: int = Field(default=4, ge=1, le=64)
    """Source ports for each target: behind a node each may reach another pod."""
    rate: int = Field(default=20_000, ge=1, le=10_000_000)
    """Packets per second at most."""
    self_test: str | None = None
    """A service that is encapsulated already: its answers prove that this host can probe at all."""
    open_decapsulator: Literal["warn", "fail"] = "warn"
    """What it means when a realserver takes a stranger's packets."""

    def wait_s(self, number: int) -> float:
        """Seconds that a try waits for its answers; the first is number 0."""
        return float(self.timeout * self.backoff**number)

    @property
    def patience_s(self) -> float:
        """Seconds until a target that never answers is given up."""
        return sum(self.wait_s(number) for number in range(self.tries))

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.patience_s > _LONGEST_PROBE_S:
            raise ValueError(
                f"timeout, backoff and tries: a silent target would be waited for {self.patience_s:g} s, "
                f"expected {_LONGEST_PROBE_S} s at most"
            )
        return self


class TrafficConfig(_Table):
    """``[traffic]``: the real requests sent through a VIP after each director has changed."""

    requests: int = Field(default=20, ge=1, le=10_000)
    """Small requests for each virtual service."""
    timeout: Seconds = 10.0
    """Seconds for a request, and seconds without a byte after which a transfer counts as stalled."""
    download: str | None = None
    """The path of a body large enough to fill packets; None: no download is tried, and the report says so."""
    upload: str | None = None
    """A path that takes a POST and answers once it has read the whole body."""
    upload_bytes: int = Field(default=2_000_000, ge=1, le=10_000_000_000)


class TrafficTable(TrafficConfig):
    """``[traffic]`` with a ``[traffic.service.NAME]`` for each service that differs."""

    service: dict[str, TrafficConfig] = {}


class DirectorsConfig(_Table):
    """``[directors]``: patience with directors."""

    drain_timeout: float = Field(default=150.0, ge=0, le=86_400)
    """Seconds to wait for the connections from before a flip, before the host routes that protect them go.

    A director keeps an ended connection for 120 seconds (FIN_WAIT, ``ip_vs_proto_tcp.c``).
    """
    wait: float = Field(default=600.0, ge=0, le=86_400)
    """Seconds to wait for another run that works on one of the same directors, or on the same catalog."""


class WatchConfig(_Table):
    """``[watch]``: probes and requests that go on while a run asks, waits or soaks."""

    every: float = Field(default=5.0, ge=0.1, le=3600)
    """Seconds from the end of one round of requests to the next; probes go five times as often."""
    soak: float = Field(default=60.0, ge=0, le=86_400)
    """Seconds that the watch must find nothing wrong after each director, before the next is touched."""
    failures: int = Field(default=2, ge=1, le=100)
    """A look that fails so many times in a row stops the run."""
    flaps: int = Field(default=3, ge=0, le=1000)
    """Looks that failed and passed when made again; with more, nobody can say how things stand."""
    retries: int = Field(default=5, ge=0, le=1000)
    """Rounds in a minute in which a realserver answered only when it was asked again; with more, the same.

    With one packet in ten thousand lost, a realserver with two virtual services has such a round once in ten
    minutes; one that is silent for a second in five has eleven in each minute.
    """

    @property
    def probe_every(self) -> float:
        """Seconds from the end of one round of probes to the next; by default no second's silence fits in."""
        return self.every / 5


class CatalogConfig(_Table):
    """``[catalog]``: a catalog that people review, in a git clone; without ``base`` the file in place."""

    base: str = ""
    """The branch that reviewed changes are merged into."""
    remote: str = ""
    """Where that branch is looked at; empty: in the clone itself."""
    push: bool = False
    """Whether a change's branch is pushed to the remote, or left for people to push."""
    branch: str = "ferryman/{service}-{site}-{run}"
    """The name of a change's branch."""
    poll: Seconds = 30.0
    """Seconds between two looks whether it was merged."""
    merge_timeout: float = Field(default=86_400.0, ge=0, le=30 * 86_400)
    """Seconds to wait for the merge; then the run is held, and goes on waiting when it is resumed."""
    timeout: Seconds = 60.0
    """Seconds for one git command that asks the remote."""

    @property
    def reviewed(self) -> bool:
        """Whether the catalog is changed by commits that people merge."""
        return bool(self.base)

    @field_validator("branch")
    @classmethod
    def _names_the_run(cls, branch: str) -> str:
        try:
            names = [branch.format(service="s", site="s", run=run) for run in ("1", "2")]
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError("only {service}, {site} and {run} can be filled in") from error
        if names[0] == names[1]:
            raise ValueError("needs {run}: each run has a branch of its own")
        return branch

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.model_fields_set and not self.base:
            raise ValueError("needs base, the branch that people merge into")
        if self.push and not self.remote:
            raise ValueError("push needs remote, where the branch is pushed to")
        return self


class ManagementConfig(_Table):
    """``[management]``: what brings directors and realservers in line with the catalog."""

    agent: Literal["itself", "puppet", "ansible-pull", "command"] = "itself"
    """``itself``: no agent; ferryman's own drivers write what has to be written."""
    run: tuple[str, ...] = ()
    """What is run on each host, an argument vector; empty: what the agent is usually called with."""
    revision: tuple[str, ...] = ()
    """What prints the revisions that were applied there, newest first, one to a line."""
    timeout: Seconds = 600.0
    """Seconds for one host, whatever is under way there at first."""
    batch: int = Field(default=10, ge=1, le=512)
    """Hosts at once."""
    realservers: bool = False
    """Whether realservers become what the catalog says too, so that it is run on them before any director."""

    @model_validator(mode="after")
    def _run_is_known(self) -> Self:
        if self.agent == "itself" and (self.run or self.revision or self.realservers):
            raise ValueError('with agent = "itself" nothing is run: expected no run, revision, realservers')
        if self.agent in ("ansible-pull", "command") and not self.run:
            raise ValueError(f"agent = {self.agent!r} needs run, a list of words")
        return self


class EtcdConfig(_Table):
    """``[etcd]``: how the cluster named in ``state`` is spoken to."""

    ca: Path | None = None
    """The authority that signs the cluster's certificates; given, everything goes over TLS."""
    cert: Path | None = None
    """This control host's certificate, where the cluster asks for one."""
    key: Path | None = None
    lease: int = Field(default=60, ge=2, le=3600)
    """Seconds after which a control host that was not heard of counts as dead; etcd rounds up small ones."""
    timeout: Seconds = 3.0
    """Seconds for one request to one member."""


@dataclass(frozen=True, slots=True)
class EtcdCluster:
    """Where an etcd cluster is, and under which key Ferryman's begin."""

    members: tuple[tuple[str, int], ...]
    """Host and port of each."""
    prefix: str

    def __str__(self) -> str:
        return f"etcd {','.join(f'{host}:{port}' for host, port in self.members)}{self.prefix}"

    @property
    def beyond_this_machine(self) -> list[str]:
        """The members that are not on loopback."""
        return [host for host, _ in self.members if not is_loopback(host)]

    @classmethod
    def named(cls, state: str) -> EtcdCluster | None:
        """From ``etcd://HOST:PORT,HOST:PORT/prefix``; None when it is not that."""
        found = re.fullmatch(r"etcd://([^/]+)(/[^?#]*)?", state)
        if found is None:
            return None
        members = [urlsplit(f"//{one.strip()}") for one in found[1].split(",")]
        try:
            named = tuple((member.hostname or "", member.port or _ETCD_PORT) for member in members)
        except ValueError:
            return None
        prefix = (found[2] or "").rstrip("/") or "/ferryman"
        return cls(named, prefix) if all(host for host, _ in named) else None


class Config(_Table):
    """What ``ferryman.toml`` says, with every path made absolute."""

    file: Path
    inventory: Path = Path("inventory")
    cookbooks: tuple[Path, ...] = (Path("cookbooks"),)
    state: str = "sqlite:.ferryman/state.db"
    lab: bool = False
    """Everything runs in the control namespace of the running lab."""
    ssh: SshConfig = SshConfig()
    probe: ProbeConfig = ProbeConfig()
    traffic: TrafficTable = TrafficTable()
    directors: DirectorsConfig = DirectorsConfig()
    watch: WatchConfig = WatchConfig()
    catalog: CatalogConfig = CatalogConfig()
    management: ManagementConfig = ManagementConfig()
    etcd: EtcdConfig = EtcdConfig()
    hooks: HooksConfig = HooksConfig()

    @property
    def folder(self) -> Path:
        """The folder that relative paths are relative to."""
        return self.file.parent

    @property
    def sqlite(self) -> Path | None:
        """The SQLite file that ``state`` names, if it names one."""
        scheme, _, place = self.state.partition(":")
        return self.folder / Path(place).expanduser() if scheme == "sqlite" and place else None

    @property
    def etcd_cluster(self) -> EtcdCluster | None:
        """The etcd cluster that ``state`` names, if it names one."""
        return EtcdCluster.named(self.state)

    def traffic_for(self, service: str) -> TrafficConfig:
        """What is sent through this service's VIPs: its own keys over the common ones."""
        common = self.traffic.model_dump(exclude={"service"})
        own = self.traffic.service.get(service)
        return TrafficConfig(**(common | (own.model_dump(exclude_unset=True) if own else {})))


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, and of no network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load(file: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: It cannot be read or used; the message has a line for each thing wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    if "file" in values:
        raise ConfigError(f"{file}:{_line_of(text, ('file',))}: file: unknown key")
    try:
        read = Config(file=file, **values)
    except ValidationError as error:
        raise ConfigError("\n".join(_problem(file, text, one) for one in error.errors())) from error
    if read.sqlite is None and read.etcd_cluster is None:
        where = f"{file}:{_line_of(text, ('state',))}"
        expected = 'expected "sqlite:PATH" or "etcd://HOST:PORT,HOST:PORT/PREFIX"'
        raise ConfigError(f"{where}: state: {read.state!r}, {expected}")
    return _with_absolute_paths(read)


def _with_absolute_paths(read: Config) -> Config:
    def absolute(path: Path) -> Path:
        return read.folder / path.expanduser()

    ssh = read.ssh.model_copy(
        update={"identity": absolute(read.ssh.identity), "known_hosts": absolute(read.ssh.known_hosts)}
    )
    return read.model_copy(
        update={
            "inventory": absolute(read.inventory),
            "cookbooks": tuple(absolute(folder) for folder in read.cookbooks),
            "ssh": ssh,
            "hooks": read.hooks.in_folder(read.folder),
            "etcd": read.etcd.model_copy(
                update={
                    name: absolute(path)
                    for name in ("ca", "cert", "key")
                    if (path := getattr(read.etcd, name)) is not None
                }
            ),
        }
    )


def _problem(file: Path, text: str, error: Any) -> str:  # noqa: ANN401  # pydantic_core.ErrorDetails, a dict
    keys = tuple(str(part) for part in error["loc"])
    where = f"{file}:{_line_of(text, keys)}: {'.'.join(keys)}"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _known_keys(keys[:-1]), n=1)
        return f"{where}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
    # A URL may be a secret, and a whole table may hold one.
    is_told = keys[-1] != "url" and not isinstance(error["input"], dict)
    said = error["ctx"]["error"] if error["type"] == "value_error" else error["msg"]
    return f"{where}: {error['input']!r}: {said}" if is_told else f"{where}: {said}"


def _known_keys(table: tuple[str, ...]) -> list[str]:
    known: Any = Config
    for key in table:
        if get_origin(known) is dict:  # its keys are names that the operator gave
            known = get_args(known)[1]
        else:
            field = getattr(known, "model_fields", {}).get(key)
            known = field and field.annotation
    return [name for name in getattr(known, "model_fields", {}) if name != "file" or table]


def _line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line where a key stands; tomllib keeps no positions, so the nearest line that names it."""
    table = ""
    best = 1
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = header.group(1).strip()
            if table == ".".join(keys):
                return number
            if ".".join(keys).startswith(f"{table}."):
                best = number
            continue
        if not (name := re.match(r"\s*([\w\"'.-]+)\s*=", line)):
            continue
        here = (f"{table}." if table else "") + name.group(1).strip("\"'")
        if here == ".".join(keys):
            return number
        if ".".join(keys).startswith(f"{here}."):
            best = number
    return best
