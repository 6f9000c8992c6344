"""The host routes that keep established connections whole while a director's destinations change.

``ferryman.directors.routes`` has the reason. They must be there from before the first edit until no
connection from before is left, in the change and in its rollback: so one step adds them before the
directors are changed, another removes them at the end, and each is the other's undo.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypedDict

from ferryman.cookbook.memory import Key, key_of
from ferryman.directors import HostRoutes, Route, connections_question
from ferryman.engine.steps import Change, NoChange, Report
from ferryman.errors import ArgumentError, RefusedError, VerifyError
from ferryman.hosts.shared import read_back
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.hosts.verbs.routes import ROUTES
from ferryman.model import Edit, Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ferryman.cookbook.context import Ferry
    from ferryman.directors import Driver, RoutesState
    from ferryman.engine.steps import Purpose
    from ferryman.hosts.shared import Question
    from ferryman.model import Director, Service


class RoutesBefore(TypedDict):
    """A director's routes to a service's realservers: ``[address, device]`` each."""

    needed: list[list[str]]
    ours: list[list[str]]
    """Those that an earlier run of this service could not remove."""


@dataclass(frozen=True)
class _HostRoutes:
    ferry: Ferry
    service: Service
    director: Director

    @property
    def _key(self) -> Key:
        return key_of(self.director, self.service)

    @property
    def _routes(self) -> HostRoutes:
        return HostRoutes(self.director, self.service, self.ferry.hosts)

    def _is_flipped(self) -> bool:
        return all(method is Forwarding.TUNNEL for method in self._methods())

    def _is_back(self) -> bool:
        return Forwarding.TUNNEL not in self._methods()

    def _reason_for_none(self) -> str | None:
        """Why the director needs no host routes; None where it needs some."""
        if not self._driver.has_ipvs:
            return "it has no IPVS table, which would keep routes"
        return "its destinations are tunnelled already" if self._is_flipped() else None

    def _methods(self) -> list[Forwarding]:
        table = self._driver.read()
        return [destination.forwarding for server in table for destination in server.destinations]

    def _questions(
        self, known: Iterable[Route] = (), *, table: bool = False, connections: bool = False
    ) -> Iterator[Question]:
        """What is asked about its routes: in one go with the table and the connections, as far as wanted."""
        host, has_ipvs = self.director.host, self._driver.has_ipvs
        if table and has_ipvs:
            yield host, IpvsTable()
        yield host, self._routes.question(route.address for route in known)
        if connections and has_ipvs:
            yield host, connections_question(self.service)

    def _read_back(self, known: Iterable[Route] = (), *, table: bool = False) -> None:
        """Have the routes read right after they are changed, to be verified; with the table if it counts."""
        questions = (verb for _, verb in self._questions(known, table=table))
        read_back(self.ferry.hosts, self.director.host, *questions)

    @property
    def _driver(self) -> Driver:
        return self.ferry.driver(self.director, self.service)

    def _seen(self, known: Iterable[Route] = ()) -> RoutesState:
        """The director's routes to the service's realservers, and to where the known routes lead."""
        return self._routes.read(route.address for route in known)

    def _remove_when_drained(self, known: Sequence[Route]) -> Sequence[Edit]:
        """Remove this service's routes unless connections from before need them; returns what was removed."""
        if self.ferry.wait_for_old_connections(self.director, self.service):
            self.ferry.memory.routes_kept.add(self._key)
            return ()
        return self._remove(known)

    def _remove(self, known: Sequence[Route]) -> Sequence[Edit]:
        ours = _in_order(self._seen(known).ours)
        self._read_back(known)
        self._routes.remove(ours)
        self.ferry.memory.routes_kept.discard(self._key)
        return _as_edits(self.director, self._routes.remove_commands(ours))

    def _report_kept(self, report: Report, known: Sequence[Route] = ()) -> None:
        """Warn of routes that stay; kept for connections, they tear nothing when those have ended since."""
        if not (kept := self._seen(known).ours):
            return
        needed = self.ferry.old_connections(self.director, self.service)
        if not needed and self._key not in self.ferry.memory.routes_kept:
            addresses = _addresses(kept)
            raise VerifyError(f"{self.director.host}: its host routes to {addresses} are still there")
        report.finding(
            Finding(
                "host-routes",
                self.director.host,
                Verdict.WARN,
                f"{len(kept)} host routes stay: they protect connections from before that may still be used",
                "none left behind",
                "when those connections have ended: " + "; ".join(self._routes.remove_commands(kept)),
            )
        )


@dataclass(frozen=True)
class HostRoutesUp(_HostRoutes, Change[RoutesBefore]):
    """{director.host} has a host route to each realserver of {service.name}."""

    reads_back = True

    def __post_init__(self) -> None:
        self.ferry.memory.with_host_routes.add(key_of(self.director, self.service))

    def questions(self, purpose: Purpose, before: RoutesBefore | None) -> Iterator[Question]:
        """Its routes; the table where it says whether any are needed, and whether connections need them."""
        known = _of_before(before) if before else []
        match purpose:
            case "check":
                return self._questions(table=True)
            case "verify":
                return self._questions(known)
        return self._questions(known, connections=before is not None and self._may_be_needed(before))

    def check(self, report: Report) -> RoutesBefore | NoChange:
        """Read which routes are missing; none are needed where every destination is flipped already."""
        del report
        if reason := self._reason_for_none():
            return NoChange(reason)
        seen = self._routes.read()
        if seen.problems:
            raise RefusedError("\n".join(f"{self.director.host}: {problem}" for problem in seen.problems))
        if not seen.needed:
            earlier = RoutesBefore(needed=[], ours=_as_lists(seen.ours)) if seen.ours else None
            return NoChange(_none_needed(seen), earlier)
        return RoutesBefore(needed=_as_lists(seen.needed), ours=_as_lists(seen.ours))

    def edits(self, before: RoutesBefore) -> Sequence[Edit]:
        """The commands that add the missing routes."""
        commands = self._routes.add_commands(_as_routes(before["needed"]))
        return _as_edits(self.director, commands)

    def do(self, before: RoutesBefore) -> None:
        """Add the routes that are missing."""
        self._read_back(table=True)
        self._routes.add(_as_routes(before["needed"]))

    def verify(self, report: Report) -> None:
        """See that each realserver has a host route, unless every destination is flipped already."""
        del report
        if self._reason_for_none():
            return
        if missing := self._routes.read().needed:
            addresses = _addresses(missing)
            raise VerifyError(f"{self.director.host}: no host route to {addresses} after adding them")

    def verify_again(self, before: RoutesBefore, report: Report) -> None:
        """See that the routes which were added exist and are used, also when every destination is flipped."""
        del report
        added = _as_routes(before["needed"])
        seen = self._seen(added)
        present = {route.address for route in seen.ours}
        if missing := [route for route in added if route.address not in present]:
            addresses = _addresses(missing)
            raise VerifyError(
                f"{self.director.host}: its host routes to {addresses} are gone; see who did it"
            )
        names = {str(route.address) for route in added}
        if problems := [problem for problem in seen.problems if problem.partition(": ")[0] in names]:
            raise VerifyError("\n".join(f"{self.director.host}: {problem}" for problem in problems))

    def superseded_by(self, later: Change[Any]) -> bool:
        """Whether that is the step which removes the same routes again."""
        return isinstance(later, HostRoutesDown) and key_of(later.director, later.service) == key_of(
            self.director, self.service
        )

    def undo(self, before: RoutesBefore) -> Sequence[Edit]:
        """Remove what is this service's, once no connection needs it; also to whoever has left the pool.

        At once, where nothing was edited and no earlier run had left any. The director's own step, which
        edits, is put back before this one, by whichever process goes back.
        """
        if self._may_be_needed(before):
            return self._remove_when_drained(_of_before(before))
        return self._remove(_of_before(before))

    def _may_be_needed(self, before: RoutesBefore) -> bool:
        """Whether connections from before may need its routes."""
        return bool(before["ours"]) or self.ferry.has_edited(self.director, self.service)

    def require_undoable(self, before: RoutesBefore, report: Report) -> None:
        """See that its routes can be read."""
        del report
        self._seen(_of_before(before))

    def effect_seen(self, before: RoutesBefore | None, report: Report) -> str | None:
        """The routes of this service that are there, and were not before."""
        del report
        known = _of_before(before) if before else []
        earlier = {address for address, _ in before["ours"]} if before else set()
        present = [route for route in self._seen(known).ours if str(route.address) not in earlier]
        addresses = _addresses(present)
        return f"{self.director.host}: its host routes to {addresses} are there" if present else None

    def undo_edits(self, before: RoutesBefore) -> Sequence[Edit]:
        """The commands that remove the routes which the run added or found."""
        commands = self._routes.remove_commands(_as_routes([*before["ours"], *before["needed"]]))
        return _as_edits(self.director, commands)

    def diff_after_undo(self, before: RoutesBefore, report: Report) -> str | None:
        """Why they are not gone; that they stay for connections which need them is a warning."""
        try:
            self._report_kept(report, _of_before(before))
        except VerifyError as error:
            return str(error)
        return None


@dataclass(frozen=True)
class HostRoutesDown(_HostRoutes, Change[list[list[str]]]):
    """{director.host} needs no host routes for {service.name} any more."""

    reads_back = True

    def questions(self, purpose: Purpose, before: list[list[str]] | None) -> Iterator[Question]:
        """Its routes; the table where it says whether there will be any, or whether they come too late."""
        known = _as_routes(before or [])
        match purpose:
            case "check":
                return self._questions(known, table=before is None, connections=before is not None)
            case "verify":
                return self._questions(known)
        return self._questions(known, table=True)

    def check(self, report: Report) -> list[list[str]] | NoChange:
        """Read which routes there are or will be: they are this service's own, and marked as such."""
        del report
        seen = self._routes.read()
        if not seen.ours and (not seen.needed or self._reason_for_none()):
            return NoChange("it has none")
        return _as_lists(_in_order({*seen.ours, *seen.needed}))

    def edits(self, before: list[list[str]]) -> Sequence[Edit]:
        """The commands that remove this service's routes."""
        commands = self._routes.remove_commands(_as_routes(before))
        return _as_edits(self.director, commands)

    def cannot_tell_before(self, before: list[list[str]]) -> str | None:
        """The end of the connections from before, which keep the routes that they may need."""
        del before
        if not self._driver.has_ipvs:
            return None
        wait_s = self.ferry.config.directors.drain_timeout
        return f"connections from before have ended: the routes stay while some are left after {wait_s:g} s"

    def do(self, before: list[list[str]]) -> Sequence[Edit]:
        """Remove them, unless connections from before still need them."""
        return self._remove_when_drained(_as_routes(before))

    def verify(self, report: Report) -> None:
        """Whether they are gone; where they stay, that is told with the commands for later."""
        self._report_kept(report)

    def verify_again(self, before: list[list[str]], report: Report) -> None:
        """Whether they are gone, also those to realservers that have left the pool since."""
        self._report_kept(report, _as_routes(before))

    def undo(self, before: list[list[str]]) -> Sequence[Edit]:
        """Add them again before the destinations are flipped back; where that is done, it is too late."""
        if self._is_back():
            return ()
        needed = self._seen(_as_routes(before)).needed
        self._read_back(_as_routes(before), table=True)
        self._routes.add(needed)
        return _as_edits(self.director, self._routes.add_commands(needed))

    def require_undoable(self, before: list[list[str]], report: Report) -> None:
        """See that nothing keeps the missing routes from being added."""
        del report
        if not self._is_back() and (problems := self._seen(_as_routes(before)).problems):
            raise RefusedError("\n".join(f"{self.director.host}: {problem}" for problem in problems))

    def effect_seen(self, before: list[list[str]] | None, report: Report) -> str | None:
        """None: without these routes all is as it was before the run added them."""

    def undo_edits(self, before: list[list[str]]) -> Sequence[Edit]:
        """The commands that add the routes again."""
        commands = self._routes.add_commands(_as_routes(before))
        return _as_edits(self.director, commands)

    def diff_after_undo(self, before: list[list[str]], report: Report) -> str | None:
        """Which route is missing, where a destination is still to be flipped back."""
        del report
        if self._is_back():
            return None
        missing = self._seen(_as_routes(before)).needed
        return f"{self.director.host}: no host route to {missing[0].address}" if missing else None


def _none_needed(seen: RoutesState) -> str:
    """Why no host route is to be added: there are some, or it is said of each realserver."""
    present = ["there are host routes already"] if seen.ours else []
    return "; ".join([*present, *seen.notes]) or "there is no realserver to be reached"


def _of_before(before: RoutesBefore) -> list[Route]:
    return _as_routes([*before["ours"], *before["needed"]])


def _addresses(routes: Iterable[Route]) -> str:
    return ", ".join(str(route.address) for route in routes)


def _in_order(routes: Iterable[Route]) -> list[Route]:
    """By address, as numbers: IPv4 first."""
    return sorted(routes, key=lambda route: (route.address.version, int(route.address), route.device))


def _as_lists(routes: Iterable[Route]) -> list[list[str]]:
    return [[str(route.address), route.device] for route in routes]


def _as_routes(lists: Iterable[list[str]]) -> list[Route]:
    """The routes that ``_as_lists`` wrote.

    Raises:
        ArgumentError: They are none: somebody else wrote into the journal.
    """
    try:
        routes = tuple(Route(ip_address(address), device) for address, device in lists)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"host routes out of the journal are not understood ({error}); see who wrote there; nothing was "
            "sent to a host"
        ) from error
    ROUTES["kind"].require("host routes out of the journal", routes)
    return list(routes)


def _as_edits(director: Director, commands: Sequence[str]) -> list[Edit]:
    return [Edit("director", director.host, command="\n".join(commands))] if commands else []
