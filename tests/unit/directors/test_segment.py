"""Whether direct routing reaches a realserver at all: it does not where a router is before it."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.directors import HostRoutes
from ferryman.directors.checks.segment import segment
from ferryman.hosts.verbs.directors import DirectorState, NextHop, gateway_of
from ferryman.ipvs.listing import read_table
from ferryman.model import Forwarding, Verdict
from unit.directors.test_checks import FINE, NEXT_HOPS, OUTPUT, state
from unit.directors.world import LVS1, RULES, WEB

if TYPE_CHECKING:
    from unit.directors.world import RealShell

WEB2, ROUTER = ip_address("10.10.0.22"), ip_address("10.10.0.254")
BEHIND = {**NEXT_HOPS, WEB2: NextHop("eth0", ip_address("10.10.0.11"), gateway=ROUTER)}
TABLE = read_table(RULES)


def behind(rules: str = RULES) -> DirectorState:
    """A director with a router before web2, and these entries in its table."""
    return replace(FINE, next_hops=BEHIND, table=read_table(rules))


def test_direct_routing_to_a_realserver_behind_a_router_is_told_as_broken_already() -> None:
    (found,) = segment(LVS1, WEB, behind())
    assert (found.check, found.host, found.verdict) == ("director-segment", "lvs1", Verdict.WARN)
    assert found.seen == (
        "requests that it hands to web2 (behind 10.10.0.254) by direct routing are lost already"
    )
    assert "no way back" in found.remedy


@pytest.mark.parametrize("encapsulated", [False, True])
def test_without_a_table_the_catalog_says_whether_it_is_direct_routing(*, encapsulated: bool) -> None:
    service = replace(WEB, encapsulated=encapsulated)
    (found,) = segment(LVS1, service, replace(FINE, next_hops=BEHIND, table=None))
    assert found.verdict is (Verdict.PASS if encapsulated else Verdict.WARN)


def test_a_realserver_that_gets_no_requests_loses_none() -> None:
    (found,) = segment(
        LVS1, WEB, behind(RULES.replace("-r 10.10.0.22:80 -g -w 3", "-r 10.10.0.22:80 -g -w 0"))
    )
    assert found.verdict is Verdict.PASS


def test_what_is_tunnelled_there_is_right_and_said_to_have_no_way_back() -> None:
    (found,) = segment(LVS1, WEB, behind(RULES.replace("-g", "-i")))
    assert found.verdict is Verdict.PASS
    assert found.seen == (
        "web2 (behind 10.10.0.254): reached by IPIP alone, so there is no way back to direct routing"
    )


def test_a_host_route_through_the_realserver_itself_leads_to_no_router() -> None:
    own = {address: replace(hop, gateway=address) for address, hop in NEXT_HOPS.items()}
    (found,) = segment(LVS1, WEB, replace(FINE, next_hops=own, table=TABLE))
    assert (found.verdict, found.seen) == (Verdict.PASS, "no router is between it and the realservers")


def test_the_director_itself_as_a_realserver_is_behind_nothing() -> None:
    own = {WEB2: NextHop("lo", None, local=True, gateway=ROUTER)}
    (found,) = segment(LVS1, WEB, replace(FINE, next_hops=own))
    assert found.verdict is Verdict.PASS


def test_where_nothing_could_be_read_nothing_is_said_of_it() -> None:
    assert list(segment(LVS1, WEB, replace(FINE, next_hops={}))) == []


def test_gateways_are_read_from_what_the_director_prints() -> None:
    seen = state(OUTPUT).next_hops
    assert [seen[address].router_before(address) for address in (ip_address("10.10.0.21"), WEB2)] == [
        None,
        ip_address("10.10.0.1"),
    ]


def test_a_gateway_of_the_other_family_is_one_too() -> None:
    """RFC 8950's next hops, as iproute2 6.1 prints them."""
    route = {"dst": "10.10.0.22", "via": {"family": "inet6", "host": "fe80::1"}, "dev": "eth0"}
    assert gateway_of(route) == ip_address("fe80::1")
    assert gateway_of({"dst": "10.10.0.22", "dev": "eth0"}) is None


@pytest.mark.parametrize(
    "lookup", [{"gateway": "10.10.0.254"}, {"via": {"family": "inet6", "host": "fe80::1"}}]
)
def test_no_host_route_is_made_to_a_realserver_behind_a_router(
    shell: RealShell, lookup: dict[str, object]
) -> None:
    """Through itself and ``onlink`` the director would ask ARP for it on a segment that it is not on."""
    shell.switch("lookups.json", json.dumps({"10.10.0.22": [{"dst": "10.10.0.22", "dev": "eth0", **lookup}]}))
    seen = HostRoutes(LVS1, WEB, shell).read()
    assert WEB2 not in {route.address for route in seen.needed}
    assert len(seen.needed) == 3
    assert [address for address, _ in seen.behind] == [WEB2]


def test_masquerading_gets_through_a_router() -> None:
    masqueraded = behind(RULES.replace("-g", "-m"))
    assert masqueraded.table is not None
    kinds = {each.forwarding for server in masqueraded.table for each in server.destinations}
    assert kinds == {Forwarding.MASQUERADE}
    assert {found.verdict for found in segment(LVS1, WEB, masqueraded)} == {Verdict.PASS}
