"""One lab that scenarios are played on, one after the other, in a folder of its own."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ferryman import lab
from ferryman.catalog.file import Catalog
from ferryman.errors import FerrymanError, LabError
from ferryman.lab import LabPaths, faults
from ferryman.lab.folders import free_folder
from ferryman.lab.topology import DEFAULT
from ferryman.model import Forwarding
from ferryman.rehearsal import world
from ferryman.rehearsal.settings import configure
from ferryman.retry import poll_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from ferryman.lab import Topology
    from ferryman.rehearsal.world import World

SETTLED_S = 20.0
"""Seconds for what follows by itself: keepalived takes a realserver back when its health check has passed."""


@dataclass(slots=True)
class Stage:
    """A lab, and the folder of the configuration that it belongs to."""

    name: str
    folder: Path
    source: Path
    """The ``ferryman.toml`` in force, beside which inventory and cookbooks are."""
    inventory: Path
    cookbooks: tuple[Path, ...]
    topology: Topology = DEFAULT
    """What the lab is made of."""
    _as_booted: World | None = None

    @property
    def paths(self) -> LabPaths:
        """The lab's own files and sockets."""
        return LabPaths.of(self.folder)

    @property
    def config(self) -> Path:
        """The scenario's own ``ferryman.toml``."""
        return self.folder / "ferryman.toml"

    @property
    def catalog(self) -> Path:
        """The scenario's own catalog."""
        return self.folder / "inventory" / "services.yaml"

    def furnish(self, tables: Mapping[str, Any]) -> None:
        """Write configuration and inventory anew, with an empty journal; the lab is up."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        source, inventory = self.source, self.inventory
        if self.topology != DEFAULT:  # the lab has written an inventory of itself, and what is set for it
            source = self.paths.configuration / "ferryman.toml"
            inventory = self.paths.configuration / "inventory"
        folders = {"inventory": "inventory", "cookbooks": [str(folder) for folder in self.cookbooks]}
        own = {**folders, "state": "sqlite:.ferryman/state.db", "lab": True}
        configure(source, self.config, {**own, **tables})
        shutil.copytree(inventory, self.folder / "inventory", ignore=shutil.ignore_patterns(".git"))
        if self.topology == DEFAULT:
            self._flip_as_booted()

    def _flip_as_booted(self) -> None:
        """Let the catalog say what the directors do after a boot: who tried the lab may have migrated."""
        catalog = Catalog(self.catalog)
        for service in self.topology.services:
            to: Literal["ipip", "direct"] = "ipip" if service.forwarding is Forwarding.TUNNEL else "direct"
            flip = catalog.flipped(service.name, self.topology.site, to)
            if flip.after != flip.before:
                catalog.write(flip.after, expected=flip.before)

    def ready(self, topology: Topology) -> float:
        """Boot a lab of this topology unless one is up and clean; seconds that it took, 0 when it was.

        Raises:
            LabError: It could not be booted, twice.
        """
        if self._as_booted is not None and self.topology == topology:
            return 0.0
        began = time.monotonic()
        lab.down(self.paths)
        self.topology = topology
        self._as_booted = None
        try:
            lab.up(self.paths, topology=topology)
        except LabError:  # on a machine that has too much to do it may not come up in time: once more
            lab.up(self.paths, topology=topology)
        self._as_booted = self._look()
        return time.monotonic() - began

    def put_back(self) -> list[str]:
        """Take every fault out and compare the lab with what it was after its boot.

        Returns the lines by which they differ; then the next scenario gets a lab that is booted anew.
        """
        if (booted := self._as_booted) is None:
            return []
        try:
            faults.clear(self.paths)
            now = poll_until(
                self._look,
                lambda now: now.hosts == booted.hosts or world.is_flipped(booted, now),
                within_s=SETTLED_S,
            )
            left = [] if now.hosts == booted.hosts else booted.unlike(now)
        except FerrymanError as error:
            left = [str(error)]
        if left:
            self._as_booted = None
        return left

    def abandon(self) -> None:
        """Have the next scenario boot the lab anew."""
        self._as_booted = None

    def down(self) -> None:
        """Take the lab down."""
        self._as_booted = None
        lab.down(self.paths)

    def _look(self) -> World:
        return world.look(self.paths, self.topology)


@contextmanager
def own_stage(source: Path, inventory: Path, cookbooks: tuple[Path, ...], parent: Path) -> Iterator[Stage]:
    """A stage that no other rehearsal uses, cleared of what one that was killed has left; down at the end."""
    with free_folder(parent) as (number, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        stage = Stage(f"lab {number}", folder, source, inventory, cookbooks)
        try:
            yield stage
        finally:
            stage.down()
            for left in parent.glob(f"{number}.*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                elif left.suffix != ".lock":
                    left.unlink()
            shutil.rmtree(folder, ignore_errors=True)
