"""Routes that a host was asked for: a missing one is told in every spelling, and nothing else for it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.realservers.facts.parse import parse
from ferryman.realservers.facts.routing import Lookup, NoRoute, Route, routing_of

if TYPE_CHECKING:
    from collections.abc import Callable

OWN, DIRECTOR, CLIENT = map(ip_address, ("10.10.0.22", "10.10.0.11", "9.9.9.9"))
BACK, OUT = Lookup(DIRECTOR, OWN), Lookup(CLIENT, OWN)
RULES = '[{"priority":0,"src":"all","table":"local"}]'
BY_ETH0 = '[{"dst":"10.10.0.0/24","dev":"eth0","protocol":"kernel","flags":[]}]'


def answered(*lines: str, asked: tuple[Lookup, ...] = (BACK,), rules: str = RULES) -> dict[str, str]:
    questions = "\n".join(lookup.words for lookup in asked)
    return {"routes4": "\n".join((questions, "answers", rules, *lines)), "routing": ""}


@pytest.mark.parametrize(
    "words",
    [
        "RTNETLINK answers: Network is unreachable",
        "RTNETLINK answers: No route to host",
        "RTNETLINK answers: Permission denied",
        "RTNETLINK answers: Invalid argument",
        "RTNETLINK answers: Network unreachable",
        "RTNETLINK answers: Host is unreachable",
        "RTNETLINK answers: Das Netzwerk ist nicht erreichbar",
        "RTNETLINK answers: Keine Route zum Zielrechner",
        "RTNETLINK answers: Le réseau n'est pas accessible",
        "RTNETLINK answers: ネットワークに届きません",
        "RTNETLINK answers: Unknown error -101",
        "Error: ipv4: FIB table does not exist.\nRTNETLINK answers: Network is unreachable",
    ],
)
def test_whatever_the_kernel_answers_that_is_no_route_is_a_missing_one(words: str) -> None:
    found = routing_of(answered(words, "Command failed -:2")).found[BACK]
    assert isinstance(found, NoRoute)
    assert str(found) == words.rpartition(": ")[2]


@pytest.mark.parametrize("kind", ["unreachable", "blackhole", "prohibit", "throw"])
def test_a_route_that_leads_nowhere_is_a_missing_one_however_it_is_shown(kind: str) -> None:
    shown = f'[{{"type":"{kind}","dst":"default","dev":"lo","error":-101}}]'
    assert routing_of(answered(shown)).found[BACK] == NoRoute(f"a route of type {kind}")


@pytest.mark.parametrize(
    "complaint",
    [
        'Error: any valid prefix is expected rather than "fibmatch".\nCommand failed -:2',
        'Error: argument "fibmatch" is wrong: unknown\nCommand failed -:2',
        'Object "route" is unknown\nCommand failed -:2',
        "ip: unrecognized option: j\nBusyBox v1.36.1 (2023) multi-call binary.\n\nUsage: ip [OPTIONS]",
        'Option "-j" is unknown, try "ip -help".',
        "sh: ip: not found",
        "[]",
        "[",
        "null",
        "",
        f"{BY_ETH0}\n{BY_ETH0}",
        f"{BY_ETH0}\nRTNETLINK answers: Network is unreachable\nCommand failed -:2",
        "RTNETLINK answers: Network is unreachable\nCommand failed -:77",
    ],
)
def test_a_question_that_was_not_understood_says_nothing_of_routes(complaint: str) -> None:
    assert routing_of(answered(complaint)).found == {}


def test_answers_are_told_apart_by_their_place_whatever_failed_before_them() -> None:
    routing = routing_of(
        answered("RTNETLINK answers: No route to host", "Command failed -:2", BY_ETH0, asked=(BACK, OUT))
    )
    assert routing.found == {BACK: NoRoute("No route to host"), OUT: Route("10.10.0.0/24", ("eth0",))}


def test_every_next_hop_of_a_route_counts() -> None:
    hops = '[{"dst":"10.10.0.11","nexthops":[{"gateway":"10.10.0.1","dev":"eth0"},{"dev":"eth1"}]}]'
    assert routing_of(answered(hops)).found[BACK] == Route("10.10.0.11", ("eth0", "eth1"))


def test_rules_that_look_at_more_than_addresses_are_known() -> None:
    rules = '[{"priority":0,"src":"all","table":"local"},{"priority":7,"fwmark":"0x1","table":"9"}]'
    routing = routing_of(answered(BY_ETH0, rules=rules))
    assert routing.depends_on_more(4, marked=False) is None
    assert routing.depends_on_more(4, marked=True) == "ip rule 7"
    by_port = routing_of(answered(BY_ETH0, rules='[{"priority":8,"ipproto":"tcp","dport":80}]'))
    assert by_port.depends_on_more(4, marked=False) == "ip rule 8"


def test_a_recorded_host_is_understood(case: Callable[[str], str]) -> None:
    facts = parse("web2", case("lab-web-other-route"))
    assert facts.routing.read
    assert facts.routing.found[BACK] == Route("10.10.0.11", ("other0",))
    assert facts.routing.found[Lookup(ip_address("10.10.0.12"), OWN)] == Route("10.10.0.0/24", ("eth0",))
    assert facts.routing.found[Lookup(ip_address("2620:fe::fe"), ip_address("fd99::1"))] == Route(
        "default", ("eth0",)
    )
    assert not facts.routing.set_for("tcp_l3mdev_accept")


def test_a_recorded_host_without_routes_is_understood(case: Callable[[str], str]) -> None:
    facts = parse("web2", case("lab-web-xdp-vrf"))
    assert facts.routing.found[BACK] == NoRoute("No route to host")
    assert facts.routing.found[Lookup(CLIENT, ip_address("10.99.0.1"))] == NoRoute("No route to host")
    assert [rule["priority"] for rule in facts.routing.rules[4]][:2] == [0, 99]


def test_a_recording_of_an_earlier_version_says_nothing(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("lab-web-healthy"))
    assert not facts.routing.read
    assert facts.routing.found == {}
    assert facts.filters is None


def test_the_routes_are_words_of_the_question_by_family() -> None:
    six = Lookup(ip_address("2620:fe::fe"), ip_address("fd99::1"))
    token, four, of_six = ReadFacts("0123456789abcdef", (BACK, six, OUT)).words
    assert token == "0123456789abcdef"
    assert four.splitlines() == [BACK.words, OUT.words]
    assert of_six == "route get fibmatch 2620:fe::fe from fd99::1"
