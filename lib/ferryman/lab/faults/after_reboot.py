"""What is right now, and gone or wrong after the next boot; and harmless ways that are not the lab's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab.faults.fault import REALSERVERS, SERVERS, Fault, always

if TYPE_CHECKING:
    from ferryman.lab.topology import Host, Topology

_NETWORK = "/etc/network"
_STANZA = f"{_NETWORK}/interfaces.d/ipip0"
_SCRIPT = f"{_NETWORK}/if-up.d/ipip0"
_ALL, _IPIP0 = (f"net.ipv4.conf.{name}.rp_filter" for name in ("all", "ipip0"))


def _written(file: str, text: str) -> str:
    return f"cat >{file} <<'EOF'\n{text}\nEOF"


def _moved(file: str) -> tuple[str, str]:
    """Takes a file out of the way, and puts it back; it moves up, for of ``interfaces.d`` all is read."""
    away = f"{_NETWORK}/before.{file.rpartition('/')[2]}"
    return f"[ ! -e {file} ] || mv -f {file} {away}", f"[ ! -e {away} ] || mv -f {away} {file}"


_GONE, _BACK = _moved(_STANZA)
_OFF = f"sed -i 's/^    up ip addr add/    # up ip addr add/' {_NETWORK}/interfaces"
_ON = f"sed -i 's/^    # up ip addr add/    up ip addr add/' {_NETWORK}/interfaces"


_UFW_SETS = _written("/etc/ufw/sysctl.conf", "net/ipv4/conf/all/rp_filter=1")
_UFW_AS_BEFORE = f"{_written('/etc/ufw/ufw.conf', 'ENABLED=no')}\nrm -f /etc/ufw/sysctl.conf"


def _ufw(enabled: str) -> str:
    configuration = f"ENABLED={enabled}\nIPT_SYSCTL=/etc/ufw/sysctl.conf"
    return f"{_written('/etc/ufw/ufw.conf', configuration)}\n{_UFW_SETS}"


def _own_script(_lab: Topology, host: Host) -> str:
    """A script that ifupdown runs once eth0 is up; it finds it in the state of that name."""
    text = (
        '#!/bin/sh\n[ "$IFACE" = eth0 ] && [ "$ADDRFAM" = inet ] || exit 0\n'
        f"# the decapsulator of {host.name}\n"
        "ip link add name ipip0 type ipip external\n"
        "ip addr add 127.0.0.42/32 dev ipip0\nip link set dev ipip0 up\n"
        f"sysctl -q -w {_IPIP0}=0"
    )
    return f"{_GONE}\n{_written(_SCRIPT, text)}\nchmod 755 {_SCRIPT}"


FAULTS = (
    Fault(
        "tunnel-not-persisted",
        "right now, and gone after a reboot: nothing that the host's boot reads makes ipip0",
        SERVERS,
        always(_GONE),
        always(_BACK),
    ),
    Fault(
        "tunnel-not-raised",
        "right now, and down after a reboot: a line makes ipip0, and nothing sets it up",
        SERVERS,
        always(
            f"{_GONE}\n{_written(_STANZA, 'iface eth0 inet manual')}\n"
            f"echo '    up ip link add name ipip0 type ipip external' >>{_STANZA}"
        ),
        always(f"rm -f {_STANZA}\n{_BACK}"),
    ),
    Fault(
        "tunnel-by-own-script",
        "harmless: a script of the host's own makes ipip0 again at boot",
        SERVERS,
        _own_script,
        always(f"rm -f {_SCRIPT}\n{_BACK}"),
    ),
    Fault(
        "vip-not-persisted",
        "right now, and gone after a reboot: nothing that the host's boot reads has the VIPs",
        SERVERS,
        always(_OFF),
        always(_ON),
    ),
    Fault(
        "rp-filter-inline-comment",
        f"right now, and wrong after a reboot: a file says {_ALL} = 1, with a comment behind it",
        REALSERVERS,
        always(_written("/etc/sysctl.d/99-other.conf", f"{_ALL} = 1   # anti-spoofing, ticket 4711")),
        always("rm -f /etc/sysctl.d/99-other.conf"),
    ),
    Fault(
        "sysctl-refused",
        f'harmless: a later file says {_IPIP0} = "1" and {_ALL} = 1st, which the kernel refuses',
        REALSERVERS,
        always(_written("/etc/sysctl.d/99-other.conf", f'{_IPIP0} = "1"\n{_ALL} = 1st')),
        always("rm -f /etc/sysctl.d/99-other.conf"),
    ),
    Fault(
        "rp-filter-by-ufw",
        f"right now, and wrong after a reboot: ufw, which is enabled, sets {_ALL} = 1 at its start",
        REALSERVERS,
        always(_ufw("yes")),
        always(_UFW_AS_BEFORE),
    ),
    Fault(
        "ufw-off",
        f"harmless: ufw's file says {_ALL} = 1, and ufw is not enabled",
        REALSERVERS,
        always(_ufw("no")),
        always(_UFW_AS_BEFORE),
    ),
    Fault(
        "rp-filter-by-ifupdown",
        f"right now, and wrong after a reboot: ifupdown sets {_IPIP0} = 1 when it has made ipip0",
        REALSERVERS,
        always(
            f"[ -e {_NETWORK}/before.ipip0 ] || cp {_STANZA} {_NETWORK}/before.ipip0\n"
            f"echo '    post-up sysctl -q -w {_IPIP0}=1' >>{_STANZA}"
        ),
        always(_BACK),
    ),
)
