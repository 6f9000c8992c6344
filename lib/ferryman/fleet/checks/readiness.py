"""All checks on all realservers of a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ferryman.errors import DoubtError
from ferryman.fleet.checks.listener import listener
from ferryman.fleet.checks.rp_filter import rp_filter
from ferryman.fleet.checks.tunnel_device import tunnel_device
from ferryman.fleet.checks.vip import vip
from ferryman.fleet.facts import Facts
from ferryman.fleet.facts_script import command
from ferryman.fleet.reading import parse
from ferryman.model import Finding, Realserver, Service, Verdict

if TYPE_CHECKING:
    from ferryman.fleet.hosts import Completed, Hosts

Check = Callable[[Service, Realserver, Facts], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (tunnel_device, rp_filter, vip, listener)
"""In the order in which a packet meets what they look at."""


def realserver_checks(service: Service, realserver: Realserver, facts: Facts) -> list[Finding]:
    """What every check says of one realserver."""
    return [finding for check in CHECKS for finding in check(service, realserver, facts)]


def service_readiness(service: Service, hosts: Hosts) -> list[Finding]:
    """What every check says of every realserver, in the service's order; all hosts are asked at once."""
    asked = hosts.read_all({realserver.host: command() for realserver in service.realservers})
    return [
        finding
        for realserver in service.realservers
        for finding in _answered(service, realserver, asked[realserver.host])
    ]


def _answered(service: Service, realserver: Realserver, answer: Completed | DoubtError) -> list[Finding]:
    if isinstance(answer, DoubtError):
        seen = str(answer).removeprefix(f"{realserver.host}: ")
        wanted = "an answer over SSH"
        return [Finding("reachable", realserver.host, Verdict.UNKNOWN, seen, wanted)]
    facts = parse(realserver.host, answer.stdout, answer.stderr or f"status {answer.status}")
    return realserver_checks(service, realserver, facts)
