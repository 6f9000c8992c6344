"""What the rules are said to do to a whole handshake, against what the kernel does: a SYN is no connection.

A real socket listens on the VIP. Its client is written by hand: what it says comes out of ipip0, and the
answer is looked for where it leaves. What is compared is the packet at which the handshake ends, if it does.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from ferryman.firewall import PacketVerdict
from ferryman.model import Verdict
from ferryman.realservers.checks.firewall import firewall
from lab.firewall_node import CLIENT, NODE, SPORT, WEB, Node, a_node, drain, inside, judged, run
from lab.firewall_rules import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.realservers.facts import Facts

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces and rules"),
]

VIP = "192.0.2.1"
NO_ANSWER, NOT_CONFIRMED, DONE = "no answer", "not confirmed", "done"
LOOSE = "/proc/sys/net/netfilter/nf_conntrack_tcp_loose"
LIBERAL = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal"
INVALID = "-A INPUT -p tcp --dport 80 -m conntrack --ctstate INVALID -j DROP"
UNTRACKED_NIC = "-t raw -A PREROUTING -i eth0 -p tcp --dport 80 -j NOTRACK"
UNTRACKED_ANSWERS = "-t raw -A OUTPUT -p tcp --sport 80 -j NOTRACK"


@dataclass(frozen=True)
class Row:
    """Rules, and the packet at which a client's handshake ends by them."""

    rules: str
    ends: str
    loose: bool = True
    told: bool = True
    """Whether the rules alone tell."""


IPTABLES = {
    "no rules": Row("", DONE),
    "the field's: tracked by ipip0 alone, and INVALID is dropped": Row(
        f"{UNTRACKED_NIC}\n{UNTRACKED_ANSWERS}\n{INVALID}", NOT_CONFIRMED
    ),
    "the same by the target CT": Row(
        f"-t raw -A PREROUTING -i eth0 -j CT --notrack\n-t raw -A OUTPUT -p tcp -j CT --notrack\n{INVALID}",
        NOT_CONFIRMED,
    ),
    "all but lo and ipip0": Row(
        f"-t raw -A PREROUTING ! -i ipip+ -j NOTRACK\n{UNTRACKED_ANSWERS}\n{INVALID}", NOT_CONFIRMED
    ),
    "halved, but nothing asks for it": Row(f"{UNTRACKED_NIC}\n{UNTRACKED_ANSWERS}", DONE),
    "nothing is tracked": Row(
        f"-t raw -A PREROUTING -p tcp --dport 80 -j NOTRACK\n{UNTRACKED_ANSWERS}\n{INVALID}", DONE
    ),
    "all is tracked": Row(INVALID, DONE),
    "the answers alone are not, and only what is known is let in": Row(
        f"{UNTRACKED_ANSWERS}\n-P INPUT DROP\n-A INPUT -m state --state NEW,ESTABLISHED -j ACCEPT",
        NOT_CONFIRMED,
    ),
    "the answers alone are, and their own firewall drops what is invalid": Row(
        "-t raw -A PREROUTING -p tcp -j NOTRACK\n-A OUTPUT -m state --state INVALID -j DROP", NO_ANSWER
    ),
    "a SYN that is not tracked, and an ACK that begins a connection": Row(
        "-t raw -A PREROUTING -p tcp --syn -j NOTRACK\n-A INPUT -p tcp ! --syn -m state --state NEW -j DROP",
        NOT_CONFIRMED,
    ),
    "the same, and what is new is let in": Row(
        f"-t raw -A PREROUTING -p tcp --syn -j NOTRACK\n{INVALID}", DONE
    ),
    "the same, where no connection is picked up on its way": Row(
        f"-t raw -A PREROUTING -p tcp --syn -j NOTRACK\n{INVALID}", NOT_CONFIRMED, loose=False
    ),
    "a zone for what comes in alone": Row(
        f"-t raw -A PREROUTING -i ipip0 -j CT --zone 5\n{INVALID}", NOT_CONFIRMED
    ),
    "a zone for the original direction": Row(
        f"-t raw -A PREROUTING -i ipip0 -j CT --zone-orig 5\n{INVALID}", DONE
    ),
    "one zone for both": Row(
        f"-t raw -A PREROUTING -i ipip0 -j CT --zone 5\n-t raw -A OUTPUT -p tcp -j CT --zone 5\n{INVALID}",
        DONE,
    ),
    "a zone first, then no tracking: the first counts": Row(
        "-t raw -A PREROUTING -j CT --zone 5\n-t raw -A PREROUTING -j NOTRACK\n"
        f"{UNTRACKED_ANSWERS}\n{INVALID}",
        NOT_CONFIRMED,
    ),
    "what is established is let in by the NIC alone": Row(
        "-P INPUT DROP\n-A INPUT -i eth0 -m state --state ESTABLISHED -j ACCEPT\n"
        "-A INPUT -p tcp --dport 80 -m state --state NEW -j ACCEPT",
        NOT_CONFIRMED,
    ),
    "only what is established leaves": Row(
        "-P OUTPUT DROP\n-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n"
        "-A INPUT -m conntrack --ctdir REPLY -j DROP",
        DONE,
    ),
    "only what is established leaves, and the SYN was not tracked": Row(
        "-t raw -A PREROUTING -p tcp --syn -j NOTRACK\n-P OUTPUT DROP\n"
        "-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
        NO_ANSWER,
    ),
    "an answer that is dropped on its way out": Row(
        "-A OUTPUT -s 192.0.2.1 -p tcp --sport 80 --tcp-flags SYN,ACK SYN,ACK -j DROP", NO_ANSWER
    ),
    "answers to others are dropped": Row("-A OUTPUT -d 10.0.0.0/8 -j DROP\n-A OUTPUT -o lo -j DROP", DONE),
    "what is without SYN is dropped": Row("-A INPUT -p tcp ! --syn -j DROP", NOT_CONFIRMED),
    "by chance": Row(
        f"-t raw -A OUTPUT -m statistic --mode random --probability 1 -j NOTRACK\n{INVALID}",
        NOT_CONFIRMED,
        told=False,
    ),
    "a mark that the connection keeps": Row(
        "-t mangle -A PREROUTING -j CONNMARK --restore-mark\n-t mangle -A PREROUTING -p tcp --syn -j MARK"
        " --set-mark 1\n-t mangle -A PREROUTING -j CONNMARK --save-mark\n-A INPUT -m mark ! --mark 1 -j DROP",
        DONE,
        told=False,
    ),
}  # fmt: skip
NFT = {
    "the field's, by nft": Row(
        """table inet f {
          chain raw { type filter hook prerouting priority raw; iifname "eth0" tcp dport 80 notrack; }
          chain out { type filter hook output priority raw; tcp sport 80 notrack; }
          chain i { type filter hook input priority 0;
            ct state vmap { established : accept, related : accept, invalid : drop }
          }; }""",
        NOT_CONFIRMED,
    ),
    "a zone for what comes in alone, by nft": Row(
        """table ip f {
          chain raw { type filter hook prerouting priority raw; iifname "ipip0" ct zone set 5; }
          chain i { type filter hook input priority 0; ct state invalid drop; }; }""",
        NOT_CONFIRMED,
    ),
    "a zone for the original direction, by nft": Row(
        """table ip f {
          chain raw { type filter hook prerouting priority raw; iifname "ipip0" ct original zone set 5; }
          chain i { type filter hook input priority 0; ct state invalid drop; }; }""",
        DONE,
    ),
    "an early chain of the hook input sees what is tracked": Row(
        """table ip f {
          chain i { type filter hook input priority raw; ct state { new, established } accept; drop; }; }""",
        DONE,
    ),
    "directions and status": Row(
        """table ip f {
          chain o { type filter hook output priority 0; ct direction original drop; }
          chain i { type filter hook input priority 0; policy drop;
            ct state new accept
            ct direction original ct status seen-reply accept
          }; }""",
        DONE,
    ),
    "ports by their place": Row(
        """table ip f {
          chain o { type filter hook output priority 0;
            @th,0,16 80 tcp flags & (syn|ack) == syn|ack drop
          }; }""",
        NO_ANSWER,
    ),
}  # fmt: skip


@dataclass
class Handshakes:
    """A node with a listening socket, and a client."""

    node: Node
    listener: socket.socket
    leaving: socket.socket

    def begin(self) -> str:
        """Make a handshake; how far it gets."""
        source_port = next(SPORT)
        drain(self.leaving)
        self._say(TCP(sport=source_port, dport=80, flags="S", seq=1))
        answer = self._answer(source_port)
        if answer is None:
            return NO_ANSWER
        self._say(TCP(sport=source_port, dport=80, flags="A", seq=2, ack=answer + 1))
        try:
            accepted, _ = self.listener.accept()
        except BlockingIOError:
            return NOT_CONFIRMED
        accepted.close()
        return DONE

    def _say(self, segment: TCP) -> None:
        os.write(self.node.tunnels[4], bytes(IP(src=CLIENT, dst=VIP) / segment))
        self.node.settle()

    def _answer(self, port: int) -> int | None:
        """The sequence number of the SYN/ACK; None when there is none."""
        while True:
            try:
                frame = Ether(self.leaving.recv(4096))
            except BlockingIOError:
                return None
            if TCP in frame and frame[TCP].dport == port and frame[TCP].flags == "SA":
                return int(frame[TCP].seq)


@pytest.fixture(scope="module", name="handshakes")
def a_listening_node() -> Iterator[Handshakes]:
    """The node, for all tests of this file."""
    with a_node() as node, ExitStack() as stack:
        with inside(node.names["node"]):
            listener = stack.enter_context(socket.create_server((VIP, 80)))
        with inside(node.names["director"]):
            leaving = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        stack.enter_context(leaving)
        leaving.bind(("eth0", 0x0800))
        for each in (listener, leaving):
            each.setblocking(False)
        yield Handshakes(node, listener, leaving)


def said(facts: Facts) -> str:
    """How far the check says that a handshake gets; empty where it does not say."""
    traversal = facts.firewall.exchange(judged("inner4", facts))
    if traversal.verdict is PacketVerdict.UNKNOWN:
        return ""
    if traversal.verdict is PacketVerdict.ACCEPT:
        return DONE
    return NOT_CONFIRMED if traversal.step.name == "CONFIRMED" else NO_ANSWER


def compare(handshakes: Handshakes, kind: str, row: Row) -> None:
    handshakes.node.rules(kind, Case(row.rules))
    with inside(handshakes.node.names["node"]):
        run("sh", "-c", f"if [ -e {LOOSE} ]; then echo {int(row.loose)} >{LOOSE}; fi")
    facts = handshakes.node.facts()
    assert facts.firewall.unread == ()
    assert handshakes.begin() == row.ends
    assert said(facts) == (row.ends if row.told else "")


@pytest.mark.parametrize("kind", ["nft", "legacy"])
@pytest.mark.parametrize("name", IPTABLES)
def test_a_handshake_ends_where_iptables_is_said_to_end_it(
    handshakes: Handshakes, name: str, kind: str
) -> None:
    compare(handshakes, kind, IPTABLES[name])


@pytest.mark.parametrize("name", NFT)
def test_a_handshake_ends_where_nft_is_said_to_end_it(handshakes: Handshakes, name: str) -> None:
    compare(handshakes, "native", NFT[name])


@pytest.mark.parametrize(
    ("kind", "row"),
    [("legacy", IPTABLES["the field's: tracked by ipip0 alone, and INVALID is dropped"]),
     ("nft", IPTABLES["a zone for what comes in alone"]),
     ("native", NFT["the field's, by nft"])],
)  # fmt: skip
def test_the_remedy_for_a_halved_connection_mends_it(handshakes: Handshakes, kind: str, row: Row) -> None:
    handshakes.node.rules(kind, Case(row.rules))
    found = [
        finding for finding in firewall(WEB, NODE, handshakes.node.facts()) if "10.9" not in finding.seen
    ]
    (failed,) = [finding for finding in found if finding.verdict is Verdict.FAIL and VIP in finding.seen]
    assert failed.seen.startswith("conntrack sees half of each connection on ipip0: the client's ACK")
    assert handshakes.begin() == NOT_CONFIRMED
    with inside(handshakes.node.names["node"]):
        run("sh", "-c", failed.remedy.rpartition("; keep it")[0])
    assert handshakes.begin() == DONE
    assert said(handshakes.node.facts()) == DONE


def test_being_liberal_does_not_mend_it(handshakes: Handshakes) -> None:
    """nf_conntrack_tcp_be_liberal forgives wrong windows, not an ACK of an answer that was never seen."""
    handshakes.node.rules(
        "legacy", Case(IPTABLES["the field's: tracked by ipip0 alone, and INVALID is dropped"].rules)
    )
    with inside(handshakes.node.names["node"]):
        run("sh", "-c", f"echo 1 >{LIBERAL}")
    assert handshakes.begin() == NOT_CONFIRMED
    with inside(handshakes.node.names["node"]):
        run("sh", "-c", f"echo 0 >{LIBERAL}")
