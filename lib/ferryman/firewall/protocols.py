"""Names of IP protocols, as /etc/protocols has them: iptables and nft print names, the kernel has numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ferryman.encapsulation import ICMP, ICMPV6, IP6IP6, IPIP, TCP, UDP

Protocols = Mapping[str, int | None]
"""The number of each name in lower case; None for a name that a host's own file gives to several numbers."""

STANDARD: Protocols = MappingProxyType({
    "ip": 0, "hopopt": 0, "icmp": ICMP, "igmp": 2, "ggp": 3, "ipencap": IPIP, "ip-encap": IPIP, "ipv4": IPIP,
    "st": 5, "tcp": TCP, "egp": 8, "igp": 9, "pup": 12, "udp": UDP, "hmp": 20, "xns-idp": 22, "rdp": 27,
    "iso-tp4": 29, "dccp": 33, "xtp": 36, "ddp": 37, "idpr-cmtp": 38, "ipv6": IP6IP6, "ipv6-route": 43,
    "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50, "ipsec-esp": 50, "ah": 51, "ipsec-ah": 51,
    "skip": 57, "ipv6-icmp": ICMPV6, "icmpv6": ICMPV6, "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73,
    "cphb": 73, "vmtp": 81, "eigrp": 88, "ospf": 89, "ospfigp": 89, "ax.25": 93, "ipip": 94, "etherip": 97,
    "encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133,
    "mobility-header": 135, "mh": 135, "ipv6-mh": 135, "udplite": 136, "mpls-in-ip": 137, "manet": 138,
    "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142, "ethernet": 143,
})  # fmt: skip
"""Debian's netbase has these, with Fedora's and SUSE's ``ipv4`` and the names that iptables has built in.

``ipip`` is 94 in all of them, which is another encapsulation than the tunnel's, IP protocol 4.
"""
LOOKALIKE = 94
"""What ``ipip`` stands for; nothing of the tunnel has this number."""


def protocols_of(file: str) -> Protocols:
    """The names of a host: those of its own /etc/protocols, and the standard ones that it does not have.

    iptables-save and nft print a number's name by the host's own file, so it is that file which says what
    number a printed name had.
    """
    own: dict[str, int | None] = {}
    for line in file.splitlines():
        match line.partition("#")[0].split():
            case [name, number, *aliases] if number.isascii() and number.isdigit():
                for word in (name, *aliases):
                    known = own.setdefault(word.lower(), int(number[:6]))
                    if known != int(number[:6]):
                        own[word.lower()] = None
    return MappingProxyType({**STANDARD, **own}) if own else STANDARD


def protocol_number(name: str | int, protocols: Protocols = STANDARD) -> int | None:
    """The number of an IP protocol, by name or as C writes numbers; None for a name that is not known."""
    text = str(name).strip().lower()
    if not text[:1].isdigit():
        return protocols.get(text)
    try:
        return int(text, 8 if text.isdigit() and text[0] == "0" else 0)
    except ValueError:
        return None
