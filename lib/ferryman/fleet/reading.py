"""The answer to the facts script, understood: text in, ``Facts`` out, and no text makes it fail."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.fleet.facts import Device, Facts, LocalRoute, Setting, Unknown
from ferryman.fleet.facts_script import HEADER
from ferryman.fleet.nat import NatTable, Rule, parse_rules
from ferryman.fleet.sockets import listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.model import Address

T = TypeVar("T")

SETTING = re.compile(r"/proc/sys/net/ipv[46]/conf/(?P<device>[^:]+)/(?P<key>\w+):(?P<value>-?\d+)")
GARBLED = (ValueError, KeyError, TypeError, AttributeError, IndexError, StopIteration)
"""What a parser raises at text that is not what it should be."""
NOT_THERE = 127
"""The status of a section that is not in the answer."""


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the script printed."""

    text: str
    status: int
    complaint: str


def parse(host: str, text: str, complaint: str = "") -> Facts:
    """Understand the answer; every part that is missing or garbled becomes ``Unknown``.

    ``complaint`` is what the host said instead when it did not answer at all.
    """
    sections = _sections(text)
    missing = " ".join(complaint.split()) if not sections and complaint else "it is missing in the answer"

    def fact(name: str, understand: Callable[[str], T]) -> T | Unknown:
        return _understood(name, sections.get(name, Section("", NOT_THERE, missing)), understand)

    return Facts(
        host=host,
        kernel=fact("kernel", _word),
        clock=fact("clock", int),
        devices=fact("devices", _devices),
        local_routes=_both(fact("local4", _local_routes), fact("local6", _local_routes)),
        settings=fact("conf", _settings),
        listeners=fact("sockets", listeners),
        reverse_path_drops=fact("netstat", _reverse_path_drops),
        nat=_nat(sections, missing),
        trouble={name: one.complaint for name, one in sections.items() if one.status and one.complaint},
    )


def _sections(text: str) -> Mapping[str, Section]:
    """The parts of the answer; whatever stands before the header (a greeting) is passed over."""
    header = re.search(rf"^{HEADER} (@@[0-9a-f]+)$", text, re.MULTILINE)
    if header is None:
        return {}
    token = re.escape(header[1])
    begin, end = rf"^{token} begin (?P<name>\w+)\n", rf"^{token} end (?P=name) (?P<status>\d+) ?"
    part = re.compile(rf"{begin}(?P<text>.*?)\n?{end}(?P<said>[^\n]*)$", re.MULTILINE | re.DOTALL)
    found = part.finditer(text, header.end())
    return {one["name"]: Section(one["text"], int(one["status"]), one["said"]) for one in found}


def _understood(name: str, section: Section, understand: Callable[[str], T]) -> T | Unknown:
    """What the section says; a status alone spoils nothing, for ``grep`` ends so when one file is missing."""
    if section.status and not section.text.strip():
        return Unknown(f"{name}: {section.complaint or f'status {section.status}'}")
    try:
        return understand(section.text)
    except GARBLED as error:
        return Unknown(f"{name}: {section.complaint or f'{type(error).__name__}: {error}'}")


def _word(text: str) -> str:
    (word,) = text.split()
    return word


def _devices(text: str) -> Mapping[str, Device]:
    return {one["ifname"]: _device(one) for one in json.loads(text) if one}


def _device(one: Mapping[str, Any]) -> Device:
    link = one.get("linkinfo") or {}
    tunnel = link.get("info_data") or {}
    addresses = [entry for entry in one.get("addr_info") or () if "local" in entry]
    return Device(
        name=one["ifname"],
        kind=link.get("info_kind"),
        up="UP" in one["flags"],
        mtu=int(one.get("mtu", 0)),
        external=tunnel.get("external", False) is not False,
        local=_peer(tunnel.get("local")),
        remote=_peer(tunnel.get("remote")),
        addresses=tuple(ipaddress.ip_interface(f"{a['local']}/{a['prefixlen']}") for a in addresses),
        unusable=frozenset(_address(a) for a in addresses if a.get("tentative") or a.get("dadfailed")),
    )


def _address(entry: Mapping[str, Any]) -> Address:
    return ipaddress.ip_address(entry["local"])


def _peer(end: str | None) -> str | None:
    return None if end in (None, "any", "0.0.0.0", "::") else end  # noqa: S104  # the word for any peer


def _local_routes(text: str) -> tuple[LocalRoute, ...]:
    routes = json.loads(text) if text.strip() else []
    return tuple(
        LocalRoute(ipaddress.ip_network(one["dst"], strict=False), one["dev"])
        for one in routes
        if one.get("dst") != "default" and "dev" in one
    )


def _both(
    first: tuple[LocalRoute, ...] | Unknown, second: tuple[LocalRoute, ...] | Unknown
) -> tuple[LocalRoute, ...] | Unknown:
    if isinstance(first, Unknown):
        return first
    return first if isinstance(second, Unknown) else first + second


def _settings(text: str) -> Mapping[tuple[Setting, str], int]:
    found: dict[tuple[Setting, str], int] = {}
    for one in SETTING.finditer(text):
        for key in ("rp_filter", "arp_ignore", "arp_announce", "disable_ipv6"):
            if one["key"] == key:
                found[key, one["device"]] = int(one["value"])
    if not found:
        raise ValueError("no setting in it")
    return found


def _reverse_path_drops(text: str) -> int:
    lines = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
    names, values = lines
    return int(dict(zip(names, values, strict=True))["IPReversePathFilter"])


def _nat(sections: Mapping[str, Section], missing: str) -> NatTable:
    unread: list[str] = []

    def text(name: str) -> str:
        section = sections.get(name, Section("", NOT_THERE, missing))
        if section.status:
            unread.append(f"{name}: {section.complaint or f'status {section.status}'}")
        return "" if section.status else section.text

    def rules(name: str) -> tuple[Rule, ...]:
        read = _understood(name, Section(text(name), 0, ""), parse_rules)
        if isinstance(read, Unknown):
            unread.append(read.reason)
            return ()
        return read

    by_version = {version: rules(f"legacy{version}") + rules(f"nft{version}") for version in (4, 6)}
    return NatTable(by_version, text("nft"), tuple(unread))
