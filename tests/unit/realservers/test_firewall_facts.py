"""What the facts script asks of a host's firewall: tools that are stand-ins say what was asked of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.realservers.facts.firewall import TCP_LOOSE, rules_of
from ferryman.testing.shell import run_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.realservers.facts import Facts

TABLE = '{"table": {"family": "ip", "name": "filter", "handle": 1}}'
CHAIN = (
    '{"chain": {"family": "ip", "table": "filter", "name": "INPUT", "type": "filter", "hook": "input",'
    ' "prio": 0, "policy": "accept"}}'
)


def ruleset(*statements: str) -> str:
    expressions = ", ".join((*statements, '{"drop": null}'))
    rule = f'{{"rule": {{"family": "ip", "table": "filter", "chain": "INPUT", "expr": [{expressions}]}}}}'
    return f'{{"nftables": [{TABLE}, {CHAIN}, {rule}]}}'


NATIVE, FOREIGN = ruleset(), ruleset('{"xt": {"type": "match", "name": "set"}}')
SAVED = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p 4 -m set --match-set lbs src -j ACCEPT\nCOMMIT"
TOOLS = {
    "nft": NATIVE,
    "iptables-nft-save": "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT",
    "ip6tables-nft-save": "",
    "iptables-legacy-save": "",
    "ip6tables-legacy-save": "",
    "ipset": "create lbs hash:ip family inet\nadd lbs 10.10.0.11",
}


@pytest.fixture(name="ask")
def asking(tmp_path: Path) -> Callable[..., tuple[Facts, list[str]]]:
    """Ask a host with these tools; also what of them was asked, those for legacy tables apart."""

    def ask(status: int = 0, **said: str) -> tuple[Facts, list[str]]:
        log = tmp_path / "asked"
        log.touch()
        for tool, text in (TOOLS | {name.replace("_", "-"): text for name, text in said.items()}).items():
            stub = tmp_path / tool
            code = status if tool == "nft" else 0
            stub.write_text(f"#!/bin/sh\necho {tool} $* >>{log}\ncat <<'EOF'\n{text}\nEOF\nexit {code}\n")
            stub.chmod(0o755)
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        verb = ReadFacts()
        facts = verb.value(run_here(verb, host="web1", env=env))
        asked = [line for line in log.read_text().splitlines() if "legacy" not in line]
        return facts, asked

    return ask


def told(facts: Facts) -> list[str]:
    return [str(table) for table in facts.firewall.tables]


def test_nft_says_all_where_no_rule_needs_iptables(ask: Callable[..., tuple[Facts, list[str]]]) -> None:
    facts, asked = ask()
    assert asked == ["nft -j list ruleset"]
    assert told(facts) == ["nft ip filter"]
    assert facts.firewall.unread == ()


def test_iptables_is_asked_for_what_nft_cannot_say_and_replaces_it(
    ask: Callable[..., tuple[Facts, list[str]]],
) -> None:
    facts, asked = ask(nft=FOREIGN)
    assert asked == ["nft -j list ruleset", "iptables-nft-save", "ip6tables-nft-save"]
    assert told(facts) == ["iptables-nft filter"]


def test_sets_are_asked_for_where_a_rule_names_one(ask: Callable[..., tuple[Facts, list[str]]]) -> None:
    _, asked = ask(nft=FOREIGN, iptables_nft_save=SAVED)
    assert asked[-1] == "ipset save"


def test_a_warning_before_the_rules_does_not_spoil_them(ask: Callable[..., tuple[Facts, list[str]]]) -> None:
    facts, _ = ask(nft=f"# Warning: table ip filter is managed by iptables-nft, do not touch!\n{NATIVE}")
    assert told(facts) == ["nft ip filter"]


def test_nft_that_fails_leaves_the_rules_unread(ask: Callable[..., tuple[Facts, list[str]]]) -> None:
    facts, _ = ask(status=1, nft="")
    assert facts.firewall.unread == ("nft: status 1",)


def test_nft_without_json_leaves_the_rules_unread(ask: Callable[..., tuple[Facts, list[str]]]) -> None:
    facts, _ = ask(nft="table ip filter {\n}")
    assert facts.firewall.unread == ("nft: ValueError: no JSON: table ip filter {",)


def test_the_hosts_own_names_of_protocols_and_how_loose_its_tracking_is_are_read() -> None:
    names = Path("/etc/protocols").read_text().splitlines()
    answer = run_here(ReadFacts(), host="web1").stdout.splitlines()
    assert [line for line in answer if line.startswith("/etc/protocols:")] == [
        f"/etc/protocols:{line}" for line in names
    ]
    told = rules_of({}, "", {"/etc/protocols": "ipip 4 IPIP", TCP_LOOSE: "0"})
    assert (told.protocols["ipip"], told.tcp_loose) == (4, False)
    silent = rules_of({}, "", {})
    assert (silent.protocols["ipip"], silent.tcp_loose) == (94, True)
