"""Who unwraps the packets: ipip0, ipip60, and others in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.faults.fault import (
    REALSERVERS,
    Fault,
    Needs,
    Script,
    always,
    always_fits,
    has_secondary,
    settings,
)
from ferryman.lab.segment import tunnels

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Topology

_RESTORE = (
    "for device in ipip0 ipip60; do ip link del $device 2>/dev/null || true; done\n"
    f"ip -batch - <<'EOF'\n{chr(10).join(tunnels())}\nEOF\n"
    "echo 0 >/proc/sys/net/ipv4/conf/ipip0/rp_filter"
)
_UNFILTERED = "echo 0 >/proc/sys/net/ipv4/conf/{}/rp_filter"


def _instead(
    name: str, description: str, make: Script, *, device: str = "ipip0", needs: Needs = always_fits
) -> Fault:
    """Another device in the place of ipip0, up, addressed, and unfiltered."""

    def put(lab: Topology, host: Host) -> str:
        lines = [
            "ip link del ipip0 2>/dev/null || true",
            make(lab, host),
            f"ip link set {device} up",
            f"ip addr replace 127.0.0.42/32 dev {device}",
            _UNFILTERED.format(device),
        ]
        return "\n".join(lines)

    others = "ip link del cilium_ipip4 2>/dev/null || true\nip addr flush dev tunl0\nip link set tunl0 down"
    return Fault(name, description, REALSERVERS, put, always(f"{others}\n{_RESTORE}"), needs)


def _with_ends(remote: str) -> Script:
    """A script that makes ipip0 for packets from there to the host's own address alone."""
    return lambda _lab, host: f"ip link add ipip0 type ipip local {host.address} remote {remote}"


def _from_the_secondary(lab: Topology, host: Host) -> str:
    _, secondary, *_ = lab.directors_of(host.name)
    return _with_ends(str(secondary.address))(lab, host)


FAULTS = (
    Fault(
        "ipip0-down",
        "the decapsulator is there, but down",
        REALSERVERS,
        always("ip link set ipip0 down"),
        always("ip link set ipip0 up"),
    ),
    Fault(
        "ipip60-down",
        "the decapsulator for IPv6 is there, but down",
        REALSERVERS,
        always("ip link set ipip60 down"),
        always("ip link set ipip60 up"),
    ),
    Fault(
        "ipip0-absent",
        "there is no decapsulator at all",
        REALSERVERS,
        always("ip link del ipip0\nip link del ipip60"),
        always(_RESTORE),
    ),
    Fault(
        "ipip60-absent",
        "there is no decapsulator for IPv6; a service without IPv6 needs none",
        REALSERVERS,
        always("ip link del ipip60"),
        always(_RESTORE),
    ),
    Fault(
        "ipip60-without-ipv6",
        "IPv6 is switched off on ipip60",
        REALSERVERS,
        settings({"ipv6/conf/ipip60/disable_ipv6": 1}),
        settings({"ipv6/conf/ipip60/disable_ipv6": 0}),
    ),
    Fault(
        "ipip0-in-vrf",
        "ipip0 is in a VRF, where the service's socket takes nothing",
        REALSERVERS,
        always(
            "ip link del lab-vrf 2>/dev/null || true\nip link add lab-vrf type vrf table 77\n"
            "ip link set lab-vrf up\nip link set ipip0 master lab-vrf"
        ),
        always(
            "ip link set ipip0 nomaster\nip link del lab-vrf 2>/dev/null || true\n"
            "for family in -4 -6; do ip $family rule del pref 1000 2>/dev/null || true; done"
        ),
    ),
    Fault(
        "ipip0-no-address",
        "ipip0 has no address: works with rp_filter 0, and not with 2",
        REALSERVERS,
        always("ip addr flush dev ipip0"),
        always("ip addr replace 127.0.0.42/32 dev ipip0"),
    ),
    Fault(
        "ipip0-no-address-loose",
        "ipip0 has no address, and rp_filter 2 wants one",
        REALSERVERS,
        always("ip addr flush dev ipip0\necho 2 >/proc/sys/net/ipv4/conf/ipip0/rp_filter"),
        always(f"ip addr replace 127.0.0.42/32 dev ipip0\n{_UNFILTERED.format('ipip0')}"),
    ),
    _instead(
        "ipip0-for-an-unknown-director",
        "ipip0 is not external: it takes packets from one address, which no director has",
        _with_ends("192.0.2.1"),
    ),
    _instead(
        "ipip0-for-one-director",
        "ipip0 is not external: it takes the secondary director's packets alone",
        _from_the_secondary,
        needs=has_secondary,
    ),
    _instead(
        "ipip0-for-anybody",
        "harmless: ipip0 is not external, but takes everybody's packets to the host's own address",
        _with_ends("any"),
    ),
    _instead(
        "ipip0-of-another-kind",
        "ipip0 is a bridge: somebody took the name",
        always("ip link add ipip0 type bridge"),
    ),
    _instead(
        "tunl0-instead",
        "harmless, and frail: there is no ipip0, and tunl0 is up and unwraps everything",
        always(":"),
        device="tunl0",
    ),
    _instead(
        "tunnel-external-other",
        "another program's external device is the one that the kernel allows; ipip0 cannot be made",
        always("ip link add cilium_ipip4 type ipip external"),
        device="cilium_ipip4",
    ),
    Fault(
        "tunl0-up",
        "harmless: tunl0 is up beside ipip0, which goes before it",
        REALSERVERS,
        always("ip link set tunl0 up"),
        always("ip link set tunl0 down"),
    ),
    Fault(
        "tunl0-in-use",
        "an overlay network has tunl0, as Calico's IPIP mode does, and its packets come out of ipip0 now",
        REALSERVERS,
        always(
            "ip link set tunl0 up\nip addr replace 10.64.9.1/32 dev tunl0\n"
            "ip route replace 10.64.9.0/24 via 10.10.0.254 dev tunl0 onlink"
        ),
        always("ip addr flush dev tunl0\nip link set tunl0 down"),
    ),
)
