"""Requests to an etcd cluster: to whichever member answers, patiently, and never through a proxy.

They go over etcd's JSON gateway (etcd.io/docs/v3.4/dev-guide/api_grpc_gateway). A request whose answer was
lost is sent again: whoever asks sees from what is there then whether the first one took effect.
"""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import requests
from etcd3gw import Etcd3Client
from etcd3gw.exceptions import (
    ConnectionFailedError,
    ConnectionTimeoutError,
    Etcd3Exception,
    InternalServerError,
)

from ferryman import patience
from ferryman.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

    from ferryman.config import EtcdCluster, EtcdConfig

_PASSING = (ConnectionFailedError, ConnectionTimeoutError, InternalServerError, requests.RequestException)
"""What another member, or the same one a little later, may do better: no leader, a leader that changes."""
_PAUSE_S = 0.2


class Gateway(Protocol):
    """Whoever can ask the cluster."""

    def post(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What the cluster answers.

        Raises:
            JournalError: No member answered in all of the time, or the answer was no.
        """

    def close(self) -> None:
        """Close the connections."""


class HttpGateway:
    """A cluster, as one thread speaks to it."""

    def __init__(self, cluster: EtcdCluster, config: EtcdConfig, *, patience_s: float) -> None:
        self._where = cluster
        self._clients = [_client(host, port, config) for host, port in cluster.members]
        self._patience_s = patience_s

    def post(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """As ``Gateway.post``."""
        outcome = patience.until(
            lambda: self._post_once(path, asked),
            lambda seen: not isinstance(seen, Exception),
            within_s=self._patience_s,
            every_s=_PAUSE_S,
        )
        if isinstance(outcome, Exception):
            raise self._explained(outcome) from outcome
        return outcome

    def close(self) -> None:
        """As ``Gateway.close``."""
        for client in self._clients:
            client.session.close()

    def _post_once(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any] | Exception:
        client = self._clients[0]
        try:
            answer: dict[str, Any] = client.post(client.get_url(path), json=dict(asked))
        except _PASSING as error:
            self._clients.append(self._clients.pop(0))
            return error
        except Etcd3Exception as error:
            raise self._explained(error) from error
        return answer

    def _explained(self, error: Exception) -> JournalError:
        said = getattr(error, "detail_text", None) or error
        return JournalError(
            f"{self._where}: the journal cannot be used: {said}; look at the cluster: etcdctl endpoint "
            "health; and at [etcd] in ferryman.toml"
        )


class GatewayElsewhere:
    """A cluster, as a process sees it that was forked before this one went into another network namespace."""

    def __init__(self, cluster: EtcdCluster, config: EtcdConfig, *, patience_s: float) -> None:
        """Fork; call it while there is one thread, and before going anywhere."""
        self._line, far = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve,
            args=(self._line, far, HttpGateway(cluster, config, patience_s=patience_s)),
            daemon=True,
        )
        self._process.start()
        far.close()

    def post(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """As ``Gateway.post``."""
        try:
            self._line.send((path, dict(asked)))
            answer: dict[str, Any] | JournalError = self._line.recv()
        except (OSError, EOFError) as error:
            raise JournalError(
                f"the process that asks etcd has gone: {error}; nothing was written"
            ) from error
        if isinstance(answer, JournalError):
            raise answer
        return answer

    def close(self) -> None:
        """End the process; by a word, for one that was forked later has a copy of this end of the line."""
        with suppress(OSError):
            self._line.send(None)
        self._line.close()
        self._process.join()


def _serve(near: Connection, line: Connection, gateway: HttpGateway) -> None:
    """Ask what comes over the line, until it is told to end or its other end is gone."""
    near.close()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # they are for the run, which still needs its journal
    with suppress(EOFError, OSError):
        while (request := line.recv()) is not None:
            line.send(_answer(gateway, *request))
    gateway.close()


def _answer(gateway: HttpGateway, path: str, asked: dict[str, Any]) -> dict[str, Any] | JournalError:
    try:
        return gateway.post(path, asked)
    except JournalError as error:
        return error


def _client(host: str, port: int, config: EtcdConfig) -> Etcd3Client:
    session = requests.Session()
    session.trust_env = False  # a proxy for the web is none for the cluster
    if config.ca is not None:
        session.verify = str(config.ca)
    if config.cert is not None and config.key is not None:
        session.cert = (str(config.cert), str(config.key))
    return Etcd3Client(
        host,
        port,
        protocol="https" if config.ca is not None else "http",
        timeout=config.timeout,
        api_path="/v3/",
        session=session,
    )
