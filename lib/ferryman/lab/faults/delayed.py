"""Faults that wait: all is well until a director tunnels more, and every health check stays green after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.faults.fault import REALSERVERS, Fault, has_secondary

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Topology

_MOST_ENTRIES = 40
_WATCH = """\
mkfifo /run/{name}.wait 2>/dev/null || true
cat >/run/{name}.sh <<'EOF'
table=/proc/$(cat /run/sshd-{director}.pid)/net/ip_vs
IFS='
'
set -f
tunnelled() {{
    count=0
    # In one piece: bash reads lines by seeking back, and this table does not bear that.
    read -r -d '' lines <$table
    for line in $lines; do
        case $line in {patterns}) count=$((count + 1)) ;; esac
    done
}}
exec 3<>/run/{name}.wait
tunnelled
before=$count
echo armed >/run/{name}.armed
until [ $count -gt $before ]; do
    read -r -t 0.05 -u 3 nothing
    tunnelled
done
read -r -t {patience_s} -u 3 nothing
echo 1 >/proc/sys/net/ipv4/conf/ipip0/rp_filter
EOF
setsid bash /run/{name}.sh </dev/null >/run/{name}.log 2>&1 &
echo $! >/run/{name}.pid
until [ -e /run/{name}.armed ]; do sleep 0.1; done
"""
"""A loop in the host's namespace that reads a director's table through that director's sshd."""


def _breaks(name: str, description: str, rank: int, patience_s: float) -> Fault:
    """Strict filtering so long after a director has one more tunnel to the host than it has now.

    The director is the primary (rank 0) of the host's first service, or its secondary (1).
    """

    def put(lab: Topology, host: Host) -> str:
        """The table's addresses are in hexadecimal; the watch wakes every 50 ms without forking."""
        director = lab.directors_of(host.name)[rank]
        address, address6 = f"{int(host.address):08X}", host.address6.exploded
        patterns = f'*"-> {address}:"*Tunnel*|*"-> [{address6}]:"*Tunnel*'
        return _WATCH.format(
            name=f"{name}-{host.name}", director=director.name, patterns=patterns, patience_s=patience_s
        )

    def clear(_lab: Topology, host: Host) -> str:
        return (
            f"kill $(cat /run/{name}-{host.name}.pid) 2>/dev/null || true\nrm -f /run/{name}-{host.name}.*\n"
            "echo 0 >/proc/sys/net/ipv4/conf/ipip0/rp_filter"
        )

    return Fault(name, description, REALSERVERS, put, clear, _can_be_watched)


def _can_be_watched(lab: Topology, host: Host) -> bool:
    """Whether the table is so short that the kernel shows it whole in /proc, in its first page of memory."""
    entries = sum(len(service.vips) * (1 + len(service.realservers)) for service in lab.services)
    return has_secondary(lab, host) and entries <= _MOST_ENTRIES


FAULTS = (
    _breaks(
        "breaks-after-flip",
        "all is well until the secondary director tunnels one more service to the host; then rp_filter is 1",
        1,
        0.01,
    ),
    _breaks(
        "breaks-in-soak",
        "all is well until six seconds after the primary director tunnels to the host; then rp_filter is 1",
        0,
        6,
    ),
)
