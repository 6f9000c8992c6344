"""The network between one control host and a cluster: a TCP proxy before each member, which can be cut."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Self

from lab.etcd.cluster import CLIENT_PORT

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Coroutine

    from lab.etcd.cluster import Cluster

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""``struct linger``: on, for no time at all."""
_CHUNK_BYTES = 65536


class Cutting(Enum):
    """The ways in which a network fails."""

    SILENCE = "silence"
    """Nothing passes, nothing is said; what was sent meanwhile arrives when it heals, as TCP does it."""
    NO_ANSWERS = "no answers"
    """As silence, but what is sent arrives: things are done, and nobody hears of it."""
    RESET = "reset"
    """Connections break, and new ones break as soon as they are made."""


class Network:
    """Stands between one control host and the members: whoever uses its endpoints can be cut off.

    It is entered; leaving it breaks every connection. A proxy has its member's address plus 100.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._ways = {
            f"{cluster.network}.{int(_last(member.address)) + 100}": member for member in cluster.members
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._there, self._back = asyncio.Event(), asyncio.Event()
        self._resets = False
        self._open: set[StreamWriter] = set()
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait_for(self._listen())
        self.heal()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait_for(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoints(self) -> list[str]:
        """Where the control host finds the cluster."""
        return [f"{address}:{CLIENT_PORT}" for address in self._ways]

    @property
    def is_cut(self) -> bool:
        """Whether nothing is heard from the cluster."""
        return not self._back.is_set()

    def cut(self, how: Cutting = Cutting.SILENCE) -> None:
        """Cut the control host off; it has happened when this returns."""
        self._wait_for(self._set(how))

    def heal(self) -> None:
        """Let all bytes through again."""
        self._wait_for(self._set(None))

    def _wait_for(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        for address, member in self._ways.items():

            async def carry(reader: StreamReader, writer: StreamWriter, to: str = member.address) -> None:
                await self._carry(reader, writer, to)

            self._servers.append(await asyncio.start_server(carry, address, CLIENT_PORT))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._break_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _set(self, how: Cutting | None) -> None:
        self._resets = how is Cutting.RESET
        _let(self._there, how is None or how is Cutting.NO_ANSWERS)
        _let(self._back, how is None)
        if self._resets:
            self._break_all()

    async def _carry(self, reader: StreamReader, writer: StreamWriter, to: str) -> None:
        self._open.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            if self._resets:
                return _break(writer)
            far_reader, far_writer = await asyncio.open_connection(to, CLIENT_PORT)
            self._open.add(far_writer)
            await asyncio.gather(
                _pump(reader, far_writer, self._there), _pump(far_reader, writer, self._back)
            )
        return _break(writer)

    def _break_all(self) -> None:
        while self._open:
            _break(self._open.pop())


async def _pump(source: StreamReader, sink: StreamWriter, passable: asyncio.Event) -> None:
    """Carry bytes in one direction until its source ends; they wait while it is not passable."""
    try:
        while chunk := await source.read(_CHUNK_BYTES):
            await passable.wait()
            sink.write(chunk)
            await sink.drain()
        await passable.wait()
    finally:
        sink.close()


def _break(writer: StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):  # it may be closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


def _let(direction: asyncio.Event, passable: bool) -> None:
    if passable:
        direction.set()
    else:
        direction.clear()


def _last(address: str) -> str:
    return address.rpartition(".")[2]
