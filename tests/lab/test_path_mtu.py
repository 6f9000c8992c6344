"""Paths of a real kernel are measured as tracepath, traceroute, scamper and nmap measure them beside it.

Where the router says nothing, tracepath finds no answer, scamper infers one, and nmap names a range.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from ferryman.probe.path_mtu import DnsVerdict, PathMtuVerdict
from lab.path_between import (
    MTU,
    NO_ICMP,
    NO_LATER_FRAGMENTS,
    ONE_ERROR_A_SECOND,
    OPEN_PORT,
    SERVER,
    Between,
    between,
)
from tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and rules"),
]


@pytest.fixture
def path() -> Iterator[Between]:
    with between() as made:
        yield made


def verdicts(path: Between) -> set[tuple[PathMtuVerdict, int | None]]:
    results = path.measure()
    assert len(results) == 6
    return {(result.verdict, result.mtu) for result in results}


def tracepath(path: Between, version: int) -> int | None:
    """The path MTU that it resumes with; None where it never reached the server."""
    require_tool("tracepath", package="iputils-tracepath")
    said = path.judge("tracepath", f"-{version}", "-n", "-m", "4", SERVER[version])
    found = re.search(r"Resume: pmtu (\d+)", said)
    assert found, said
    return int(found[1]) if "reached" in said else None


def traceroute(path: Between) -> int:
    require_tool("traceroute", package="traceroute")
    said = path.judge("traceroute", "-n", "-m", "3", "--mtu", SERVER[4])
    return min(int(size) for size in re.findall(r"F=(\d+)", said))


def scamper(path: Between, version: int) -> int:
    """What it says of the link to the server: heard, or inferred (with an asterisk)."""
    require_tool("scamper", package="scamper")
    said = path.judge("scamper", "-c", "trace -M -P udp", "-i", SERVER[version])
    sizes = re.findall(r"\[\*?mtu: (\d+)\]", said)
    assert sizes, said
    return int(sizes[-1])


def nmap(path: Between) -> range:
    """The sizes that it allows: one, or a range."""
    require_tool("nmap", package="nmap")
    said = path.judge("nmap", "-n", "-Pn", "-p", str(OPEN_PORT), "--script", "path-mtu", SERVER[4])
    if exact := re.search(r"PMTU == (\d+)", said):
        return range(int(exact[1]), int(exact[1]) + 1)
    found = re.search(r"(\d+) <= PMTU < (\d+)", said)
    assert found, said
    return range(int(found[1]), int(found[2]))


def test_where_the_router_says_what_fits_all_agree(path: Between) -> None:
    assert verdicts(path) == {(PathMtuVerdict.WORKS, MTU)}
    assert {tracepath(path, 4), tracepath(path, 6), traceroute(path)} == {MTU}
    assert {scamper(path, 4), scamper(path, 6)} == {MTU}
    assert MTU in nmap(path)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", [4, 6])
def test_where_it_says_nothing_whoever_finds_a_size_finds_the_same(path: Between, version: int) -> None:
    path.rules(NO_ICMP)
    assert verdicts(path) == {(PathMtuVerdict.BLACK_HOLE, MTU)}
    assert tracepath(path, version) is None
    assert scamper(path, version) == MTU
    assert version == 6 or MTU in nmap(path)


def test_what_this_kernel_has_learned_answers_for_nobody(path: Between) -> None:
    """The first measurement teaches the kernel; the second one is answered by the router all the same."""
    assert verdicts(path) == {(PathMtuVerdict.WORKS, MTU)}
    results = path.measure()
    assert {result.route_mtu for result in results} == {MTU}
    assert {str(told.reporter) for result in results for told in result.told} == {"10.81.0.2", "fd81::2"}
    path.rules(NO_ICMP)
    assert verdicts(path) == {(PathMtuVerdict.BLACK_HOLE, MTU)}


def test_a_router_that_says_one_thing_a_second_is_no_black_hole(path: Between) -> None:
    path.rules(ONE_ERROR_A_SECOND)
    results = path.measure()
    assert {(result.verdict, result.mtu) for result in results} == {(PathMtuVerdict.WORKS, MTU)}
    assert sum(result.sent for result in results) > 4 * len(results), "many were not answered at once"


def test_a_path_without_a_narrow_link_takes_what_the_interface_takes(path: Between) -> None:
    for role, device in (("router", "eth1"), ("server", "eth0")):
        path.on(role, "ip", "link", "set", device, "mtu", "1500")
    assert verdicts(path) == {(PathMtuVerdict.LARGER, 1500)}


def test_a_dns_answer_larger_than_the_path_comes_in_fragments_or_not_at_all(path: Between) -> None:
    path.serve_dns(3000)
    whole = path.ask()
    assert {(result.verdict, result.size) for result in whole} == {(DnsVerdict.FRAGMENTED, 3000)}
    path.rules(NO_LATER_FRAGMENTS)
    assert {result.verdict for result in path.ask()} == {DnsVerdict.FRAGMENTS_LOST}
    small = path.ask(size=1232)
    assert {(result.verdict, result.truncated) for result in small} == {(DnsVerdict.WHOLE, True)}
