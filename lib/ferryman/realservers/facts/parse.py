"""The answer to the facts script, understood: text in, ``Facts`` out, and no text makes it fail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from ferryman.firewall.nat import NatTable
from ferryman.realservers.facts import files
from ferryman.realservers.facts.boot import boot_of
from ferryman.realservers.facts.clamper import parse_clamper
from ferryman.realservers.facts.devices import addresses_and_routes, pods
from ferryman.realservers.facts.early import dropped_by, filters_of
from ferryman.realservers.facts.firewall import rules_of
from ferryman.realservers.facts.routing import Routing, routing_of
from ferryman.realservers.facts.sections import Section, sections_of, shortened, tried
from ferryman.realservers.facts.sockets import listeners
from ferryman.realservers.facts.values import Facts, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.realservers.facts.boot import Boot
    from ferryman.realservers.facts.clamper import Clamper
    from ferryman.realservers.facts.early import Filter
    from ferryman.realservers.facts.sysctl_d import SysctlFiles
    from ferryman.realservers.facts.values import LocalRoute

T = TypeVar("T")

NOT_THERE = 127
"""The status of a section that is not in the answer."""


def parse(host: str, text: str, complaint: str = "") -> Facts:
    """Understand the answer; every part that is missing or garbled becomes ``Unknown``.

    ``complaint`` is what the host said on standard error.
    """
    sections = sections_of(f"{text}\n{complaint}")
    missing = shortened(complaint) if not sections and complaint else "it is missing in the answer"

    def section(name: str) -> Section:
        return sections.get(name, Section("", NOT_THERE, missing))

    def fact(name: str, understand: Callable[[str], T]) -> T | Unknown:
        return _understood(name, section(name), understand)

    by_path = fact("files", lambda text: files.contents(text, section("names").text.split("\n")))

    def from_files(understand: Callable[[Mapping[str, str]], T]) -> T | Unknown:
        if isinstance(by_path, Unknown):
            return by_path
        return tried("files", section("files").complaint, lambda: understand(by_path))

    network = fact("ip", lambda _: addresses_and_routes(section("ip").whole))
    if isinstance(network, Unknown) and "BusyBox" in network.reason:
        network = Unknown("ip: BusyBox's answers no questions in JSON; install iproute2")
    devices, routes4 = (network, network) if isinstance(network, Unknown) else network

    def persisted(contents: Mapping[str, str]) -> SysctlFiles:
        if re.search(r"sysctl\S*: Permission denied", section("files").complaint):
            raise PermissionError
        return files.sysctl_files(contents, section("names").text, section("init").text)

    def started(shown: str) -> Clamper:
        return parse_clamper(shown, _or(from_files(files.cmdline), ""))

    def boot(around: str) -> Boot:
        return boot_of(section("boot").text, around, systemd=section("init").text.strip() == "systemd")

    rules = rules_of(sections, missing, _or(by_path, {}))
    filters = fact("tc", filters_of) if "tc" in sections else None
    return Facts(
        host=host,
        kernel=from_files(files.kernel),
        devices=devices,
        local_routes=_both(routes4, from_files(files.local_routes6)),
        settings=from_files(files.settings),
        listeners=fact("sockets", listeners),
        counted=_joined(
            from_files(files.counted),
            _counted_more(section("counted").text),
            dropped_by(filters if isinstance(filters, tuple) else ()),
        ),
        nat=NatTable(rules),
        firewall=rules,
        persisted=from_files(persisted),
        boot=fact("around", boot) if "around" in sections else None,
        pods=fact("pods", pods) if "pods" in sections else (),
        cni_mtu=_or(from_files(files.cni_mtu), {}),
        clamper=fact("clamper", started) if "clamper" in sections else None,
        routing=_or(
            tried("routes", "", lambda: routing_of({name: part.whole for name, part in sections.items()})),
            Routing(),
        ),
        filters=filters,
    )


def parse_counters(text: str) -> Mapping[str, int]:
    """The counters in the answer to ``COUNTERS``; empty when it is garbled."""
    counted = tried("counters", "", lambda: files.counted(files.contents(text)))
    return _or(_joined(counted, dropped_by(_filters(text))), {})


def _filters(text: str) -> tuple[Filter, ...]:
    return _or(tried("tc", "", lambda: filters_of(text)), ())


def _counted_more(text: str) -> Mapping[str, int]:
    return _or(tried("counted", "", lambda: files.counted_more(files.contents(text))), {})


def _joined(first: Mapping[str, int] | Unknown, *more: Mapping[str, int]) -> Mapping[str, int] | Unknown:
    return (
        first
        if isinstance(first, Unknown)
        else {name: n for part in (first, *more) for name, n in part.items()}
    )


def _understood(name: str, section: Section, understand: Callable[[str], T]) -> T | Unknown:
    """What the section says; a status alone spoils nothing, for ``grep`` ends so when one file is missing."""
    if section.status and not section.text.strip():
        return Unknown(f"{name}: {section.complaint or f'status {section.status}'}")
    return tried(name, section.complaint, lambda: understand(section.text))


def _or(fact: T | Unknown, otherwise: T) -> T:
    return otherwise if isinstance(fact, Unknown) else fact


def _both(
    first: tuple[LocalRoute, ...] | Unknown, second: tuple[LocalRoute, ...] | Unknown
) -> tuple[LocalRoute, ...] | Unknown:
    if isinstance(first, Unknown):
        return first
    return first if isinstance(second, Unknown) else first + second
