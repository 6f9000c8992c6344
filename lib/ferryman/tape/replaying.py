"""The world's ports as a tape answers them: nothing outside is asked, and nothing is changed."""

from __future__ import annotations

from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.catalog import Catalog, GitCatalog
from ferryman.catalog.review.git import Git, GitResult
from ferryman.errors import DoubtError, DryRunError, VerifyError
from ferryman.hosts.completed import Completed
from ferryman.tape.cluster import TapedCluster
from ferryman.tape.codec import NotDataError, decode, decode_error
from ferryman.tape.keys import CallKey, key_of_verb
from ferryman.tape.ports import Ports
from ferryman.tape.recording import (
    CATALOG_TEXT,
    CATALOG_WRITABLE,
    TOKEN,
    catalog_write_key,
    exchange_key,
    fence_key,
    git_key,
    probe_key,
    request_key,
    review_key,
    source_key,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.config import CatalogConfig, ProbeConfig
    from ferryman.hosts.hosts import Questions
    from ferryman.hosts.verbs import ReadVerb, Verb, WriteVerb
    from ferryman.model import Address, ProbeResult
    from ferryman.probe import Target
    from ferryman.probe.exchange import ExchangeLimits, ExchangeResult, ExchangeTarget
    from ferryman.tape.world import TapeWorld
    from ferryman.traffic.http_request import Request, Result

T = TypeVar("T")


class TapeHosts:
    """The hosts of a tape."""

    def __init__(self, world: TapeWorld, *, dry_run: bool) -> None:
        self._world = world
        self._dry_run = dry_run

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        """What the host answered; see ``Hosts.read``."""
        verb.require_kind(reads=True)
        return self._asked(host, verb)

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        """What became of it; see ``Hosts.write``."""
        verb.require_kind(reads=False)
        if self._dry_run:
            raise DryRunError(f"{host}: a dry run tried {verb.shown}; nothing ran")
        return self._asked(host, verb)

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        """What each host answered; see ``Hosts.read_all``."""
        return {host: self._answer(host, verb) for host, verb in verbs.items()}

    def read_together(self, questions: Questions) -> dict[str, list[Any]]:
        """What each host answered; see ``Hosts.read_together``."""
        return {host: [self._answer(host, verb) for verb in verbs] for host, verbs in questions.items()}

    def write_and_read(
        self, host: str, verb: WriteVerb[T], questions: Sequence[ReadVerb[Any]]
    ) -> tuple[T, list[Any]]:
        """What became of it, and what the host answered then; see ``Hosts.write_and_read``."""
        return self.write(host, verb), [self._answer(host, question) for question in questions]

    def fence(self, run: str, token: int, hosts: Sequence[str]) -> Mapping[str, DoubtError]:
        """Which hosts could not be asked when earlier holders of the run were fenced off."""
        del run, token
        silent = self._world.ask(fence_key(hosts), lambda value: value)
        return {host: decode_error(error) for host, error in silent.items()}  # type: ignore[misc]  # they were

    def _answer(self, host: str, verb: ReadVerb[Any]) -> Any:  # noqa: ANN401  # of each verb another
        """What the host answered, or its error."""
        verb.require_kind(reads=True)
        return self._world.answer(key_of_verb(host, verb), partial(_heard, host, verb))

    def _asked(self, host: str, verb: Verb[T]) -> T:
        return self._world.ask(key_of_verb(host, verb), partial(_heard, host, verb))  # type: ignore[no-any-return]


def _heard(host: str, verb: Verb[T], recorded: object) -> T:
    """The value of an answer: as it was recorded, or of what the script printed."""
    if not (isinstance(recorded, dict) and "$printed" in recorded):
        return decode(recorded)  # type: ignore[no-any-return]  # the verb's own
    return verb.value(printed(host, verb, recorded))


def printed(host: str, verb: Verb[Any], recorded: Mapping[str, Any]) -> Completed:
    """How the script of a verb ended whose answer is kept as text.

    Raises:
        NotDataError: It is not understood.
    """
    kept = recorded["$printed"]
    try:
        out, err, status = _text(kept["stdout"]), _text(kept["stderr"]), int(kept["status"])
    except (KeyError, TypeError, ValueError) as error:
        raise NotDataError(f"what {verb.name} printed is not understood: {error}") from error
    token = getattr(verb, "token", None)
    out, err = (text if token is None else text.replace(TOKEN, token) for text in (out, err))
    return Completed(host, verb.shown, status, out, err)


def _text(recorded: object) -> str:
    value = decode(recorded)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def replaying_ports(world: TapeWorld) -> Ports:
    """The ports of a tape."""

    def ask(key: CallKey) -> Any:  # noqa: ANN401  # any value
        return world.ask(key)

    def probe(config: ProbeConfig, targets: Sequence[Target], heard: object = None) -> list[ProbeResult]:
        del heard
        return [ask(probe_key(config, target)) for target in targets]

    def own_source(address: Address) -> Address:
        found: Address = ask(source_key(address))
        return found

    def exchange(
        config: ProbeConfig, limits: ExchangeLimits, targets: Sequence[ExchangeTarget]
    ) -> list[ExchangeResult]:
        del config, limits
        return [ask(exchange_key(target)) for target in targets]

    def request(asked: Request) -> Result:
        result: Result = ask(request_key(asked))
        return result

    def from_tape(key: CallKey, call: object) -> Any:  # noqa: ANN401  # any value
        del call
        return world.ask(key)

    def resolve(host: str) -> Sequence[Address]:
        found: Sequence[Address] = ask(CallKey("dns", host, "addresses", {}))
        return found

    return Ports(
        probe=probe,
        need_raw_sockets=lambda: ask(CallKey("probe", "", "raw-sockets", {})),
        own_source=own_source,
        exchange=exchange,
        request=request,
        cluster=lambda entry, dry_run: TapedCluster(entry, from_tape, dry_run=dry_run),
        resolve=resolve,
        catalog=lambda file, dry_run: _Catalog(file, dry_run, world),
        git_catalog=lambda file, config, dry_run: _GitCatalog(file, config, dry_run, world),
    )


class _Catalog(Catalog):
    """The catalog's file as the tape has it."""

    def __init__(self, path: Path, dry_run: bool, world: TapeWorld) -> None:  # as Catalog
        super().__init__(path, dry_run=dry_run)
        self._world = world
        self._texts: dict[str, bytes] = {}

    def text(self) -> bytes:
        return self._world.ask(CATALOG_TEXT, self._heard)  # type: ignore[no-any-return]

    def _heard(self, recorded: object) -> bytes:
        if not isinstance(recorded, dict):
            raise NotDataError("a catalog's text is not understood")
        digest = recorded.get("sha256")
        if "content" in recorded:
            text = _text(recorded["content"]).encode("utf-8", "surrogateescape")
            self._texts[sha256(text).hexdigest()] = text
        try:
            return self._texts[str(digest)]
        except KeyError as error:
            raise NotDataError(f"there is no catalog with the digest {digest}") from error

    def require_writable(self) -> None:
        self._world.ask(CATALOG_WRITABLE)

    def write(self, after: bytes, *, expected: bytes) -> None:
        del expected
        if self._dry_run:
            raise DryRunError(f"{self.path}: a dry run tried to write the catalog; nothing was written")
        self._texts[sha256(after).hexdigest()] = after
        self._world.ask(catalog_write_key(after))


class _GitCatalog(GitCatalog):
    """A catalog in git as the tape has it."""

    def __init__(
        self, file: Path, config: CatalogConfig, dry_run: bool, world: TapeWorld
    ) -> None:  # as GitCatalog
        super().__init__(
            file, config, dry_run=dry_run, git=lambda folder, dry, limit_s: _Git(folder, dry, limit_s, world)
        )
        self._world = world

    @cached_property
    def real_file(self) -> Path:
        return Path(self._world.ask(review_key("real-file")))

    def text(self) -> bytes:
        return self._world.ask(review_key("working-tree"))  # type: ignore[no-any-return]


class _Git(Git):
    """git as the tape has it: no process is started."""

    def __init__(self, folder: Path, dry_run: bool, remote_s: float, world: TapeWorld) -> None:  # as Git
        super().__init__(folder, dry_run, remote_s)
        object.__setattr__(self, "_world", world)

    def has_hook(self, hook: str) -> bool:
        return self._answered("has-hook", hook=hook)  # type: ignore[no-any-return]

    def obstacle(self, part: str) -> str | None:
        return self._answered("obstacle", part=part)  # type: ignore[no-any-return]

    def edited_by_hook(self, hook: str, text: str) -> str:
        del text
        return self._answered("edited-by-hook", hook=hook)  # type: ignore[no-any-return]

    def _answered(self, verb: str, **arguments: object) -> Any:  # noqa: ANN401  # any value
        world: TapeWorld = self.__dict__["_world"]
        return world.ask(review_key(verb, False, **arguments))  # it reads

    def _run(self, command: tuple[str, ...], stdin: bytes, limit_s: float, *, finish: bool) -> GitResult:
        del limit_s
        world: TapeWorld = self.__dict__["_world"]
        result: GitResult = world.ask(git_key(command, stdin, writes=finish))
        return result
