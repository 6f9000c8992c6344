"""Requests to an etcd cluster: to whichever member answers, again until time is up, never through a proxy.

They go over etcd's JSON gateway (https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/). A request whose
answer was lost is sent again: the caller then reads what is stored, and sees whether the first one took
effect. Whatever answers in a member's place has one deadline for all of its answer, and a limit to its
length; it is not followed to anywhere else, for what is sent is the journal.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import ssl
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import httpx2

from ferryman import retry
from ferryman.deadline import Deadline
from ferryman.engine.signals import ignore_signals
from ferryman.errors import JournalError
from ferryman.state.etcd.login import Login
from ferryman.state.etcd.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

    from ferryman.config import EtcdCluster, EtcdConfig


class _NoAnswerError(Exception):
    """What a member answered is not an answer to the request."""


_TRANSIENT = (httpx2.HTTPError, UnicodeError, TimeoutError, _NoAnswerError)
"""What another member, or the same one a little later, may do better: no leader, a leader that changes.
UnicodeError is a host name that cannot be looked up."""
_LONGEST = 48 * 1024 * 1024
"""Bytes of an answer: a run's records come in one."""
_PAUSE_S = 0.2
_TRIES = 15
"""One part in so many of the lease is what a member that accepts and never answers may cost."""
_SLACK_S = 1.0
"""How many seconds longer than its own limit the forked process may take for a request."""
_LOGGERS = ("httpx2", "httpcore2")
"""Below warnings, the first would log each heartbeat, and the second what is sent."""


class Gateway(Protocol):
    """What sends requests to a cluster and returns its answers."""

    where: str
    """The cluster in words, for messages."""

    def post(self, path: str, request: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """Send a request; the answer is a JSON object of any content.

        Args:
            path: Below ``/v3``, such as ``/kv/range``.
            request: The JSON object to be sent.
            within_s: No attempt begins after this many seconds, but one is made in any case.

        Raises:
            JournalError: No member answered in this time, or the cluster refused the request.
        """

    def close(self) -> None:
        """Close the connections to every member of the cluster."""


class HttpGateway:
    """Sends requests over HTTP, from one thread alone; connections are made when they are first used."""

    def __init__(self, cluster: EtcdCluster, config: EtcdConfig) -> None:
        self.where = str(cluster)
        for logger in _LOGGERS:
            logging.getLogger(logger).setLevel(logging.WARNING)
        self._cluster = cluster
        self._config = config
        self._login = Login(config, self.where)
        self._deadline = Deadline()
        self._clients: list[httpx2.Client] = []
        """One for each member, the one to be asked next first; none before the first request."""
        self._timeout_s = _timeout_s(config)

    def post(self, path: str, request: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """As ``Gateway.post``."""
        until = time.monotonic() + within_s
        answer = retry.poll_until(
            lambda: self._post_once(path, request, until - time.monotonic() if within_s else self._timeout_s),
            lambda answer: not isinstance(answer, Exception),
            within_s=within_s,
            every_s=_PAUSE_S,
        )
        if isinstance(answer, Exception):
            raise self._failure(answer) from answer
        return answer

    def close(self) -> None:
        """As ``Gateway.close``."""
        for client in self._clients:
            client.close()
        self._clients = []

    def _post_once(self, path: str, request: Mapping[str, Any], left_s: float) -> dict[str, Any] | Exception:
        """The answer of the member whose turn it is, or why it gave none: then another one is next.

        Raises:
            JournalError: The cluster refused the request.
        """
        clients = self._opened()
        timeout_s = min(self._timeout_s, max(left_s, self._timeout_s / 4))  # the last attempt is no long one
        try:
            with self._deadline.within(timeout_s):
                return self._asked(clients[0], path, request, timeout_s)
        except _TRANSIENT as error:
            clients.append(clients.pop(0))
            return error

    def _asked(
        self, client: httpx2.Client, path: str, request: Mapping[str, Any], timeout_s: float
    ) -> dict[str, Any]:
        """The answer of one member, as whoever is to log in; once more with a new token where the old ended.

        Raises:
            _NoAnswerError: It gave none; as what else is in ``_TRANSIENT``.
            JournalError: The cluster refused the request, or the login.
        """
        if self._login.is_wanted and self._login.token is None:
            self._log_in(client, timeout_s)
        answer = self._answer(client, path, request, timeout_s)
        if isinstance(answer, Refusal) and answer.is_of_the_token and self._login.token is not None:
            self._log_in(client, timeout_s)
            answer = self._answer(client, path, request, timeout_s)
        return self._accepted(answer)

    def _log_in(self, client: httpx2.Client, timeout_s: float) -> None:
        self._login.token = None
        request = self._login.request()
        self._login.take(self._accepted(self._answer(client, "/auth/authenticate", request, timeout_s)))

    def _accepted(self, answer: dict[str, Any] | Refusal) -> dict[str, Any]:
        if not isinstance(answer, Refusal):
            return answer
        if answer.is_transient:
            raise _NoAnswerError(f"it answered {answer}")
        raise self._failure(answer.explained(self._config))

    def _answer(
        self, client: httpx2.Client, path: str, request: Mapping[str, Any], timeout_s: float
    ) -> dict[str, Any] | Refusal:
        headers = {} if self._login.token is None else {"Authorization": self._login.token}
        with client.stream("POST", path, json=dict(request), timeout=timeout_s, headers=headers) as response:
            if response.is_redirect:
                raise _NoAnswerError(f"it answered {response.status_code}, a redirect, which is not followed")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise _NoAnswerError("its answer is compressed, which was not asked for")
            content = _content(response)
        if response.status_code != HTTPStatus.OK:
            text = self._login.masked(content.decode(errors="replace"))
            return Refusal(response.status_code, response.reason_phrase, text)
        return _object(content, self._login)

    def _opened(self) -> list[httpx2.Client]:
        if not self._clients:
            try:
                self._clients = _clients(self._cluster, self._config, self._deadline)
            except httpx2.InvalidURL as error:
                raise self._failure(error) from error
            except OSError as error:  # ssl.SSLError is one
                config = self._config
                files = ", ".join(str(file) for file in (config.ca, config.cert, config.key) if file)
                raise self._failure(f"of {files} one cannot be read as PEM: {error}") from error
        return self._clients

    def _failure(self, why: object) -> JournalError:
        return JournalError(
            f"{self.where}: the journal cannot be used: {why or type(why).__name__}; look at the cluster: "
            "etcdctl endpoint health; and at [etcd] in ferryman.toml"
        )


class ForkedGateway:
    """Has a forked process send the requests, from the network namespace that this one is about to leave."""

    def __init__(self, cluster: EtcdCluster, config: EtcdConfig) -> None:
        """Fork; to be called while there is one thread, and before the namespace is left."""
        self.where = str(cluster)
        self._timeout_s = _timeout_s(config)
        self._sent = 0
        """The number of the latest request."""
        self._pipe, remote = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve,
            args=(self._pipe, remote, HttpGateway(cluster, config)),
            daemon=True,
        )
        self._process.start()
        remote.close()

    def post(self, path: str, request: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        """As ``Gateway.post``."""
        self._sent += 1
        try:
            self._pipe.send((self._sent, path, dict(request), within_s))
            answer = self._answer(within_s + self._timeout_s + _SLACK_S)
        except (OSError, EOFError) as error:
            raise JournalError(
                f"the process that sends requests to etcd has ended: {error}; nothing was written"
            ) from error
        if isinstance(answer, JournalError):
            raise answer
        return answer

    def _answer(self, within_s: float) -> dict[str, Any] | JournalError:
        """The answer to the latest request; one that came too late for an earlier request is dropped."""
        until = time.monotonic() + within_s
        while self._pipe.poll(max(0.0, until - time.monotonic())):
            number, answer = self._pipe.recv()
            if number == self._sent:
                found: dict[str, Any] | JournalError = answer
                return found
        return JournalError(f"{self.where}: the process that sends requests to it does not answer")

    def close(self) -> None:
        """End the process; by a message, for a process forked later holds a copy of this end of the pipe."""
        with suppress(OSError):
            self._pipe.send(None)
        self._pipe.close()
        self._process.join()


def _serve(parents: Connection, pipe: Connection, gateway: HttpGateway) -> None:
    """Send what comes over the pipe, until told to end or the other end is gone."""
    parents.close()
    ignore_signals()  # they are for the run, which still needs its journal
    with suppress(EOFError, OSError):
        while (message := pipe.recv()) is not None:
            number, *request = message
            pipe.send((number, _answer(gateway, *request)))
    gateway.close()


def _answer(
    gateway: HttpGateway, path: str, request: dict[str, Any], within_s: float
) -> dict[str, Any] | JournalError:
    """As ``Gateway.post``, but an error is returned: it is to be raised at the other end of the pipe."""
    try:
        return gateway.post(path, request, within_s)
    except JournalError as error:
        return error


def _clients(cluster: EtcdCluster, config: EtcdConfig, deadline: Deadline) -> list[httpx2.Client]:
    """An HTTP client for each member, with the certificates of the configuration.

    Raises:
        OSError: A certificate or key cannot be read.
        httpx2.InvalidURL: A member's name is no host's.
    """
    scheme = "http" if config.ca is None else "https"
    tls = _tls(config)
    limits = httpx2.Limits(keepalive_expiry=None)  # heartbeats are further apart than it would allow
    return [
        httpx2.Client(
            base_url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/v3",
            transport=deadline.kept_by(httpx2.HTTPTransport(verify=tls, trust_env=False, limits=limits)),
            trust_env=False,  # a proxy for the web is none for the cluster
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
        )
        for host, port in cluster.members
    ]


def _tls(config: EtcdConfig) -> ssl.SSLContext | bool:
    """What members are verified with, and the certificate to show them; False without TLS."""
    if config.ca is None:
        return False
    context = ssl.create_default_context(cafile=config.ca)  # it checks the name, too
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.cert is not None and config.key is not None:
        context.load_cert_chain(config.cert, config.key)
    return context


def _timeout_s(config: EtcdConfig) -> float:
    """Seconds for one request to one member."""
    return min(config.timeout, config.lease / _TRIES)


def _content(response: httpx2.Response) -> bytes:
    """The body of an answer.

    Raises:
        _NoAnswerError: It does not end.
    """
    content = bytearray()
    for piece in response.iter_raw():
        content += piece
        if len(content) > _LONGEST:
            raise _NoAnswerError(f"its answer has more than {_LONGEST >> 20} MiB")
    return bytes(content)


def _object(content: bytes, login: Login) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        _NoAnswerError: It is no JSON object, or reports an error, as streams do with status 200.
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or "error" in answer:
        shown = Refusal(HTTPStatus.OK, "OK", login.masked(content.decode(errors="replace")))
        raise _NoAnswerError(f"it answered {shown}")
    return answer
