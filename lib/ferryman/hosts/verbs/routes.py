"""Host routes on a director: read, added, taken away; ``directors/routes.py`` says what they are for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ferryman.hosts.verbs.directors import route_questions
from ferryman.hosts.verbs.kinds import ADDRESSES, COUNT, DEVICE, each, kind
from ferryman.hosts.verbs.verb import ReadVerb, WriteVerb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.hosts.completed import Completed
    from ferryman.model import Address

PROTOCOL = 102
"""Marks the routes: ``ip route show proto 102``. rt_protos leaves it free, routing daemons leave it alone."""

_ASK = """\
echo get
[ -z "$1" ] || printf '%s\\n' "$1" | ip -4 -j -force -batch - 2>/dev/null || :
[ -z "$2" ] || printf '%s\\n' "$2" | ip -6 -j -force -batch - 2>/dev/null || :
echo show
[ -z "$3" ] || printf '%s\\n' "$3" | ip -4 -j -force -batch - 2>/dev/null || :
[ -z "$4" ] || printf '%s\\n' "$4" | ip -6 -j -force -batch - 2>/dev/null || :
"""
"""Two questions for each address, in one process of ip(8) for each question and family."""


@dataclass(frozen=True, slots=True)
class Route:
    """A host route to a realserver through itself."""

    address: Address
    device: str

    def words(self, metric: int) -> str:
        """The route in ip(8)'s words."""
        address = f"{self.address}/{self.address.max_prefixlen}"
        through = f"via {self.address} dev {self.device} onlink"
        return f"{address} {through} proto {PROTOCOL} metric {metric}"


ROUTES = each(
    kind(
        "",
        lambda route: (
            isinstance(route, Route)
            and ADDRESSES["kind"].fits((route.address,))
            and DEVICE["kind"].fits(route.device)
        ),
    ),
    "a tuple of routes, each to an IP address on a named device",
)


@dataclass(frozen=True, slots=True)
class RoutesReading:
    """The routes to some addresses, as ip(8) shows them; an address without an answer has none."""

    used: Mapping[Address, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """The routes that would be used."""
    there: Mapping[Address, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """The routes to the very address."""


def add_words(routes: Sequence[Route], metric: int) -> list[str]:
    """ip(8)'s words that add these routes, a line for each."""
    return [f"-{route.address.version} route replace {route.words(metric)}" for route in routes]


def remove_words(routes: Sequence[Route], metric: int) -> list[str]:
    """ip(8)'s words that take these routes away, a line for each."""
    return [f"-{route.address.version} route del {route.words(metric)}" for route in routes]


@dataclass(frozen=True)
class ReadHostRoutes(ReadVerb[RoutesReading]):
    """Reads how some addresses are reached, and which routes to them alone there are."""

    name = "host-routes"
    needs_root = False
    script = _ASK

    addresses: tuple[Address, ...] = field(metadata=ADDRESSES)

    @property
    def words(self) -> Sequence[str]:
        """The questions of each kind and family."""
        return _questions(self.addresses)

    def parse(self, done: Completed) -> RoutesReading:
        """The routes."""
        return _answers(done)


@dataclass(frozen=True)
class AddHostRoutes(WriteVerb[RoutesReading]):
    """Adds host routes, as far as they are not there, and reads how their addresses are reached then."""

    name = "add-host-routes"
    script = f"""\
set -euf
get4=$1 get6=$2 show4=$3 show6=$4
shift 4
for edit do
    ip $edit
done
set -- "$get4" "$get6" "$show4" "$show6"
{_ASK}"""

    routes: tuple[Route, ...] = field(metadata=ROUTES)
    metric: int = field(metadata=COUNT)

    @property
    def words(self) -> Sequence[str]:
        """The questions afterwards, and the edits."""
        return (
            *_questions([route.address for route in self.routes]),
            *add_words(self.routes, self.metric),
        )

    def parse(self, done: Completed) -> RoutesReading:
        """The routes afterwards."""
        return _answers(done)


@dataclass(frozen=True)
class RemoveHostRoutes(WriteVerb[None]):
    """Takes host routes away, as far as they are there."""

    name = "remove-host-routes"
    script = """\
LC_ALL=C; export LC_ALL
set -euf
for edit do
    said=$(ip $edit 2>&1) || case $said in
        *"No such process"*) ;;
        *) echo "$said" >&2; exit 1 ;;
    esac
done
"""

    routes: tuple[Route, ...] = field(metadata=ROUTES)
    metric: int = field(metadata=COUNT)

    @property
    def words(self) -> Sequence[str]:
        """The edits."""
        return remove_words(self.routes, self.metric)

    def parse(self, done: Completed) -> None:
        """Return when they are gone."""
        done.checked()


def _questions(addresses: Sequence[Address]) -> tuple[str, ...]:
    lengths = {4: "/32", 6: "/128"}
    exact = [
        "\n".join(
            f"route show exact {address}{length}" for address in addresses if address.version == version
        )
        for version, length in lengths.items()
    ]
    return *route_questions(addresses, "get {}"), *exact


def _answers(done: Completed) -> RoutesReading:
    """The routes by address; a line has what one question came to, and one that failed has none."""
    answers: dict[str, dict[Address, list[dict[str, Any]]]] = {"get": {}, "show": {}}
    question = ""
    for line in done.checked().stdout.splitlines():
        if line in answers:
            question = line
            continue
        for route in _routes(line):
            to = ip_address(str(route.get("dst", "")).partition("/")[0])
            answers[question].setdefault(to, []).append(route)
    return RoutesReading(answers["get"], answers["show"])


def _routes(answer: str) -> list[dict[str, Any]]:
    """The routes in what ip(8) answered; none when it answered with an error."""
    try:
        found = json.loads(answer or "[]")
    except (json.JSONDecodeError, RecursionError):
        return []
    return [route for route in found if isinstance(route, dict)] if isinstance(found, list) else []
