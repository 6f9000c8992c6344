"""One API server that is asked, through lightkube: as whom, within which limits, and what an answer means."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.kubernetes.cluster import ClusterUnreadableError
from ferryman.redaction import HIDDEN, redacted

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube import Client

    from ferryman.inventory.schema import ClusterEntry
    from ferryman.kubernetes.kubeconfig import Access
    from ferryman.kubernetes.transport import Transport

T = TypeVar("T")
V = TypeVar("V")

PAGE = 500
"""Objects that are asked for at a time."""
BEGINNINGS = 4
"""How often a list is begun: its continuation expires (410) where reading it takes minutes."""
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, GONE = 401, 403, 404, 409, 410
BUSY, UNAVAILABLE = 429, 503
_SHOWN = 600
"""Characters of what went wrong."""


class Answer(Exception):  # noqa: N818  # it is no error before somebody has judged it
    """The API server answered with a status of HTTP that is none of success."""

    def __init__(self, code: int, words: str) -> None:
        self.code = code
        self.words = words
        super().__init__(f"{code}: {words}")


class Connection:
    """A cluster's API server; it is connected to when it is first asked.

    One thing is asked at a time: run and watch may share it. Each has the time and the size that is allowed
    for itself, so that it serves a run of hours; a login that runs out meanwhile is made again.
    """

    def __init__(self, entry: ClusterEntry) -> None:
        self._entry = entry
        self._lock = threading.RLock()
        self._client: Client | None = None
        self._transport: Transport | None = None
        self._secrets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in messages: its address, or what the kubeconfig calls it."""
        return where_of(self._entry)

    def ask(self, question: Callable[[Client], T]) -> T:
        """What comes of a question, or of something that is to be done.

        Raises:
            Answer: The API server answered, and not with success.
            ClusterUnreadableError: It did not answer, or is not understood; no secret is in it.
        """
        with self._lock:
            try:
                return self._asked(question)
            except Answer as answer:
                raise Answer(answer.code, self._without_secrets(answer.words)) from None
            except ClusterUnreadableError as error:
                raise ClusterUnreadableError(self._without_secrets(str(error))) from None
            except Exception as error:  # noqa: BLE001  # of many libraries; whatever it was, nothing was seen
                words = " ".join(str(error).split()) or "no reason given"
                words = f"{type(error).__name__}: {self._without_secrets(redacted(words))}"
                raise ClusterUnreadableError(words) from None

    def list(
        self,
        resource: type[Any],
        made: Callable[[Any], V],
        *,
        namespace: str | None = None,
        fields: dict[str, Any] | None = None,
    ) -> list[V]:
        """All objects of a kind, page by page, each made into a value before the next page is asked for."""
        given: dict[str, Any] = {"chunk_size": PAGE, "fields": fields}
        if namespace is not None:
            given["namespace"] = namespace

        def once() -> list[V]:
            return self.ask(lambda client: [made(each) for each in client.list(resource, **given)])

        for _ in range(BEGINNINGS - 1):
            try:
                return once()
            except Answer as answer:
                if answer.code != GONE:
                    raise
        return once()

    def _asked(self, question: Callable[[Client], T]) -> T:
        is_new = self._client is None
        try:
            return self._answered(question)
        except Answer as answer:
            if answer.code != UNAUTHORIZED or is_new:
                raise
            self._client = None  # what it was logged in with has run out; nothing was done
            return self._answered(question)

    def _answered(self, question: Callable[[Client], T]) -> T:
        client = self._client or self._connected()
        assert self._transport is not None
        try:
            with self._transport.begun():
                return question(client)
        except Exception as error:
            response = getattr(error, "response", None)
            if response is None:
                raise
            raise Answer(response.status_code, _words_of(response, str(error))) from None

    def _connected(self) -> Client:
        from lightkube import Client, KubeConfig  # noqa: PLC0415  # 0.3 s, for those with an API server alone
        from lightkube.config.models import Cluster, User  # noqa: PLC0415  # as above

        from ferryman.kubernetes.login import logged_in  # noqa: PLC0415  # as above
        from ferryman.kubernetes.transport import Transport  # noqa: PLC0415  # as above

        access = _access(self._entry)
        self._secrets = access.secrets
        access = logged_in(access)
        self._secrets = access.secrets
        self._transport = Transport(access)
        config = KubeConfig.from_one(cluster=Cluster(server=access.server), user=User())
        self._client = Client(config, transport=self._transport, trust_env=False)
        return self._client

    def _without_secrets(self, text: str) -> str:
        """The text without what the login keeps secret: servers quote what they were sent."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def where_of(entry: ClusterEntry) -> str:
    """What tells a cluster from others, without a credential or a user's folder."""
    return entry.api or entry.context or (Path(entry.kubeconfig).name if entry.kubeconfig else "")


def _access(entry: ClusterEntry) -> Access:
    """Where the API server is, and as whom it is asked, before a plugin has logged in."""
    from ferryman.kubernetes.in_cluster import IN_CLUSTER, in_cluster_access  # noqa: PLC0415  # as above
    from ferryman.kubernetes.kubeconfig import access_of  # noqa: PLC0415  # as above

    if entry.api != IN_CLUSTER:
        return access_of(entry.kubeconfig, entry.context, entry.api)
    if entry.kubeconfig or entry.context:
        raise ClusterUnreadableError("clusters.yaml: api: is in-cluster beside a kubeconfig: drop one")
    return in_cluster_access()


def _words_of(response: Any, otherwise: str) -> str:  # noqa: ANN401  # of a library that has its home elsewhere
    """What a Status says, else what the library says of the answer."""
    try:
        message = json.loads(response.content)["message"]
    except Exception:  # noqa: BLE001  # it may be anything, and may not have been read
        message = None
    words = message if isinstance(message, str) and message else otherwise
    return redacted(" ".join(words.split()))
