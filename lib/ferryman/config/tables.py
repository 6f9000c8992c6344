"""The tables of ``ferryman.toml`` as pydantic models: each key, its default and its limits."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from ferryman.config.etcd import EtcdCluster, EtcdConfig
from ferryman.config.hooks import HooksConfig
from ferryman.config.jump import Jump
from ferryman.config.table import Table
from ferryman.configfile import STATE, sqlite_of
from ferryman.names import is_user

_LONGEST_PROBE_S = 3600
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _jump(word: str) -> str:
    Jump.parse(word)
    return word


def _user(name: str) -> str:
    if not is_user(name):
        raise ValueError("expected a user's name")
    return name


def _reference(text: str) -> str:
    """A name that git gets as an argument is no option of it, and in one word."""
    if text.startswith("-") or not all(character > " " and character.isprintable() for character in text):
        raise ValueError("expected a name of git's, in one word that begins with no -")
    return text


Reference = Annotated[str, AfterValidator(_reference)]


JumpWord = Annotated[str, AfterValidator(_jump)]
"""``[USER@]HOST[:PORT]``."""


class SshConfig(Table):
    """``[ssh]``: how hosts are reached over SSH; what is given here wins over what ssh_config says."""

    user: Annotated[str, AfterValidator(_user)] | None = None
    """None: what ssh_config says, else root."""
    sudo: bool = False
    """Whether the user has no root of its own: what needs it goes through sudo and the helper there."""
    identity: Path | None = None
    """A private key, or a public one whose private key the agent holds. None: OpenSSH's, where they are."""
    known_hosts: Path | None = None
    """None: OpenSSH's. An unknown or changed host key is a failure, never accepted silently."""
    config: Path | Literal[False] | None = None
    """An ssh_config file. None: ``~/.ssh/config``, where it is; False: none is read."""
    jump: tuple[JumpWord, ...] | None = None
    """The hosts to go through, in the order in which they are passed. None: what ssh_config says."""
    connect_timeout: Seconds = 5.0
    command_timeout: Seconds = 30.0
    concurrency: int = Field(default=32, ge=1, le=512)
    """Hosts asked at a time."""

    @field_validator("config", mode="before")
    @classmethod
    def _none_is_off(cls, value: object) -> object:
        """``ssh -F none`` reads no file."""
        return False if value == "none" else value


class OuterSource(Table):
    """The outer source addresses of probes.

    The defaults are Katran's (``balancer_consts.h``): 172.16.0.0/16 and RFC 6666's discard prefix.
    """

    ipv4: IPv4Address = IPv4Address("172.16.1.1")
    ipv6: IPv6Address = IPv6Address("100::1")


class ProbeConfig(Table):
    """``[probe]``: how encapsulated SYNs are sent."""

    outer_source: OuterSource = OuterSource()
    """Of realservers for which no director's outer source is known."""
    timeout: Seconds = 0.5
    """Seconds that the first try waits for its answers at most, and that it waits where nobody answers."""
    backoff: float = Field(default=2.0, ge=1, le=10)
    """Each further try waits this many times as long."""
    tries: int = Field(default=3, ge=1, le=20)
    samples: int = Field(default=4, ge=1, le=64)
    """Source ports for each target: behind a node each may reach another pod."""
    rate: int = Field(default=200_000, ge=1, le=10_000_000)
    """SYNs per second at most; behind each that is answered a RST follows, which is not charged."""
    patience: Literal["measured", "fixed"] = "measured"
    """Whether realservers that stay silent where others answer at once are given up sooner.

    What has consequences, such as a migration's looks and its watch, never does.
    """
    self_test: str | None = None
    """A service that is encapsulated already: its answers prove that this host can probe at all."""
    open_decapsulator: Literal["warn", "fail"] = "warn"
    """The verdict when a realserver decapsulates packets from unauthorised sources."""

    def wait_s(self, number: int) -> float:
        """Seconds that a try waits for its answers; the first is number 0."""
        return float(self.timeout * self.backoff**number)

    @property
    def give_up_after_s(self) -> float:
        """Seconds until a target that never answers is given up."""
        return sum(self.wait_s(number) for number in range(self.tries))

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.give_up_after_s > _LONGEST_PROBE_S:
            raise ValueError(
                "timeout, backoff and tries: a silent target would be waited for "
                f"{self.give_up_after_s:g} s, "
                f"expected {_LONGEST_PROBE_S} s at most"
            )
        return self


class TrafficConfig(Table):
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

    service: dict[str, TrafficConfig] = Field(default_factory=dict)


class DirectorsConfig(Table):
    """``[directors]``: how long is waited for directors and for runs that use them."""

    drain_timeout: float = Field(default=150.0, ge=0, le=86_400)
    """Seconds to wait for the connections from before a flip, before the host routes that protect them go.

    A director keeps an ended connection for 120 seconds (FIN_WAIT, ``ip_vs_proto_tcp.c``).
    """
    wait: float = Field(default=600.0, ge=0, le=86_400)
    """Seconds to wait for another run that works on one of the same directors, or on the same catalog."""


class WatchConfig(Table):
    """``[watch]``: probes and requests that go on while a run asks, waits or soaks."""

    every: float = Field(default=5.0, ge=0.1, le=3600)
    """Seconds from the end of one round of requests to the next; probes go five times as often."""
    soak: float = Field(default=60.0, ge=0, le=86_400)
    """Seconds after each director in which the watch must find nothing wrong, before the next is changed."""
    failures: int = Field(default=2, ge=1, le=100)
    """Failures of one check in a row that stop the run."""
    flaps: int = Field(default=3, ge=0, le=1000)
    """Checks that failed and passed when repeated; with more, the run is held."""
    retries: int = Field(default=5, ge=0, le=1000)
    """Rounds in a minute in which a realserver answered only a repeated probe; with more, the run is held.

    With one packet in ten thousand lost, a realserver with two virtual services has such a round once in ten
    minutes; one that is silent for a second in five has eleven in each minute.
    """

    @property
    def probe_every(self) -> float:
        """Seconds from the end of one round of probes to the next; by default no second's silence fits in."""
        return self.every / 5


class CatalogConfig(Table):
    """``[catalog]``: a catalog that people review, in a git clone; without ``base`` the file in place."""

    base: Reference = ""
    """The branch that reviewed changes are merged into."""
    remote: Reference = ""
    """The remote where that branch is read; empty: the clone itself."""
    push: bool = False
    """Whether a change's branch is pushed to the remote, or left for people to push."""
    branch: Reference = "ferryman/{service}-{site}-{run}"
    """The name of a change's branch."""
    poll: Seconds = 30.0
    """Seconds between two checks whether it was merged."""
    merge_timeout: float = Field(default=86_400.0, ge=0, le=30 * 86_400)
    """Seconds to wait for the merge; then the run is held, and waits on when it is resumed."""
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


class ManagementConfig(Table):
    """``[management]``: what brings directors and realservers in line with the catalog."""

    agent: Literal["itself", "puppet", "ansible-pull", "command"] = "itself"
    """``itself``: no agent; ferryman's own drivers write what has to be written."""
    run: tuple[str, ...] = ()
    """What is run on each host, an argument vector; empty: what the agent is usually called with."""
    revision: tuple[str, ...] = ()
    """What prints the revisions that were applied there, newest first, one to a line."""
    timeout: Seconds = 600.0
    """Seconds for one host, with what is under way there at first included."""
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


class TapeConfig(Table):
    """How runs are recorded."""

    keep: Annotated[int, Field(ge=1, le=1_000_000)] | Literal[False] = 200
    """How many tapes are kept, the newest ones; false: no run is recorded."""


class Config(Table):
    """What ``ferryman.toml`` says, with every path made absolute."""

    file: Path
    inventory: Path = Path("inventory")
    cookbooks: tuple[Path, ...] = (Path("cookbooks"),)
    state: str = STATE
    lab: bool = False
    """Everything runs in the control namespace of the running lab."""
    ssh: SshConfig = SshConfig()
    probe: ProbeConfig = ProbeConfig()
    traffic: TrafficTable = TrafficTable()
    directors: DirectorsConfig = DirectorsConfig()
    watch: WatchConfig = WatchConfig()
    catalog: CatalogConfig = CatalogConfig()
    management: ManagementConfig = ManagementConfig()
    tape: TapeConfig = TapeConfig()
    etcd: EtcdConfig = EtcdConfig()
    hooks: HooksConfig = HooksConfig()

    @property
    def folder(self) -> Path:
        """The folder that relative paths are relative to."""
        return self.file.parent

    @property
    def tapes(self) -> Path:
        """The folder of the tapes of runs."""
        return self.folder / ".ferryman" / "tapes"

    @property
    def sqlite(self) -> Path | None:
        """The SQLite file that ``state`` names, if it names one."""
        return sqlite_of(self.state, self.folder)

    @property
    def etcd_cluster(self) -> EtcdCluster | None:
        """The etcd cluster that ``state`` names, if it names one."""
        return EtcdCluster.named(self.state)

    def traffic_for(self, service: str) -> TrafficConfig:
        """What is sent through this service's VIPs: its own keys over the common ones."""
        common = self.traffic.model_dump(exclude={"service"})
        own = self.traffic.service.get(service)
        return TrafficConfig(**(common | (own.model_dump(exclude_unset=True) if own else {})))
