"""What the kernel's packet filter does to a packet, from what iptables and nft print of their rules.

Nothing is sent and nothing is changed. A match that cannot be judged from outside (a rate, a set that is not
shown) leaves the answer open instead of guessing.
"""

from ferryman.firewall.evaluate import PacketVerdict, Ruleset, Traversal
from ferryman.firewall.ipsets import parse_ipsets
from ferryman.firewall.iptables import parse_save
from ferryman.firewall.nft import parse_nft
from ferryman.firewall.packet import Packet, Step
from ferryman.firewall.protocols import protocols_of
from ferryman.firewall.rules import Effect, End, Table
from ferryman.firewall.tracking import PacketState

__all__ = [
    "Effect",
    "End",
    "Packet",
    "PacketState",
    "PacketVerdict",
    "Ruleset",
    "Step",
    "Table",
    "Traversal",
    "parse_ipsets",
    "parse_nft",
    "parse_save",
    "protocols_of",
]
