from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ferryman.directors import HostRoutes, Route
from ferryman.errors import CommandFailedError, VerifyError
from unit.directors.world import LVS1, WEB, RealShell

ROUTES = tuple(
    Route(ip_address(address), "eth0") for address in ("10.10.0.21", "fd10::21", "10.10.0.22", "fd10::22")
)
SMALL = replace(WEB, realservers=WEB.realservers[:1])
OTHER = replace(SMALL, name="maps")


@pytest.fixture
def routes(shell: RealShell) -> HostRoutes:
    return HostRoutes(LVS1, SMALL, shell)


def there(shell: RealShell) -> list[str]:
    file = shell.folder / "routes.json"
    return sorted(load["dst"] for load in json.loads(file.read_text())) if file.exists() else []


def test_a_route_that_is_not_used_although_it_is_there_is_told(shell: RealShell, routes: HostRoutes) -> None:
    """A policy rule sends the director to another table: the main table's host route is passed by."""
    routes.add(ROUTES[:1])
    found = json.loads((shell.folder / "routes.json").read_text())
    shell.switch("routes.json", json.dumps([{"dst": "10.10.0.21", "dev": "eth9", "metric": 0}, *found]))
    with pytest.raises(VerifyError, match=r"lvs1: 10.10.0.21: its host route is there and not used"):
        routes.add(ROUTES[:1])


def test_each_realserver_on_link_needs_a_route_in_both_families(shell: RealShell) -> None:
    seen = HostRoutes(LVS1, WEB, shell).read()
    assert seen.needed == ROUTES
    assert (seen.ours, seen.notes, seen.problems) == ((), (), ())


def test_a_service_without_ipv6_needs_none_there(shell: RealShell) -> None:
    four = replace(WEB, virtual_services=WEB.virtual_services[:1])
    assert [str(route.address) for route in HostRoutes(LVS1, four, shell).read().needed] == [
        "10.10.0.21",
        "10.10.0.22",
    ]


def test_the_command_is_the_one_that_was_proven_with_our_marks(routes: HostRoutes) -> None:
    command = routes.add_commands(ROUTES[:2])
    assert command == [
        f"ip -4 route replace 10.10.0.21/32 via 10.10.0.21 dev eth0 onlink proto 102 metric {routes.metric}",
        f"ip -6 route replace fd10::21/128 via fd10::21 dev eth0 onlink proto 102 metric {routes.metric}",
    ]


def test_added_twice_and_removed_twice_is_as_once(shell: RealShell, routes: HostRoutes) -> None:
    for _ in range(2):
        routes.add(ROUTES[:2])
    assert there(shell) == ["10.10.0.21", "fd10::21"]
    seen = routes.read()
    assert (seen.needed, seen.ours) == ((), ROUTES[:2])
    for _ in range(2):
        routes.remove(ROUTES[:2])
    assert there(shell) == []


def test_two_services_routes_to_one_realserver_do_not_take_each_other_away(
    shell: RealShell, routes: HostRoutes
) -> None:
    other = HostRoutes(LVS1, OTHER, shell)
    routes.add(ROUTES[:1])
    assert ROUTES[0] in other.read().needed
    other.add(ROUTES[:1])
    routes.remove(ROUTES[:1])
    assert there(shell) == ["10.10.0.21"]
    assert other.read().ours == ROUTES[:1]
    assert routes.read().needed[0] == ROUTES[0]


def test_someone_elses_host_route_without_a_next_hop_is_kept_and_told(
    shell: RealShell, routes: HostRoutes
) -> None:
    theirs = {"dst": "10.10.0.21", "dev": "eth1", "protocol": "static"}
    shell.switch("routes.json", json.dumps([theirs]))
    seen = routes.read()
    (problem,) = seen.problems
    assert "10.10.0.21: has a host route without a next hop (dev eth1, protocol static)" in problem
    assert ROUTES[0] not in seen.needed


def test_someone_elses_host_route_that_does_it_already_is_left_to_do_it(
    shell: RealShell, routes: HostRoutes
) -> None:
    theirs = {"dst": "10.10.0.21", "gateway": "10.10.0.21", "dev": "eth0", "protocol": "static"}
    shell.switch("routes.json", json.dumps([theirs]))
    seen = routes.read()
    assert seen.notes == ("10.10.0.21: has such a host route already, which ferryman did not make",)
    assert ROUTES[0] not in seen.needed


@pytest.mark.parametrize(
    ("lookup", "note"),
    [
        ({"dst": "10.10.0.21", "gateway": "10.10.0.254", "dev": "eth0"}, "10.10.0.21: is behind 10.10.0.254"),
        ({"type": "local", "dst": "10.10.0.21", "dev": "lo"}, "10.10.0.21: is the director's own address"),
    ],
)
def test_where_none_is_needed_it_says_why(
    shell: RealShell, routes: HostRoutes, lookup: dict[str, str], note: str
) -> None:
    shell.switch("lookups.json", json.dumps({"10.10.0.21": [lookup]}))
    seen = routes.read()
    assert seen.notes == (note,)
    assert seen.needed == ROUTES[1:2]


def test_a_realserver_without_a_route_is_a_problem(shell: RealShell, routes: HostRoutes) -> None:
    shell.switch("lookups.json", json.dumps({"10.10.0.21": []}))
    assert routes.read().problems == ("10.10.0.21: the director has no route to it; see ip route get",)


def test_a_lost_answer_is_made_up_for(shell: RealShell, routes: HostRoutes) -> None:
    shell.lost_commands = 1
    routes.add(ROUTES[:1])
    assert there(shell) == ["10.10.0.21"]
    shell.lost_answers = 1
    routes.remove(ROUTES[:1])
    assert there(shell) == []


def test_a_removal_that_fails_otherwise_is_told(shell: RealShell, routes: HostRoutes) -> None:
    (shell.folder / "bin" / "ip").write_text("#!/bin/sh\necho 'Operation not permitted' >&2; exit 2\n")
    with pytest.raises(CommandFailedError, match="Operation not permitted"):
        routes.remove(ROUTES[:1])


def test_nothing_to_do_asks_nobody(shell: RealShell, routes: HostRoutes) -> None:
    routes.add(())
    routes.remove(())
    assert shell.writes == []
