"""What a change makes of a service's entries in an IPVS table: one thing of them, all the rest as before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferryman.directors.ipvs import Table
    from ferryman.model import Forwarding


class Target(ABC):
    """One aspect of a table, and what it is to be; a value."""

    @abstractmethod
    def of(self, table: Table) -> Table:
        """The table as it is to be."""

    @abstractmethod
    def taken_from(self, model: Table, table: Table) -> Table:
        """The table with this aspect as the model has it, where the model has it: the rest is what it was."""


@dataclass(frozen=True, slots=True)
class Forwarded(Target):
    """Every destination forwards by this method."""

    forwarding: Forwarding

    def __str__(self) -> str:
        return self.forwarding.word

    def of(self, table: Table) -> Table:
        """The same destinations, weights and limits with this forwarding method."""
        return tuple(one.forwarded(self.forwarding) for one in table)

    def taken_from(self, model: Table, table: Table) -> Table:
        """The table with each destination's forwarding method taken from the model."""
        methods = {(server.key, one.key): one for server in model for one in server.destinations}
        return tuple(
            replace(
                server,
                destinations=tuple(
                    one.like(methods.get((server.key, one.key), one)) for one in server.destinations
                ),
            )
            for server in table
        )


@dataclass(frozen=True, slots=True)
class Scheduled(Target):
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
