"""Hosts as files that their boot reads: put into a root of their own, and read by the script of the facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.hosts.verbs.boot_script import BOOT
from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.facts.boot import Boot, boot_of
from ferryman.realservers.facts.sysctl_d import SysctlFiles
from unit.realservers.rows import FAIL, V4, WARN, Row, facts, judge
from unit.realservers.sysctl_readers import PROCPS, in_a_root, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.model import Service
    from ferryman.realservers.facts import Device, Facts

FIELD = Path(__file__).parent / "field"
TUNNEL, VIP, FILTER = "tunnel-persisted", "vip-persisted", "rp-filter-persisted"
WANTS = "/etc/systemd/system/multi-user.target.wants"
NETWORKING, NETWORKD = f"{WANTS}/networking.service", f"{WANTS}/systemd-networkd.service"
DEFAULT_IS_STRICT = "net.ipv4.conf.default.rp_filter = 1\nnet.ipv4.conf.ipip0.rp_filter = 0\n"
ZERO = {"/etc/sysctl.d/70-ipip.conf": "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.ipip0.rp_filter = 0\n"}
ENI, OWN, UNIT = "/etc/network/interfaces", "/usr/local/sbin/decap", "/etc/systemd/system/decap.service"
ONE = "sysctl -w net.ipv4.conf.all.rp_filter=1"
STATIC = "auto lo eth0\niface lo inet loopback\niface eth0 inet static\n  address 192.0.2.21/24\n"
STANZA = (
    "auto ipip0\niface ipip0 inet static\n  address 127.0.0.42/32\n"
    "  pre-up ip link add name ipip0 type ipip external\n"
)
MADE = (
    "ip link add name ipip0 type ipip external\nip addr add 127.0.0.42/32 dev ipip0\n"
    "ip link set up dev ipip0\n"
)
NETDEV = "[NetDev]\nName=ipip0\nKind=ipip\n[Tunnel]\nExternal=yes\n"
NETWORK = "[Match]\nName=ipip*\n[Network]\nAddress=127.0.0.42/32\n"
UFW_FILES = {
    "/etc/default/ufw": (FIELD / "etc-default-ufw").read_text(),
    "/etc/ufw/ufw.conf": (FIELD / "etc-ufw-ufw.conf").read_text(),
    "/etc/ufw/sysctl.conf": (FIELD / "etc-ufw-sysctl.conf").read_text(),
}


def boot(folder: Path, files: Mapping[str, str], *, systemd: bool = True) -> Boot:
    """What the script reads of these files; ``-> `` begins a link, ``#!`` an executable script."""
    encoded = {path: text.encode() for path, text in files.items()}
    separator = "@@@@"
    script = f"{BOOT}\nboot\nprintf '\\n{separator}\\n'\naround"
    text, _, around = in_a_root(folder, encoded, ["/bin/sh", "-c", script]).partition(f"{separator}\n")
    return boot_of(text, around, systemd=systemd)


@dataclass(frozen=True)
class Host:
    """A host's files, and what a check is to say of it."""

    check: str
    verdict: Verdict
    words: str
    files: Mapping[str, str]
    systemd: bool = True
    devices: tuple[Device, ...] = ()
    vips: tuple[str, ...] = (V4,)
    kind: Kind = Kind.SERVER
    remedy: str = ""
    rp: Mapping[str, int] = field(default_factory=dict)


def seen(host: Host, folder: Path) -> Facts:
    """The facts of such a host; its settings are right now."""
    persisted = {
        path: text for path, text in host.files.items() if "/sysctl.d/" in path or path == "/etc/sysctl.conf"
    }
    return facts(
        *host.devices,
        rp=host.rp,
        boot=boot(folder, host.files, systemd=host.systemd),
        persisted=SysctlFiles(persisted, systemd=host.systemd),
    )


def assert_said(host: Host, folder: Path, service_of: Callable[..., Service]) -> None:
    """Fails where the check says something else of such a host."""
    require(PROCPS)
    found: list[Finding] = judge(
        host.check, Row(seen(host, folder), host.verdict, vips=host.vips, kind=host.kind), service_of
    )
    said = [(finding.verdict, finding.seen) for finding in found]
    assert [verdict for verdict, _ in said] == [host.verdict], said
    assert host.words in found[0].seen
    assert host.remedy in found[0].remedy
    assert bool(found[0].remedy) == (host.verdict in (WARN, FAIL))
