"""Who rewrites the destination of a packet: iptables' nat table followed as the kernel does, nft's searched.

A packet that came out of the tunnel passes PREROUTING like any other. kube-proxy and Calico write their
rules as chains that jump on; a match that cannot be judged from here (marks, probabilities, sets) is taken
to hold, because the question is whether anybody may take the packet. The probe has the last word.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.model import host_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.model import Address, Protocol

TAKES = frozenset({"DNAT", "REDIRECT", "NETMAP"})
"""Targets that give the packet another destination."""
NO_HOME = re.compile(r"\b(drop|accept|reject\S*)\s*$")
"""What an element of an nft map may lead to that is nobody's taking the packet."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet for a virtual service, on its way in."""

    protocol: Protocol
    address: Address
    port: int
    device: str
    local: bool
    """Whether the address is the host's own."""

    def __str__(self) -> str:
        return f"{self.protocol} {host_port(self.address, self.port)}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of iptables' nat table; each option with its value, negated when it follows a ``!``."""

    chain: str
    options: tuple[tuple[str, str, bool], ...]
    text: str

    @property
    def target(self) -> str:
        """What happens to a packet that matches."""
        return next((value for name, value, _ in self.options if name in ("-j", "-g")), "")

    def fits(self, packet: Packet) -> bool:
        """Whether nothing in the rule speaks against the packet."""
        judged = ((_fits(name, value, packet), negated) for name, value, negated in self.options)
        return all(holds is not negated for holds, negated in judged if holds is not None)


@dataclass(frozen=True, slots=True)
class NatTable:
    """All that could be read of who rewrites destinations."""

    rules: Mapping[int, tuple[Rule, ...]] = field(default_factory=dict)
    """By IP version, legacy and nft variants one after the other."""
    nft: str = ""
    """``nft list ruleset``."""
    unread: tuple[str, ...] = ()
    """Why parts of it could not be read."""

    def taker(self, packet: Packet) -> str | None:
        """The rule that gives the packet another destination; None when there is none to be seen."""
        return self._by_iptables(packet) or self._by_nft(packet)

    def _by_iptables(self, packet: Packet) -> str | None:
        chains: dict[str, list[Rule]] = {}
        for rule in self.rules.get(packet.address.version, ()):
            chains.setdefault(rule.chain, []).append(rule)
        return next(_walk(chains, "PREROUTING", packet, frozenset()), None)

    def _by_nft(self, packet: Packet) -> str | None:
        address = re.compile(rf"(?<![\w.:]){re.escape(str(packet.address))}(?![\w.:/])")
        port = re.compile(rf"(?<![\w.:-]){packet.port}(?![\w.:-])")
        for statement in _nft_statements(self.nft):
            if address.search(statement) and port.search(statement):
                return statement
        return None

    def unfollowed(self) -> str | None:
        """A rule of nft that rewrites destinations by a named set, which is not followed here."""
        lines = (line.strip() for line in self.nft.splitlines())
        return next((line for line in lines if "@" in line and re.search(r"\b(dnat|redirect)\b", line)), None)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules in the output of ``iptables-save -t nat``.

    Raises:
        ValueError: A line's quotes do not close.
    """
    return tuple(_rule(line) for line in text.splitlines() if line.startswith("-A "))


def _rule(line: str) -> Rule:
    words = shlex.split(line)
    options, negated, position = [], False, 2
    while position < len(words):
        word = words[position]
        position += 1
        if word == "!":
            negated = True
            continue
        values = []
        while position < len(words) and not words[position].startswith("-") and words[position] != "!":
            values.append(words[position])
            position += 1
        options.append((word, " ".join(values), negated))
        negated = False
    return Rule(words[1], tuple(options), line)


def _walk(
    chains: Mapping[str, list[Rule]], chain: str, packet: Packet, above: frozenset[str]
) -> Iterator[str]:
    for rule in chains.get(chain, ()):
        if not rule.fits(packet):
            continue
        if rule.target in TAKES:
            yield rule.text
        elif rule.target in chains and rule.target not in above:
            yield from _walk(chains, rule.target, packet, above | {chain})


def _fits(option: str, value: str, packet: Packet) -> bool | None:
    """Whether an option holds for the packet; None when that cannot be judged from here."""
    match option:
        case "-d":
            return packet.address in ipaddress.ip_network(value, strict=False)
        case "-p":
            return value in (packet.protocol, "all")
        case "--dport" | "--dports":
            return any(_in_range(part, packet.port) for part in value.split(","))
        case "-i":
            return packet.device.startswith(value[:-1]) if value.endswith("+") else packet.device == value
        case "--dst-type":
            return ("LOCAL" in value.split(",")) is packet.local
    return None


def _in_range(ports: str, port: int) -> bool:
    first, _, last = ports.partition(":")
    return int(first or 0) <= port <= int(last or (first if ":" not in ports else 65535))


def _nft_statements(ruleset: str) -> Iterator[str]:
    """Rules that give packets another destination, and single elements of maps that do."""
    for line in ruleset.splitlines():
        elements = re.split(r"[{},]", line)
        mapped = [one for one in elements if re.search(r"\S\s+:\s+\S", one)]
        if mapped:
            yield from (" ".join(one.split()) for one in mapped if not NO_HOME.search(one))
        elif re.search(r"\b(dnat|redirect|goto|jump)\b", line):
            yield " ".join(line.split())
