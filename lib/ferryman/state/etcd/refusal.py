"""What an etcd that refuses a request means, and what helps: by its words, which its versions have in common.

The words are those of ``server/etcdserver/api/v3rpc/rpctypes/error.go``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.config import EtcdConfig

_SHOWN = 200
"""Characters of an answer in a message."""
_TRANSIENT_STATUS = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_TOKEN_ENDED = ("invalid auth token", "revision of auth store is old")
_TOO_MANY = "too many requests"
_NO_SPACE = "database space exceeded"
_CORRUPT = "corrupt cluster"
_NO_USER = "user name is empty"
_COMMON_NAME = "CommonName of client sending a request against gateway"
"""The gateway takes no certificate with a common name where users are wanted: it could not log in with it."""
_NO_AUTH = "authentication is not enabled"
_WRONG_PASSWORD = "invalid user ID or password"  # noqa: S105  # etcd's words
_DENIED = "permission denied"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of another status than success."""

    status: int
    phrase: str
    """The status in the server's words."""
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.phrase:.{_SHOWN}}: {self.words!r:.{_SHOWN}}"

    @property
    def words(self) -> str:
        """The words of etcd's in it; of an answer that is not etcd's, all of it."""
        try:
            answer = json.loads(self.text)
        except (ValueError, RecursionError):
            return self.text
        found = answer.get("error") if isinstance(answer, dict) else None
        if isinstance(found, dict):
            found = found.get("message")
        return found if isinstance(found, str) else self.text

    @property
    def is_of_the_token(self) -> bool:
        """Whether it is refused for its token, which has ended: a new one helps."""
        return self.status == HTTPStatus.UNAUTHORIZED or any(words in self.text for words in _TOKEN_ENDED)

    @property
    def is_transient(self) -> bool:
        """Whether another member, or the same one a little later, may do better."""
        if _CORRUPT in self.text or _NO_SPACE in self.text:
            return False
        return self.status in _TRANSIENT_STATUS or _TOO_MANY in self.text

    def explained(self, config: EtcdConfig) -> str:
        """What it means, and what helps, in words; else the answer itself."""
        if _NO_SPACE in self.text:
            return (
                "etcd's alarm NOSPACE is raised: its database has reached its quota, so it takes no writes; "
                "make room and lift the alarm: etcdctl compaction REVISION (of etcdctl endpoint status "
                "--write-out=json), etcdctl defrag, etcdctl alarm disarm"
            )
        if _CORRUPT in self.text:
            return (
                "etcd's alarm CORRUPT is raised: a member's data differs from the others', so no request is "
                "taken; see which, with etcdctl alarm list and etcdctl endpoint hashkv, replace its data, "
                "then: etcdctl alarm disarm"
            )
        return self._about_the_user(config) or str(self)

    def _about_the_user(self, config: EtcdConfig) -> str:
        if _COMMON_NAME in self.text:
            user = "" if config.user else ", and set etcd.user and etcd.password_file"
            return (
                "the cluster wants a user, and a certificate's common name (CN) does not log in over its "
                f"JSON gateway, which refuses etcd.cert for it: take one without a common name{user}"
            )
        if _NO_USER in self.text:
            return "the cluster wants a user, and none is given: set etcd.user and etcd.password_file"
        if _NO_AUTH in self.text:
            return (
                "etcd.user is not used there, for authentication is not enabled: leave it out, or enable it"
            )
        if _WRONG_PASSWORD in self.text:
            return (
                f"the cluster refuses the login: etcd.user is {config.user!r}, its password in "
                f"{config.password_file}"
            )
        if _DENIED in self.text:
            return (
                f"the user {config.user!r} may not read and write there: give a role of it readwrite on the "
                "prefix: etcdctl role grant-permission ROLE --prefix=true readwrite PREFIX"
            )
        return ""
