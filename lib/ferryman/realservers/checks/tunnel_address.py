"""Check ``tunnel-address``: the tunnel device has the address that loose mode asks for."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.decapsulation import IPIP, decapsulator, tunnels
from ferryman.realservers.checks.rp_filter import effective_rp_filter, is_loose
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "tunnel-address"


def tunnel_address(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """With rp_filter 2 in force, the tunnel device has an IPv4 address, whichever; with 0 it should have one.

    Sources: fib_validate_source in net/ipv4/fib_frontend.c, which in loose mode drops what comes in by a
    device without addresses; measured: 0 answers without one, 2 does not. Katran's EXAMPLE.md and Puppet's
    ``interface::ipip`` give it 127.0.0.42/32. An IPv6 address does not count.
    """
    if IPIP not in tunnels(service):
        yield _finding(realserver, Verdict.SKIP, "IPv6 alone, which has no rp_filter")
        return
    if isinstance(facts.devices, Unknown):
        yield _finding(realserver, Verdict.UNKNOWN, facts.devices.reason)
        return
    device = decapsulator(IPIP, facts.devices)
    if device is None:
        yield _finding(realserver, Verdict.SKIP, "no tunnel device is up")
    elif device.has_ipv4:
        held = next(str(address) for address in device.addresses if address.version == 4)  # noqa: PLR2004  # IPv4
        yield _finding(realserver, Verdict.PASS, f"{device.name} has {held}")
    else:
        yield _without(realserver, facts, device.name)


def _without(realserver: Realserver, facts: Facts, device: str) -> Finding:
    seen, remedy = f"{device} has no IPv4 address", f"ip addr add 127.0.0.42/32 dev {shlex.quote(device)}"
    effective = effective_rp_filter(facts, device)
    if not isinstance(effective, Unknown) and is_loose(effective):
        dropped = f"{seen}, and with rp_filter {effective} it drops everything"
        return _finding(realserver, Verdict.FAIL, dropped, remedy)
    return _finding(realserver, Verdict.WARN, f"{seen}; that works until rp_filter becomes 2", remedy)


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    return Finding(CHECK, realserver.host, verdict, seen, "an IPv4 address on the tunnel device", remedy)
