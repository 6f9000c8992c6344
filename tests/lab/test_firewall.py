"""What the rules are said to do against what the kernel does, for the first packet of each flow.

A packet has been let in when a raw socket gets it, for the kernel hands it one only behind its filters.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ferryman.firewall import PacketVerdict
from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.model import Verdict
from ferryman.realservers.checks.firewall import firewall
from ferryman.realservers.checks.open_decapsulator import open_decapsulator
from ferryman.testing.shell import run_here
from lab.firewall_node import NODE, RECEIVERS, WEB, Node, a_node, inside, judged, run
from lab.firewall_rules import IPTABLES, NFT, Case

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and rules"),
]


@pytest.fixture(scope="module", name="made")
def made_node() -> Iterator[Node]:
    """The node, for all tests of this file."""
    with a_node() as built:
        yield built


def compare(made: Node, case: Case) -> None:
    facts = made.facts()
    assert facts.firewall.unread == ()
    dropped = {name for name in RECEIVERS if not made.arrives(name)}
    verdicts = {name: facts.firewall.traverse(judged(name, facts)).verdict for name in RECEIVERS}
    unknown = PacketVerdict.UNKNOWN
    sure = {name: verdict for name, verdict in verdicts.items() if case.told or verdict is not unknown}
    assert dropped == set(case.drops.split())
    assert sure == {name: PacketVerdict.DROP if name in dropped else PacketVerdict.ACCEPT for name in sure}


@pytest.mark.parametrize("name", NFT)
def test_nft_does_what_is_said_of_it(made: Node, name: str) -> None:
    made.rules("native", NFT[name])
    compare(made, NFT[name])


@pytest.mark.parametrize("kind", ["nft", "legacy"])
@pytest.mark.parametrize("name", IPTABLES)
def test_iptables_does_what_is_said_of_it(made: Node, name: str, kind: str) -> None:
    made.rules(kind, IPTABLES[name])
    compare(made, IPTABLES[name])


REMEDIED = {
    "native": Case("table inet f { chain i { type filter hook input priority 0; policy drop; }; }"),
    "nft": Case("-P INPUT DROP\n6 -P INPUT DROP"),
    "legacy": Case("-t mangle -A INPUT -j DROP\n6 -A INPUT -j DROP"),
}


@pytest.mark.parametrize("kind", REMEDIED)
def test_the_remedys_commands_let_the_directors_in_and_nobody_else(made: Node, kind: str) -> None:
    made.rules(kind, REMEDIED[kind])
    found = [finding for finding in firewall(WEB, NODE, made.facts()) if finding.verdict is Verdict.FAIL]
    assert len(found) == 4
    with inside(made.names["node"]):
        for finding in found:
            run(
                "sh",
                "-c",
                finding.remedy.split(";")[0].replace("{", "'{").replace("}", "}'").replace('"', "'\"'"),
            )
    assert {name for name in RECEIVERS if not made.arrives(name)} == {"unauthorised4", "unauthorised6"}
    assert {finding.verdict for finding in firewall(WEB, NODE, made.facts())} == {Verdict.PASS}


def test_the_remedy_for_an_open_decapsulator_shuts_unauthorised_sources_out(made: Node) -> None:
    made.rules("native", NFT["no rules"])
    found = list(open_decapsulator(WEB, NODE, made.facts()))
    assert [finding.verdict for finding in found] == [Verdict.WARN, Verdict.WARN]
    with inside(made.names["node"]):
        for finding in found:
            run("sh", "-c", finding.remedy[finding.remedy.index("nft ") :])
    assert {name for name in RECEIVERS if not made.arrives(name)} == {"unauthorised4", "unauthorised6"}
    assert {finding.verdict for finding in open_decapsulator(WEB, NODE, made.facts())} == {Verdict.PASS}


def test_asking_loads_no_table(made: Node) -> None:
    made.rules("native", NFT["no rules"])
    with inside(made.names["pod"]):
        run_here(ReadFacts()).checked()
        assert not run("cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names").strip()
        assert not run("nft", "list", "ruleset").strip()
