"""The world's ports with a recorder at each: what is asked goes through, and is kept with what came back."""

from __future__ import annotations

import os
from functools import cached_property, lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.catalog import Catalog, GitCatalog
from ferryman.catalog.review.git import Git, GitResult
from ferryman.errors import FerrymanError
from ferryman.inventory.extract import catalog_part
from ferryman.tape.cluster import TapedCluster
from ferryman.tape.codec import encode, encode_error
from ferryman.tape.keys import RUN, CallKey, current_lane, key_of_verb
from ferryman.tape.ports import Exchange, Ports, Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ferryman.config import CatalogConfig, ProbeConfig
    from ferryman.errors import DoubtError, VerifyError
    from ferryman.hosts.completed import Completed
    from ferryman.hosts.hosts import Hosts, Questions
    from ferryman.hosts.ssh import Fleet
    from ferryman.hosts.verbs import ReadVerb, Verb, WriteVerb
    from ferryman.inventory.schema import ClusterEntry
    from ferryman.kubernetes.client import ClusterClient
    from ferryman.model import Address, ProbeResult
    from ferryman.probe import Target
    from ferryman.probe.exchange import ExchangeLimits, ExchangeResult, ExchangeTarget
    from ferryman.tape.heard_transport import HearPacket
    from ferryman.tape.recorder import Answer, Recorder
    from ferryman.traffic.http_request import Request, Result

T = TypeVar("T")


class RecordingHosts:
    """Hosts, each call to which is kept."""

    def __init__(self, hosts: Hosts, recorder: Recorder) -> None:
        self._hosts = hosts
        self._recorder = recorder
        self._texts: dict[tuple[str, int], tuple[Verb[Any], Completed]] = {}
        """By host and verb: the verb, which keeps its id its own, and what it printed."""

    def heard(self, host: str, verb: Verb[Any], done: Completed) -> None:
        """Take what a script printed, before it is parsed; for the fleet."""
        self._texts[host, id(verb)] = verb, done

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        """Ask, and keep the answer; see ``Hosts.read``."""
        return self._called(host, verb, lambda: self._hosts.read(host, verb))

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        """Do it, and keep what came of it; see ``Hosts.write``."""
        return self._called(host, verb, lambda: self._hosts.write(host, verb))

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        """Ask all, and keep each answer; see ``Hosts.read_all``."""
        with self._recorder.outside():
            results = self._hosts.read_all(verbs)
        for host, result in results.items():
            self._keep(host, [verbs[host]], [result])
        return results

    def read_together(self, questions: Questions) -> dict[str, list[Any]]:
        """Ask all, and keep each answer by its own question; see ``Hosts.read_together``."""
        with self._recorder.outside():
            results = self._hosts.read_together(questions)
        for host, answers in results.items():
            self._keep(host, questions[host], answers)
        return results

    def write_and_read(
        self, host: str, verb: WriteVerb[T], questions: Sequence[ReadVerb[Any]]
    ) -> tuple[T, list[Any]]:
        """Do it and ask, and keep what came of each; see ``Hosts.write_and_read``."""
        try:
            with self._recorder.outside():
                value, answers = self._hosts.write_and_read(host, verb, questions)
        except Exception as error:
            self._keep(host, [verb], [error])
            raise
        self._keep(host, [verb, *questions], [value, *answers])
        return value, answers

    def _keep(self, host: str, verbs: Sequence[Verb[Any]], results: Sequence[object]) -> None:
        for verb, result in zip(verbs, results, strict=True):
            self._recorder.add_call(key_of_verb(host, verb), self._answer(host, verb, result), verb.secrets)

    def _called(self, host: str, verb: Verb[T], call: Callable[[], T]) -> T:
        try:
            with self._recorder.outside():
                result = call()
        except Exception as error:
            self._keep(host, [verb], [error])
            raise
        self._keep(host, [verb], [result])
        return result

    def _answer(self, host: str, verb: Verb[Any], result: object) -> Callable[[], Answer]:
        """What makes the answer, later: an error, the value, or what was printed."""
        _, done = self._texts.pop((host, id(verb)), (verb, None))
        if done is not None and verb.kept_as_text:
            return partial(_printed, done, getattr(verb, "token", None))
        if isinstance(result, Exception):
            return lambda: {"error": encode_error(result)}
        return partial(_value_or_text, result, done)


def _value_or_text(result: object, done: Completed | None) -> Answer:
    """The value; what was printed, where a cookbook's own verb makes of it what is no plain data."""
    try:
        return {"value": encode(result)}
    except TypeError:
        if done is None:
            raise
        return _printed(done, None)


def _printed(done: Completed, token: str | None) -> Answer:
    """What a script printed; a token that is another one each time has a place holder."""
    out, err = (text if token is None else text.replace(token, TOKEN) for text in (done.stdout, done.stderr))
    printed = {"stdout": _text(out), "stderr": _text(err), "status": done.status}
    return {"value": {"$printed": printed}}


TOKEN = "$framing"  # noqa: S105  # what stands for it
"""Stands for the random token of a script's output."""


def _text(text: str) -> Any:  # noqa: ANN401  # JSON
    """A text that may have bytes that are not UTF-8, as lone surrogates: then its bytes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return encode(text.encode("utf-8", "surrogateescape"))
    return text


def recording_fleet(fleet: Fleet, recorder: Recorder) -> RecordingHosts:
    """A fleet that is recorded; it tells what its scripts print."""
    hosts = RecordingHosts(fleet, recorder)
    fleet.heard = hosts.heard
    return hosts


def fence_key(hosts: Sequence[str]) -> CallKey:
    """The key of fencing off earlier holders of the run on hosts."""
    return CallKey("hosts", "", "fence", {"hosts": list(hosts)}, writes=True)


def recording_fence(
    fence: Callable[[str, int, Sequence[str]], Mapping[str, DoubtError]], recorder: Recorder
) -> Callable[[str, int, Sequence[str]], Mapping[str, DoubtError]]:
    """What fences off earlier holders, recorded."""

    def fence_off(run: str, token: int, hosts: Sequence[str]) -> Mapping[str, DoubtError]:
        return recorder.call(
            fence_key(hosts),
            lambda: fence(run, token, hosts),
            answer=lambda silent: {"value": {host: encode_error(error) for host, error in silent.items()}},
        )

    return fence_off


def probe_key(config: ProbeConfig, target: Target) -> CallKey:
    """The key of a probe: which packet, and how often it may be sent."""
    return _probe_key(target, config.samples, config.tries)


@lru_cache(maxsize=4096)
def _probe_key(target: Target, samples: int, tries: int) -> CallKey:
    """The watch asks the same targets again and again."""
    given = {"target": encode(target), "samples": samples, "tries": tries}
    return CallKey("probe", target.host, "syn", given)


def exchange_key(target: ExchangeTarget) -> CallKey:
    """The key of a whole exchange through the tunnel: with whom, and what is asked."""
    probed = target.target
    given = {"target": encode(probed), "request": encode(target.request)}
    return CallKey("exchange", probed.host, target.request.kind, given)


@lru_cache(maxsize=256)
def request_key(request: Request) -> CallKey:
    """The key of an HTTP request through a VIP."""
    given = encode(request)
    return CallKey(
        "traffic", str(request.vip), request.kind, {k: v for k, v in given.items() if k[:1] != "$"}
    )


def source_key(towards: Address) -> CallKey:
    """The key of this host's own address on the way to another."""
    return CallKey("probe", "", "own-source", {"towards": str(towards)})


def _all_recorded(recorder: Recorder, keys: Sequence[CallKey], ask: Callable[[], list[T]]) -> list[T]:
    """Ask for all at once; on the tape each is a call of its own, with its answer or why there is none."""
    try:
        with recorder.outside():
            results = ask()
    except FerrymanError as error:
        failed = error
        for key in keys:
            recorder.add_call(key, lambda: {"error": encode_error(failed)})
        raise
    for key, result in zip(keys, results, strict=True):
        recorder.add_call(key, partial(_encoded, result))
    return results


def _recorded_probe(real: Ports, recorder: Recorder) -> Probe:
    def probe(
        config: ProbeConfig, targets: Sequence[Target], heard: HearPacket | None = None
    ) -> list[ProbeResult]:
        if current_lane() == RUN:  # the watch sends the same for as long as the run lasts
            heard = recorder.packet
        keys = [probe_key(config, target) for target in targets]
        return _all_recorded(recorder, keys, lambda: real.probe(config, targets, heard))

    return probe


def _recorded_exchange(real: Ports, recorder: Recorder) -> Exchange:
    """Its packets are not kept, as a probe's are: an answer may hold anything of the service's."""

    def exchange(
        config: ProbeConfig, limits: ExchangeLimits, targets: Sequence[ExchangeTarget]
    ) -> list[ExchangeResult]:
        keys = [exchange_key(target) for target in targets]
        return _all_recorded(recorder, keys, lambda: real.exchange(config, limits, targets))

    return exchange


def recording_ports(real: Ports, recorder: Recorder, needed: Callable[[], Collection[str]]) -> Ports:
    """The ports with a recorder; ``needed`` are the names of the services that the run has asked for."""

    def request(asked: Request) -> Result:
        return recorder.call(request_key(asked), lambda: real.request(asked))

    def cluster(entry: ClusterEntry, dry_run: bool) -> ClusterClient:  # as ``Ports.cluster``
        client = real.cluster(entry, dry_run)

        def through(key: CallKey, call: Callable[[ClusterClient], T]) -> T:
            return recorder.call(key, lambda: call(client))

        return TapedCluster(entry, through, dry_run=dry_run)

    def resolve(host: str) -> Sequence[Address]:
        return recorder.call(CallKey("dns", host, "addresses", {}), lambda: list(real.resolve(host)))

    def catalog(file: Path, dry_run: bool) -> Catalog:  # as ``Ports.catalog``
        return _Catalog(file, dry_run, recorder, needed)

    def git_catalog(file: Path, config: CatalogConfig, dry_run: bool) -> GitCatalog:  # as above
        return _GitCatalog(file, config, dry_run, recorder)

    return Ports(
        probe=_recorded_probe(real, recorder),
        need_raw_sockets=lambda: recorder.call(
            CallKey("probe", "", "raw-sockets", {}), real.need_raw_sockets
        ),
        own_source=lambda address: recorder.call(source_key(address), lambda: real.own_source(address)),
        exchange=_recorded_exchange(real, recorder),
        request=request,
        cluster=cluster,
        resolve=resolve,
        catalog=catalog,
        git_catalog=git_catalog,
    )


def _encoded(value: object) -> Answer:
    return {"value": encode(value)}


CATALOG_TEXT = CallKey("catalog", "", "text", {})
CATALOG_WRITABLE = CallKey("catalog", "", "require-writable", {})


def catalog_write_key(after: bytes) -> CallKey:
    """The key of writing the catalog: what is written, by its digest."""
    return CallKey("catalog", "", "write", {"sha256": sha256(after).hexdigest()}, writes=True)


class _Catalog(Catalog):
    """A catalog's file, each look at which is kept: of what it says, the part that the run needs."""

    def __init__(
        self,
        path: Path,
        dry_run: bool,  # as Catalog
        recorder: Recorder,
        needed: Callable[[], Collection[str]],
    ) -> None:
        super().__init__(path, dry_run=dry_run)
        self._recorder = recorder
        self._needed = needed
        self._kept: set[str] = set()

    def text(self) -> bytes:
        return self._recorder.call(CATALOG_TEXT, super().text, answer=self._answer)

    def _answer(self, text: bytes) -> Answer:
        """A text once, and after that its digest."""
        part = catalog_part(text, self._needed())
        digest = sha256(part).hexdigest()
        is_new = digest not in self._kept
        self._kept.add(digest)
        content = {"content": _text(part.decode("utf-8", "surrogateescape"))} if is_new else {}
        return {"value": {"sha256": digest, **content}}

    def require_writable(self) -> None:
        self._recorder.call(CATALOG_WRITABLE, super().require_writable)

    def write(self, after: bytes, *, expected: bytes) -> None:
        key = catalog_write_key(catalog_part(after, self._needed()))
        self._recorder.call(key, lambda: Catalog.write(self, after, expected=expected))


class _GitCatalog(GitCatalog):
    """A catalog in git, each command of which is kept."""

    def __init__(
        self, file: Path, config: CatalogConfig, dry_run: bool, recorder: Recorder
    ) -> None:  # as GitCatalog
        super().__init__(
            file,
            config,
            dry_run=dry_run,
            git=lambda folder, dry, limit_s: _Git(folder, dry, limit_s, recorder),
        )
        self._recorder = recorder

    @cached_property
    def real_file(self) -> Path:
        return self._recorder.call(review_key("real-file"), lambda: Path(os.path.realpath(self.file)))

    def text(self) -> bytes:
        return self._recorder.call(review_key("working-tree"), super().text)


def review_key(verb: str, writes: bool = False, **arguments: object) -> CallKey:  # named where it is said
    """The key of something that the clone is asked."""
    return CallKey("review", "", verb, arguments, writes)


_BY_CONTENT = ("hash-object", "mktree", "update-ref")
"""Commands of git whose input counts; a commit's message is for people."""


def git_key(command: Sequence[str], stdin: bytes, *, writes: bool) -> CallKey:
    """The key of a git command."""
    content = {"input": sha256(stdin).hexdigest()} if command[0] in _BY_CONTENT and stdin else {}
    return review_key("git", writes=writes, command=list(command), **content)


class _Git(Git):
    """git, each command of which is kept."""

    def __init__(self, folder: Path, dry_run: bool, remote_s: float, recorder: Recorder) -> None:  # as Git
        super().__init__(folder, dry_run, remote_s)
        object.__setattr__(self, "_recorder", recorder)

    def has_hook(self, hook: str) -> bool:
        return self._listened("has-hook", lambda: Git.has_hook(self, hook), hook=hook)

    def obstacle(self, part: str) -> str | None:
        return self._listened("obstacle", lambda: Git.obstacle(self, part), part=part)

    def edited_by_hook(self, hook: str, text: str) -> str:
        return self._listened("edited-by-hook", lambda: Git.edited_by_hook(self, hook, text), hook=hook)

    def _listened(self, verb: str, call: Callable[[], T], **arguments: object) -> T:
        """Make a call that asks git several things: it is kept as one."""
        recorder: Recorder = self.__dict__["_recorder"]
        return recorder.call(review_key(verb, False, **arguments), call)  # it reads

    def _run(self, command: tuple[str, ...], stdin: bytes, limit_s: float, *, finish: bool) -> GitResult:
        recorder: Recorder = self.__dict__["_recorder"]
        run = partial(Git._run, self, command, stdin, limit_s, finish=finish)  # noqa: SLF001  # its own
        if recorder.is_outside:
            return run()
        return recorder.call(git_key(command, stdin, writes=finish), run)
