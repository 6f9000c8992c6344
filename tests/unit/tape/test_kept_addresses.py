"""Addresses that the program itself has are nobody's: a scrubbed tape must still have them."""

from __future__ import annotations

import ast
from ipaddress import ip_address
from pathlib import Path

import pytest

from ferryman.tape.scrub.addresses import is_kept

PACKAGE = Path(__file__).parents[3] / "lib" / "ferryman"


def literals() -> set[str]:
    """Every address that is made of a literal, but for the lab's, which are a real network's."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "lab"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(text))]
                ):
                    found |= {text} if name in ("IPv4Address", "IPv6Address", "ip_address") else set()
    return found


@pytest.mark.parametrize("text", sorted(literals()))
def test_an_address_of_the_program_s_own_is_kept(text: str) -> None:
    assert is_kept(ip_address(text))


def test_there_are_some() -> None:
    assert {"172.16.1.1", "9.9.9.9", "2620:fe::fe"} <= literals()
