"""Edits of keepalived's files that wait for a reload: whoever reloads makes them, whosever they are.

Each block is compared with the kernel's table. What health checks do by themselves is no difference: a
realserver that is out or has another weight, a sorry server that is in. Nor is what the files do not say: a
virtual server that no file has may be filled by somebody else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferryman.directors.keepalived.text import METHODS
from ferryman.directors.keepalived.words import blocks_in
from ferryman.directors.schedulers import in_order
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.ipvs.table import key_of
from ferryman.model import Forwarding, host_port
from ferryman.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ferryman.directors.keepalived.files import Reached
    from ferryman.directors.keepalived.words import Block, Key
    from ferryman.directors.target import Target
    from ferryman.ipvs.table import Table, VirtualServer
    from ferryman.model import Service

_KERNELS = {**{word: method for method, word in METHODS.items()}, "NAT": Forwarding.MASQUERADE}


def pending_edits(reached: Reached, table: Table, service: Service, target: Target | None) -> list[str]:
    """What a reload would change of the kernel's table, but for the service's own aspect of the target.

    Without a target neither the service's forwarding methods nor its scheduling are compared. Each line names
    file and line, what the file says and what the kernel has.
    """
    own = {key_of(virtual_service) for virtual_service in service.virtual_services}
    found = [
        (path, block)
        for path, file in reached.items()
        if not file.condition
        for block in blocks_in(file.statements)
    ]
    often = Counter(block.key for _, block in found)
    kernel = {server.key: server for server in table}
    return [
        f"{path}: {line}"
        for path, block in found
        if often[block.key] == 1
        for line in _Compared(block, _comparable(own=block.key in own, target=target)).with_kernel(kernel)
    ]


def _comparable(*, own: bool, target: Target | None) -> _Aspects:
    every = _Aspects()
    if not own:
        return every
    match target:
        case SetForwarding():
            return replace(every, methods=False)
        case SetScheduler():
            return replace(every, scheduling=False)
    return replace(every, methods=False, scheduling=False)


@dataclass(frozen=True, slots=True)
class _Aspects:
    """What of a block is compared."""

    methods: bool = True
    scheduling: bool = True


@dataclass(frozen=True, slots=True)
class _Compared:
    """A block of a file, beside what the kernel has."""

    block: Block
    aspects: _Aspects

    def with_kernel(self, kernel: Mapping[Key, VirtualServer]) -> Iterator[str]:
        block = self.block
        _, vip, port = block.key
        keys: list[Key] = [block.key]
        if not block.names_protocol:
            keys += [("tcp", vip, port), ("udp", vip, port)]
        server = next((kernel[key] for key in keys if key in kernel), None)
        if server is None:
            yield f"line {block.line}: {block.named}, and the kernel has no such virtual server"
            return
        if self.aspects.scheduling:
            yield from self._scheduling(server)
        yield from self._persistence(server)
        yield from self._destinations(server)

    def _scheduling(self, server: VirtualServer) -> Iterator[str]:
        setting = self.block.scheduler
        if setting is None:
            return
        has = (server.scheduler, in_order(server.scheduler, server.scheduler_flags))
        if has != (setting.word, self.block.flags):
            yield self._line(
                setting.line, "scheduler", _words(setting.word, self.block.flags), _words(has[0], has[1])
            )

    def _persistence(self, server: VirtualServer) -> Iterator[str]:
        setting = self.block.persistence
        options = dict(zip(server.options, server.options[1:], strict=False))
        has = options.get("-p", "none")
        if setting is not None and numeral(setting.word) is not None and setting.word not in ("0", has):
            yield self._line(setting.line, "persistence_timeout", setting.word, has)

    def _destinations(self, server: VirtualServer) -> Iterator[str]:
        for destination in server.destinations:
            place = (destination.address, destination.port)
            if place in self.block.sorry:
                continue
            if place not in self.block.methods:
                yield (
                    f"line {self.block.line}: {self.block.named} has no "
                    f"real_server {destination.address} {destination.port},"
                    f" and the kernel has {destination.key} ({destination.forwarding.word})"
                )
                continue
            setting = self.block.methods[place]
            if (
                self.aspects.methods
                and setting
                and _KERNELS.get(setting.word, destination.forwarding) != destination.forwarding
            ):
                yield self._line(setting.line, host_port(*place), setting.word, destination.forwarding.word)

    def _line(self, line: int, what: str, setting: str, has: str) -> str:
        return f"line {line}: {self.block.named}: {what}: it says {setting}, and the kernel has {has}"


def _words(scheduler: str, flags: Iterable[str]) -> str:
    return " ".join((scheduler, *flags))
