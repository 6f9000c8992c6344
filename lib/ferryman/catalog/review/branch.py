"""The service catalog in a git clone, as the branch has it that people merge into: the base.

What counts is the base, not the operator's working tree: that is compared with it, and fast-forwarded to it
where nothing of the operator's blocks that.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ferryman.catalog.review.git import Git
from ferryman.catalog.yaml_edit.change import CatalogEdit, Edited
from ferryman.catalog.yaml_edit.lookup import read, whole_entry
from ferryman.errors import DoubtError, RefusedError
from ferryman.permissions import user_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.config import CatalogConfig


class GitCatalog:
    """A services.yaml, or a symbolic link to one, in a git clone.

    Raises:
        RefusedError: From every method: it is in no clone, or the base is not there.
        InventoryError: From whatever reads the file: it is no catalog, or has no such service.
    """

    def __init__(
        self,
        file: Path,
        config: CatalogConfig,
        *,
        dry_run: bool = False,
        git: Callable[[Path, bool, float], Git] = Git,
    ) -> None:
        """``git`` makes what runs git in a folder, dry or not, with a time limit in seconds."""
        self.file = file
        self.config = config
        self.dry_run = dry_run
        self._git_in = git

    @cached_property
    def git(self) -> Git:
        """git, at the top of the clone."""
        inside = self._git_in(self.real_file.parent, self.dry_run, self.config.timeout)
        result = inside.try_read("rev-parse", "--show-toplevel")
        if result.status != 0 or not result.text:
            # git has a second line where the folder is on a file system of its own, as /tmp often is.
            printed = " ".join(result.err.splitlines())
            raise RefusedError(
                f"{self.file}: is in no git clone, and [catalog] base wants one: {printed}; put the "
                "inventory's services.yaml there, or a symbolic link to the file in the clone"
            )
        return self._git_in(Path(result.text), self.dry_run, self.config.timeout)

    @cached_property
    def real_file(self) -> Path:
        """The file itself, where it is a symbolic link into the clone."""
        return Path(os.path.realpath(self.file))

    def text(self) -> bytes:
        """What the operator's working tree has; raises OSError."""
        return self.file.read_bytes()

    @cached_property
    def path(self) -> str:
        """The catalog file's path, relative to the top of the clone."""
        return str(self.real_file.relative_to(self.git.folder))

    @property
    def base_name(self) -> str:
        """The base's name for people, such as ``origin/production``."""
        remote, base = self.config.remote, self.config.base
        return f"{remote}/{base}" if remote else base

    @property
    def base_ref(self) -> str:
        """The base's full reference, such as ``refs/remotes/origin/production``."""
        kind = f"remotes/{self.config.remote}" if self.config.remote else "heads"
        return f"refs/{kind}/{self.config.base}"

    def refresh(self) -> None:
        """Fetch the base from the remote; without a remote there is nothing to do.

        Raises:
            UnreachableError: The remote could not be asked.
        """
        remote = self.config.remote
        if not remote:
            return
        if self.git.found("config", "--get", f"remote.{remote}.url") is None:
            raise RefusedError(f"{self.git.folder}: has no remote {remote}, which [catalog] remote names")
        refspec = f"+refs/heads/{self.config.base}:{self.base_ref}"
        self.git.remote_read("fetch", *_QUIETLY, remote, refspec)

    def heads(self, *branches: str) -> dict[str, str]:
        """The commits of those of these branches that exist now: on the remote, where one is configured.

        Without a remote they are read in this order.

        Raises:
            UnreachableError: The remote could not be asked.
        """
        if not self.config.remote:
            return {name: found for name in branches if (found := self.here(f"refs/heads/{name}"))}
        listed = self.git.remote_read(
            "ls-remote", self.config.remote, *(f"refs/heads/{name}" for name in branches)
        )
        pairs = (line.split("\t", 1) for line in listed.splitlines() if "\t" in line)
        return {ref.removeprefix("refs/heads/"): commit for commit, ref in pairs}

    def fetched(self, head: str | None) -> str:
        """The base's commit, fetched if it is not the one that is here; raises as ``heads``."""
        if head is None:
            raise DoubtError(f"{self.git.folder}: {self.base_name} is gone; see who removed it")
        if self.here(self.base_ref) != head:
            self.refresh()
        return self.base()

    def base(self) -> str:
        """The base's commit, as of the last fetch."""
        commit = self.here(self.base_ref)
        if commit is None:
            raise RefusedError(
                f"{self.git.folder}: there is no {self.base_name}, which [catalog] base names; git fetch, "
                "or name the branch that changes are merged into"
            )
        return commit

    def here(self, ref: str) -> str | None:
        """The commit that a reference of this clone names."""
        return self.git.found("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")

    def contains(self, commit: str, *, base: str = "") -> bool:
        """Whether the base, as it is here or as of that commit, has another commit in its history."""
        return self.git.found("merge-base", "--is-ancestor", commit, base or self.base_ref) is not None

    def content(self, commit: str) -> bytes:
        """The bytes of the catalog as a commit has it; raises RefusedError where it has none."""
        if self.git.try_read("cat-file", "-e", f"{commit}:{self.path}").status != 0:
            raise RefusedError(f"{self.git.folder}: {self.base_name} ({commit[:12]}) has no {self.path}")
        return self.git.content(f"{commit}:{self.path}")

    def entry(self, commit: str, service: str) -> str:
        """A service's entry in a commit, in a normal form: layout and comments do not count."""
        return entry_of(self.content(commit), service, f"{self.base_name}:{self.path}")

    def says(self, commit: str, edit: CatalogEdit) -> bool:
        """Whether a commit's catalog is already as an edit would make it."""
        return not self.edited(commit, edit).diff

    def edited(self, commit: str, edit: CatalogEdit) -> Edited:
        """A commit's catalog with this edit made; nothing is written."""
        before = self.content(commit)
        after = edit.made(before, name=f"{self.base_name}:{self.path}")
        return Edited.of(before, after, self.path)

    def entry_in_tree(self, service: str) -> str:
        """A service's entry in the operator's working tree, which the inventory was read from."""
        try:
            return entry_of(self.text(), service, str(self.file))
        except OSError as error:
            raise RefusedError(f"{self.file}: cannot be read: {error.strerror}") from error

    def require_identity(self) -> None:
        """Make sure that git knows whose commits they are.

        Raises:
            RefusedError: user.name or user.email is missing.
        """
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            if self.git.found("var", who) is None:
                raise RefusedError(
                    f"{self.git.folder}: git does not know whose commit it is to be; "
                    'git config --global user.name "…"; git config --global user.email "…"'
                )

    def require_writable(self) -> None:
        """Make sure that git may add a commit and a branch to the clone.

        Raises:
            RefusedError: A folder of git's own is not this user's to write.
        """
        for part in ("objects", "refs/heads"):
            if obstacle := self.git.obstacle(part):
                raise RefusedError(
                    f"{self.git.folder}: nothing can be committed there: {obstacle}; have its owner allow "
                    f"that (git config core.sharedRepository group), or give {user_name()} a clone of its own"
                )

    def committed(self, parent: str, content: bytes, message: str) -> str:
        """A commit on top of another that has this content as the catalog; on no branch, in no working tree.

        It is signed where commit.gpgSign says so, and a commit-msg hook is called: it may refuse, or add
        to the message.

        Raises:
            GitError: git, or the hook, refused.
        """
        tree = self._tree(parent, self.git.write("hash-object", "-w", "--stdin", stdin=content))
        signed = self.git.found("config", "--type=bool", "--get", "commit.gpgSign") == "true"
        text = self._hooked(message).encode()
        sign = ["-S"] if signed else []
        return self.git.write("commit-tree", tree, "-p", parent, *sign, "-F", "-", stdin=text)

    def fast_forward(self) -> str | None:
        """Fast-forward the operator's working tree to the base; returns what blocks it, if anything."""
        git, base = self.git, self.base()
        branch = git.found("symbolic-ref", "--quiet", "--short", "HEAD")
        if branch != self.config.base:
            return f"it is on {branch or 'no branch'}, not on {self.config.base}"
        if git.read("status", "--porcelain", "--untracked-files=no"):
            return "it has changes that are not committed"
        if (head := git.read("rev-parse", "HEAD")) == base:
            return None
        if git.found("merge-base", "--is-ancestor", head, base) is None:
            return f"it has commits that are not in {self.base_name}"
        result = git.try_write("merge", "--ff-only", "--quiet", base)
        return f"git merge --ff-only said: {result.err}" if result.status != 0 else None

    def _tree(self, parent: str, blob: str) -> str:
        """The tree of a commit with another blob in the file's place; every mode stays."""
        parts = self.path.split("/")
        made = blob
        for depth in reversed(range(len(parts))):
            listed = self.git.try_read("ls-tree", "-z", f"{parent}:{'/'.join(parts[:depth])}").out
            lines = [_replaced(line, parts[depth].encode(), made) for line in listed.split(b"\0") if line]
            made = self.git.write("mktree", "-z", stdin=b"".join(line + b"\0" for line in lines))
        return made

    def _hooked(self, message: str) -> str:
        """The message as the operator's commit-msg hook leaves it."""
        if not self.git.has_hook("commit-msg"):
            return message
        return self.git.edited_by_hook("commit-msg", message)


def entry_of(content: bytes, service: str, name: str) -> str:
    """A service's entry in a catalog, in a normal form: layout and comments do not count.

    Raises:
        InventoryError: It is no catalog, or has no such service.
    """
    entry = whole_entry(read(content, name)[1], service)
    return yaml.safe_dump(entry, sort_keys=False, allow_unicode=True)


def _replaced(line: bytes, name: bytes, made: str) -> bytes:
    """A line of ls-tree, with another object where it is the one with this name."""
    meta, _, listed = line.partition(b"\t")
    if listed != name:
        return line
    return b" ".join([*meta.split(b" ")[:2], made.encode()]) + b"\t" + listed


_QUIETLY = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
