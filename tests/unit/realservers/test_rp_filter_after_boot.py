"""Who sets rp_filter last at the next boot: sysctl.d's files, or who comes after them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ferryman.realservers.facts.boot import Boot, boot_of
from ferryman.realservers.facts.sysctl_d import SysctlFiles
from unit.realservers.booting import (
    DEFAULT_IS_STRICT,
    ENI,
    FIELD,
    FILTER,
    NETDEV,
    NETWORK,
    NETWORKD,
    NETWORKING,
    ONE,
    STANZA,
    STATIC,
    UFW_FILES,
    UNIT,
    WANTS,
    ZERO,
    Host,
    assert_said,
    seen,
)
from unit.realservers.rows import BARE, FAIL, PASS, WARN, Row, facts, judge
from unit.realservers.sysctl_readers import PROCPS, require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.model import Service

WHO_FILTERS = {
    "the field's comment behind the value": Host(
        FILTER,
        FAIL,
        "/etc/sysctl.d/60-hardening.conf:1",
        {"/etc/sysctl.d/60-hardening.conf": (FIELD / "60-hardening.conf").read_text()},
        remedy="sed -i '1s/=.*/= 0/' /etc/sysctl.d/60-hardening.conf",
    ),
    "the field's ufw": Host(
        FILTER,
        FAIL,
        "/etc/ufw/sysctl.conf:1",
        {**ZERO, **UFW_FILES},
        remedy="sed -i '1s/=.*/= 0/' /etc/ufw/sysctl.conf",
    ),
    "ufw that is off": Host(
        FILTER, PASS, "all: 0", {**ZERO, **UFW_FILES, "/etc/ufw/ufw.conf": "ENABLED=no\n"}
    ),
    "ufw with another file": Host(
        FILTER,
        PASS,
        "all: 0",
        {**ZERO, **UFW_FILES, "/etc/default/ufw": "#IPT_SYSCTL=/etc/ufw/sysctl.conf\n"},
    ),
    "ufw, named by quotes": Host(
        FILTER,
        FAIL,
        "/etc/x.conf:2",
        {
            **ZERO,
            **UFW_FILES,
            "/etc/default/ufw": 'IPT_SYSCTL="/etc/x.conf"\n',
            "/etc/x.conf": f"# ours\n{ONE[10:]}\n",
        },
    ),
    "ufw that was removed, and its files stay": Host(
        FILTER, PASS, "all: 0", {**ZERO, **UFW_FILES, "/var/lib/dpkg/info/ufw.list": "/etc/ufw\n"}
    ),
    "ufw, which has the last word again with each reload": Host(
        FILTER,
        FAIL,
        "the next reboot or reload of ufw breaks it",
        {**ZERO, **UFW_FILES, "/etc/rc.local": "#!/bin/sh\nsysctl -q -w net.ipv4.conf.all.rp_filter=0\n"},
    ),
    "ufw's lines in comments": Host(
        FILTER,
        PASS,
        "all: 0",
        {**ZERO, **UFW_FILES, "/etc/ufw/sysctl.conf": "#net/ipv4/conf/all/rp_filter=1\n"},
    ),
    "ufw's glob, and ipip0 spelt out": Host(
        FILTER,
        FAIL,
        "all will be 1, /etc/ufw/sysctl.conf:2",
        {
            **ZERO,
            **UFW_FILES,
            "/etc/ufw/sysctl.conf": "net/ipv4/conf/ipip0/rp_filter=0\nnet/ipv4/conf/*/rp_filter=1\n",
        },
    ),
    "ifupdown's line": Host(
        FILTER,
        FAIL,
        f"{ENI}:5 (ifupdown)",
        {**ZERO, ENI: f"{STATIC}  post-up {ONE}\n", NETWORKING: "-> /x"},
        remedy=f"vi +5 {ENI}",
    ),
    "ifupdown's line, of a stanza that is not auto": Host(
        FILTER,
        PASS,
        "all: 0",
        {**ZERO, ENI: f"iface eth1 inet manual\n  post-up {ONE}\n", NETWORKING: "-> /x"},
    ),
    "rc.local": Host(FILTER, FAIL, "/etc/rc.local:2", {**ZERO, "/etc/rc.local": f"#!/bin/sh\n{ONE}\n"}),
    "rc.local, the old loop over all devices": Host(
        FILTER,
        FAIL,
        "/etc/rc.local:3",
        {
            **ZERO,
            "/etc/rc.local": "#!/bin/sh\nfor f in /proc/sys/net/ipv4/conf/*/rp_filter; do\n"
            "  echo 1 > $f\ndone\n",
        },
    ),
    "rc.local, echo": Host(
        FILTER,
        FAIL,
        "/etc/rc.local:2",
        {**ZERO, "/etc/rc.local": "#!/bin/sh\necho 1 > /proc/sys/net/ipv4/conf/all/rp_filter\n"},
    ),
    "rc.local, on a condition": Host(
        FILTER,
        WARN,
        "unless a script passes over that line",
        {**ZERO, "/etc/rc.local": f"#!/bin/sh\nif [ -e /x ]; then\n  {ONE}\nfi\n"},
    ),
    "rc.local says 0 after a file's 1": Host(
        FILTER,
        PASS,
        "all: 0, /etc/rc.local:2",
        {
            "/etc/sysctl.d/a.conf": f"{ONE[10:]}\n",
            "/etc/rc.local": "#!/bin/sh\nsysctl -q -w net.ipv4.conf.all.rp_filter=0\n",
        },
    ),
    "a unit": Host(
        FILTER,
        FAIL,
        f"{UNIT}:2",
        {**ZERO, UNIT: f"[Service]\nExecStart=/sbin/{ONE}\n", f"{WANTS}/decap.service": "-> /x"},
    ),
    "a unit that is not enabled": Host(
        FILTER, PASS, "all: 0", {**ZERO, UNIT: f"[Service]\nExecStart=/sbin/{ONE}\n"}
    ),
    "cloud-init's bootcmd": Host(
        FILTER,
        FAIL,
        "cloud-init",
        {
            **ZERO,
            "/etc/cloud/cloud.cfg.d/9.cfg": f"bootcmd:\n  - [{', '.join(ONE.split())}]\n  - {ONE}\n",
            f"{WANTS}/cloud-init.service": "-> /x",
        },
    ),
    "cloud-init's runcmd, which is for the first boot": Host(
        FILTER,
        PASS,
        "all: 0",
        {
            **ZERO,
            "/etc/cloud/cloud.cfg.d/9.cfg": f"runcmd:\n  - {ONE}\n",
            f"{WANTS}/cloud-init.service": "-> /x",
        },
    ),
    "tuned, what no file of /etc sets": Host(
        FILTER,
        FAIL,
        "/etc/tuned/ours/tuned.conf:2 (tuned, ours)",
        {
            "/etc/tuned/active_profile": "ours\n",
            "/etc/tuned/ours/tuned.conf": f"[sysctl]\n{ONE[10:]}\n",
            f"{WANTS}/tuned.service": "-> /x",
        },
    ),
    "tuned, an included profile": Host(
        FILTER,
        FAIL,
        "/etc/tuned/base/tuned.conf:2",
        {
            "/etc/tuned/active_profile": "ours\n",
            "/etc/tuned/ours/tuned.conf": "[main]\ninclude=base\n",
            "/etc/tuned/base/tuned.conf": f"[sysctl]\n{ONE[10:]}\n",
            f"{WANTS}/tuned.service": "-> /x",
        },
    ),
    "tuned, what files of /etc set again": Host(
        FILTER,
        PASS,
        "all: 0, /etc/sysctl.d",
        {
            **ZERO,
            "/etc/tuned/active_profile": "ours\n",
            "/etc/tuned/ours/tuned.conf": f"[sysctl]\n{ONE[10:]}\n",
            f"{WANTS}/tuned.service": "-> /x",
        },
    ),
    "tuned, a profile that is not active": Host(
        FILTER,
        PASS,
        "all: 0",
        {
            "/etc/tuned/active_profile": "other\n",
            "/etc/tuned/ours/tuned.conf": f"[sysctl]\n{ONE[10:]}\n",
            f"{WANTS}/tuned.service": "-> /x",
        },
    ),
    "without systemd a line for ipip0 comes too early": Host(
        FILTER,
        FAIL,
        "ipip0 will be 1, inherited from default",
        {
            "/etc/sysctl.d/a.conf": DEFAULT_IS_STRICT,
            ENI: STANZA,
        },
        systemd=False,
    ),
    "without systemd, and the files are applied again": Host(
        FILTER,
        PASS,
        "ipip0: 0, /etc/sysctl.d/a.conf:2",
        {
            "/etc/sysctl.d/a.conf": DEFAULT_IS_STRICT,
            ENI: f"{STANZA}  up sysctl -p /etc/sysctl.d/a.conf\n",
        },
        systemd=False,
    ),
    "what the kernel refuses is told": Host(
        FILTER,
        PASS,
        "the kernel refuses /etc/sysctl.d/a.conf:1",
        {"/etc/sysctl.d/a.conf": 'net.ipv4.conf.all.rp_filter = "1"\n'},
    ),
    "other hosts' settings of IPv4": Host(
        FILTER, PASS, "all: 0", {**ZERO, "/etc/rc.local": "#!/bin/sh\nsysctl -w net.ipv4.ip_forward=1\n"}
    ),
}


@pytest.mark.parametrize("name", WHO_FILTERS)
def test_who_sets_it_last_decides(name: str, tmp_path: Path, service_of: Callable[..., Service]) -> None:
    assert_said(WHO_FILTERS[name], tmp_path, service_of)


def test_networkds_own_filter_counts_from_the_version_that_knows_it(
    tmp_path: Path, service_of: Callable[..., Service]
) -> None:
    network = f"{NETWORK}IPv4ReversePathFilter=strict\n"
    files = {
        **ZERO,
        "/etc/systemd/network/a.netdev": f"{NETDEV}Independent=yes\n",
        "/etc/systemd/network/a.network": network,
    }
    host = Host(FILTER, FAIL, "", {**files, NETWORKD: "-> /x"})
    require(PROCPS)
    read = seen(host, tmp_path)
    assert isinstance(read.boot, Boot)
    for version, verdict in ((254, PASS), (255, FAIL)):
        there = frozenset({f"/usr/lib/systemd/libsystemd-shared-{version}.so"})
        row = Row(replace(read, boot=replace(read.boot, there=there)), verdict)
        (found,) = judge(FILTER, row, service_of)
        assert found.verdict is verdict
    assert "/etc/systemd/network/a.network:5 (systemd-networkd)" in found.seen
    assert "sed -i '5s/=.*/=no/'" in found.remedy


def test_the_kernels_command_line_counts_where_no_file_says_otherwise(
    service_of: Callable[..., Service],
) -> None:
    text = "/proc/cmdline:1:root=/dev/sda ro sysctl.net.ipv4.conf.all.rp_filter=1 quiet\n"
    booted = boot_of(text, "boot\n", systemd=True)
    (found,) = judge(FILTER, Row(facts(boot=booted), FAIL), service_of)
    assert (found.verdict, "the kernel's command line" in found.seen) == (FAIL, True)
    overruled = SysctlFiles({"/etc/sysctl.d/a.conf": "net.ipv4.conf.all.rp_filter = 0"})
    (found,) = judge(FILTER, Row(facts(boot=booted, persisted=overruled), PASS), service_of)
    assert found.verdict is PASS


@pytest.mark.parametrize("value", [3, -1])
def test_what_is_neither_0_nor_1_is_loose(value: int, service_of: Callable[..., Service]) -> None:
    rp = {"all": value, "ipip0": value}
    (found,) = judge("rp-filter", Row(facts(rp=rp), PASS), service_of)
    assert (found.verdict, f"= {value}: loose" in found.seen) == (PASS, True)
    (found,) = judge("tunnel-address", Row(facts(BARE, rp=rp), FAIL), service_of)
    assert found.verdict is FAIL
