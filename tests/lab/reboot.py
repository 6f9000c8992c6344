"""Reboots a server of the lab: its namespace goes with all in it, and a new one gets what its boot reads.

The kernel is the lab's and stays up; what a boot makes of a host's /etc is made by the real programs:
procps' ``sysctl --system`` and ifupdown's ``ifup -a`` with the scripts that it runs. ufw is not installed:
what its init script does with its sysctl.conf stands here, in the same words. The server's cable and its MAC
address are as before, as after a real reboot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.lab import daemons
from ferryman.lab.machine import topology_of

if TYPE_CHECKING:
    from lab.running import RunningLab

_REBOOT = r"""
nsenter --target 1 --mount --net /bin/sh -e <<'END'
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mac=$(ip netns exec {name} cat /sys/class/net/eth0/address)
for pid in $(ip netns pids {name}); do kill -KILL "$pid" 2>/dev/null || :; done
while [ -n "$(ip netns pids {name})" ]; do sleep 0.1; done
ip netns del {name}
# The kernel takes a namespace down by and by; the cable's other end goes with it.
while ip -n rt link show dev {device} >/dev/null 2>&1; do sleep 0.1; done
rm -rf /run/network-{name} /run/nginx-{name}.* /run/sshd-{name}.pid
ip netns add {name}
ip link add name {device} netns rt type veth peer name eth0 address "$mac" netns {name}
ip -n rt link set dev {device} master br0 up
ip netns exec {name} /bin/sh /lab/{name}/boot.sh </dev/null >/lab/log/{name}.boot 2>&1 || {{
    cat /lab/log/{name}.boot
    exit 1
}}
END
"""

_BOOT = r"""
cat >/lab/{name}/boot.sh <<'END'
sysctl --quiet --system
if [ -e /etc/ufw/ufw.conf ]; then
    . /etc/ufw/ufw.conf
    if [ "$ENABLED" = yes ]; then sysctl -e -q -p $IPT_SYSCTL; fi
fi
mkdir -p /run/network-{name}
ifup --all --state-dir=/run/network-{name}
iptables-legacy-restore /lab/{name}/iptables
ip6tables-legacy-restore /lab/{name}/ip6tables
{daemons}
END
"""


def reboot(lab: RunningLab, name: str) -> None:
    """Reboot a server; its sshd and its web server run again when this returns."""
    topology = topology_of(lab.place)
    started = "\n".join((daemons.sshd_command(name), daemons.nginx_command(name)))
    lab.console(name, _BOOT.format(name=name, daemons=started))
    lab.console("rt", _REBOOT.format(name=name, device=topology.devices[name]))
