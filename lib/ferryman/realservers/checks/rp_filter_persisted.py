"""Check ``rp-filter-persisted``: what works now still works after a reboot, and when ipip0 is made again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.after_boot import Future, FutureValue
from ferryman.realservers.checks.decapsulation import IPIP, decapsulator_name, key, tunnels
from ferryman.realservers.checks.rp_filter import STRICT, is_loose
from ferryman.realservers.facts import ALL, DEFAULT, Unknown
from ferryman.realservers.facts.sysctl_d import normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts
    from ferryman.realservers.facts.boot import Action
    from ferryman.realservers.facts.sysctl_d import Line, SysctlFiles

CHECK = "rp-filter-persisted"
WITH_VALUES = {"ufw": "= 0", "systemd-networkd": "=no"}
"""What sed writes behind the key in the files of these programs."""


def rp_filter_persisted(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """By who sets it last, the larger of all's and the tunnel device's rp_filter is 0, or 2 with an address.

    Sources: sysctl.d(5): files by their names, a later line wins, a line for the key itself beats every
    glob, ``-key`` keeps globs off. systemd's 99-systemd.rules applies them to each new device; one that no
    line is for takes over ``default``. Without any line the kernel's default is 0, but distributions ship a
    50-default.conf (Debian 13: linux-sysctl-defaults) that says 2 for every device. After them come ufw,
    the network's own configuration, tuned, units and scripts, each where it is at work.
    """
    if IPIP not in tunnels(service):
        yield _finding(realserver, Verdict.SKIP, "IPv6 alone, which has no rp_filter")
        return
    if isinstance(facts.persisted, Unknown):
        yield _finding(
            realserver, Verdict.UNKNOWN, facts.persisted.reason, "look: systemd-sysctl --cat-config"
        )
        return
    yield _judged(realserver, facts, facts.persisted, decapsulator_name(IPIP, facts))


def _judged(realserver: Realserver, facts: Facts, files: SysctlFiles, device: str) -> Finding:
    sure, perhaps = (Future.of(facts, conditional=conditional) for conditional in (False, True))
    bad = [_after(facts, device, future) for future in (sure, perhaps)]
    if bad[0] and bad[1]:
        why, remedy = bad[1]
        when = "the next reboot or reload of ufw" if "(ufw)" in why else "the next reboot"
        return _finding(realserver, Verdict.FAIL, f"{when} breaks it: {why}", remedy)
    if found := bad[0] or bad[1]:
        why, remedy = found
        unless = "a script sets something else" if bad[0] else "a script passes over that line"
        return _finding(
            realserver, Verdict.WARN, f"the next reboot breaks it, unless {unless}: {why}", remedy
        )
    again = _made_again(facts, files, device, sure)
    for_all_now = facts.setting("rp_filter", ALL)
    if again is not None and not isinstance(for_all_now, Unknown) and again.value > for_all_now:
        now = FutureValue(for_all_now, "as it is now")
        if dropped := _drops(facts, device, now, again):
            seen = f"it breaks when {device} is made again: {dropped}"
            return _finding(realserver, Verdict.FAIL, seen, _remedy(device, now, again))
    values = (
        f"{name}: {coming.value}, {coming.by}" for name in (ALL, device) for coming in (sure.value(name),)
    )
    return _finding(realserver, Verdict.PASS, "; ".join(values))


def _after(facts: Facts, device: str, future: Future) -> tuple[str, str] | None:
    """Why packets will be dropped after a boot, and the remedy; None when they will not."""
    for_all, own = future.value(ALL), future.value(device)
    why = _drops(facts, device, for_all, own)
    return None if why is None else (why, _remedy(device, for_all, own))


def _made_again(facts: Facts, files: SysctlFiles, device: str, future: Future) -> FutureValue | None:
    """What a new device of that name gets now; None where nobody can tell.

    Without systemd's rules for new devices, lines for it wait until somebody runs ``sysctl --system``.
    """
    if not files.systemd:
        return None
    default = facts.setting("rp_filter", DEFAULT)
    coming = future.value(device)
    if not coming.by.startswith("inherited"):
        return coming
    if isinstance(default, Unknown):
        return None
    return FutureValue(default, f"inherited from {key(DEFAULT)} as it is now")


def _drops(facts: Facts, device: str, for_all: FutureValue, own: FutureValue) -> str | None:
    """Why packets will be dropped; None when they will not.

    Source: __fib_validate_source in net/ipv4/fib_frontend.c: 1 is strict, and what else is not 0 is loose.
    """
    decisive, name = (own, device) if own.value >= for_all.value else (for_all, ALL)
    if decisive.value == STRICT:
        return f"{name} will be 1, {decisive.by}"
    known = {} if isinstance(facts.devices, Unknown) else facts.devices
    bare = device in known and not known[device].has_ipv4
    if is_loose(decisive.value) and bare:
        return f"{name} will be {decisive.value}, {decisive.by}, and {device} has no IPv4 address"
    return None


def _remedy(device: str, for_all: FutureValue, own: FutureValue) -> str:
    """A 0 for whichever decides: in its own line where it has one of ours, else in a new one."""
    both, larger = ((ALL, for_all), (device, own)), max(for_all.value, own.value)
    decisive = [_zero(name, value) for name, value in both if value.value == larger]
    return "say 0 for it: " + " && ".join(dict.fromkeys(decisive))


def _zero(name: str, value: FutureValue) -> str:
    if value.action is not None:
        return _instead(value.action)
    line: Line | None = value.line
    if line is not None and line.key == normal(key(name)) and line.file.startswith("/etc/"):
        return f"sed -i '{line.number}s/=.*/= 0/' {shlex.quote(line.file)}"
    return f"echo '{key(name)} = 0' >>/etc/sysctl.d/99-ipip.conf"


def _instead(action: Action) -> str:
    """The edit of what sets it after sysctl.d; what is a script's to say is for a person to change."""
    file, number = shlex.quote(action.line.file), action.line.number
    written = WITH_VALUES.get(action.who)
    if written is None:
        return f"vi +{number} {file}"
    return f"sed -i '{number}s/=.*/{written}/' {file}"


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    wanted = (
        "0, or 2 with an address, also after a reboot: the larger of all's and the tunnel device's rp_filter"
    )
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
