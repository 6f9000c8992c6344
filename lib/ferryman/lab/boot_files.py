"""What a realserver of the lab comes back with after a reboot: ifupdown's files, and ufw's, which is off.

The lab itself starts from ``ip`` batches, which are quicker; what is here gives the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.batches import on_link, text
from ferryman.lab.topology import values

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Topology

TUNNELS = {
    "ipip0": (
        "auto ipip0",
        "iface ipip0 inet static",
        "    address 127.0.0.42/32",
        "    pre-up ip link add name ipip0 type ipip external",
        # Without systemd nobody applies the lines for a device when it is made.
        "    up sysctl --quiet --system || true",
    ),
    "ipip60": (
        "auto ipip60",
        "iface ipip60 inet6 manual",
        "    pre-up ip link add name ipip60 type ip6tnl external",
    ),
}
"""The stanza of each tunnel device, which has a file of its own."""

SCRIPTS = ("if-pre-up.d", "if-up.d")
"""Folders without which ifup sets nothing up."""


def persistent_files(lab: Topology, host: Host) -> dict[str, str]:
    """The files of a realserver, by their paths below the lab's root."""
    folder = f"etc/netns/{host.name}"
    made = {
        f"{folder}/network/interfaces": text(_interfaces(lab, host)),
        f"{folder}/ufw/ufw.conf": "ENABLED=no\n",
        # Where they are laid over, there must be something.
        "etc/ufw/ufw.conf": "ENABLED=no\n",
    }
    made |= {f"{folder}/network/interfaces.d/{name}": text(lines) for name, lines in TUNNELS.items()}
    return made | {f"{folder}/network/{scripts}/README": "Scripts of ifupdown.\n" for scripts in SCRIPTS}


def _interfaces(lab: Topology, host: Host) -> list[str]:
    gateway, gateway6 = values.gateways_of(host)
    return [
        "auto lo",
        "iface lo inet loopback",
        *(
            f"    up ip addr add {vip}/{vip.max_prefixlen} dev lo{' nodad' if vip.version != 4 else ''}"  # noqa: PLR2004  # IPv4
            for vip in lab.vips_of(host)
        ),
        "auto eth0",
        "iface eth0 inet static",
        f"    address {on_link(host.address)}",
        f"    gateway {gateway}",
        "iface eth0 inet6 static",
        f"    address {on_link(host.address6)}",
        f"    gateway {gateway6}",
        "    dad-attempts 0",
        "source /etc/network/interfaces.d/*",
    ]
