"""Rules of iptables, from ``iptables-save``: legacy tables, and those that it keeps in nftables.

Lines are taken apart when a packet meets them, for a node of Kubernetes has tens of thousands.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ferryman.firewall.ipsets import Ends, holds, within
from ferryman.firewall.packet import all_of, any_of, named_like, negation, number, port_number
from ferryman.firewall.protocols import protocol_number
from ferryman.firewall.rules import NOTHING, Action, Chain, Choice, Effect, EvalContext, Table
from ferryman.firewall.save_lines import lines_of, parts_of
from ferryman.firewall.tracking import ALL_BITS, ESTABLISHED, INVALID, UNTRACKED, PacketState
from ferryman.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ferryman.firewall.ipsets import Ipsets
    from ferryman.firewall.rules import Destination
    from ferryman.firewall.save_lines import Option
    from ferryman.firewall.tracking import Zones

PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
HOOKS = {
    "PREROUTING": "prerouting",
    "INPUT": "input",
    "FORWARD": "forward",
    "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}
DNAT_TARGETS = frozenset({"DNAT", "REDIRECT", "NETMAP"})
"""Targets that give the packet another destination."""
ENDS = {"ACCEPT": Effect.ACCEPT, "DROP": Effect.DROP, "REJECT": Effect.DROP, "TARPIT": Effect.DROP}
HARMLESS = frozenset({
    "AUDIT", "CHECKSUM", "CLASSIFY", "CONNSECMARK", "DSCP", "HL", "IDLETIMER", "LED", "LOG", "MASQUERADE",
    "NFLOG", "RATEEST", "SECMARK", "SET", "SNAT", "TCPMSS", "TEE", "TOS", "TRACE", "TTL", "ULOG",
})  # fmt: skip
"""Targets that leave a packet on its way."""
KNOWN_MATCHES = frozenset({
    "addrtype", "comment", "conntrack", "icmp", "icmp6", "iprange", "mark", "multiport", "pkttype", "set",
    "state", "tcp", "udp",
})  # fmt: skip
"""Matches whose options are evaluated here; what any other match wants is unknown."""
MODIFIERS = frozenset({
    "--comment", "--loose", "--validmark", "--accept-local", "--invert", "--limit-burst", "--limit-iface-in",
    "--update-counters", "--update-subcounters", "-4", "-6", "-c",
})  # fmt: skip
"""Options that change what another one means."""
ROUTED_AWAY = frozenset({"BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE"})
"""Types that an address in use may have, by routes; those that are left it has for sure or not."""
OF_ENTRIES = frozenset({
    "--ctstatus", "--ctdir", "--ctproto", "--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst",
    "--ctorigsrcport", "--ctorigdstport", "--ctreplsrcport", "--ctrepldstport", "--ctexpire",
})  # fmt: skip
"""What is asked of a connection's entry. Where there is none, none of it is looked at beside a state that
matches, and all of it fails alone, with a ``!`` or without: xt_conntrack.c."""
LONGEST_LINE = 1 << 14
"""Characters of a rule: no extension takes a text of more than some kilobytes (a program of xt_bpf)."""
MARK_OPTIONS = ("--set-xmark", "--set-mark", "--and-mark", "--or-mark", "--xor-mark")
COUNTERS = re.compile(r"\[\d+:\d+\]\s+")


@dataclass(frozen=True, slots=True)
class IptablesRule:
    """One rule, as a line of ``iptables-save``; it is taken apart when a packet meets it."""

    text: str
    user_chains: Mapping[str, object]
    sets: Ipsets

    def steps(self, context: EvalContext) -> Iterator[Choice]:
        """The effect of its target, if its matches hold; the rule has no other."""
        try:
            parts = parts_of(self.text)
            verdict = all_of(_judged(parts.matches, context, self.sets))
            action = self._action(parts.jump, parts.target, parts.details)
        except ValueError:  # quotes that do not close, a mark that is no number
            yield (Action(Effect.OPAQUE), NOTHING)
            return
        if verdict is not False and parts.jump:
            yield (action,) if verdict else (action, NOTHING)

    def _action(self, jump: str, target: str, details: Sequence[Option]) -> Action:  # noqa: PLR0911  # one for each target
        if target in self.user_chains:
            return Action(Effect.JUMP if jump == "-j" else Effect.GOTO, target)
        if target in ENDS:
            return Action(ENDS[target])
        if target in DNAT_TARGETS:
            return Action(Effect.DNAT, to_this_host=target == "REDIRECT", to=_destination(details))
        if target == "RETURN":
            return Action(Effect.RETURN)
        if target == "TCPMSS":
            return Action(Effect.NOTHING, mss=_mss(details))
        if change := _state_change(target, details):
            return Action(Effect.CHANGE_STATE, change=change)
        return NOTHING if target in HARMLESS else Action(Effect.OPAQUE)


def parse_save(text: str, tool: str, version: int, sets: Ipsets) -> tuple[Table, ...]:
    """The tables in the output of ``iptables-save``; ``tool`` is the command that changes them.

    Raises:
        ValueError: A line in it is none that iptables-save prints or iptables-restore takes.
    """
    found: list[Table] = []
    reading: _Table | None = None
    for line in lines_of(text):
        if line.startswith("*"):
            reading = _Table(line[1:].strip(), sets)
            found.append(reading.made(tool, version))
        elif line.startswith("COMMIT"):
            reading = None
        elif reading is not None:
            reading.read(line)
    return tuple(found)


class _Table:
    """A table being read; its chains grow with its lines."""

    def __init__(self, name: str, sets: Ipsets) -> None:
        self.name = name
        self.sets = sets
        self.rules: dict[str, list[IptablesRule]] = {}
        self.chains: dict[str, Chain] = {}

    def made(self, tool: str, version: int) -> Table:
        """The table, with the chains that it has and will have."""
        family = "ip" if version == 4 else "ip6"  # noqa: PLR2004  # IPv4
        return Table(tool, family, self.name, frozenset({version}), self.chains)

    def read(self, line: str) -> None:
        """Take one line in."""
        line = COUNTERS.sub("", line, count=1) if line.startswith("[") else line
        if not line:
            return
        if len(line) > LONGEST_LINE:
            raise ValueError(f"a line of {len(line)} characters: {line[:80]}")
        if line.startswith(":"):
            name, policy = line[1:].split()[:2]
            self._declare(name, policy)
            return
        words = line.split(None, 2)
        match words:
            case ["-A" | "--append", chain, *_]:
                self._of(chain).append(IptablesRule(line, self.rules, self.sets))
            case ["-I" | "--insert", chain, rest]:
                place, _, rule = rest.partition(" ")
                at, rule = (int(place), rule) if numeral(place) is not None else (1, rest)
                self._of(chain).insert(at - 1, IptablesRule(f"-A {chain} {rule}", self.rules, self.sets))
            case ["-N" | "--new-chain", chain]:
                self._declare(chain, "-")
            case ["-P" | "--policy", chain, policy]:
                self._declare(chain, policy.split()[0])
            case _:
                raise ValueError(f"not a line of iptables-save: {line[:80]}")

    def _of(self, chain: str) -> list[IptablesRule]:
        if chain not in self.chains:
            self._declare(chain, "-")
        return self.rules[chain]

    def _declare(self, name: str, policy: str) -> None:
        rules = self.rules.setdefault(name, [])
        kind = "nat" if self.name == "nat" else "filter"
        at_input = (self.name, name) in (("nat", "INPUT"), ("nat", "POSTROUTING"))
        priority = 100 if at_input else PRIORITIES.get(self.name, 0)
        self.chains[name] = Chain(name, rules, HOOKS.get(name), kind, priority, policy != "DROP")


def _state_change(target: str, details: Sequence[Option]) -> Callable[[PacketState], None] | None:
    values = {option.name: option.value for option in details}
    if target == "NOTRACK" or (target == "CT" and "--notrack" in values):
        return PacketState.untrack
    if target == "CT":
        return partial(PacketState.put_into, zones=_zones(values))
    if target == "CONNMARK":
        return _restore_mark if "--restore-mark" in values else _forget_connection_mark
    name = next((name for name in MARK_OPTIONS if name in values), "")
    if target != "MARK" or not name:
        return None
    value, _, mask = values[name].partition("/")
    cleared, flipped = _marking(name, number(value), number(mask or "0xffffffff"))
    return partial(PacketState.set_mark, value=flipped, mask=cleared)


def _marking(name: str, value: int, mask: int) -> tuple[int, int]:
    """The bits that are cleared, and then those that are flipped."""
    match name:
        case "--set-mark":
            return mask | value, value
        case "--and-mark":
            return ~value & ALL_BITS, 0
        case "--or-mark":
            return value, value
        case "--xor-mark":
            return 0, value
    return mask, value


def _restore_mark(state: PacketState) -> None:
    """A connection without a mark gives the packet none; what masks keep is not told."""
    state.mark = 0 if state.connection_mark == 0 and state.mark == 0 else None


def _forget_connection_mark(state: PacketState) -> None:
    state.connection_mark = None


def _zones(values: Mapping[str, str]) -> Zones | None:
    """The zones that the target CT gives; None for those that a mark decides."""
    both = values.get("--zone", "0")
    ends = values.get("--zone-orig", both), values.get("--zone-reply", both)
    original, reply = map(numeral, ends)
    return None if original is None or reply is None else (original, reply)


def _mss(details: Sequence[Option]) -> int | None:
    value = next((option.value for option in details if option.name == "--set-mss"), "")
    return numeral(value)


def _destination(details: Sequence[Option]) -> Destination | None:
    """The address and port of ``--to-destination``; None for a range."""
    text = next((option.value for option in details if option.name == "--to-destination"), "")
    parts = re.fullmatch(r"\[?(?P<address>[\d.]+|[\da-fA-F:]+(?=\]|$))\]?(?::(?P<port>\d+))?", text)
    if parts is None:
        return None
    return ipaddress.ip_address(parts["address"]), int(parts["port"]) if parts["port"] else None


def _judged(options: Sequence[Option], context: EvalContext, sets: Ipsets) -> Iterator[bool | None]:
    question = _Question(context, sets, {option.name for option in options})
    for option in options:
        if option.name in MODIFIERS:
            continue
        if option.name in OF_ENTRIES and context.called in (INVALID, UNTRACKED):
            yield "--ctstate" in question.names
            continue
        try:
            answer = question.answer(option)
        except ValueError:
            answer = None
        yield negation(answer) if option.negated else answer


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether options hold for a packet at this point of its way."""

    context: EvalContext
    sets: Ipsets
    names: set[str] = field(default_factory=set)

    def answer(self, option: Option) -> bool | None:  # noqa: PLR0911  # one for each option
        """Whether one option holds; None when that cannot be judged from here."""
        value = option.value
        match option.name:
            case "-m":
                return self._module(value)
            case "-p":
                return self._protocol(value)
            case "-i":
                return named_like(value, self.context.device, "+")
            case "-o":
                return named_like(value, self.context.way_out, "+")
            case "-f":
                return False
            case "--mark":
                return self._mark(value) if option.module in ("mark", "") else None
            case "--ctstate" | "--state" | "--ctstatus" | "--ctdir":
                return self._tracking(option.name, value)
            case "--pkt-type":
                return None if self.context.packet.goes_out else value == "unicast"
            case "--tcp-flags" | "--syn":
                return self._flags(value or "FIN,SYN,RST,ACK SYN")
        return self._place(option.name, value)

    def _protocol(self, value: str) -> bool | None:
        """Source: xtables_parse_protocol of libxtables; 0 is any protocol, whatever it is called."""
        wanted = 0 if value.lower() == "all" else protocol_number(value, self.context.protocols)
        return None if wanted is None else wanted in (0, self.context.packet.number)

    def _flags(self, value: str) -> bool | None:
        if self.context.packet.protocol != "tcp":
            return False
        mask, wanted = (frozenset(part.split(",")) - {"NONE"} for part in value.split())
        mask = mask if "ALL" not in mask else frozenset({"FIN", "SYN", "RST", "PSH", "ACK", "URG"})
        return self.context.packet.step.value & mask == wanted

    def _place(self, name: str, value: str) -> bool | None:  # noqa: PLR0911  # one for each option
        packet = self.context.packet
        destination = None if packet.somewhere else packet.address
        match name:
            case "-s" | "--src-range":
                return any_of(within(part, packet.source) for part in value.split(","))
            case "-d" | "--dst-range":
                return any_of(within(part, destination) for part in value.split(","))
            case "--match-set":
                set_name, sides = value.split()
                ends = Ends(packet, self.context.device, self.context.protocols)
                return holds(self.sets, set_name, sides.split(","), ends)
            case "--src-type":
                return self._source_type(value.split(","))
            case "--dst-type":
                local = packet.is_local(self.context.device if "--limit-iface-in" in self.names else None)
                return None if local is None else ("LOCAL" if local else "UNICAST") in value.split(",")
            case "--dport" | "--dports" | "--sport" | "--sports" | "--ports":
                return self._ports(name, value)
        return None

    def _source_type(self, kinds: Sequence[str]) -> bool | None:
        if self.context.packet.goes_out:
            return None if self.context.hook != "output" else "LOCAL" in kinds
        return None if ROUTED_AWAY.intersection(kinds) else "UNICAST" in kinds

    def _ports(self, name: str, value: str) -> bool | None:
        packet = self.context.packet
        if not packet.has_ports:
            return False
        ranges = [_range(part) for part in value.split(",")]
        sides = [packet.from_ports] if name.startswith("--s") else [packet.to_ports]
        if name == "--ports":
            sides = [packet.from_ports, packet.to_ports]
        return any_of(side(*ends) for side in sides for ends in ranges)

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
        called, packet = self.context.called, self.context.packet
        if called is None:
            return None
        wanted = value.split(",")
        if name == "--ctdir":
            return value == ("REPLY" if packet.goes_out else "ORIGINAL")
        if name == "--ctstatus":
            return self._status(called, frozenset(wanted) - {"NONE"})
        if called != UNTRACKED and packet.rewritten and "DNAT" in wanted:
            return True
        return called.upper() in wanted

    def _status(self, called: str, wanted: frozenset[str]) -> bool | None:
        """A new connection has no status but that its destination was rewritten; a later one has several.

        NONE is none of the bits that a status has, so it never matches.
        """
        if called == ESTABLISHED or ("CONFIRMED" in wanted and not self.context.packet.has_ports):
            return None
        return self.context.packet.rewritten and "DNAT" in wanted


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
