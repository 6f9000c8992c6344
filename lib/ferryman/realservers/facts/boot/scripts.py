"""Scripts and units of a host's own, and the programs that set kernel settings after sysctl.d."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferryman.realservers.facts.boot.actions import Action, ConfigLine, Deed
from ferryman.realservers.facts.boot.running import UNITS, literal_addresses, run_command, run_script
from ferryman.realservers.facts.boot.shell import commands_in
from ferryman.realservers.facts.sysctl_d import SYSCTL_CONF, SysctlFiles, normal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.realservers.facts.boot.collected import Boot

RUN_BY = {
    "/etc/rc.local": ("rc.local", ""),
    "/etc/network/if-pre-up.d/": ("ifupdown's scripts", "networking.service"),
    "/etc/network/if-up.d/": ("ifupdown's scripts", "networking.service"),
    "/etc/NetworkManager/dispatcher.d/": ("NetworkManager's dispatcher", "NetworkManager.service"),
    "/etc/networkd-dispatcher/": ("networkd-dispatcher", "networkd-dispatcher.service"),
    "/var/lib/cloud/scripts/per-boot/": ("cloud-init", "cloud-init.service"),
    "/etc/init.d/": ("init", ""),
}
"""Folders and files of scripts that are run at boot: by whom, and as which unit."""
STARTED = re.compile(r"\s*Exec(?:Start|StartPre|StartPost)\s*=\s*[-@+!:|]*(?P<command>.*)")
TUNED_MAIN = "/etc/tuned/tuned-main.conf"
TUNED = (
    "/etc/tuned/profiles/{}/tuned.conf",
    "/etc/tuned/{}/tuned.conf",
    "/usr/lib/tuned/profiles/{}/tuned.conf",
    "/usr/lib/tuned/{}/tuned.conf",
)
UFW = ("/lib/ufw/ufw-init", "/usr/lib/ufw/ufw-init")
UFW_PACKAGE = "/var/lib/dpkg/info/ufw.list"
UFW_UNIT = ("/lib/systemd/system/ufw.service", "/usr/lib/systemd/system/ufw.service")


def ufw(boot: Boot) -> Iterator[Action]:
    """What ufw sets at each start and reload: the file that IPT_SYSCTL names, where ufw is ENABLED.

    Source: /lib/ufw/ufw-init-functions: ``sysctl -e -q -p $IPT_SYSCTL``, procps' grammar; it reads
    /etc/default/ufw, then /etc/ufw/ufw.conf. Of a package that was removed its files stay.
    """
    named = boot.value("/etc/ufw/ufw.conf", "IPT_SYSCTL") or boot.value("/etc/default/ufw", "IPT_SYSCTL")
    enabled = boot.value("/etc/ufw/ufw.conf", "ENABLED") or boot.value("/etc/default/ufw", "ENABLED")
    if not named or enabled not in ("yes", "YES"):
        return
    removed = UFW_PACKAGE in boot.there and not boot.there.intersection(UFW)
    packaged = boot.there.intersection(UFW_UNIT)
    inactive = "ufw is not installed" if removed else boot.not_started("ufw.service") if packaged else ""
    yield from _settings(boot, named, "ufw", inactive)


def tuned(boot: Boot) -> Iterator[Action]:
    """What the active profile of tuned sets, with those that it includes.

    Source: tuned-main.conf(5): with reapply_sysctl, which is on unless it says 0, what the files of
    /run/sysctl.d, /etc/sysctl.d and /etc/sysctl.conf set is set again after the profile.
    """
    inactive = boot.not_started("tuned.service")
    for profile in boot.profiles:
        for line in _profile(boot, profile, []):
            key, equals, value = line.text.partition("=")
            if equals:
                yield Action(
                    Deed.SET, normal(key), value.strip().strip("\"'"), line, f"tuned, {profile}", inactive
                )
    again = (boot.value(TUNED_MAIN, "reapply_sysctl") or "1").lower()
    if boot.profiles and again not in ("0", "false", "no", "off"):
        line = ConfigLine(TUNED_MAIN, 1, "")
        yield Action(Deed.APPLY, "", "/etc/sysctl /run/sysctl.d/", line, "tuned", inactive)


def _profile(boot: Boot, profile: str, seen: list[str]) -> Iterator[ConfigLine]:
    """The lines of the section sysctl, those of included profiles first."""
    file = next((path.format(profile) for path in TUNED if path.format(profile) in boot.files), None)
    if file is None or profile in seen:
        return
    section = ""
    own: list[ConfigLine] = []
    for line in boot.lines(file):
        text = line.text.strip()
        if text.startswith("["):
            section = text.strip("[]")
        elif section == "main" and (found := re.fullmatch(r"include\s*=\s*(.*)", text)):
            for other in re.split(r"[,;\s]+", found[1]):
                yield from _profile(boot, other, [*seen, profile])
        elif section == "sysctl" and text[:1] not in ("#", ";"):
            own.append(line)
    yield from own


def cloud_init(boot: Boot) -> Iterator[Action]:
    """What ``bootcmd`` runs at each boot; ``runcmd`` runs at the first alone.

    Source: cloud-init's modules Bootcmd (frequency: always) and Runcmd (once per instance).
    """
    inactive = boot.not_started("cloud-init.service")
    for file in boot.below("/etc/cloud/", "/var/lib/cloud/instance/"):
        key = ""
        for line in boot.lines(file):
            if (found := re.match(r"(\w+):", line.text)) is not None:
                key = found[1]
            if key == "bootcmd":
                text = re.sub(r"^[\s-]+", "", line.text)
                text = re.sub(r"[\"']\s*,\s*[\"']", " ", text).strip("[]\"' ")
                for command in commands_in(text):
                    yield Action(command.deed, command.subject, command.value, line, "cloud-init", inactive)


def units(boot: Boot) -> Iterator[Action]:
    """What the units of the host's own run, and the scripts that they name."""
    seen: set[str] = set()
    for file in boot.below(*UNITS):
        if ".service" not in file:
            continue
        unit = re.sub(r"\.service(\.d/.*)?$", ".service", file).rpartition("/")[2]
        inactive = boot.not_started(unit) or ("" if boot.systemd else "systemd does not run")
        for line in boot.lines(file):
            if (started := STARTED.match(line.text)) is not None:
                yield from run_command(boot, started["command"], line, unit, inactive, seen)


def scripts(boot: Boot) -> Iterator[Action]:
    """What the scripts do that some program runs at boot, rc.local as the last, and cron's ``@reboot``."""
    for place, (who, unit) in reversed(RUN_BY.items()):
        inactive = boot.not_started(unit) if unit else ""
        if not boot.systemd and place.startswith(("/etc/NetworkManager", "/etc/networkd")):
            inactive = "systemd does not run"
        for file in boot.below(place):
            yield from run_script(boot, file, who, inactive)
    seen: set[str] = set()
    for file in boot.below("/etc/cron.d/", "/etc/crontab", "/var/spool/cron/"):
        for line in boot.lines(file):
            if line.text.lstrip().startswith("@reboot"):
                yield from run_command(boot, line.text.split("@reboot", 1)[1], line, "cron", "", seen)


def _settings(boot: Boot, file: str, who: str, inactive: str) -> Iterator[Action]:
    """The lines of a file that ``sysctl -p`` reads, in the order in which they are written."""
    lines = boot.lines(file)
    text = "\n".join(line.text for line in lines)
    settings = SysctlFiles({SYSCTL_CONF: text}, systemd=False).lines
    # A key that is spelt out beats every glob, wherever it stands.
    for setting in sorted(settings, key=lambda setting: not setting.is_glob):
        if setting.value is not None:
            yield Action(Deed.SET, setting.key, setting.value, lines[setting.number - 1], who, inactive)


def addresses_by_text(boot: Boot) -> Iterator[Action]:
    """Addresses in the files of programs whose grammar is not read: keepalived, FRR, netplan, Wikimedia's."""
    known: Sequence[tuple[str, str, str]] = (
        ("/etc/keepalived/", "keepalived", "keepalived.service"),
        ("/etc/frr/", "FRR", "frr.service"),
        ("/etc/default/wikimedia-lvs-realserver", "wikimedia-lvs-realserver", ""),
        ("/etc/netplan/", "netplan", ""),
    )
    for place, who, unit in known:
        inactive = boot.not_started(unit) if unit else ""
        for file in boot.below(place):
            for line in boot.lines(file):
                if line.text.lstrip().startswith(("#", "!")):
                    continue
                yield from literal_addresses(line, who, inactive)
                if who == "netplan" and (found := re.fullmatch(r"\s+[\"']?([\w.-]+)[\"']?:\s*", line.text)):
                    yield Action(Deed.MAKE, found[1], "", line, who)
                    yield Action(Deed.RAISE, found[1], "", line, who)
