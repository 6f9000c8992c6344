"""Who gives a host its VIP at the next boot, by whatever it uses, or that nobody does."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import TYPE_CHECKING

import pytest

from ferryman.model import Kind
from ferryman.realservers.facts import Device
from unit.realservers.booting import (
    ENI,
    NETWORKD,
    NETWORKING,
    STATIC,
    VIP,
    WANTS,
    Host,
    assert_said,
)
from unit.realservers.rows import PASS, SKIP, V6, WARN, gone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferryman.model import Service

ON_LO = "192.0.2.1/32"
WHO_HAS_THE_VIP = {
    "ifupdown, an up line": Host(
        VIP,
        PASS,
        f"{ENI}:3",
        {ENI: f"auto lo\niface lo inet loopback\n  up ip addr add {ON_LO} dev lo\n", NETWORKING: "-> /x"},
    ),
    "ifupdown, an alias": Host(
        VIP,
        PASS,
        f"{ENI}:3",
        {
            ENI: "auto lo:0\niface lo:0 inet static\n  address 192.0.2.1\n  netmask 255.255.255.255\n",
            NETWORKING: "-> /x",
        },
    ),
    "networkd": Host(
        VIP,
        PASS,
        "systemd-networkd",
        {
            "/etc/systemd/network/lo.network": f"[Match]\nName=lo\n[Network]\nAddress={ON_LO}\n",
            NETWORKD: "-> /x",
        },
    ),
    "netplan": Host(
        VIP,
        PASS,
        "netplan",
        {"/etc/netplan/a.yaml": f"network:\n  ethernets:\n    lo:\n      addresses:\n        - {ON_LO}\n"},
    ),
    "the usual script of a realserver, with a variable": Host(
        VIP,
        PASS,
        "/etc/rc.local:2",
        {
            "/etc/rc.local": "#!/bin/bash\nVIP=192.0.2.1\n"
            "ifconfig lo:0 $VIP broadcast $VIP netmask 255.255.255.255 up\n"
        },
    ),
    "keepalived": Host(
        VIP,
        PASS,
        "keepalived",
        {
            "/etc/keepalived/keepalived.conf": f"vrrp_instance a {{\n"
            f" virtual_ipaddress {{\n  {ON_LO} dev lo\n }}\n}}\n",
            f"{WANTS}/keepalived.service": "-> /x",
        },
    ),
    "Wikimedia's package": Host(
        VIP,
        PASS,
        "wikimedia-lvs-realserver",
        {"/etc/default/wikimedia-lvs-realserver": 'LVS_SERVICE_IPS="192.0.2.9 192.0.2.1"\n'},
    ),
    "a prefix on lo": Host(
        VIP,
        PASS,
        ENI,
        {ENI: "auto lo\niface lo inet loopback\n  up ip addr add 192.0.2.0/24 dev lo\n", NETWORKING: "-> /x"},
    ),
    "IPv6": Host(
        VIP,
        PASS,
        f"{ENI}:3",
        {
            ENI: "auto lo\niface lo inet6 loopback\n up ip -6 addr add fd99:0::1/128 dev lo nodad\n",
            NETWORKING: "-> /x",
        },
        vips=(V6,),
    ),
    "kube-proxy": Host(
        VIP,
        PASS,
        "kube-proxy puts it on kube-ipvs0",
        {},
        devices=(gone("lo"), Device("kube-ipvs0", "dummy", addresses=(ip_interface("192.0.2.1"),))),
        kind=Kind.KUBERNETES,
    ),
    "a node without the VIP": Host(
        VIP, SKIP, "a rule takes its packets", {}, devices=(gone("lo"),), kind=Kind.KUBERNETES
    ),
    "a server without the VIP": Host(VIP, SKIP, "not on this host now", {}, devices=(gone("lo"),)),
    "nobody": Host(VIP, WARN, "it is on lo, and nothing", {}, remedy="ip addr add 192.0.2.1/32 dev lo"),
    "nobody, with ifupdown": Host(
        VIP, WARN, "nothing", {ENI: STATIC, NETWORKING: "-> /x"}, remedy=f">>{ENI}"
    ),
    "another VIP": Host(
        VIP,
        WARN,
        "nothing",
        {
            ENI: "auto lo\niface lo inet loopback\n  up ip addr add 192.0.2.11/32 dev lo\n",
            NETWORKING: "-> /x",
        },
    ),
    "a comment": Host(VIP, WARN, "nothing", {"/etc/rc.local": f"#!/bin/sh\n# ip addr add {ON_LO} dev lo\n"}),
    "keepalived that is not enabled": Host(
        VIP,
        WARN,
        "keepalived.service is not enabled",
        {"/etc/keepalived/keepalived.conf": f"  {ON_LO} dev lo\n"},
    ),
}


@pytest.mark.parametrize("name", WHO_HAS_THE_VIP)
def test_who_brings_the_vip_back_is_told(
    name: str, tmp_path: Path, service_of: Callable[..., Service]
) -> None:
    assert_said(WHO_HAS_THE_VIP[name], tmp_path, service_of)
