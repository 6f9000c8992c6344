"""Requests to an etcd cluster: to whichever member answers, patiently, and never through a proxy.

They go over etcd's JSON gateway (etcd.io/docs/v3.4/dev-guide/api_grpc_gateway). A request whose answer was
lost is sent again: whoever asks sees from what is there then whether the first one took effect.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
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

from ferryman import retry
from ferryman.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

    from ferryman.config import EtcdCluster, EtcdConfig


class _NoAnswerError(Exception):
    """What a member said is not what was asked for."""


_PASSING = (
    ConnectionFailedError,
    ConnectionTimeoutError,
    InternalServerError,
    requests.RequestException,
    _NoAnswerError,
)
"""What another member, or the same one a little later, may do better: no leader, a leader that changes."""
_PAUSE_S = 0.2
_TRIES = 15
"""One part in so many of the lease is what a member that accepts and never answers may cost."""
_SLACK_S = 1.0
"""How much longer than its patience a process that asks for us may take."""


class Gateway(Protocol):
    """Whoever can ask the cluster."""

    where: str
    """The cluster in words, for messages."""

    def post(self, path: str, asked: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """What the cluster answers: a JSON object, of whatever content.

        No try begins after so many seconds, but one is made in any case.

        Raises:
            JournalError: No member answered in all of the time, or the answer was no.
        """

    def close(self) -> None:
        """Close the connections."""


class HttpGateway:
    """A cluster, as one thread speaks to it."""

    def __init__(self, cluster: EtcdCluster, config: EtcdConfig) -> None:
        self.where = str(cluster)
        self._clients = [_client(host, port, config) for host, port in cluster.members]
        self._timeout_s = _timeout_s(config)

    def post(self, path: str, asked: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """As ``Gateway.post``."""
        until = time.monotonic() + within_s
        outcome = retry.poll_until(
            lambda: self._post_once(path, asked, until - time.monotonic() if within_s else self._timeout_s),
            lambda seen: not isinstance(seen, Exception),
            within_s=within_s,
            every_s=_PAUSE_S,
        )
        if isinstance(outcome, Exception):
            raise self._explained(outcome) from outcome
        return outcome

    def close(self) -> None:
        """As ``Gateway.close``."""
        for client in self._clients:
            client.session.close()

    def _post_once(self, path: str, asked: Mapping[str, Any], left_s: float) -> dict[str, Any] | Exception:
        client = self._clients[0]
        client.timeout = min(self._timeout_s, max(left_s, self._timeout_s / 4))  # the last try is no long one
        try:
            return _object(client.post(client.get_url(path), json=dict(asked)))
        except _PASSING as error:
            self._clients.append(self._clients.pop(0))
            return error
        except Etcd3Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> JournalError:
        said = getattr(error, "detail_text", None) or error
        return JournalError(
            f"{self.where}: the journal cannot be used: {said}; look at the cluster: etcdctl endpoint "
            "health; and at [etcd] in ferryman.toml"
        )


class ForkedGateway:
    """A cluster, as a process sees it that was forked before this one went into another network namespace."""

    def __init__(self, cluster: EtcdCluster, config: EtcdConfig) -> None:
        """Fork; call it while there is one thread, and before going anywhere."""
        self.where = str(cluster)
        self._timeout_s = _timeout_s(config)
        self._asked = 0
        self._line, far = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve,
            args=(self._line, far, HttpGateway(cluster, config)),
            daemon=True,
        )
        self._process.start()
        far.close()

    def post(self, path: str, asked: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """As ``Gateway.post``."""
        self._asked += 1
        try:
            self._line.send((self._asked, path, dict(asked), within_s))
            answer = self._answer(within_s + self._timeout_s + _SLACK_S)
        except (OSError, EOFError) as error:
            raise JournalError(
                f"the process that asks etcd has gone: {error}; nothing was written"
            ) from error
        if isinstance(answer, JournalError):
            raise answer
        return answer

    def _answer(self, within_s: float) -> dict[str, Any] | JournalError:
        """What was answered to the latest request; what came too late for an earlier one is passed over."""
        until = time.monotonic() + within_s
        while self._line.poll(max(0.0, until - time.monotonic())):
            number, answer = self._line.recv()
            if number == self._asked:
                found: dict[str, Any] | JournalError = answer
                return found
        return JournalError(f"{self.where}: the process that asks it for us does not answer")

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
            number, *what = request
            line.send((number, _answer(gateway, *what)))
    gateway.close()


def _answer(
    gateway: HttpGateway, path: str, asked: dict[str, Any], within_s: float
) -> dict[str, Any] | JournalError:
    try:
        return gateway.post(path, asked, within_s)
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
        timeout=_timeout_s(config),
        api_path="/v3/",
        session=session,
    )


def _timeout_s(config: EtcdConfig) -> float:
    """Seconds for one request to one member."""
    return min(config.timeout, config.lease / _TRIES)


def _object(said: object) -> dict[str, Any]:
    """What a member said, if it is an answer: it may report an error though it says 200, as streams do."""
    if not isinstance(said, dict) or "error" in said:
        raise _NoAnswerError(f"it answered {said!r:.200}")
    return said
