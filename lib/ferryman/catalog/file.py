"""The service catalog's file in its place: read, flipped, and written back only over what was read."""

from __future__ import annotations

import os
from pathlib import Path

from ferryman.catalog.flip import Encapsulation, flip
from ferryman.catalog.lock import locked
from ferryman.catalog.replace import FolderNotSyncedError, replace_file
from ferryman.catalog.yaml_edit.change import CatalogEdit, Edited, unified_diff
from ferryman.errors import DryRunError, InventoryError, RefusedError, VerifyError, WorldChangedError
from ferryman.permissions import not_replaceable, user_name
from ferryman.trust import untrusted

SERVICES_FILE = "services.yaml"
"""The catalog's name in the inventory's folder."""
LOCK_TIMEOUT_S = 10.0
"""Seconds that a write waits for another one to finish."""
DIFF_LINES_SHOWN = 20


class Catalog:
    """A services.yaml; one that is a symbolic link is followed to its file."""

    def __init__(self, path: Path, *, dry_run: bool = False, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.path = path
        self._dry_run = dry_run
        self._lock_timeout_s = lock_timeout_s

    def text(self) -> bytes:
        """What the file holds now.

        Raises:
            InventoryError: It cannot be read, or somebody else may have written it.
        """
        if reason := untrusted(self.path):
            raise InventoryError([f"{self.path}: is not trusted: {reason}"])
        try:
            return self.path.read_bytes()
        except OSError as error:
            message = f"{self.path}: cannot be read: {error.strerror}; expected the service catalog"
            raise InventoryError([message]) from error

    def require_writable(self) -> None:
        """Check that this process may write the file, as far as that shows without writing.

        Raises:
            RefusedError: It may not; nothing was written.
        """
        if obstacle := not_replaceable(self.path):
            raise RefusedError(
                f"{self.path}: may not be written: {obstacle}; expected a folder that {user_name()} may read "
                "and write, for the file is replaced whole; have its owner allow that, or run as its owner"
            )

    def edited(self, edit: CatalogEdit) -> Edited:
        """The file with this edit made; nothing is written.

        Raises:
            InventoryError: There is no such service or site, or no edit that is small and safe.
        """
        before = self.text()
        return Edited.of(before, edit.made(before, name=self.path.name), self.path.name)

    def flipped(self, service: str, site: str, to: Encapsulation) -> Edited:
        """The file with the site in the service's flag, or out of it; nothing is written.

        Raises:
            InventoryError: As ``encapsulated``; or there is no edit that is small and safe.
        """
        before = self.text()
        after = flip(before, service, site, to, name=self.path.name)
        return Edited.of(before, after, self.path.name)

    def write(self, after: bytes, *, expected: bytes) -> None:
        """Put ``after`` in the file's place when the file still holds ``expected``; whole, and on disk.

        A file that already holds ``after`` is left alone.

        Raises:
            DryRunError: This is a dry run.
            WorldChangedError: The file holds something else; it was left alone.
            BusyError: Someone else kept the folder locked for too long.
            VerifyError: It could not be written; says what is there now.
        """
        if self._dry_run:
            raise DryRunError(f"{self.path}: a dry run tried to write the catalog; nothing was written")
        try:
            target = Path(os.path.realpath(self.path, strict=True))
            with locked(target.parent, within_s=self._lock_timeout_s) as folder:
                if self._as_expected(target.read_bytes(), after, expected):
                    replace_file(target, after, folder)
        except FolderNotSyncedError as error:
            message = f"was written, but the folder could not be synced ({error.strerror}): check the disk"
            raise VerifyError(f"{self.path}: {message}") from error
        except FileNotFoundError as error:
            raise WorldChangedError(f"{self.path}: is gone since it was read; put it back first") from error
        except OSError as error:
            why = error.strerror or error
            message = f"could not be written ({why}); it is as it was; remove the cause and run again"
            raise VerifyError(f"{self.path}: {message}") from error

    def _as_expected(self, now: bytes, after: bytes, expected: bytes) -> bool:
        if now == after:
            return False
        if now == expected:
            return True
        lines = unified_diff(expected, now, self.path.name).splitlines()
        shown = "\n".join(lines[:DIFF_LINES_SHOWN])
        more = len(lines) - DIFF_LINES_SHOWN
        tail = f"\n({more} more lines)" if more > 0 else ""
        raise WorldChangedError(
            f"{self.path}: someone else changed it since it was read; it was left alone; run again. "
            f"What they changed:\n{shown}{tail}"
        )
