"""What a scenario's file may say, as pydantic models; a field's description says what was expected there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ferryman.inventory.schema import Strict
from ferryman.rehearsal.moments import EXPECTED, Moment

FORMS = ("direct", "ipip", "mixed", "none")
"""How a director forwards a service: its destinations alike, in both ways, or it has none."""


def _moment(value: object) -> object:
    if isinstance(value, Moment):
        return value
    try:
        return Moment.parse(value if isinstance(value, str) else "")
    except ValueError as error:
        raise PydanticCustomError("expected", "{words}", {"words": EXPECTED}) from error


def _several(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _commands(value: object) -> object:
    listed = value if isinstance(value, list) else [value]
    return [{"command": item} if isinstance(item, str) else item for item in listed]


def _end(value: object) -> object:
    table = isinstance(value, dict) and all(
        isinstance(key, str) and item in FORMS for key, item in value.items()
    )
    if value in ("all old", "all new", None) or table:
        return value
    words = "all old, all new, or a mapping HOST: direct, ipip, mixed or none"
    raise PydanticCustomError("expected", "{words}", {"words": words})


def _changes(value: object) -> object:
    return [] if value == "none" else value


At = Annotated[Any, BeforeValidator(_moment)]
Control = Literal["control1", "control2"]
_AT = Field(description=EXPECTED)


class Strike(Strict):
    """Something that happens at a moment of the run."""

    at: At = _AT

    @property
    def moment(self) -> Moment:
        """When it happens."""
        assert isinstance(self.at, Moment), "the validator makes it one"
        return self.at


class PutFault(Strike):
    """A fault of the lab is put into a host."""

    put: str = Field(description="a fault of the lab: ferryman lab fault list")
    on: str | None = Field(None, description="a host of the lab")


class ClearFault(Strike):
    """A fault is taken out again."""

    clear: str = Field(description="a fault of the lab: ferryman lab fault list")
    on: str | None = Field(None, description="a host of the lab")


class Kill(Strike):
    """The run's process is killed with SIGKILL; then another process resumes it or rolls it back."""

    kill: Literal["run"] = Field(description="run")
    then: Literal["resume", "rollback"] | None = Field(None, description="resume or rollback")
    on: Control | None = Field(None, description="control1 or control2")


class Signal(Strike):
    """The run's process is sent a signal."""

    signal: Literal["run"] = Field(description="run")
    send: Literal["TERM", "INT", "HUP"] = Field("TERM", description="TERM, INT or HUP")


class EditCatalog(Strike):
    """An editor changes the description of an entry of the catalog."""

    edit: Literal["catalog"] = Field(description="catalog")
    entry: str = Field(description="the name of a service of the catalog")


class RestoreCatalog(Strike):
    """An editor moves the copy of the catalog that they had before the run over it."""

    restore: Literal["catalog"] = Field(description="catalog")


class OnHost(Strict):
    """A command of somebody else, on a host of the lab."""

    on: str = Field(description="a host of the lab")
    command: str = Field(min_length=1, description="a command for sh")


class RunOnHost(Strike):
    """Somebody runs a command on a host of the lab."""

    run: OnHost = Field(description="a mapping with on and command")


class Merge(Strike):
    """A person merges the branch that the run waits for, as it is or with another edit in the merge."""

    at: At = Field(Moment("in review", "review"), description=EXPECTED)
    merge: Literal["proposal"] = Field(description="proposal")
    differently: bool = Field(False, description="true or false")


class Meanwhile(Strike):
    """Somebody runs another command of ferryman while the run stands still."""

    meanwhile: str = Field(description="a command line that begins with ferryman")
    on: Control = Field("control1", description="control1 or control2")
    exit: int = Field(description="an exit code")


STRIKES: dict[str, type[Strike]] = {
    "put": PutFault,
    "clear": ClearFault,
    "kill": Kill,
    "signal": Signal,
    "edit": EditCatalog,
    "restore": RestoreCatalog,
    "run": RunOnHost,
    "merge": Merge,
    "meanwhile": Meanwhile,
}
"""By the key that tells one from another."""


class Command(Strict):
    """A command line of ferryman; the word RUN in it stands for the run of the command before."""

    command: str = Field(description="a command line that begins with ferryman")
    on: Control = Field("control1", description="control1 or control2")


class Load(Strict):
    """Steady requests to the service while the run is under way."""

    connections_per_second: int = Field(ge=1, le=1000, description="a whole number, 1 to 1000")


class ExpectedFinding(Strict):
    """A finding that the run must make; without a verdict, one that does not pass."""

    check: str = Field(description="the id of a check, such as rp-filter")
    host: str | None = Field(None, description="a host, or what else the finding is about")
    verdict: Literal["pass", "warn", "fail", "unknown", "skip"] | None = Field(
        None, description="pass, warn, fail, unknown or skip"
    )


class ExpectedChange(Strict):
    """A change that the run must make: of the catalog, or on a host."""

    kind: Literal["catalog", "director", "host", "cluster"] = Field(
        description="catalog, director, host or cluster"
    )
    on: str | None = Field(None, description="a host")


class Expect(Strict):
    """What the end is compared with; what is not named is not looked at."""

    exit: Annotated[list[int], BeforeValidator(_several)] = Field(
        min_length=1, description="an exit code, or a list with that of each command"
    )
    outcome: str | None = Field(None, description="an outcome, such as rolled-back")
    reason: Annotated[list[str], BeforeValidator(_several)] = Field(
        default_factory=list, description="words of the reason that the run ends with, or a list of them"
    )
    findings: list[ExpectedFinding] = Field(
        default_factory=list, description="a list of mappings with check, host and verdict"
    )
    end: Annotated[Any, BeforeValidator(_end)] = None
    lost_requests: int | None = Field(None, ge=0, description="a whole number, 0 or more")
    as_foretold: bool = Field(
        False, description="true: the run makes exactly what a dry run before it foretold"
    )
    changes: Annotated[list[ExpectedChange] | None, BeforeValidator(_changes)] = Field(
        None, description="none, or a list of mappings with kind and on"
    )


class ScenarioFile(Strict):
    """A scenario's file, but for its topology and its faults, each of which is judged as what it is."""

    title: str = Field(min_length=1, description="a sentence that says what is rehearsed")
    topology: dict[str, Any] = Field({"like": "lab"}, description="a mapping such as { like: lab }")
    state: Literal["sqlite", "etcd"] = Field("sqlite", description="sqlite or etcd")
    catalog: Literal["file", "git"] = Field("file", description="file or git")
    settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="tables of ferryman.toml with their keys"
    )
    faults: list[dict[str, Any]] = Field(default_factory=list, description="a list of mappings")
    run: Annotated[list[Command], BeforeValidator(_commands)] = Field(
        min_length=1, description="a command line that begins with ferryman, or a list of them"
    )
    load: Load | None = Field(None, description="a mapping with connections_per_second")
    expect: Expect = Field(description="a mapping with exit, and what else the end is compared with")
