"""The host routes that keep established connections whole while a director's destinations change.

``ferryman.directors.routes`` has the reason. They must be there from before the first edit until no
connection from before is left, on the way there and on the way back: so one step puts them up before the
directors are changed, another takes them down at the end, and each is the other's undo.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypedDict

from ferryman.directors import HostRoutes, Route
from ferryman.engine.steps import AlreadySo, Change, Report
from ferryman.errors import RefusedError, VerifyError
from ferryman.model import Edit, Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferryman.cookbook.ferry import Ferry
    from ferryman.model import Director, Service


class RoutesBefore(TypedDict):
    """A director's routes to a service's realservers: ``[address, device]`` each."""

    needed: list[list[str]]
    ours: list[list[str]]
    """What an earlier run of this service left there."""


@dataclass(frozen=True)
class _HostRoutes:
    ferry: Ferry
    service: Service
    director: Director

    @property
    def _routes(self) -> HostRoutes:
        return HostRoutes(self.director, self.service, self.ferry.hosts)

    def _is_flipped(self) -> bool:
        return all(one is Forwarding.TUNNEL for one in self._methods())

    def _is_back(self) -> bool:
        return Forwarding.TUNNEL not in self._methods()

    def _needless(self) -> str | None:
        """Why it needs none, where that is so."""
        if not self.ferry.driver(self.director, self.service).has_ipvs:
            return "it has no IPVS table, which would keep routes"
        return "its destinations are tunnelled already" if self._is_flipped() else None

    def _methods(self) -> list[Forwarding]:
        table = self.ferry.driver(self.director, self.service).read()
        return [one.forwarding for server in table for one in server.destinations]

    def _put_up(self) -> None:
        self._routes.add(self._routes.read().needed)

    def _take_down(self) -> None:
        """Remove what is ours, unless connections from before still need it."""
        if not self.ferry.wait_for_old_connections(self.director, self.service):
            self._routes.remove(self._routes.read().ours)

    def _tell_if_kept(self, report: Report) -> None:
        if not (left := self._routes.read().ours):
            return
        if not self.ferry.old_connections(self.director, self.service):
            addresses = ", ".join(str(one.address) for one in left)
            raise VerifyError(f"{self.director.host}: its host routes to {addresses} are still there")
        report.finding(
            Finding(
                "host-routes",
                self.director.host,
                Verdict.WARN,
                f"{len(left)} host routes stay: they protect connections from before that may still be used",
                "none left behind",
                "when those connections have ended: " + "; ".join(self._routes.remove_commands(left)),
            )
        )


@dataclass(frozen=True)
class HostRoutesUp(_HostRoutes, Change[RoutesBefore]):
    """{director.host} has a host route to each realserver of {service.name}."""

    def check(self, report: Report) -> RoutesBefore | AlreadySo:
        """Read which are missing; none are needed where nothing is left to flip."""
        del report
        if reason := self._needless():
            return AlreadySo(reason)
        seen = self._routes.read()
        if seen.problems:
            raise RefusedError("\n".join(f"{self.director.host}: {problem}" for problem in seen.problems))
        if not seen.needed:
            left = RoutesBefore(needed=[], ours=_as_lists(seen.ours)) if seen.ours else None
            return AlreadySo("each is reached through itself already", left)
        return RoutesBefore(needed=_as_lists(seen.needed), ours=_as_lists(seen.ours))

    def edits(self, before: RoutesBefore) -> Sequence[Edit]:
        """The commands that add them."""
        commands = self._routes.add_commands(_as_routes(before["needed"]))
        return _as_edits(self.director, commands)

    def do(self, before: RoutesBefore) -> None:
        """Add what is missing."""
        self._routes.add(_as_routes(before["needed"]))

    def verify(self, report: Report) -> None:
        """See that each realserver is reached through itself, unless nothing is left to flip."""
        del report
        if self._needless():
            return
        if missing := self._routes.read().needed:
            addresses = ", ".join(str(one.address) for one in missing)
            raise VerifyError(f"{self.director.host}: no host route to {addresses} after adding them")

    def undo(self, before: RoutesBefore) -> None:
        """Remove what is this service's, once no connection needs it.

        At once, where nothing was edited and no earlier run had left any. The director's own step, which
        edits, is put back before this one, by whichever process goes back.
        """
        if before["ours"] or self.ferry.has_edited(self.director, self.service):
            self._take_down()
        else:
            self._routes.remove(self._routes.read().ours)

    def edits_back(self, before: RoutesBefore) -> Sequence[Edit]:
        """The commands that remove them."""
        commands = self._routes.remove_commands(_as_routes([*before["ours"], *before["needed"]]))
        return _as_edits(self.director, commands)

    def undone(self, before: RoutesBefore, report: Report) -> str | None:
        """Whether they are gone; that they stay for connections which need them is told, and no failure."""
        del before
        try:
            self._tell_if_kept(report)
        except VerifyError as error:
            return str(error)
        return None


@dataclass(frozen=True)
class HostRoutesDown(_HostRoutes, Change[list[list[str]]]):
    """{director.host} needs no host routes for {service.name} any more."""

    def check(self, report: Report) -> list[list[str]] | AlreadySo:
        """Read which routes there are or will be: they are this service's own, and marked as such."""
        del report
        seen = self._routes.read()
        if self._needless() and not seen.ours:
            return AlreadySo("it has none")
        return sorted(_as_lists({*seen.ours, *seen.needed}))

    def edits(self, before: list[list[str]]) -> Sequence[Edit]:
        """The commands that remove them."""
        commands = self._routes.remove_commands(_as_routes(before))
        return _as_edits(self.director, commands)

    def do(self, before: list[list[str]]) -> None:
        """Remove them, unless connections from before still need them."""
        del before
        self._take_down()

    def verify(self, report: Report) -> None:
        """Whether they are gone; where they stay, that is told with the commands for later."""
        self._tell_if_kept(report)

    def undo(self, before: list[list[str]]) -> None:
        """Put them up again, for the destinations are about to change back; if they have, it is too late."""
        del before
        if not self._is_back():
            self._put_up()

    def edits_back(self, before: list[list[str]]) -> Sequence[Edit]:
        """The commands that add them again."""
        commands = self._routes.add_commands(_as_routes(before))
        return _as_edits(self.director, commands)

    def undone(self, before: list[list[str]], report: Report) -> str | None:
        """Whether they are up, where a destination is left to change back."""
        del before, report
        if self._is_back():
            return None
        missing = self._routes.read().needed
        return f"{self.director.host}: no host route to {missing[0].address}" if missing else None


def _as_lists(routes: Iterable[Route]) -> list[list[str]]:
    return [[str(one.address), one.device] for one in routes]


def _as_routes(lists: Iterable[list[str]]) -> list[Route]:
    return [Route(ip_address(address), device) for address, device in lists]


def _as_edits(director: Director, commands: Sequence[str]) -> list[Edit]:
    return [Edit("director", director.host, command="\n".join(commands))] if commands else []
