"""Check ``mss``: something on the host lowers the MSS of its SYN/ACKs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.model import Finding, MssStrategy, Verdict
from ferryman.realservers.checks.mss_clamp import clamped, limit_for, mss_of, own_device, rules_for
from ferryman.realservers.facts.clamper import Clamper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service, VirtualService
    from ferryman.realservers.facts import Facts

CHECK = "mss"


def mss(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """Where ``mss`` is ``clamp``, a rule, the clamper or the device's own MTU keeps the MSS to what fits.

    What fits is path_mtu less outer, inner and TCP header: 1440 bytes for IPv4 at 1500, 1400 for IPv6.
    Sources: RFC 6691 (MSS is MTU less fixed headers); Puppet's ``ipip.pp`` (ferm TCPMSS, nft maxseg,
    tcp-mss-clamper); measured with each. Settings alone do not prove it: the MSS of the probe's SYN/ACK does.
    """
    for virtual in service.virtual_services:
        if virtual.protocol == "tcp":
            yield _judge(virtual, realserver, facts)


def _judge(virtual: VirtualService, realserver: Realserver, facts: Facts) -> Finding:
    limit = limit_for(virtual, realserver)
    if realserver.mss is not MssStrategy.CLAMP:
        seen = f"{realserver.mss.value} keeps packets small enough, not a clamp"
        return _finding(virtual, realserver, Verdict.SKIP, seen)
    limiters = list(_limiters(virtual, realserver, facts))
    fitting = [seen for value, seen in limiters if value <= limit]
    if fitting:
        return _finding(virtual, realserver, Verdict.PASS, fitting[0])
    larger = [f"{seen}, which is too large" for _, seen in limiters]
    seen = "; ".join(larger) or "nothing is to be seen that lowers it"
    return _finding(
        virtual, realserver, Verdict.WARN, f"{seen}; the probe's MSS decides", _remedy(virtual, limit)
    )


def _limiters(virtual: VirtualService, realserver: Realserver, facts: Facts) -> Iterator[tuple[int, str]]:
    """Everything that limits the MSS: the MSS in bytes, and what limits it, in words."""
    device = own_device(realserver, facts)
    for value, text in rules_for(virtual, realserver, facts):
        yield value, f"a rule sets {value}: {text}"
    if isinstance(facts.clamper, Clamper) and facts.clamper.active:
        lowered = clamped(facts.clamper.running or facts.clamper.configured, virtual, device)
        if lowered is not None:
            yield lowered, f"tcp-mss-clamper sets {lowered}"
    if device is not None:
        own = mss_of(device, virtual)
        yield own, f"the MTU of {device.name} is {device.mtu}, so the MSS is {own}"


def _remedy(virtual: VirtualService, limit: int) -> str:
    family = "ip6" if virtual.vip.version == 6 else "ip"  # noqa: PLR2004  # IPv6
    tables = "ip6tables" if family == "ip6" else "iptables"
    return (
        f"clamp it: {tables} -t mangle -A OUTPUT -p tcp -s {virtual.vip} --sport {virtual.port} "
        f"--tcp-flags SYN,RST SYN -j TCPMSS --set-mss {limit}, or have tcp-mss-clamper serve it"
    )


def _finding(
    virtual: VirtualService, realserver: Realserver, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    wanted = f"an MSS of {limit_for(virtual, realserver)} bytes at most for {virtual}"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
