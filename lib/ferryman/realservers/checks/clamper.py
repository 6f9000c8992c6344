"""Check ``clamper``: tcp-mss-clamper, where there is one, runs as its unit says and serves the VIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, MssStrategy, Verdict
from ferryman.realservers.checks.mss_clamp import clamped, limit_for, own_device, rules_for
from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.clamper import UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service, VirtualService
    from ferryman.realservers.facts import Facts
    from ferryman.realservers.facts.clamper import Clamper

CHECK = "clamper"
WANTED = f"{UNIT} runs, starts at boot, and serves every VIP with an MSS that fits"
RESTART = f"systemctl daemon-reload && systemctl restart {UNIT}"


def clamper(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """The unit is active and enabled, what runs is what it would start now, and it serves VIP and port.

    Sources: Puppet's ``tcp-mss-clamper.systemd.erb``, whose service has ``restart => false``: a new list
    of VIPs is not in force before somebody restarts it, so /proc/PID/cmdline is held against ExecStart.
    Where ``mss`` is not ``clamp``, it has no business.
    """
    if isinstance(facts.clamper, Unknown):
        yield _finding(
            realserver, Verdict.WARN, facts.clamper.reason, f"look by hand: systemctl status {UNIT}"
        )
    elif facts.clamper is None:
        yield _finding(realserver, Verdict.SKIP, "there is none")
    elif realserver.mss is not MssStrategy.CLAMP:
        yield _unwanted(realserver, facts.clamper)
    else:
        found = list(_problems(service, realserver, facts, facts.clamper))
        yield from found or [_finding(realserver, Verdict.PASS, "it runs as its unit says")]


def _unwanted(realserver: Realserver, unit: Clamper) -> Finding:
    if not unit.active:
        return _finding(realserver, Verdict.SKIP, f"it does not run, and {realserver.mss.value} needs none")
    seen = f"it runs, though {realserver.mss.value} is what keeps packets small enough here"
    return _finding(realserver, Verdict.WARN, seen, f"systemctl disable --now {UNIT}, or set mss: clamp")


def _problems(service: Service, realserver: Realserver, facts: Facts, unit: Clamper) -> Iterator[Finding]:
    if not unit.active:
        wanting = [
            virtual_service
            for virtual_service in service.virtual_services
            if not _clamped_otherwise(virtual_service, realserver, facts)
        ]
        verdict = Verdict.FAIL if wanting else Verdict.WARN
        yield _finding(realserver, verdict, "it does not run", f"systemctl enable --now {UNIT}")
        return
    if unit.restart_pending:
        seen = "what runs is not what its unit would start now"
        yield _finding(realserver, Verdict.WARN, seen, RESTART)
    if not unit.enabled:
        seen = "it runs, but will not after the next boot"
        yield _finding(realserver, Verdict.WARN, seen, f"systemctl enable {UNIT}")
    for virtual in service.virtual_services:
        if virtual.protocol == "tcp":
            yield from _serving(virtual, realserver, facts, unit)


def _serving(
    virtual: VirtualService, realserver: Realserver, facts: Facts, unit: Clamper
) -> Iterator[Finding]:
    """A finding where what runs does not clamp enough for this virtual service; else none."""
    device, limit = own_device(realserver, facts), limit_for(virtual, realserver)
    arguments = unit.running or unit.configured
    value = clamped(arguments, virtual, device)
    if value is not None and value <= limit:
        return
    if value is not None:
        seen = f"it sets {value} bytes for {virtual}, and {limit} fit"
    elif arguments.serves(virtual.vip, virtual.port) and device is not None:
        seen = f"it serves {virtual}, but not at {device.name}, only at {', '.join(arguments.interfaces)}"
    else:
        seen = f"it does not serve {virtual}"
    configured = clamped(unit.configured, virtual, device)
    waits = configured is not None and configured <= limit
    verdict = Verdict.WARN if _clamped_otherwise(virtual, realserver, facts) else Verdict.FAIL
    remedy = (
        RESTART if waits else f"give it {virtual} (-s, -i, --ipv{virtual.vip.version}-mss), and {RESTART}"
    )
    yield _finding(realserver, verdict, f"{seen}{'; its unit would' if waits else ''}", remedy)


def _clamped_otherwise(virtual: VirtualService, realserver: Realserver, facts: Facts) -> bool:
    """Whether a rule clamps it as well, or nothing needs to."""
    limit = limit_for(virtual, realserver)
    return virtual.protocol != "tcp" or any(
        value <= limit for value, _ in rules_for(virtual, realserver, facts)
    )


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, WANTED, remedy)
