"""Rules that are few and would cost much: counted, not timed, and no rule set is too deep to be followed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.firewall import (
    Effect,
    Packet,
    PacketVerdict,
    Ruleset,
    Table,
    ipsets,
    nft_values,
    parse_ipsets,
    parse_nft,
    parse_save,
    save_lines,
)
from ferryman.firewall.rules import NOTHING, Action, Chain
from ferryman.firewall.save_lines import words_of
from ferryman.firewall.walk import AT_LEAST, FURTHER, TOO_MANY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.firewall.rules import Choice, EvalContext

OUTER = Packet("ipencap", ip_address("10.10.0.21"), None, "eth0", True, ip_address("10.10.0.11"))
DEEP = 10_000
JUMPS = 30


@dataclass(frozen=True)
class Counted:
    """A rule that counts how often it is evaluated; it stands for any rule with these alternatives."""

    text: str
    choice: Choice
    counter: Counter[str]

    def steps(self, context: EvalContext) -> Iterator[Choice]:
        assert context.packet is OUTER
        self.counter[self.text] += 1
        yield self.choice


def of(chains: dict[str, list[Choice]]) -> tuple[Ruleset, Counter[str]]:
    counter: Counter[str] = Counter()
    made = {
        name: Chain(
            name,
            [Counted(f"{name} {number}", choice, counter) for number, choice in enumerate(rules)],
            "input" if name == "INPUT" else None,
        )
        for name, rules in chains.items()
    }
    return Ruleset((Table("iptables-legacy", "ip", "filter", frozenset({4}), made),)), counter


def jump(chain: str, *, sure: bool = True) -> Choice:
    return (Action(Effect.JUMP, chain),) if sure else (Action(Effect.JUMP, chain), NOTHING)


@pytest.mark.parametrize("sure", [True, False])
def test_chains_that_jump_twice_to_the_next_are_followed_once(sure: bool) -> None:
    """Thirty such chains are 507 bytes, and a billion ways."""
    chains = {f"C{number}": [jump(f"C{number + 1}", sure=sure)] * 2 for number in range(JUMPS)}
    ruleset, counter = of({"INPUT": [jump("C0")], **chains, f"C{JUMPS}": [(Action(Effect.DROP), NOTHING)]})
    assert ruleset.traverse(OUTER).verdict is PacketVerdict.UNKNOWN
    assert set(counter.values()) == {1}


def test_ten_thousand_chains_in_a_row_are_no_recursion() -> None:
    chains = {f"C{number}": [jump(f"C{number + 1}")] for number in range(DEEP)}
    ruleset, counter = of({"INPUT": [jump("C0")], **chains, f"C{DEEP}": [(Action(Effect.DROP),)]})
    assert ruleset.traverse(OUTER).verdict is PacketVerdict.DROP
    assert counter.total() == DEEP + 2


def test_rings_of_chains_end() -> None:
    ruleset, counter = of({"INPUT": [jump("A")], "A": [jump("B"), jump("B")], "B": [jump("A"), jump("A")]})
    assert ruleset.traverse(OUTER).verdict is PacketVerdict.ACCEPT
    assert max(counter.values()) == 1


def test_chains_that_count_in_the_mark_are_given_up_and_the_verdict_is_open() -> None:
    """Each way through them has another mark, so that nothing is seen twice."""

    def count(state: object) -> None:
        state.mark += 1  # type: ignore[attr-defined]  # a packet's state

    chains = {f"C{number}": [jump(f"C{number + 1}")] * 2 for number in range(JUMPS)}
    last: list[Choice] = [(Action(Effect.CHANGE_STATE, change=count),)]
    ruleset, counter = of({"INPUT": [jump("C0")], **chains, f"C{JUMPS}": last})
    traversal = ruleset.traverse(OUTER)
    assert (traversal.verdict, traversal.by and traversal.by.text) == (PacketVerdict.UNKNOWN, TOO_MANY)
    assert counter.total() == FURTHER * (2 * JUMPS + 2) + AT_LEAST


def test_one_endless_line_is_taken_apart_once() -> None:
    line = f"-A INPUT -m newfangled --words {'x ' * 7_000}-j DROP"
    ruleset = Ruleset(parse_save(f"*filter\n:INPUT ACCEPT\n{line}\n", "iptables-legacy", 4, {}))
    before = save_lines._parts_or_fault.cache_info().misses
    assert {ruleset.traverse(OUTER).verdict for _ in range(3)} == {PacketVerdict.UNKNOWN}
    assert save_lines._parts_or_fault.cache_info().misses == before + 1


def test_a_line_that_no_tool_prints_leaves_its_table_unread() -> None:
    with pytest.raises(ValueError, match=r"a line of 40038 characters: -A INPUT -m newfangled"):
        parse_save(
            f"*filter\n:INPUT ACCEPT\n-A INPUT -m newfangled --words {'x ' * 20_000}-j DROP\n",
            "iptables-legacy",
            4,
            {},
        )


@pytest.mark.parametrize(
    "words",
    ["x " * 7_000, "--x " * 3_500, "! " * 7_000, '"a ' * 5_000, '"\\" ' * 3_500, '"' + '\\"' * 7_000],
)
def test_an_endless_line_has_as_many_words_as_it_has(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word is looked at a few times at most: what is done does not grow with the square of a line."""
    looks: Counter[str] = Counter()
    plain = save_lines.Word.is_option.fget  # type: ignore[attr-defined]  # a property's function

    def looked(word: save_lines.Word) -> bool:
        looks["word"] += 1
        return bool(plain(word))

    monkeypatch.setattr(save_lines.Word, "is_option", property(looked))
    text = f"*filter\n:INPUT ACCEPT\n-A INPUT -p 4 {words}-j DROP\n"
    try:
        verdict = Ruleset(parse_save(text, "iptables-legacy", 4, {})).traverse(OUTER).verdict
    except ValueError:
        verdict = PacketVerdict.UNKNOWN
    assert verdict is PacketVerdict.UNKNOWN
    assert looks["word"] <= 2 * len(words.split()) + 10


def test_a_large_set_is_looked_through_once_however_many_rules_name_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: Counter[str] = Counter()
    within = ipsets.within

    def counted(place: str, address: object) -> bool | None:
        asked[place] += 1
        return within(place, address)  # type: ignore[arg-type]  # an address

    monkeypatch.setattr(ipsets, "within", counted)
    members = "".join(f"add s 192.0.2.{number}\n" for number in range(256))
    lists = "create l list:set\n" + "add l s\n" * 5
    sets = parse_ipsets(f"create s hash:ip family inet\n{members}{lists}")
    rules = "-A INPUT -m set --match-set s src -j DROP\n-A INPUT -m set --match-set l src -j DROP\n" * 100
    ruleset = Ruleset(parse_save(f"*filter\n:INPUT ACCEPT\n{rules}", "iptables-legacy", 4, sets))
    assert ruleset.traverse(OUTER).verdict is PacketVerdict.ACCEPT
    assert set(asked.values()) == {1}


def nft(*rules: list[object], elements: list[object] | None = None) -> str:
    place = {"family": "ip", "table": "t"}
    return json.dumps({
        "nftables": [
            {"table": {"family": "ip", "name": "t"}},
            {"set": {**place, "name": "s", "elem": elements or []}},
            {"chain": {**place, "name": "c", "type": "filter", "hook": "input", "prio": 0}},
            *({"rule": {**place, "chain": "c", "expr": [*rule, {"drop": None}]}} for rule in rules),
        ]
    })  # fmt: skip


SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}


def test_a_large_set_of_nft_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    is_element = nft_values._element  # what looks at one element

    def counted(value: object, element: str, sets: object) -> bool | None:
        asked[element] += 1
        return is_element(value, element, sets)  # type: ignore[arg-type]  # what it was called with

    monkeypatch.setattr(nft_values, "_element", counted)
    elements: list[object] = [f"192.0.2.{number}" for number in range(256)]
    rule: list[object] = [{"match": {"op": "==", "left": SOURCE, "right": "@s"}}]
    ruleset = Ruleset(parse_nft(nft(*[rule] * 100, elements=elements)))
    assert ruleset.traverse(OUTER).verdict is PacketVerdict.ACCEPT
    assert set(asked.values()) == {1}


def nested(depth: int, make: str, inner: str) -> str:
    opened, closed = make.split("X")
    return opened * depth + inner + closed * depth


@pytest.mark.parametrize(
    "left",
    [
        nested(300, '{"&": [X, 1]}', json.dumps(SOURCE)),
        nested(300, '{"concat": [X]}', json.dumps(SOURCE)),
        nested(300, '{"&": [{"ct": {"key": "state"}}, X]}', '"new"'),
    ],
)
@pytest.mark.parametrize(
    "right", ['"x"', nested(300, '{"set": [X]}', '"x"'), nested(300, '{"elem": {"val": X}}', "1")]
)
def test_expressions_of_nft_that_are_nested_deeply_are_not_understood(left: str, right: str) -> None:
    text = nft([{"match": {"op": "==", "left": "LEFT", "right": "RIGHT"}}])
    text = text.replace('"LEFT"', left).replace('"RIGHT"', right)
    traversal = Ruleset(parse_nft(text)).traverse(OUTER)
    assert traversal.verdict is PacketVerdict.UNKNOWN


def test_json_that_is_nested_too_deeply_is_an_error() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_nft('{"nftables": ' + "[" * 50_000)


@pytest.mark.parametrize(
    "entry", [1, [], {}, {"rule": 1}, {"chain": {"prio": 1e999}}, {"a": 1, "b": 2}, None]
)
def test_what_is_no_rule_set_is_an_error_that_is_told(entry: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        parse_nft(json.dumps({"nftables": [entry]}))


def test_a_rule_that_cannot_be_read_is_taken_apart_once_whatever_passes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host may have a thousand of them, and each packet that is tried meets each."""
    counter: Counter[str] = Counter()

    def counted(line: str) -> list[save_lines.Word]:
        counter[line] += 1
        return words_of(line)

    monkeypatch.setattr(save_lines, "words_of", counted)
    line = '-A INPUT -m comment --comment "told once" ! ACCEPT'
    ruleset = Ruleset(parse_save(f"*filter\n:INPUT ACCEPT\n{line}\n", "iptables-legacy", 4, {}))
    assert {ruleset.traverse(OUTER).verdict for _ in range(3)} == {PacketVerdict.UNKNOWN}
    assert counter == {line: 1}
