"""What a change makes of a service's entries in an IPVS table: one thing of them, all the rest as before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.directors.ipvs import Destination, Table
    from ferryman.model import Forwarding


class Target(ABC):
    """One aspect of a table, and what it is to be; a value."""

    @abstractmethod
    def of(self, table: Table) -> Table:
        """The table as it is to be."""

    @abstractmethod
    def taken_from(self, model: Table, table: Table) -> Table:
        """The table with this aspect as the model has it, where the model has it: the rest is what it was."""

    @abstractmethod
    def reverted(self, before: Table, now: Table) -> Table:
        """The table of now with this aspect as it was, wherever it is what this target makes of it.

        What is neither the one nor the other is somebody else's work, and stays.
        """

    @abstractmethod
    def made_in(self, table: Table) -> list[str]:
        """Each entry that has this aspect as the target wants it, in words."""


@dataclass(frozen=True, slots=True)
class SetForwarding(Target):
    """Every destination forwards by this method."""

    forwarding: Forwarding

    def __str__(self) -> str:
        return self.forwarding.word

    def of(self, table: Table) -> Table:
        """The same destinations, weights and limits with this forwarding method."""
        return tuple(one.forwarded(self.forwarding) for one in table)

    def taken_from(self, model: Table, table: Table) -> Table:
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

    def reverted(self, before: Table, now: Table) -> Table:
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

    def made_in(self, table: Table) -> list[str]:
        """Each destination that forwards by this method."""
        return [
            f"{server}: {destination.key} is {destination.forwarding.word}"
            for server in table
            for destination in server.destinations
            if self._is_made(destination)
        ]

    def _is_made(self, one: Destination) -> bool:
        return one.forwarding is self.forwarding and not one.tunnel


@dataclass(frozen=True, slots=True)
class SetScheduler(Target):
    """Every virtual server chooses by this scheduler, with these flags."""

    scheduler: str
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.scheduler} ({','.join(self.flags)})" if self.flags else self.scheduler

    def of(self, table: Table) -> Table:
        """The same destinations and options with this scheduler."""
        return tuple(replace(one, scheduler=self.scheduler, scheduler_flags=self.flags) for one in table)

    def taken_from(self, model: Table, table: Table) -> Table:
        """The table with each virtual server's scheduler and flags taken from the model."""
        known = {one.key: one for one in model}
        return tuple(
            replace(one, scheduler=like.scheduler, scheduler_flags=like.scheduler_flags)
            if (like := known.get(one.key))
            else one
            for one in table
        )

    def reverted(self, before: Table, now: Table) -> Table:
        """The table with scheduler and flags from before, but for schedulers that are neither's."""
        known = {one.key: one for one in before}
        ours = tuple(
            one
            for one in now
            if one.key in known and one.scheduler in (self.scheduler, known[one.key].scheduler)
        )
        reverted = {one.key: one for one in self.taken_from(before, ours)}
        return tuple(reverted.get(one.key, one) for one in now)

    def made_in(self, table: Table) -> list[str]:
        """Each virtual server with this scheduler and these flags."""
        meant = (self.scheduler, set(self.flags))
        return [
            f"{one}: is scheduled by {self}"
            for one in table
            if (one.scheduler, set(one.scheduler_flags)) == meant
        ]
