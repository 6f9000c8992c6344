"""Rules of nftables in its own words, from the JSON that nft prints of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ferryman.firewall.nft_values import Json

BARE = frozenset({"iif", "iifname", "iiftype", "iifgroup", "oif", "oifname", "oiftype", "oifgroup"})
"""The keys of ``meta`` that nft writes without that word."""
OPERATORS = frozenset({"&", "|", "^", "<<", ">>"})


def rule_text(rule: Mapping[str, Json]) -> str:
    """A rule as ``nft list ruleset`` shows it, without its counters."""
    words = [_statement_or_json(part) for part in rule.get("expr", ())]
    comment = rule.get("comment")
    return " ".join([word for word in words if word] + ([f'comment "{comment}"'] if comment else []))


def _statement_or_json(part: Json) -> str:
    try:
        return statement(part)
    except (TypeError, ValueError, AttributeError):  # a form that is not known here
        return json.dumps(part)


def statement(part: Json) -> str:  # noqa: PLR0911, C901  # one line for each statement
    """One statement of a rule as nft writes it; empty for a counter, JSON for an unknown form."""
    if not isinstance(part, dict) or len(part) != 1:
        return expression(part)
    ((name, body),) = part.items()
    match name, body:
        case "match", {"op": operator, "left": left, "right": right}:
            plain = operator in ("==", "in") and not OPERATORS & left.keys()
            sign = "" if plain else f"{operator} "
            return f"{expression(left)} {sign}{_right(left, right)}"
        case (("jump" | "goto"), {"target": target}):
            return f"{name} {target}"
        case "vmap", {"key": key, "data": data}:
            return f"{expression(key)} vmap {expression(data)}"
        case "mangle", {"key": key, "value": value}:
            return f"{expression(key)} set {expression(value)}"
        case (("dnat" | "redirect"), _):
            return _nat(name, body or {})
        case "limit", {"rate": rate, "per": per}:
            return f"limit rate {'over ' if body.get('inv') else ''}{rate}/{per}"
        case "xt", _:
            return f"xt {body.get('name', '?') if body else '?'}"
        case "counter", _:
            return ""
        case _ if body is None or name in ("log", "reject"):
            return str(name)
    return expression(part)


def expression(part: Json) -> str:  # noqa: PLR0911, C901  # one line for each expression
    """One expression as nft writes it; JSON for a form that is not known here."""
    if isinstance(part, list):
        return " : ".join(statement(half) for half in part) if _is_pair(part) else _joined(part, ",")
    if not isinstance(part, dict) or len(part) != 1:
        return str(part) if isinstance(part, str | int) else json.dumps(part)
    ((name, body),) = part.items()
    match name, body:
        case "payload", {"protocol": protocol, "field": field}:
            return f"{protocol} {field}"
        case (("meta" | "ct"), {"key": key}):
            return str(key) if key in BARE else f"{name} {key}"
        case "fib", {"result": result, "flags": flags}:
            return f"fib {' . '.join([flags] if isinstance(flags, str) else flags)} {result}"
        case "prefix", {"addr": address, "len": length}:
            return f"{address}/{length}"
        case "range", [first, last]:
            return f"{expression(first)}-{expression(last)}"
        case "set", list():
            return f"{{ {_joined(body, ', ')} }}"
        case "concat", list():
            return _joined(body, " . ")
        case "elem", {"val": value}:
            return expression(value)
        case "map", {"key": key, "data": data}:
            return f"{expression(key)} map {expression(data)}"
        case _ if name in OPERATORS:
            return _joined(body, f" {name} ")
    return json.dumps(part)


def _right(left: Mapping[str, Json], right: Json) -> str:
    if "fib" in left and isinstance(right, bool):
        return "exists" if right else "missing"
    return (
        f'"{right}"'
        if left.get("meta", {}).get("key") in BARE and isinstance(right, str)
        else expression(right)
    )


def _nat(name: str, body: Mapping[str, Json]) -> str:
    address, port = body.get("addr"), body.get("port")
    where = ("" if address is None else expression(address)) + (
        "" if port is None else f":{expression(port)}"
    )
    return f"{name} to {where}" if where else name


def _is_pair(part: list[Json]) -> bool:
    """Whether it is an element of a map: a key and what it leads to."""
    return len(part) == 2 and isinstance(part[1], dict)  # noqa: PLR2004  # a pair


def _joined(parts: Iterable[Json], by: str) -> str:
    return by.join(expression(part) for part in parts)
