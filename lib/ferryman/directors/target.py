"""What a change makes of a service's entries in an IPVS table: one thing of them, all the rest as before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.ipvs.table import Destination, Table
    from ferryman.model import Forwarding


class Target(ABC):
    """One aspect of a table, and what it is to be; a value."""

    @abstractmethod
    def apply(self, table: Table) -> Table:
        """The table as it is to be."""

    @abstractmethod
    def copy_from(self, model: Table, table: Table) -> Table:
        """The table with this aspect as the model has it, where the model has it: the rest is what it was."""

    @abstractmethod
    def revert(self, before: Table, now: Table) -> Table:
        """The table of now with this aspect as it was, wherever it is what this target makes of it.

        What is neither the one nor the other is somebody else's work, and stays.
        """

    @abstractmethod
    def matching(self, table: Table) -> list[str]:
        """Each entry that has this aspect as the target wants it, in words."""


@dataclass(frozen=True, slots=True)
class SetForwarding(Target):
    """Every destination forwards by this method."""

    forwarding: Forwarding

    def __str__(self) -> str:
        return self.forwarding.word

    def apply(self, table: Table) -> Table:
        """The same destinations, weights and limits with this forwarding method."""
        return tuple(server.forwarded(self.forwarding) for server in table)

    def copy_from(self, model: Table, table: Table) -> Table:
        """The table with each destination's forwarding method taken from the model."""
        methods = {
            (server.key, destination.key): destination
            for server in model
            for destination in server.destinations
        }
        return tuple(
            replace(
                server,
                destinations=tuple(
                    destination.like(methods.get((server.key, destination.key), destination))
                    for destination in server.destinations
                ),
            )
            for server in table
        )

    def revert(self, before: Table, now: Table) -> Table:
        """The table with the method from before for each destination that forwards by this one."""
        methods = {
            (server.key, destination.key): destination
            for server in before
            for destination in server.destinations
        }
        return tuple(
            replace(
                server,
                destinations=tuple(
                    destination.like(methods.get((server.key, destination.key), destination))
                    if self._is_made(destination)
                    else destination
                    for destination in server.destinations
                ),
            )
            for server in now
        )

    def matching(self, table: Table) -> list[str]:
        """Each destination that forwards by this method."""
        return [
            f"{server}: {destination.key} is {destination.forwarding.word}"
            for server in table
            for destination in server.destinations
            if self._is_made(destination)
        ]

    def _is_made(self, destination: Destination) -> bool:
        return destination.forwarding is self.forwarding and not destination.tunnel


@dataclass(frozen=True, slots=True)
class SetScheduler(Target):
    """Every virtual server chooses by this scheduler, with these flags."""

    scheduler: str
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.scheduler} ({','.join(self.flags)})" if self.flags else self.scheduler

    def apply(self, table: Table) -> Table:
        """The same destinations and options with this scheduler."""
        return tuple(
            replace(server, scheduler=self.scheduler, scheduler_flags=self.flags) for server in table
        )

    def copy_from(self, model: Table, table: Table) -> Table:
        """The table with each virtual server's scheduler and flags taken from the model."""
        known = {server.key: server for server in model}
        return tuple(
            replace(server, scheduler=like.scheduler, scheduler_flags=like.scheduler_flags)
            if (like := known.get(server.key))
            else server
            for server in table
        )

    def revert(self, before: Table, now: Table) -> Table:
        """The table with scheduler and flags from before, but for schedulers that are neither's."""
        known = {server.key: server for server in before}
        ours = tuple(
            server
            for server in now
            if server.key in known and server.scheduler in (self.scheduler, known[server.key].scheduler)
        )
        reverted = {server.key: server for server in self.copy_from(before, ours)}
        return tuple(reverted.get(server.key, server) for server in now)

    def matching(self, table: Table) -> list[str]:
        """Each virtual server with this scheduler and these flags."""
        meant = (self.scheduler, set(self.flags))
        return [
            f"{server}: is scheduled by {self}"
            for server in table
            if (server.scheduler, set(server.scheduler_flags)) == meant
        ]
