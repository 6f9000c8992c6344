"""One edit of the catalog on its way through review: a commit on a branch, offered, merged or turned down.

What happened to it is kept in the clone, in references of Ferryman's own below ``refs/ferryman``: the commit
that was ``meant``, that it was ``pushed``, that it was seen ``merged``. They outlive the branch, which people
delete once it is merged, and the process.
"""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from ferryman.catalog.yaml_edit.change import TakenBack
from ferryman.errors import (
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    VerifyError,
    WorldChangedError,
)

if TYPE_CHECKING:
    from ferryman.catalog.review.branch import GitCatalog
    from ferryman.catalog.review.git import Git, GitResult
    from ferryman.catalog.yaml_edit.change import CatalogEdit, Edited

RefKind = Literal["meant", "pushed", "merged"]
"""The references that are kept for each proposal."""


class ReviewStatus(Enum):
    """How far a proposal is in its review."""

    WAITING = "waiting"
    MERGED = "merged"
    """The base says what was meant, however it came there."""
    OTHERWISE = "otherwise"
    """The base says of this service what it did not say before, and not what was meant."""
    TAKEN_BACK = "taken back"
    """It was merged, and the base says what it said before."""
    GONE = "gone"
    """Its branch was deleted, and it was not merged."""


@dataclass(frozen=True, slots=True)
class ReviewState:
    """How far a proposal was when it was looked at, and what the base said then."""

    status: ReviewStatus
    base: str
    """The base's commit."""
    difference: str = ""
    """Of the service's entry: what was meant against what the base has."""


@dataclass(frozen=True)
class Proposal:
    """An edit on a branch of its own; the branch's name is what it is found again by."""

    catalog: GitCatalog
    edit: CatalogEdit
    branch: str

    @property
    def service(self) -> str:
        """The name of the service whose entry it changes."""
        return self.edit.service

    @property
    def commit(self) -> str | None:
        """The commit that is meant, once there is one."""
        return self.catalog.here(_ref("meant", self.branch))

    @property
    def was_merged(self) -> bool:
        """Whether it was seen merged, by this process or an earlier one."""
        return self.catalog.here(_ref("merged", self.branch)) is not None

    @property
    def was_pushed(self) -> bool:
        """Whether the remote was seen to have its branch, by this process or an earlier one."""
        return self.catalog.here(_ref("pushed", self.branch)) is not None

    @property
    def edited(self) -> Edited:
        """The catalog of the base with and without it; nothing is written."""
        return self.catalog.edited(self.catalog.base(), self.edit)

    def require_free(self) -> None:
        """Make sure that its branch's name can be used, and is nobody's.

        Raises:
            RefusedError: It cannot be, or is somebody's.
            UnreachableError: The remote could not be asked.
        """
        if self._git.try_read("check-ref-format", "--branch", self.branch).status != 0:
            raise RefusedError(f"{self.branch!r}: is no name for a branch; see [catalog] branch")
        if (found := self._local) is not None:
            raise RefusedError(f"{self._where}: is a branch already, at {found[:12]}; see whose it is")
        if not self.catalog.dry_run and (found := self.catalog.heads(self.branch).get(self.branch)):
            raise RefusedError(
                f"{self._where}: {self._remote} has it already, at {found[:12]}; see whose it is"
            )

    def adopt(self, trailer: str) -> None:
        """Find what another control host proposed in this run, by this line of its commit's message.

        Raises:
            UnreachableError: The remote could not be asked.
        """
        if self.commit is not None or not self.catalog.config.remote:
            return
        if (head := self._fetched_head()) is not None:
            if trailer in self._git.read("log", "-1", "--format=%B", head).splitlines():
                self._note("meant", head)
                self._note("pushed", head)
            return
        self.catalog.refresh()  # in this order: a branch is deleted once it is merged
        search = ("--format=%H", "--fixed-strings", f"--grep={trailer}")
        if found := self._git.read("log", "-1", *search, self.catalog.base_ref):
            self._note("meant", found)
            self._note("merged", found)

    def propose(self, message: str) -> str:
        """Make the commit, on top of the base, and its branch; both at once or neither.

        Raises:
            GitError: git, or a hook, refused; or the branch exists.
        """
        base = self.catalog.base()
        commit = self.catalog.committed(base, self.edited.after, message)
        refs = (f"refs/heads/{self.branch}", _ref("meant", self.branch))
        lines = "".join(f"create {ref} {commit}\n" for ref in refs)
        self._git.write("update-ref", "--stdin", "-m", "ferryman", stdin=lines.encode())
        return commit

    def offer(self) -> None:
        """Push its branch, where that is asked for and was not done; what the remote then has is what counts.

        Raises:
            VerifyError: The remote, or a hook, refused it; or somebody else's branch has this name there.
            UnknownOutcomeError: The remote could not be asked.
        """
        commit = self.commit
        if commit is None or not self.catalog.config.push or self.was_pushed:
            return
        ref = f"refs/heads/{self.branch}"
        result = self._pushed(f"--force-with-lease={ref}:", f"{commit}:{ref}")
        remote_head = self._on_remote("pushing", result)
        if remote_head == commit:
            self._note("pushed", commit)
            return
        has = f"has {remote_head[:12]} there" if remote_head else "has no such branch"
        raise VerifyError(f"{self._where}: was not pushed: {self._remote} {has}: {result.err or result.text}")

    def look(self) -> ReviewState:
        """Ask how far it is.

        Raises:
            UnreachableError: The remote could not be asked.
            DoubtError: The base is gone.
            InventoryError: The base's catalog cannot be read, or does not have the service any more.
        """
        base_name = self.catalog.config.base
        heads = self.catalog.heads(
            self.branch, base_name
        )  # in this order: a branch is deleted once it is merged
        base = self.catalog.fetched(heads.get(base_name))
        status, difference = self._status(base)
        if status is ReviewStatus.MERGED:
            self._note("merged", base)
        if status is ReviewStatus.WAITING and not self._on_offer(heads):
            status = ReviewStatus.GONE
        return ReviewState(status, base, difference)

    def withdraw(self) -> None:
        """Delete its branch, on the remote first; nothing that others have put on it.

        Raises:
            WorldChangedError: There is more on the branch than was proposed: it was left alone.
            VerifyError: It could not be deleted.
            UnreachableError: The remote could not be asked.
        """
        commit = self.commit
        if commit is None:
            return
        if self.catalog.config.remote:
            self._withdraw_from_remote(commit)
        if (local := self._local) == commit:
            self._git.write("branch", "-D", "--quiet", self.branch)
        elif local is not None:
            raise WorldChangedError(self._not_ours(local))

    def left_on_offer(self) -> bool:
        """Whether people can still merge it by mistake; raises as ``look`` does."""
        remote_head = self.catalog.heads(self.branch).get(self.branch)
        return remote_head is not None and not self.catalog.contains(remote_head)

    def forget(self) -> None:
        """Delete the references that are kept for it."""
        for kind in ("meant", "pushed", "merged"):
            self._git.write("update-ref", "-d", _ref(kind, self.branch))

    @property
    def _git(self) -> Git:
        return self.catalog.git

    @property
    def _remote(self) -> str:
        return self.catalog.config.remote

    @property
    def _where(self) -> str:
        return f"{self._git.folder}: {self.branch}"

    @property
    def _local(self) -> str | None:
        return self.catalog.here(f"refs/heads/{self.branch}")

    def _fetched_head(self) -> str | None:
        """The commit of its branch at the remote, fetched; None where there is no such branch."""
        if (head := self.catalog.heads(self.branch).get(self.branch)) is None:
            return None
        ref = f"refs/heads/{self.branch}"
        try:
            self._git.remote_read("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", self._remote, ref)
        except UnreachableError:
            if self.catalog.heads(self.branch).get(self.branch) is not None:
                raise
            return None  # people have deleted it since it was listed
        return head

    def _note(self, kind: RefKind, commit: str) -> None:
        self._git.write("update-ref", _ref(kind, self.branch), commit)

    def _status(self, base: str) -> tuple[ReviewStatus, str]:
        if isinstance(self.edit, TakenBack):  # what others made of the entry meanwhile is theirs to keep
            return (ReviewStatus.MERGED if self.catalog.says(base, self.edit) else ReviewStatus.WAITING), ""
        commit = self.commit
        assert commit is not None, "nothing was proposed"
        entry = self.catalog.entry
        now, meant = entry(base, self.service), entry(commit, self.service)
        if now == meant:
            return ReviewStatus.MERGED, ""
        difference = _difference(meant, now, self.catalog.base_name)
        if now != entry(f"{commit}^", self.service):
            return ReviewStatus.OTHERWISE, difference
        if self.was_merged or self.catalog.contains(commit, base=base):
            return ReviewStatus.TAKEN_BACK, difference
        return ReviewStatus.WAITING, difference

    def _on_offer(self, heads: dict[str, str]) -> bool:
        """Whether its branch still exists where people can merge it."""
        if self.branch in heads:
            return True
        return bool(self._remote) and not self.was_pushed and self._local is not None

    def _withdraw_from_remote(self, commit: str) -> None:
        remote_head = self.catalog.heads(self.branch).get(self.branch)
        if remote_head is None or self.catalog.contains(remote_head):
            return
        if remote_head != commit:
            raise WorldChangedError(self._not_ours(remote_head))
        ref = f"refs/heads/{self.branch}"
        result = self._pushed(f"--force-with-lease={ref}:{commit}", f":{ref}")
        if self._on_remote("deleting", result) is not None:
            back = (self._remote, "--delete", self.branch)
            raise VerifyError(
                f"{self._where}: {self._remote} did not delete it: {result.err or result.text}; it may still "
                f"be merged: {shlex.join(['git', '-C', str(self._git.folder), 'push', *back])}"
            )

    def _pushed(self, lease: str, refspec: str) -> GitResult:
        return self._git.try_write("push", "--no-follow-tags", lease, self._remote, refspec)

    def _on_remote(self, doing: str, result: GitResult) -> str | None:
        try:
            return self.catalog.heads(self.branch).get(self.branch)
        except UnreachableError as error:
            raise UnknownOutcomeError(
                f"{self._where}: {doing} it at {self._remote} ended with {result.status}, and what is there "
                f"now cannot be asked: {error}"
            ) from error

    def _not_ours(self, head: str) -> str:
        return (
            f"{self._where}: is at {head[:12]}, and {(self.commit or '')[:12]} was proposed: others "
            "have put more on it, it was left alone; delete it by hand, or it may still be merged"
        )


def _ref(kind: str, branch: str) -> str:
    return f"refs/ferryman/{kind}/{branch}"


def _difference(meant: str, now: str, name: str) -> str:
    lines = difflib.unified_diff(meant.splitlines(), now.splitlines(), "meant", name, n=2, lineterm="")
    return "\n".join(lines)
