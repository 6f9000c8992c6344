"""Source validation: rp_filter as it is now, and as it will be after a reboot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman.lab.faults.fault import (
    NODES,
    REALSERVERS,
    SERVERS,
    Fault,
    Script,
    always,
    has_pods,
    rules,
    settings,
)

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Topology


def _in_force(name: str, description: str, *, everywhere: int, device: int) -> Fault:
    keys = ("ipv4/conf/all/rp_filter", "ipv4/conf/ipip0/rp_filter")
    put = settings(dict(zip(keys, (everywhere, device), strict=True)))
    return Fault(name, description, REALSERVERS, put, settings(dict.fromkeys(keys, 0)))


_FOLDER = "/etc/sysctl.d"
_OWN = f"{_FOLDER}/70-ferryman.conf"
_KEY = "net.ipv4.conf.ipip0.rp_filter"


def _persisted(
    name: str, description: str, text: str, *, file: str = "99-other.conf", without: str = ""
) -> Fault:
    """Another file in sysctl.d; ``without``: a pattern of lines that the lab's own file loses."""
    written = f"cat >{_FOLDER}/{file} <<'EOF'\n{text}\nEOF"
    dropped = f"[ -e {_OWN}.before ] || cp {_OWN} {_OWN}.before\nsed -i '/{without}/d' {_OWN}"
    put = f"{dropped}\n{written}" if without else written
    restored = f"rm -f {_FOLDER}/{file}\n[ ! -e {_OWN}.before ] || mv -f {_OWN}.before {_OWN}"
    return Fault(name, description, REALSERVERS, always(put), always(restored))


def _one_pod(value: int) -> Script:
    def script(lab: Topology, host: Host) -> str:
        pod, *_ = lab.pods_of(host.name)
        return settings({f"ipv4/conf/{pod.interface}/rp_filter": value})(lab, host)

    return script


def _elsewhere(name: str, description: str, route: str, *, mode: int) -> Fault:
    """The first director is routed elsewhere, and eth0 filters; ``{director}`` is its address."""

    def put(lab: Topology, host: Host) -> str:
        director, *_ = lab.directors_of(host.name)
        return (
            "ip link del other0 2>/dev/null || true\nip link add other0 type dummy\nip link set other0 up\n"
            f"ip route replace {route.format(director=director.address)}\n"
            f"echo {mode} >/proc/sys/net/ipv4/conf/eth0/rp_filter"
        )

    def clear(lab: Topology, host: Host) -> str:
        director, *_ = lab.directors_of(host.name)
        return (
            f"ip route del unreachable {director.address}/32 2>/dev/null || true\n"
            "ip link del other0 2>/dev/null || true\n"
            f"echo {_as_booted(host)} >/proc/sys/net/ipv4/conf/eth0/rp_filter"
        )

    return Fault(name, description, REALSERVERS, put, clear, _has_director)


def _as_booted(host: Host) -> int:
    """The rp_filter of a host's eth0: a node's takes over its ``default``, which is strict."""
    return 1 if host.role in NODES else 0


def _has_director(lab: Topology, host: Host) -> bool:
    return bool(lab.directors_of(host.name))


FAULTS = (
    _in_force("rp-filter-strict", f"ipip0 drops what it unwraps: {_KEY} = 1", everywhere=0, device=1),
    _in_force(
        "rp-filter-all-strict",
        "net.ipv4.conf.all.rp_filter = 1, which overrides the 0 of ipip0",
        everywhere=1,
        device=0,
    ),
    _in_force("rp-filter-both-strict", "all.rp_filter = 1 and ipip0's too", everywhere=1, device=1),
    _in_force(
        "rp-filter-loose", "harmless: ipip0.rp_filter = 2, and ipip0 has an address", everywhere=0, device=2
    ),
    _in_force(
        "rp-filter-loose-over-strict",
        "harmless: all.rp_filter = 1, but ipip0's 2 is larger",
        everywhere=1,
        device=2,
    ),
    _in_force("rp-filter-all-loose", "harmless: all.rp_filter = 2, ipip0's 0", everywhere=2, device=0),
    _in_force(
        "rp-filter-all-loose-over-strict",
        "harmless: all.rp_filter = 2 is larger than ipip0's 1",
        everywhere=2,
        device=1,
    ),
    _in_force("rp-filter-both-loose", "harmless: all.rp_filter = 2 and ipip0's too", everywhere=2, device=2),
    Fault(
        "rp-filter-eth0-strict",
        "harmless: eth0.rp_filter = 1, which has no say in what comes out of ipip0",
        SERVERS,  # on nodes, it is so
        settings({"ipv4/conf/eth0/rp_filter": 1}),
        settings({"ipv4/conf/eth0/rp_filter": 0}),
    ),
    Fault(
        "rp-filter-default-loose",
        "new pods of the node may forge their source: net.ipv4.conf.default.rp_filter = 0",
        NODES,
        settings({"ipv4/conf/default/rp_filter": 0}),
        settings({"ipv4/conf/default/rp_filter": 1}),
    ),
    Fault(
        "rp-filter-pod-open",
        "one pod of the node may forge its source: its cali device has rp_filter 0",
        NODES,
        _one_pod(0),
        _one_pod(1),
        has_pods,
    ),
    Fault(
        "rp-filter-ipv6",
        "ip6tables' rpfilter match drops what comes out of ipip60; no setting of the kernel tells",
        REALSERVERS,
        *rules("ip6: PREROUTING -t raw -m rpfilter --invert -j DROP"),
    ),
    _elsewhere(
        "rp-filter-outer",
        "eth0.rp_filter = 1, and the first director is routed by another device: its packets are dropped",
        "{director}/32 dev other0",
        mode=1,
    ),
    _elsewhere(
        "rp-filter-outer-unreachable",
        "eth0.rp_filter = 2, and the first director's route leads nowhere: its packets are dropped",
        "unreachable {director}/32",
        mode=2,
    ),
    _elsewhere(
        "rp-filter-outer-loose",
        "harmless: eth0.rp_filter = 2, and the first director is routed by another device",
        "{director}/32 dev other0",
        mode=2,
    ),
    _persisted(
        "rp-filter-persisted-strict",
        f"right now, and wrong after a reboot: a later file in sysctl.d says {_KEY} = 1",
        f"{_KEY} = 1",
    ),
    _persisted(
        "rp-filter-persisted-all-strict",
        "right now, and wrong after a reboot: a later file says net.ipv4.conf.all.rp_filter = 1",
        "net.ipv4.conf.all.rp_filter = 1",
    ),
    _persisted(
        "sysctl-slashes",
        "a later file says ipip0's rp_filter = 1, in the form with slashes",
        "net/ipv4/conf/ipip0/rp_filter=1",
    ),
    _persisted(
        "sysctl-dash-value",
        "a later file says ipip0's rp_filter = 1 after a dash, which only forgives errors",
        f"-{_KEY} = 1",
    ),
    _persisted(
        "sysctl-glob-wins",
        "nobody names ipip0, and a later file says net.ipv4.conf.*.rp_filter = 1",
        "net.ipv4.conf.*.rp_filter = 1",
        without="ipip0",
    ),
    _persisted(
        "sysctl-default-wins",
        "nobody names ipip0, and net.ipv4.conf.default.rp_filter = 1: a new ipip0 takes that over",
        "net.ipv4.conf.default.rp_filter = 1",
        without="ipip0",
    ),
    _persisted(
        "sysctl-glob-loses",
        "harmless: net.ipv4.conf.*.rp_filter = 1 in a later file; a key that is spelt out goes before it",
        "net.ipv4.conf.*.rp_filter = 1",
    ),
    _persisted(
        "sysctl-earlier-loses",
        "harmless: an earlier file says ipip0's rp_filter = 1, and the lab's own is read after it",
        f"{_KEY} = 1",
        file="10-other.conf",
    ),
    _persisted(
        "sysctl-commented-out",
        "harmless: a later file has ipip0's rp_filter = 1 in a comment",
        f"# {_KEY} = 1\n; {_KEY} = 1",
    ),
    _persisted(
        "sysctl-other-ending",
        "harmless: ipip0's rp_filter = 1 stands in a file that is not named *.conf",
        f"{_KEY} = 1",
        file="99-other.conf.dpkg-old",
    ),
    replace(
        _persisted(
            "sysctl-excluded-from-glob",
            f"harmless: a glob says 1, but -{_KEY} keeps ipip0 out of it, and default is 0",
            f"-{_KEY}\nnet.ipv4.conf.*.rp_filter = 1",
            without="ipip0",
        ),
        roles=SERVERS,  # on nodes, default is 1
    ),
)
