"""Rules of iptables, from ``iptables-save``: legacy tables, and those that it keeps in nftables.

Lines are taken apart when a packet meets them, for a node of Kubernetes has tens of thousands.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from ferryman.firewall.evaluate import (
    CONNTRACK,
    NOTHING,
    Action,
    Chain,
    Choice,
    Effect,
    EvalContext,
    Table,
)
from ferryman.firewall.ipsets import holds, within
from ferryman.firewall.packet import (
    PacketState,
    all_of,
    any_of,
    from_ports,
    named_like,
    negation,
    number,
    port_number,
    protocol_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.firewall.evaluate import Destination
    from ferryman.firewall.ipsets import Ipsets

PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
HOOKS = {"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward"}
DNAT_TARGETS = frozenset({"DNAT", "REDIRECT", "NETMAP"})
"""Targets that give the packet another destination."""
ENDS = {"ACCEPT": Effect.ACCEPT, "DROP": Effect.DROP, "REJECT": Effect.DROP, "TARPIT": Effect.DROP}
HARMLESS = frozenset(
    {
        "AUDIT",
        "CHECKSUM",
        "CLASSIFY",
        "CONNMARK",
        "CONNSECMARK",
        "DSCP",
        "HL",
        "IDLETIMER",
        "LED",
        "LOG",
        "NFLOG",
        "RATEEST",
        "SECMARK",
        "SET",
        "TCPMSS",
        "TEE",
        "TOS",
        "TRACE",
        "TTL",
        "ULOG",
    }
)
"""Targets that leave a packet on its way; CONNMARK brings a new connection no mark but none."""
KNOWN_MATCHES = frozenset(
    {
        "addrtype",
        "comment",
        "conntrack",
        "icmp",
        "icmp6",
        "iprange",
        "mark",
        "multiport",
        "pkttype",
        "set",
        "state",
        "tcp",
        "udp",
    }
)
"""Matches whose options are evaluated here; what any other match wants is unknown."""
FLAGS = frozenset({"SYN"})
"""The TCP flags of the first packet of a connection."""

WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
"""A word, or several in quotes; a quote inside them follows a backslash."""

Option = tuple[str, str, bool]
"""Name, value, and whether it follows a ``!``."""


@dataclass(frozen=True, slots=True)
class IptablesRule:
    """One rule, as a line of ``iptables-save``; it is taken apart when a packet meets it."""

    text: str
    user_chains: Mapping[str, object]
    sets: Ipsets

    def steps(self, context: EvalContext) -> Iterator[Choice]:
        """The effect of its target, if its matches hold; the rule has no other."""
        try:
            matches, (jump, target), details = _options(self.text)
            verdict = all_of(_judged(matches, context, self.sets))
            action = self._action(jump, target, details)
        except ValueError:  # quotes that do not close, a mark that is no number
            yield (Action(Effect.OPAQUE),)
            return
        if verdict is not False and jump:
            yield (action,) if verdict else (action, NOTHING)

    def _action(self, jump: str, target: str, details: Sequence[Option]) -> Action:
        if target in self.user_chains:
            return Action(Effect.JUMP if jump == "-j" else Effect.GOTO, target)
        if target in ENDS:
            return Action(ENDS[target])
        if target in DNAT_TARGETS:
            return Action(Effect.DNAT, to_this_host=target == "REDIRECT", to=_destination(details))
        if target == "RETURN":
            return Action(Effect.RETURN)
        if change := _state_change(target, details):
            return Action(Effect.CHANGE_STATE, change=change)
        return NOTHING if target in HARMLESS else Action(Effect.OPAQUE)


def parse_save(text: str, tool: str, version: int, sets: Ipsets) -> tuple[Table, ...]:
    """The tables in the output of ``iptables-save``; ``tool`` is the command that changes them."""
    return tuple(
        _table(tool, version, name, body.splitlines(), sets)
        for name, body in re.findall(r"^\*(\w+)\n(.*?)(?=^COMMIT|^\*|\Z)", text, re.MULTILINE | re.DOTALL)
    )


def _table(tool: str, version: int, name: str, lines: Sequence[str], sets: Ipsets) -> Table:
    policies = {chain: policy for chain, policy in map(_declared, lines) if chain}
    rules: dict[str, list[IptablesRule]] = {chain: [] for chain in policies}
    for line in lines:
        if line.startswith("-A "):
            rules.setdefault(line.split(" ", 2)[1], []).append(IptablesRule(line, rules, sets))
    chains = {chain: _chain(name, chain, policies.get(chain, "-"), rules[chain]) for chain in rules}
    return Table(tool, "ip" if version == 4 else "ip6", name, frozenset({version}), chains)  # noqa: PLR2004  # IPv4


def _declared(line: str) -> tuple[str, str]:
    """Name and policy in a line such as ``:INPUT ACCEPT [0:0]``; a user's own chain has the policy ``-``."""
    if not line.startswith(":"):
        return "", ""
    name, policy = line[1:].split()[:2]
    return name, policy


def _chain(table: str, name: str, policy: str, rules: Sequence[IptablesRule]) -> Chain:
    kind = "nat" if table == "nat" else "filter"
    priority = 100 if (table, name) == ("nat", "INPUT") else PRIORITIES.get(table, 0)
    return Chain(name, rules, HOOKS.get(name), kind, priority, policy != "DROP")


@lru_cache(maxsize=1 << 16)
def _options(line: str) -> tuple[tuple[Option, ...], tuple[str, str], tuple[Option, ...]]:
    """What must hold, how it goes on and to which target, and the target's own options."""
    words = WORD.findall(line)
    if any(word[0] == '"' and (len(word) == 1 or word[-1] != '"') for word in words):
        raise ValueError(f"quotes do not close: {line}")
    words = [word[1:-1] if word[0] == '"' else word for word in words]
    options: list[Option] = []
    negated = False
    for word in words[2:]:
        if word == "!":
            negated = True
        elif word.startswith("-") and not word[1:2].isdigit():
            options.append((word, "", negated))
            negated = False
        elif options:
            name, value, was = options[-1]
            options[-1] = name, f"{value} {word}".strip(), was
    place = next((i for i, option in enumerate(options) if option[0] in ("-j", "-g")), len(options))
    jump, target = options[place][:2] if place < len(options) else ("", "")
    return tuple(options[:place]), (jump, target), tuple(options[place + 1 :])


def _state_change(target: str, details: Sequence[Option]) -> Callable[[PacketState], None] | None:
    values = {name: value for name, value, _ in details}
    if target == "NOTRACK" or (target == "CT" and "--notrack" in values):
        return _untrack
    if target == "CT":
        return lambda _: None
    if target != "MARK" or "--set-xmark" not in values:
        return None
    value, _, mask = values["--set-xmark"].partition("/")
    return partial(PacketState.set_mark, value=number(value), mask=number(mask or "0xffffffff"))


def _destination(details: Sequence[Option]) -> Destination | None:
    """The address and port of ``--to-destination``; None for a range."""
    text = next((value for name, value, _ in details if name == "--to-destination"), "")
    parts = re.fullmatch(r"\[?(?P<address>[\d.]+|[\da-fA-F:]+(?=\]|$))\]?(?::(?P<port>\d+))?", text)
    if parts is None:
        return None
    return ipaddress.ip_address(parts["address"]), int(parts["port"]) if parts["port"] else None


def _untrack(state: PacketState) -> None:
    state.tracked = False


def _judged(options: Sequence[Option], context: EvalContext, sets: Ipsets) -> Iterator[bool | None]:
    question = _Question(context, sets, {name for name, _, _ in options})
    for name, value, negated in options:
        if name in _MODIFIERS:
            continue
        try:
            answer = question.answer(name, value)
        except ValueError:
            answer = None
        yield negation(answer) if negated else answer


_MODIFIERS = frozenset({"--comment", "--loose", "--validmark", "--accept-local", "--invert", "--limit-burst"})
"""Options that change what another one means."""


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether options hold for a packet at this point of its way."""

    context: EvalContext
    sets: Ipsets
    names: set[str] = field(default_factory=set)

    def answer(self, name: str, value: str) -> bool | None:  # noqa: PLR0911  # one for each option
        """Whether one option holds; None when that cannot be judged from here."""
        match name:
            case "-m":
                return self._module(value)
            case "-p":
                return value == "all" or protocol_number(value) == self.context.packet.number
            case "-i":
                return named_like(value, self.context.packet.device, "+")
            case "-f":
                return False
            case "--mark":
                return self._mark(value)
            case "--ctstate" | "--state" | "--ctstatus":
                return self._tracking(name, value)
            case "--pkt-type":
                return value == "unicast"
            case "--tcp-flags":
                mask, wanted = (frozenset(part.split(",")) - {"NONE"} for part in value.split())
                return FLAGS & mask == wanted
        return self._place(name, value)

    def _place(self, name: str, value: str) -> bool | None:  # noqa: PLR0911  # one for each option
        packet = self.context.packet
        destination = None if packet.somewhere else packet.address
        match name:
            case "-s" | "--src-range":
                return within(value, packet.source)
            case "-d" | "--dst-range":
                return within(value, destination)
            case "--match-set":
                set_name, direction = value.split()
                found = {"src": packet.source, "dst": destination}.get(direction)
                return holds(self.sets, set_name, found) if direction in ("src", "dst") else None
            case "--src-type":
                return None if packet.source is None or "UNICAST" not in value else True
            case "--dst-type":
                kinds = value.split(",")
                return ("LOCAL" if packet.local else "UNICAST") in kinds
            case "--dport" | "--dports" | "--sport" | "--sports":
                return self._ports(name, value)
        return None

    def _ports(self, name: str, value: str) -> bool | None:
        packet = self.context.packet
        if not packet.has_ports:
            return False
        ranges = [_range(part) for part in value.split(",")]
        if name.startswith("--s"):
            return any_of(from_ports(*ends) for ends in ranges)
        port = packet.port
        return None if port is None else any(first <= port <= last for first, last in ranges)

    def _module(self, name: str) -> bool | None:
        if name != "rpfilter":
            return True if name in KNOWN_MATCHES else None
        passes = "--loose" in self.names or not self.context.packet.unwrapped
        return passes is not ("--invert" in self.names)

    def _mark(self, value: str) -> bool | None:
        mark = self.context.state.mark
        wanted, _, mask = value.partition("/")
        return None if mark is None else mark & number(mask or "0xffffffff") == number(wanted)

    def _tracking(self, name: str, value: str) -> bool | None:
        tracked = self.context.state.tracked
        if tracked is None:
            return None
        wanted = value.split(",")
        if name == "--ctstatus":
            return ("DNAT" in wanted) if self.context.packet.rewritten else "NONE" in wanted
        if tracked and self.context.packet.rewritten and "DNAT" in wanted:
            return True
        seen = "NEW" if self.context.priority > CONNTRACK else "INVALID"
        return (seen if tracked else "UNTRACKED") in wanted


def _range(text: str) -> tuple[int, int]:
    """The ends of ``80``, ``80:90``, ``:90`` or ``http``.

    Raises:
        ValueError: It names a service that is not known here.
    """
    first, colon, last = text.partition(":")
    ends = port_number(first or "0"), port_number(last or "65535") if colon else port_number(first)
    if ends[0] is None or ends[1] is None:
        raise ValueError(f"no known port: {text}")
    return ends[0], ends[1]
