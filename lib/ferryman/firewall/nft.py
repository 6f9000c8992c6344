"""Rules of nftables, from ``nft -j list ruleset``."""

from __future__ import annotations

import ipaddress
import json
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ferryman.firewall.nft_text import rule_text
from ferryman.firewall.nft_values import NotApplicableError, Sets, among, compares, value_of
from ferryman.firewall.packet import any_of
from ferryman.firewall.rules import NOTHING, Action, Chain, Choice, Effect, EvalContext, Table
from ferryman.firewall.tracking import PacketState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.firewall.nft_values import Json, Value
    from ferryman.firewall.rules import Destination
    from ferryman.firewall.tracking import Zones

VERSIONS = {"ip": (4,), "ip6": (6,), "inet": (4, 6), "netdev": (4, 6)}
"""The IP versions that each family of tables sees; the others see no IP packet of this host's own."""
VERDICTS = {"accept": Effect.ACCEPT, "drop": Effect.DROP, "reject": Effect.DROP, "return": Effect.RETURN}
DNAT_STATEMENTS = frozenset({"dnat", "redirect"})
HARMLESS = frozenset(
    {
        "counter",
        "log",
        "continue",
        "comment",
        "last",
        "ct helper",
        "ct timeout",
        "dup",
        "flow",
        "masquerade",
        "snat",
    }
)
NOT_UNDERSTOOD = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What a statement in a form that is not known here may raise; it may hold or not then."""
PERHAPS = frozenset({"limit", "quota", "ct count", "connlimit", "meter"})
"""Statements that end the rule or not, by what came before."""


@dataclass(frozen=True, slots=True)
class NftRule:
    """One rule of a chain, as JSON."""

    body: Mapping[str, Json]
    sets: Sets

    @property
    def text(self) -> str:
        """The rule as ``nft list ruleset`` shows it."""
        try:
            return rule_text(self.body)
        except NOT_UNDERSTOOD:
            return "a rule that is not understood"

    def steps(self, context: EvalContext) -> Iterator[Choice]:
        """Its statements in order, up to the first that does not hold."""
        sure = True
        for statement in self.body.get("expr", ()):
            try:
                holds, choice = _step(statement, context, self.sets)
            except NotApplicableError:
                return
            except NOT_UNDERSTOOD:
                holds, choice = None, _whatever(statement)
            if holds is False:
                return
            sure = sure and holds is True
            if choice:
                yield choice if sure else tuple(dict.fromkeys((*choice, NOTHING)))


def parse_nft(text: str) -> tuple[Table, ...]:
    """The tables in the JSON that nft prints; nothing printed means that there is none.

    Raises:
        ValueError: It is no such JSON.
    """
    line = next((line for line in text.split("\n") if line.lstrip().startswith('{"nftables"')), None)
    if line is None:
        if text.strip():
            raise ValueError(f"no JSON: {text.strip().splitlines()[0]}")
        return ()
    objects = _Objects()
    try:
        for entry in json.loads(line)["nftables"]:
            objects.add(entry)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return objects.tables()


class _Objects:
    """The objects of a ruleset that nft listed, sorted by the table that they belong to."""

    def __init__(self) -> None:
        self.chains: dict[tuple[str, str], list[Mapping[str, Json]]] = {}
        self.rules: dict[tuple[str, str, str], list[NftRule]] = defaultdict(list)
        self.sets: dict[tuple[str, str], Sets] = defaultdict(Sets)

    def add(self, entry: Mapping[str, Json]) -> None:
        """Take one object in; those that no packet meets are passed over."""
        ((kind, body),) = entry.items()
        match kind:
            case "table":
                self.chains[body["family"], body["name"]] = []
            case "chain":
                self.chains[body["family"], body["table"]].append(body)
            case "rule":
                place = body["family"], body["table"]
                if not isinstance(body.get("expr", []), list):
                    raise TypeError(f"a rule of {body['table']} {body['chain']} has no list of statements")
                self.rules[(*place, body["chain"])].append(NftRule(body, self.sets[place]))
            case "set" | "map":
                self.sets[body["family"], body["table"]].lists[body["name"]] = _elements(body)

    def tables(self) -> tuple[Table, ...]:
        """The tables whose family sees IP packets, with their chains and rules."""
        return tuple(
            Table("nft", family, name, frozenset(VERSIONS[family]), self._chains(family, name))
            for family, name in self.chains
            if family in VERSIONS
        )

    def _chains(self, family: str, name: str) -> dict[str, Chain]:
        found = self.chains[family, name]
        return {chain["name"]: _chain(chain, self.rules[family, name, chain["name"]]) for chain in found}


def _elements(body: Mapping[str, Json]) -> Sequence[Json]:
    elements = body.get("elem", [])
    return elements if isinstance(elements, list) else [elements]


def _chain(body: Mapping[str, Json], rules: Sequence[NftRule]) -> Chain:
    devices, priority = body.get("dev", []), body.get("prio", 0)
    if not isinstance(priority, int):
        raise TypeError(f"the chain {body['name']} has no number for its priority")
    return Chain(
        _word(body["name"]),
        rules,
        None if body.get("hook") is None else _word(body["hook"]),
        _word(body.get("type", "filter")),
        priority,
        body.get("policy", "accept") != "drop",
        tuple(map(_word, [devices] if isinstance(devices, str) else devices)),
    )


def _word(value: Json) -> str:
    """A name.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"not a name: {value}")
    return value


def _whatever(statement: Json) -> Choice:
    """What a statement may do that is not understood: a match nothing but to end the rule."""
    return () if isinstance(statement, dict) and "match" in statement else (Action(Effect.OPAQUE),)


def _step(statement: Json, context: EvalContext, sets: Sets) -> tuple[bool | None, Choice]:  # noqa: PLR0911  # one for each statement
    """Whether the rule goes on after a statement, and what the statement may do.

    Raises:
        NotApplicableError: It asks for what the packet does not have.
    """
    if not isinstance(statement, dict) or len(statement) != 1:
        return None, ()
    ((name, body),) = statement.items()
    match name, body:
        case "match", {"op": operator, "left": left, "right": right}:
            return compares(operator, value_of(left, context), right, sets), ()
        case "vmap", {"key": key, "data": data}:
            return True, _mapped(value_of(key, context), data, sets)
        case "mangle", {"key": key, "value": value}:
            return True, _mangled(key, value)
        case "notrack", _:
            return True, (Action(Effect.CHANGE_STATE, change=PacketState.untrack),)
        case "set", {"stmt": list()}:
            return None, ()
        case (("set" | "map"), _):
            return True, ()
        case "xt", _:
            return _xt_step(body or {})
    return _verdict(name, body, context, sets)


def _verdict(name: str, body: Json, context: EvalContext, sets: Sets) -> tuple[bool | None, Choice]:
    if name in HARMLESS:
        return True, ()
    if name in PERHAPS:
        return None, ()
    if name in DNAT_STATEMENTS:
        return _taken(body or {}, context, sets), (
            Action(Effect.DNAT, to_this_host=name == "redirect", to=_destination(body)),
        )
    return True, (_action({name: body}),)


def _action(verdict: Mapping[str, Json]) -> Action:
    ((name, body),) = verdict.items()
    if name in ("jump", "goto"):
        return Action(Effect.JUMP if name == "jump" else Effect.GOTO, _word(body["target"]))
    if name == "continue":
        return NOTHING
    return Action(VERDICTS.get(name, Effect.OPAQUE))


def _mapped(value: Value | tuple[Value, ...], data: Json, sets: Sets) -> Choice:
    """What a verdict map may lead to: the one element for sure, or any that the value may be."""
    elements = sets.get(data[1:]) if isinstance(data, str) else data.get("set")
    if elements is None:
        return (Action(Effect.OPAQUE), NOTHING)
    return sets.remembered("map", elements, value, lambda: _chosen(elements, value, sets))


def _chosen(elements: Sequence[Json], value: Value | tuple[Value, ...], sets: Sets) -> Choice:
    found: list[Action] = []
    for key, verdict in sorted(elements, key=lambda pair: bool(pair[0] == "*")):
        holds = among(value, key, sets)
        if holds:
            return tuple(dict.fromkeys((*found, _action(verdict))))
        if holds is None:
            found.append(_action(verdict))
    return tuple(dict.fromkeys((*found, NOTHING)))


def _taken(body: Mapping[str, Json], context: EvalContext, sets: Sets) -> bool | None:
    """Whether a map that gives the new destination has an element for the packet; true without a map."""
    found = body.get("addr")
    mapped = found.get("map") if isinstance(found, dict) else None
    if mapped is None:
        return True
    value, data = value_of(mapped["key"], context), mapped["data"]
    elements = sets.get(data[1:]) if isinstance(data, str) else data.get("set")
    if elements is None:
        return None
    return sets.remembered(
        "key", elements, value, lambda: any_of(among(value, key, sets) for key, _ in elements)
    )


def _destination(body: Mapping[str, Json] | None) -> Destination | None:
    """Where it sends packets; None for a range and for a map."""
    address, port = (body or {}).get("addr"), (body or {}).get("port")
    if not isinstance(address, str) or not isinstance(port, int | None):
        return None
    return ipaddress.ip_address(address), port


def _marking(value: Json) -> Action:
    match value:
        case int():
            return Action(Effect.CHANGE_STATE, change=lambda state: state.set_mark(value))
        case {"|": [{"meta": {"key": "mark"}}, int(bits)]}:
            return Action(Effect.CHANGE_STATE, change=lambda state: _change(state, ~0, bits))
        case {"&": [{"meta": {"key": "mark"}}, int(mask)]}:
            return Action(Effect.CHANGE_STATE, change=lambda state: _change(state, mask, 0))
        case {"^": [{"&": [{"meta": {"key": "mark"}}, int(mask)]}, int(bits)]}:
            return Action(Effect.CHANGE_STATE, change=lambda state: _flip(state, mask, bits))
    return Action(Effect.CHANGE_STATE, change=_forget)


def _change(state: PacketState, mask: int, bits: int) -> None:
    state.mark = None if state.mark is None else state.mark & mask | bits


def _flip(state: PacketState, mask: int, bits: int) -> None:
    state.mark = None if state.mark is None else (state.mark & mask) ^ bits


def _forget(state: PacketState) -> None:
    state.mark = None


def _mangled(key: Json, value: Json) -> Choice:
    """What a change of the packet, or of what the kernel keeps about it, is to later rules."""
    match key:
        case {"meta": {"key": "mark"}}:
            return (_marking(value),)
        case {"ct": {"key": "zone", **where}}:
            return (_zoning(where.get("dir"), value),)
        case {"tcp option": {"name": "maxseg"}} if isinstance(value, int):
            return (Action(Effect.NOTHING, mss=value),)
    return ()


def _zoning(direction: Json, value: Json) -> Action:
    """``ct zone set 5``, or ``ct original zone set 5`` for one direction alone."""
    zones: Zones | None = None
    if isinstance(value, int):
        zones = (value if direction != "reply" else 0), (value if direction != "original" else 0)
    return Action(Effect.CHANGE_STATE, change=partial(PacketState.put_into, zones=zones))


def _xt_step(body: Mapping[str, Json]) -> tuple[bool | None, Choice]:
    """A part that iptables put there: nft says no more of it than its name."""
    if body.get("name") == "comment":
        return True, ()
    if body.get("type") == "match":
        return None, ()
    return None, (Action(Effect.DNAT if body.get("name") in ("DNAT", "REDIRECT") else Effect.OPAQUE),)
