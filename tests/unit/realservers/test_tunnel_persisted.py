"""Who makes the tunnel device at the next boot, by whatever a host uses, or that nobody does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ferryman.hosts.verbs.boot_script import BOOT
from ferryman.model import Kind
from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.boot import boot_of
from unit.realservers.booting import (
    ENI,
    MADE,
    NETDEV,
    NETWORK,
    NETWORKD,
    NETWORKING,
    OWN,
    STANZA,
    STATIC,
    TUNNEL,
    UNIT,
    VIP,
    WANTS,
    Host,
    assert_said,
    boot,
)
from unit.realservers.rows import BARE, CILIUM, IPIP0, PASS, SKIP, V6, WARN, Row, facts, gone, judge
from unit.realservers.sysctl_readers import PROCPS, in_a_root, require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.model import Service

WHO_MAKES_IT = {
    "ifupdown, a stanza of its own": Host(
        TUNNEL, PASS, f"{ENI}:8 (ifupdown)", {ENI: STATIC + STANZA, NETWORKING: "-> /x"}
    ),
    "ifupdown, up lines of the NIC's stanza": Host(
        TUNNEL,
        PASS,
        f"{ENI}:5 (ifupdown)",
        {
            ENI: f"{STATIC}  up ip link add name ipip0 type ipip external\n  up ip link set up dev ipip0\n",
            NETWORKING: "-> /x",
        },
        devices=(BARE,),
    ),
    "ifupdown, an included file": Host(
        TUNNEL,
        PASS,
        "/etc/network/interfaces.d/ipip0:4",
        {
            ENI: "source /etc/network/interfaces.d/*\n",
            "/etc/network/interfaces.d/ipip0": STANZA,
            NETWORKING: "-> /x",
        },
    ),
    "ifupdown without systemd": Host(TUNNEL, PASS, ENI, {ENI: STANZA}, systemd=False),
    "ifupdown, a script that its line names": Host(
        TUNNEL,
        PASS,
        f"{OWN}:2 (ifupdown)",
        {ENI: f"{STATIC}  up {OWN}\n", OWN: f"#!/bin/sh\n{MADE}", NETWORKING: "-> /x"},
    ),
    "networkd": Host(
        TUNNEL,
        PASS,
        "/etc/systemd/network/ipip0.netdev:2 (systemd-networkd)",
        {
            "/etc/systemd/network/ipip0.netdev": f"{NETDEV}Independent=yes\n",
            "/etc/systemd/network/ipip0.network": NETWORK,
            NETWORKD: "-> /x",
        },
    ),
    "networkd, by the Tunnel= of the NIC's .network": Host(
        TUNNEL,
        PASS,
        "systemd-networkd",
        {
            "/etc/systemd/network/ipip0.netdev": NETDEV,
            "/etc/systemd/network/eth0.network": "[Match]\nName=eth0\n[Network]\nTunnel=ipip0\n",
            "/etc/systemd/network/ipip0.network": NETWORK,
            NETWORKD: "-> /x",
        },
    ),
    "a unit of the host's own": Host(
        TUNNEL,
        PASS,
        f"{OWN}:2 (decap.service)",
        {
            UNIT: f"[Service]\nType=oneshot\nExecStart={OWN}\n",
            OWN: f"#!/bin/sh\n{MADE}",
            f"{WANTS}/decap.service": "-> /x",
        },
    ),
    "a unit that says it all": Host(
        TUNNEL,
        PASS,
        f"{UNIT}:2 (decap.service)",
        {
            UNIT: "[Service]\nExecStart=/sbin/ip link add ipip0 type ipip external\n"
            "ExecStart=/bin/sh -c 'ip addr add 127.0.0.42/32 dev ipip0; ip link set ipip0 up'\n",
            f"{WANTS}/decap.service": "-> /x",
        },
    ),
    "rc.local": Host(TUNNEL, PASS, "/etc/rc.local:2 (rc.local)", {"/etc/rc.local": f"#!/bin/sh\n{MADE}"}),
    "a script that makes it only where it is not": Host(
        TUNNEL,
        PASS,
        "rc.local",
        {"/etc/rc.local": f"#!/bin/sh\nip link show ipip0 || {MADE}"},
    ),
    "NetworkManager": Host(
        TUNNEL,
        PASS,
        "(NetworkManager)",
        {
            "/etc/NetworkManager/system-connections/ipip0.nmconnection": "[connection]\ntype=ip-tunnel\n"
            "interface-name=ipip0\n[ip-tunnel]\nmode=1\n[ipv4]\naddress1=127.0.0.42/32\nmethod=manual\n",
            f"{WANTS}/NetworkManager.service": "-> /x",
        },
    ),
    "netplan": Host(
        TUNNEL,
        PASS,
        "/etc/netplan/50-x.yaml:4 (netplan)",
        {
            "/etc/netplan/50-x.yaml": "network:\n  version: 2\n  tunnels:\n"
            "    ipip0:\n      mode: ipip\n      addresses: [127.0.0.42/32]\n"
        },
    ),
    "Cilium's agent": Host(
        TUNNEL, PASS, "Cilium's agent", {}, devices=(gone("ipip0"), CILIUM), kind=Kind.KUBERNETES
    ),
    "tunl0, by its module": Host(
        TUNNEL,
        PASS,
        "tunl0 comes with the module ipip, /etc/modules:1",
        {"/etc/modules": "ipip\n", "/etc/rc.local": "#!/bin/sh\nip link set tunl0 up\n"},
        devices=(gone("ipip0"), replace(IPIP0, name="tunl0", external=False)),
    ),
    "ipip60": Host(
        TUNNEL,
        PASS,
        "ipip60 is made by",
        {
            ENI: "auto ipip60\niface ipip60 inet6 manual\n pre-up ip link add ipip60 type ip6tnl external\n",
            NETWORKING: "-> /x",
        },
        vips=(V6,),
    ),
    "not asked for: it is not there now": Host(
        TUNNEL, SKIP, "no ipip0 is up now", {}, devices=(gone("ipip0"),)
    ),
}

NOBODY_MAKES_IT = {
    "nothing": Host(
        TUNNEL, WARN, "nothing that this host's boot reads makes ipip0", {}, remedy="ip link add name ipip0"
    ),
    "ifupdown, and the stanza is for the NIC alone": Host(
        TUNNEL, WARN, "nothing", {ENI: STATIC, NETWORKING: "-> /x"}, remedy=f">>{ENI}"
    ),
    "ifupdown, a stanza that is not auto": Host(
        TUNNEL, WARN, "ipip0 is not auto", {ENI: STANZA.partition("\n")[2], NETWORKING: "-> /x"}
    ),
    "ifupdown, a stanza in a comment": Host(
        TUNNEL,
        WARN,
        "nothing",
        {ENI: "".join(f"# {line}\n" for line in STANZA.splitlines()), NETWORKING: "-> /x"},
    ),
    "ifupdown that is not enabled": Host(TUNNEL, WARN, "networking.service is not enabled", {ENI: STANZA}),
    "ifupdown that is masked": Host(
        TUNNEL,
        WARN,
        "networking.service is masked",
        {ENI: STANZA, NETWORKING: "-> /x", "/etc/systemd/system/networking.service": "-> /dev/null"},
    ),
    "ifupdown, made and never set up": Host(
        TUNNEL,
        WARN,
        "but nothing sets it up",
        {ENI: f"{STATIC}  up ip link add name ipip0 type ipip external\n", NETWORKING: "-> /x"},
    ),
    "ifupdown, a file that is not included": Host(
        TUNNEL,
        WARN,
        "names ipip0, but whether",
        {ENI: STATIC, "/etc/network/interfaces.d/ipip0": STANZA, NETWORKING: "-> /x"},
    ),
    "networkd that is not enabled": Host(
        TUNNEL,
        WARN,
        "systemd-networkd.service is not enabled",
        {
            "/etc/systemd/network/a.netdev": f"{NETDEV}Independent=yes\n",
            "/etc/systemd/network/a.network": NETWORK,
        },
    ),
    "networkd, which nothing tells to make it": Host(
        TUNNEL,
        WARN,
        "no .network has Tunnel=ipip0",
        {
            "/etc/systemd/network/a.netdev": NETDEV,
            "/etc/systemd/network/a.network": NETWORK,
            NETWORKD: "-> /x",
        },
        remedy="/etc/systemd/network/ipip0.netdev",
    ),
    "networkd, and no .network is for it": Host(
        TUNNEL,
        WARN,
        "but nothing sets it up",
        {"/etc/systemd/network/a.netdev": f"{NETDEV}Independent=yes\n", NETWORKD: "-> /x"},
    ),
    "a unit that is not enabled": Host(
        TUNNEL,
        WARN,
        "decap.service is not enabled",
        {UNIT: f"[Service]\nExecStart={OWN}\n", OWN: f"#!/bin/sh\n{MADE}"},
    ),
    "rc.local that may not be run": Host(TUNNEL, WARN, "nothing", {"/etc/rc.local": MADE}),
    "NetworkManager without autoconnect": Host(
        TUNNEL,
        WARN,
        "autoconnect=false",
        {
            "/etc/NetworkManager/system-connections/i.nmconnection": "[connection]\ntype=ip-tunnel\n"
            "interface-name=ipip0\nautoconnect=false\n",
            f"{WANTS}/NetworkManager.service": "-> /x",
        },
    ),
    "its module is on the blacklist": Host(
        TUNNEL,
        WARN,
        "/etc/modprobe.d/x.conf:1 keeps its module",
        {ENI: STANZA, NETWORKING: "-> /x", "/etc/modprobe.d/x.conf": "blacklist ipip\n"},
        remedy="/etc/modules-load.d/ipip.conf",
    ),
    "without its address, in loose mode": Host(
        TUNNEL,
        WARN,
        "without an address",
        {
            ENI: STANZA.replace("  address 127.0.0.42/32\n", "").replace("static", "manual"),
            NETWORKING: "-> /x",
            "/etc/sysctl.d/a.conf": "net.ipv4.conf.*.rp_filter = 2\n",
        },
    ),
    "tunl0, and nothing loads its module": Host(
        TUNNEL,
        WARN,
        "names tunl0",
        {"/etc/rc.local": "#!/bin/sh\nip link set tunl0 up\n"},
        devices=(gone("ipip0"), replace(IPIP0, name="tunl0", external=False)),
    ),
}


@pytest.mark.parametrize("name", WHO_MAKES_IT)
def test_who_makes_it_is_named_with_file_and_line(
    name: str, tmp_path: Path, service_of: Callable[..., Service]
) -> None:
    assert_said(WHO_MAKES_IT[name], tmp_path, service_of)


@pytest.mark.parametrize("name", NOBODY_MAKES_IT)
def test_where_nobody_makes_it_there_is_a_warning_and_its_cure(
    name: str, tmp_path: Path, service_of: Callable[..., Service]
) -> None:
    assert_said(NOBODY_MAKES_IT[name], tmp_path, service_of)


@pytest.mark.parametrize("check", [TUNNEL, VIP])
def test_a_recording_of_before_has_no_finding_and_what_could_not_be_read_stops_nobody(
    check: str, service_of: Callable[..., Service]
) -> None:
    assert judge(check, Row(facts(), SKIP), service_of) == []
    (found,) = judge(check, Row(facts(boot=Unknown("around: no such tool")), SKIP), service_of)
    assert (found.verdict, found.seen) == (SKIP, "around: no such tool")


def test_of_files_with_secrets_the_lines_that_matter_are_read_alone(tmp_path: Path) -> None:
    require(PROCPS)
    files = {
        "/etc/systemd/network/wg0.netdev": "[NetDev]\nName=wg0\nKind=wireguard\n"
        "[WireGuard]\nPrivateKey=hidden1\n",
        "/etc/netplan/a.yaml": "network:\n  wifis:\n    wlan0:\n      password: hidden2\n",
        "/etc/NetworkManager/system-connections/w.nmconnection": "[wifi-security]\npsk=hidden3\n",
        "/etc/keepalived/keepalived.conf": "  auth_pass hidden4\n",
        "/etc/cloud/cloud.cfg.d/9.cfg": "password: hidden5\nchpasswd:\n  - root:hidden6\n",
        ENI: "iface wlan0 inet dhcp\n  wpa-psk hidden7\n",
    }
    read = boot(tmp_path, files)
    assert set(read.files) == set(files) - {"/etc/keepalived/keepalived.conf"}
    assert "hidden" not in str(read)


def test_a_pipe_among_the_files_does_not_hold_the_script_up(tmp_path: Path) -> None:
    require(PROCPS)
    pipe = f"mkdir -p /etc/network/interfaces.d; mkfifo /etc/network/interfaces.d/pipe; {BOOT}\nboot"
    assert "pipe" not in in_a_root(tmp_path, {}, ["/bin/sh", "-c", pipe])


def test_a_host_that_sends_more_than_any_host_has_is_not_read_and_stops_nobody(
    service_of: Callable[..., Service],
) -> None:
    flood = "/etc/network/interfaces:1:auto lo\n" * 6_000
    with pytest.raises(ValueError, match="more than 5000 lines"):
        boot_of(flood, "boot\n", systemd=True)
    hostile = (
        f"{ENI}:1:{' ' * 2_000_000}\n{ENI}:2:auto ipip0\n/etc/ufw/ufw.conf:1:ENABLED=yes{' ' * 500_000}x\n"
    )
    read = boot_of(hostile, "boot\n", systemd=True)
    assert max(len(line.text) for lines in read.files.values() for line in lines) == 1_000
    (found,) = judge(TUNNEL, Row(facts(boot=read), WARN), service_of)
    assert found.verdict is WARN


@pytest.mark.parametrize(
    "text", ["", "\0", "/:", "/a:1:", "/a:x:y", "/a:1:[", "/a:1:iface", "/a:1:ip addr add"]
)
def test_what_is_no_answer_is_read_without_an_exception(
    text: str, service_of: Callable[..., Service]
) -> None:
    for file in (ENI, "/etc/rc.local", "/etc/systemd/network/a.network", UNIT, "/etc/cloud/cloud.cfg"):
        read = boot_of(text.replace("/a", file), "boot\ntuned a\n", systemd=True)
        assert len(judge(TUNNEL, Row(facts(boot=read), WARN), service_of)) == 1
