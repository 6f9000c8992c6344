"""Check ``nic-mtu``: the host takes outer packets of the size that the inventory promises."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.mss_clamp import own_device
from ferryman.realservers.facts import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.model import Address, Realserver, Service
    from ferryman.realservers.facts import Facts

CHECK = "nic-mtu"


def nic_mtu(_: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """The device with the realserver's own address has an MTU of path_mtu bytes or more.

    Sources: RFC 2003, section 5 (an outer packet is 20 bytes larger, 40 in IPv6); measured: with 1500
    everywhere, an inner packet of 1480 bytes is the largest that gets through whole. ``jumbo`` needs more.
    """
    if isinstance(facts.devices, Unknown):
        yield _finding(realserver, Verdict.UNKNOWN, facts.devices.reason)
        return
    device = own_device(realserver, facts)
    if device is None:
        known = [address for address in (realserver.address, realserver.address6) if address is not None]
        seen = f"{known[0]} is on no device of this host" if known else "hosts.yaml gives it no address"
        yield _finding(realserver, Verdict.WARN if known else Verdict.SKIP, seen, *_correct(known))
    elif device.mtu < realserver.path_mtu:
        seen = f"{device.name} takes {device.mtu} bytes"
        name = shlex.quote(device.name)
        remedy = f"ip link set dev {name} mtu {realserver.path_mtu}, or lower path_mtu in hosts.yaml"
        yield _finding(realserver, Verdict.FAIL, seen, remedy)
    else:
        yield _finding(realserver, Verdict.PASS, f"{device.name} takes {device.mtu} bytes")


def _correct(known: Sequence[Address]) -> list[str]:
    return ["correct its address in hosts.yaml: ip -br addr"] if known else []


def _finding(realserver: Realserver, verdict: Verdict, seen: str, remedy: str = "") -> Finding:
    wanted = f"{realserver.path_mtu} bytes or more, the inventory's path_mtu"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
