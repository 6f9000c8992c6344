"""Rules of nftables in its own words, from the JSON that nft prints of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ferryman.firewall.nft_values import Json

BARE = frozenset({"iif", "iifname", "iiftype", "iifgroup", "oif", "oifname", "oiftype", "oifgroup"})
"""What ``meta`` need not stand before."""
OPERATORS = frozenset({"&", "|", "^", "<<", ">>"})


def rule_text(rule: Mapping[str, Json]) -> str:
    """A rule as ``nft list ruleset`` shows it, without its counters."""
    words = [_said(one) for one in rule.get("expr", ())]
    comment = rule.get("comment")
    return " ".join([word for word in words if word] + ([f'comment "{comment}"'] if comment else []))


def _said(one: Json) -> str:
    try:
        return statement(one)
    except (TypeError, ValueError, AttributeError):  # a form that is not known here
        return json.dumps(one)


def statement(one: Json) -> str:  # noqa: PLR0911, C901  # one line for each statement
    """One statement of a rule."""
    if not isinstance(one, dict) or len(one) != 1:
        return expression(one)
    ((name, body),) = one.items()
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
    return expression(one)


def expression(one: Json) -> str:  # noqa: PLR0911, C901  # one line for each expression
    """One expression; what is not known here stays JSON."""
    if isinstance(one, list):
        return " : ".join(_element(part) for part in one) if _is_pair(one) else _joined(one, ",")
    if not isinstance(one, dict) or len(one) != 1:
        return str(one) if isinstance(one, str | int) else json.dumps(one)
    ((name, body),) = one.items()
    match name, body:
        case "payload", {"protocol": protocol, "field": part}:
            return f"{protocol} {part}"
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
    return json.dumps(one)


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


def _is_pair(one: list[Json]) -> bool:
    """Whether it is an element of a map: a key and what it leads to."""
    return len(one) == 2 and isinstance(one[1], dict)  # noqa: PLR2004  # a pair


def _element(part: Json) -> str:
    return statement(part)


def _joined(parts: Iterable[Json], by: str) -> str:
    return by.join(expression(part) for part in parts)
