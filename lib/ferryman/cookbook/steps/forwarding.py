"""The change of a director that moves a service to IPIP, and whether it could be put back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ferryman import directors
from ferryman.cookbook.steps.directors import TUNNELLED, DirectorChanged
from ferryman.errors import DoubtError, VerifyError
from ferryman.model import Edit, Forwarding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ferryman.engine.steps import Purpose, Report
    from ferryman.hosts.shared import Question
    from ferryman.hosts.verbs import ReadVerb
    from ferryman.model import Address, Service


def _is_direct(before: dict[str, Any]) -> bool:
    """Whether any destination was forwarded by direct routing."""
    table = directors.from_json(before["table"])
    return any(
        destination.forwarding is Forwarding.DIRECT for server in table for destination in server.destinations
    )


def _addresses_in(before: dict[str, Any]) -> list[Address]:
    """The addresses of all destinations in a director's table as it was."""
    return _addresses_of(directors.from_json(before["table"]))


def _addresses_of(table: directors.Table) -> list[Address]:
    return [destination.address for server in table for destination in server.destinations]


@dataclass(frozen=True)
class DirectorConverged(DirectorChanged):
    """{director.host}, {role}, forwards {service.name} through the tunnel."""

    @property
    def goal(self) -> directors.Target:
        """The target: every destination is forwarded through the tunnel."""
        return TUNNELLED

    @property
    def wanted(self) -> Service:
        """The service as the catalog will have it: encapsulated."""
        return replace(self.service, encapsulated=True)

    def questions(self, purpose: Purpose, before: dict[str, Any] | None) -> Iterator[Question]:
        """What its driver asks; and before it is changed or put back the routes to the realservers.

        They tell whether direct routing reaches them, and which keep connections whole.
        """
        yield from super().questions(purpose, before)
        if purpose == "check":
            yield self.director.host, self._routes.question()
        elif purpose == "undo" and before is not None:
            yield self.director.host, self._routes.question(_addresses_in(before))

    @property
    def _after_edit(self) -> Sequence[ReadVerb[Any]]:
        """The connections, after the table: none that was made before the edit took effect is missed."""
        return (directors.connections_question(self.service),)

    def do(self, before: dict[str, Any]) -> Sequence[Edit]:
        """Flip the destinations; every connection of now counts as one from before."""
        self.ferry.mark_edited(self.director, self.service)
        made = super().do(before)
        self.ferry.remember_connections(self.director, self.service)
        return made

    def undo(self, before: dict[str, Any]) -> Sequence[Edit]:
        """Flip the destinations back; every connection of now counts as one from before again.

        The host routes that keep connections whole must be there before that, also when somebody has taken
        them away since; that they cannot be put up keeps no destination from going back.
        """
        self.ferry.mark_edited(self.director, self.service)
        self._require_direct_way(before)
        table, trouble = self._begin_undo(), None
        put_up: Sequence[Edit] = ()
        try:
            put_up = self._hold_connections(before, directors.of_service(table, self.service))
        except (VerifyError, DoubtError) as error:
            trouble = error
        made = self._restore(before, table)
        self.ferry.remember_connections(self.director, self.service)
        if trouble is not None:
            raise trouble
        return [*put_up, *made]

    def require_undoable(self, before: dict[str, Any], report: Report) -> None:
        """Look whether direct routing reaches each realserver, and whether the driver could put it back."""
        self._require_direct_way(before)
        super().require_undoable(before, report)

    @property
    def _routes(self) -> directors.HostRoutes:
        return directors.HostRoutes(self.director, self.service, self.ferry.hosts)

    def _no_way_back(self, before: dict[str, Any]) -> str | None:
        """That direct routing does not reach a destination which a router is before; None when it does."""
        return self._unreached(_addresses_in(before)) if _is_direct(before) else None

    def _unreached(self, addresses: Collection[Address]) -> str | None:
        """Why direct routing does not reach all realservers of the service and these; None when it does."""
        behind = self._routes.read(addresses).behind
        names = {
            address: realserver.host
            for realserver in self.service.realservers
            for address in (realserver.address, realserver.address6)
        }
        if not behind:
            return None
        return directors.no_way_back((names.get(address, str(address)), router) for address, router in behind)

    def _require_direct_way(self, before: dict[str, Any]) -> None:
        """Raise where going back would lose requests that the tunnel carries.

        What counts is who is there now: one that has left stays away, and one may have been pooled since.
        Where the routes cannot be read, nothing is known against it.

        Raises:
            VerifyError: Direct routing does not reach a realserver; nothing was put back.
        """
        if not _is_direct(before):
            return
        try:
            reason = self._unreached(_addresses_of(self.driver.read()))
        except (VerifyError, DoubtError):
            return
        if reason and self.driver.in_effect(before, self.goal):
            raise VerifyError(
                f"{self.director.host}: not reversible: {reason}; it was left as it is ({self.goal});"
                f" take those realservers out of {self.service.name}'s pool, then:"
                f" ferryman rollback {self.ferry.run_id} --accept-changed-plan"
            )

    def _hold_connections(self, before: dict[str, Any], mine: directors.Table) -> Sequence[Edit]:
        """Add the host routes that are missing, where destinations are about to be edited back."""
        was = directors.from_json(before["table"])
        if (
            self._key not in self.ferry.memory.with_host_routes
            or not self.driver.has_ipvs
            or not directors.compare_tables(was, mine, self.goal).ours
        ):
            return ()
        routes = self._routes
        needed = routes.read(_addresses_in(before)).needed
        routes.add(needed)
        return [
            Edit("director", self.director.host, command=add_command)
            for add_command in routes.add_commands(needed)
        ]
