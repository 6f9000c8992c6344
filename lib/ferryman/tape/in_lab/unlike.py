"""What of a tape a lab cannot imitate: it is said beforehand, and what depends on it is not judged."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.boot import Boot, Deed
from ferryman.realservers.facts.boot.everything import everything
from ferryman.realservers.facts.routing import NoRoute, Route
from ferryman.tape.in_lab import directors, firewall
from ferryman.tape.in_lab.realservers import SYSCTL_D

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ferryman.realservers.facts import Facts
    from ferryman.tape.file import Tape
    from ferryman.tape.in_lab.image import Image
    from ferryman.tape.in_lab.names import Names
    from ferryman.tape.in_lab.state import Seen, State

ANY = "*"
"""Stands for every check, or for every host."""
_DRIVERS = ("keepalived", "ipvsadm")
_FILES = ("director-files",)
_KEEPALIVED = ("keepalived-read", "keepalived-files")
_FORWARDS = "forwards-strangers"
_PERSISTED = ("rp-filter-persisted", "sysctl-order")
_AT_BOOT = (*_PERSISTED, "tunnel-persisted", "vip-persisted")
_MADE = {"ipip0", "ipip60"}
_AGENTS = ("agent-run", "agent-revision", "puppet-run", "puppet-state", "management")
_REVIEW = ("catalog-review", "catalog-tree", "pending-edits")


@dataclass
class Unlike:
    """What a lab is said not to imitate."""

    told: list[str] = field(default_factory=list)
    checks: set[tuple[str, str]] = field(default_factory=set)
    """Checks that are not judged, each with its host of the lab."""
    other_plan: bool = False
    """Whether the lab's run has other steps, for it has no review of the catalog or no agents."""

    def add(self, what: str, checks: Collection[str] = (), host: str = ANY) -> None:
        """Say it, and judge none of these checks of that host."""
        if what not in self.told:
            self.told.append(what)
        self.checks |= {(check, host) for check in checks}

    def covers(self, check: str, host: str) -> bool:
        """Whether a finding is not judged."""
        return any((each, where) in self.checks for each in (check, ANY) for where in (host, ANY))


def unlike(tape: Tape, image: Image, state: State) -> Unlike:
    """What can be said before the lab is up."""
    found = Unlike()
    for sentence in image.different:
        found.add(sentence)
    _ports(tape, found)
    _directors(tape, image.names, state, found)
    for host, seen in state.realservers.items():
        if here := image.names.hosts.get(host):
            for what, checks in _of_realserver(seen):
                found.add(f"{here}: {what}", checks, here)
    for entry in tape.entries:
        # No fact says it: where packets to others go on is a matter of routes and of forwarding.
        if entry.data.get("check") == _FORWARDS and entry.data.get("verdict") not in ("pass", "skip"):
            name = image.names.text(str(entry.data.get("host")))
            found.add(f"{name}: that it forwards packets to others", (_FORWARDS,), name)
    for what in state.meanwhile:
        found.add(f"changed during the recorded run: {what}")
    if not tape.whole:
        found.add("the recorded run was killed: what came after the end of its tape")
    return found


def _directors(tape: Tape, names: Names, state: State, found: Unlike) -> None:
    for host, driver in _other_drivers(tape):
        here = names.hosts.get(host, host)
        found.add(f"{here}: what the driver {driver} does there", (ANY,), here)
    for host, table in state.tables.items():
        if others := directors.strangers(table, names):
            here = names.hosts.get(host, host)
            found.add(f"{here}: {len(others)} entries of its IPVS table that are of other services or hosts")
    for host in sorted(state.restless):
        here = names.hosts.get(host, host)
        found.add(f"{here}: when its health checks changed its table", directors.CHECKS, here)
    if any(entry.data.get("verb") in _KEEPALIVED for entry in tape.entries):
        found.add("the text of keepalived's files: the lab's is made after the inventory", _FILES)


def _ports(tape: Tape, found: Unlike) -> None:
    ports = {entry.data["port"] for entry in tape.entries if entry.kind == "call"}
    if "cluster" in ports:
        found.add("the API of Kubernetes clusters", ("node-state",))
        found.other_plan = True
    if "management" in ports or tape.header.config.get("management"):
        found.add("management agents", _AGENTS)
        found.other_plan = True
    if "review" in ports:
        found.add("the review of the catalog in git", _REVIEW)
        found.other_plan = True


def _other_drivers(tape: Tape) -> Iterator[tuple[str, str]]:
    with suppress(yaml.YAMLError, AttributeError, TypeError, KeyError):
        sites = yaml.safe_load(tape.header.inventory.get("directors.yaml", "")) or {}
        for classes in sites.values():
            for entries in classes.values():
                yield from (
                    (entry["host"], entry["driver"]) for entry in entries if entry["driver"] not in _DRIVERS
                )


def _of_realserver(seen: Seen) -> Iterator[tuple[str, tuple[str, ...]]]:
    facts = seen.facts
    if facts.clamper is not None:
        yield "tcp-mss-clamper", ("clamper", "mss", "probe")
    if not isinstance(facts.persisted, Unknown):
        if facts.persisted.systemd:
            yield "systemd, which applies sysctl.d in another order", _PERSISTED
        elif any(
            line.key.endswith("/rp_filter") and not line.file.startswith(f"{SYSCTL_D}/")
            for line in facts.persisted.lines
        ):
            yield "settings outside of /etc/sysctl.d", _PERSISTED
    yield from _on_the_way(facts)
    if isinstance(facts.boot, Boot) and _boots_otherwise(facts.boot):
        yield "what hosts make, and set after sysctl.d, at their boot", _AT_BOOT
    if facts.cni_mtu:
        yield "the MTU that new pods get", ("pod-mtu",)
    if _has_native_rules(seen):
        yield "firewall rules in nft, which the lab's kernel has not", (*firewall.CHECKS, "probe")


def _on_the_way(facts: Facts) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What drops a packet before netfilter, and where routes lead."""
    devices = {} if isinstance(facts.devices, Unknown) else facts.devices
    if facts.filters and not isinstance(facts.filters, Unknown):
        yield "filters of tc", ("before-netfilter", "probe")
    if any(device.xdp for device in devices.values()):
        yield "XDP programs", ("before-netfilter", "probe")
    if any(device.kind == "vrf" for device in devices.values()):
        yield "VRFs", ("vrf", "listener", "probe")
    answers = facts.routing.found.values()
    ways = {answer.devices for answer in answers if isinstance(answer, Route)}
    if len(ways) > 1 or any(isinstance(answer, NoRoute) for answer in answers):
        yield "routes by several devices, or to nowhere", ("rp-filter-outer", "way-back", "probe")


def _boots_otherwise(boot: Boot) -> bool:
    """Whether a host's boot is not that of the lab's hosts, which have ifupdown for all and nothing else."""
    done = [action for action in everything(boot) if not action.inactive]
    made = {action.subject for action in done if action.deed is Deed.MAKE}
    given = any(action.deed is Deed.ADDRESS and action.subject == "lo" for action in done)
    return any(action.deed is Deed.SET for action in done) or not made >= _MADE or not given


def _has_native_rules(seen: Seen) -> bool:
    if "nft" not in seen.sections or "nft4" in seen.sections:
        return False
    with suppress(ValueError, TypeError, AttributeError):
        return any(
            "rule" in each for each in json.loads(seen.sections["nft"].text or "{}").get("nftables", ())
        )
    return False
