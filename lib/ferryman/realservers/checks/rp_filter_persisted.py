"""Check ``rp-filter-persisted``: what works now still works after a reboot, and when ipip0 is made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import IPIP, decapsulator_name, key, tunnels
from ferryman.realservers.checks.rp_filter import LOOSE, STRICT
from ferryman.realservers.facts import ALL, DEFAULT, Unknown
from ferryman.realservers.facts.sysctl_d import normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts
    from ferryman.realservers.facts.sysctl_d import Line, SysctlFiles

CHECK = "rp-filter-persisted"


@dataclass(frozen=True, slots=True)
class FutureValue:
    """A value that a setting will have, and what sets it."""

    value: int
    by: str
    """What sets it, in words: a line of a file, a default, what it is inherited from."""
    line: Line | None = None
    """The line of sysctl.d that sets it, where one does."""


def rp_filter_persisted(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """By sysctl.d, the larger of all's and the tunnel device's rp_filter is 0, or 2 with an address there.

    Sources: sysctl.d(5): files by their names, a later line wins, a line for the key itself beats every
    glob, ``-key`` keeps globs off. systemd's 99-systemd.rules applies them to each new device; one that no
    line is for takes over ``default``. Without any line the kernel's default is 0, but distributions ship a
    50-default.conf (Debian 13: linux-sysctl-defaults) that says 2 for every device.
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
    for_all, own = _after_boot(files, ALL), _after_boot(files, device)
    if bad := _drops(facts, device, for_all, own):
        return _finding(
            realserver, Verdict.FAIL, f"the next reboot breaks it: {bad}", _remedy(device, for_all, own)
        )
    again = _made_again(facts, files, device)
    for_all_now = facts.setting("rp_filter", ALL)
    if again is not None and not isinstance(for_all_now, Unknown) and again.value > for_all_now:
        now = FutureValue(for_all_now, "as it is now")
        if bad := _drops(facts, device, now, again):
            seen = f"it breaks when {device} is made again: {bad}"
            return _finding(realserver, Verdict.FAIL, seen, _remedy(device, now, again))
    return _finding(realserver, Verdict.PASS, f"all: {_described(for_all)}; {device}: {_described(own)}")


def _after_boot(files: SysctlFiles, device: str) -> FutureValue:
    """The value that a setting has after the next boot, and what sets it."""
    line = files.winner(normal(key(device)))
    if line is not None and (value := line.number_wanted) is not None:
        return FutureValue(value, str(line), line)
    if device in (ALL, DEFAULT):
        return FutureValue(0, "the kernel's own default")
    inherited = _after_boot(files, DEFAULT)
    return FutureValue(inherited.value, f"inherited from default, {inherited.by}", inherited.line)


def _made_again(facts: Facts, files: SysctlFiles, device: str) -> FutureValue | None:
    """What a new device of that name gets now; None where nobody can tell.

    Without systemd's rules for new devices, lines for it wait until somebody runs ``sysctl --system``.
    """
    if not files.systemd:
        return None
    line = files.winner(normal(key(device)))
    if line is not None and (value := line.number_wanted) is not None:
        return FutureValue(value, str(line), line)
    default = facts.setting("rp_filter", DEFAULT)
    return (
        None
        if isinstance(default, Unknown)
        else FutureValue(default, f"inherited from {key(DEFAULT)} as it is now")
    )


def _drops(facts: Facts, device: str, for_all: FutureValue, own: FutureValue) -> str | None:
    """Why packets will be dropped; None when they will not."""
    decisive, name = (own, device) if own.value >= for_all.value else (for_all, ALL)
    if decisive.value == STRICT:
        return f"{name} will be 1, {decisive.by}"
    known = {} if isinstance(facts.devices, Unknown) else facts.devices
    bare = device in known and not known[device].has_ipv4
    if decisive.value == LOOSE and bare:
        return f"{name} will be 2, {decisive.by}, and {device} has no IPv4 address"
    return None


def _remedy(device: str, for_all: FutureValue, own: FutureValue) -> str:
    """A 0 for whichever decides: in its own line where it has one of ours, else in a new one."""
    both, larger = ((ALL, for_all), (device, own)), max(for_all.value, own.value)
    decisive = [(name, value) for name, value in both if value.value == larger]
    return "say 0 for it: " + " && ".join(_zero(name, value.line) for name, value in decisive)


def _zero(name: str, line: Line | None) -> str:
    if line is not None and line.key == normal(key(name)) and line.file.startswith("/etc/"):
        return f"sed -i '{line.number}s/=.*/= 0/' {line.file}"
    return f"echo '{key(name)} = 0' >>/etc/sysctl.d/99-ipip.conf"


def _described(coming: FutureValue) -> str:
    return f"{coming.value}, {coming.by}"


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    wanted = (
        "0, or 2 with an address, also after a reboot: the larger of all's and the tunnel device's rp_filter"
    )
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
