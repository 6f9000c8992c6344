"""Rules that keep packets out, before or after they are unwrapped, and some that only look so.

All are iptables-legacy's: the guest's kernel has no nft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.faults.fault import (
    DIRECTORS,
    REALSERVERS,
    ROUTER,
    SERVERS,
    Fault,
    has_secondary,
    rules,
    rules_of,
)
from ferryman.lab.topology.values import VIP_NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.lab.topology import Host, Topology

_KATRAN = "172.16.0.0/12"
"""Where probes, Katran and Wikimedia's directors craft their outer sources."""
_CONTROL = "10.30.0.0/24"


def _drop(name: str, description: str, *lines: str) -> Fault:
    return Fault(name, description, REALSERVERS, *rules(*lines))


def _directors(lab: Topology) -> list[str]:
    return [str(host.address) for host in lab.directors]


def _right_and_closed(lab: Topology, host: Host) -> Iterator[str]:
    """The rules of a whole firewall that drops everything, except what directors and clients need."""
    yield "INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
    yield "INPUT -i lo -j ACCEPT"
    yield "INPUT -p icmp -j ACCEPT"
    for port in (22, *(service.port for service in lab.services_of(host.name))):
        yield f"INPUT -p tcp --dport {port} -j ACCEPT"
    for source in (*_directors(lab), _KATRAN, _CONTROL):
        yield f"INPUT -p 4 -s {source} -j ACCEPT"
    yield "INPUT -j DROP"


def _guarded(lab: Topology, _host: Host) -> Iterator[str]:
    for source in (*_directors(lab), _KATRAN):
        yield f"INPUT -p 4 -s {source} -j ACCEPT"
    yield "INPUT -p 4 -j DROP"


def _from_directors_only(lab: Topology, _host: Host) -> Iterator[str]:
    yield from (f"INPUT -p 4 -s {source} -j ACCEPT" for source in _directors(lab))
    yield "INPUT -p 4 -j DROP"


def _without_the_secondary(lab: Topology, host: Host) -> Iterator[str]:
    _, secondary, *_ = lab.directors_of(host.name)
    yield f"INPUT -p 4 -s {secondary.address} -j DROP"


def _without_the_directors(lab: Topology, _host: Host) -> Iterator[str]:
    yield f"FORWARD -i vec0 -p 4 -s {','.join(_directors(lab))} -j DROP"


FAULTS = (
    _drop(
        "firewall-proto4",
        "a firewall drops encapsulated packets, IP protocols 4 and 41",
        "INPUT -p 4 -j DROP",
        "ip6: INPUT -p 41 -j DROP",
    ),
    _drop("firewall-ipip", "a firewall drops IP protocol 4 alone", "INPUT -p 4 -j DROP"),
    _drop("firewall-ip6ip6", "a firewall drops IP protocol 41 alone", "ip6: INPUT -p 41 -j DROP"),
    _drop("firewall-reject", "a firewall rejects IP protocol 4, with an ICMP error", "INPUT -p 4 -j REJECT"),
    _drop(
        "firewall-raw",
        "IP protocol 4 is dropped in the table raw, where few look",
        "PREROUTING -t raw -p 4 -j DROP",
    ),
    Fault(
        "firewall-directors-only",
        "IP protocol 4 is let in from the directors' own addresses alone; crafted sources are dropped",
        REALSERVERS,
        *rules_of(_from_directors_only),
    ),
    _drop(
        "firewall-crafted-only",
        "IP protocol 4 is let in from 172.16/12 alone; the directors' own addresses are dropped",
        f"INPUT -p 4 ! -s {_KATRAN} -j DROP",
    ),
    Fault(
        "firewall-one-director",
        "IP protocol 4 from the secondary director is dropped",
        REALSERVERS,
        *rules_of(_without_the_secondary),
        has_secondary,
    ),
    _drop(
        "firewall-inner",
        "what comes out of ipip0 is dropped",
        "INPUT -i ipip0 -p tcp --syn -j DROP",
        "FORWARD -i ipip0 -p tcp --syn -j DROP",
    ),
    _drop(
        "firewall-inner-reject",
        "what comes out of ipip0 is rejected with an ICMP error",
        "INPUT -i ipip0 -p tcp -j REJECT",
        "FORWARD -i ipip0 -p tcp -j REJECT",
    ),
    _drop(
        "firewall-inner-reset",
        "what comes out of ipip0 is rejected with a RST, as if nobody listened",
        "INPUT -i ipip0 -p tcp -j REJECT --reject-with tcp-reset",
        "FORWARD -i ipip0 -p tcp -j REJECT --reject-with tcp-reset",
    ),
    _drop(
        "reset-on-request",
        "connections through ipip0 are taken, and reset when the first request comes, by a rule",
        *(
            f"{family}{chain} -i {device} -p tcp --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset"
            for family, device in (("", "ipip0"), ("ip6: ", "ipip60"))
            for chain in ("INPUT", "FORWARD")
        ),
    ),
    _drop(
        "firewall-answers",
        "the realserver's own SYN/ACKs to the control host are dropped on their way out",
        f"OUTPUT -p tcp --tcp-flags SYN,ACK SYN,ACK -d {_CONTROL} -s {VIP_NETWORKS[0]} -j DROP",
        f"FORWARD -p tcp --tcp-flags SYN,ACK SYN,ACK -d {_CONTROL} -j DROP",
    ),
    _drop(
        "icmp-dropped",
        "the host's ICMP errors never leave it: nobody learns that a packet was too large",
        "OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP",
        "FORWARD -p icmp --icmp-type fragmentation-needed -j DROP",
    ),
    _drop(
        "loss-third",
        "every third encapsulated packet is lost: more tries find the way",
        "INPUT -p 4 -m statistic --mode nth --every 3 --packet 1 -j DROP",
    ),
    _drop(
        "loss-30-percent",
        "three of ten encapsulated packets are lost, by chance",
        "INPUT -p 4 -m statistic --mode random --probability 0.3 -j DROP",
    ),
    _drop(
        "ecn-ce",
        "the way marks outer packets as congested (ECN CE), so the kernel drops what it unwraps",
        "PREROUTING -t mangle -p 4 -j TOS --set-tos 0x03/0x03",
    ),
    Fault(
        "firewall-closed-but-right",
        "harmless: everything is dropped, except what directors and clients need",
        SERVERS,
        *rules_of(_right_and_closed),
    ),
    Fault(
        "firewall-guarded",
        "harmless, and right: protocol 4 from directors and crafted sources alone",
        REALSERVERS,
        *rules_of(_guarded),
    ),
    _drop(
        "firewall-invalid",
        "harmless: what connection tracking calls invalid is dropped",
        "INPUT -m conntrack --ctstate INVALID -j DROP",
        "FORWARD -m conntrack --ctstate INVALID -j DROP",
    ),
    Fault(
        "half-tracked",
        "connection tracking sees what comes by ipip0 and none of the answers, and INVALID is dropped",
        SERVERS,
        *rules(
            "PREROUTING -t raw -i eth0 -p tcp -j NOTRACK",
            "OUTPUT -t raw -p tcp -j NOTRACK",
            "INPUT -p tcp -m conntrack --ctstate INVALID -j DROP",
        ),
    ),
    Fault(
        "not-tracked",
        "harmless: connection tracking sees no TCP at all, and INVALID is dropped",
        SERVERS,
        *rules(
            "PREROUTING -t raw -p tcp -j NOTRACK",
            "OUTPUT -t raw -p tcp -j NOTRACK",
            "INPUT -p tcp -m conntrack --ctstate INVALID -j DROP",
        ),
    ),
    _drop(
        "firewall-other-protocols",
        "harmless: GRE, and protocol 4 to another address, are dropped",
        "INPUT -p 47 -j DROP",
        "INPUT -p 4 -d 192.0.2.1 -j DROP",
    ),
    _drop(
        "firewall-behind-accept",
        "harmless: a rule drops protocol 4, but one before it has accepted it",
        "INPUT -p 4 -j ACCEPT",
        "INPUT -p 4 -j DROP",
    ),
    Fault(
        "outer-source-filtered",
        "the router drops what the control host sends with a source that is not its own (uRPF)",
        ROUTER,
        *rules(f"FORWARD -i vec0 -p 4 ! -s {_CONTROL} -j DROP"),
    ),
    Fault(
        "director-source-filtered",
        "the router drops what the control host sends in the directors' name; crafted sources pass",
        ROUTER,
        *rules_of(_without_the_directors),
    ),
    Fault(
        "director-sends-no-ipip",
        "the director's own firewall lets no encapsulated packet out",
        DIRECTORS,
        *rules("OUTPUT -p 4 -j DROP"),
    ),
)
