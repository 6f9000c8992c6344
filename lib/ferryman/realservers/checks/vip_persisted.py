"""Check ``vip-persisted``: something gives the host its VIP again at the next boot."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from ferryman.model import Finding, Kind, Verdict
from ferryman.realservers.checks.vip import local_device
from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.boot import Deed
from ferryman.realservers.facts.boot.everything import everything

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Address, Realserver, Service
    from ferryman.realservers.facts import Facts
    from ferryman.realservers.facts.boot import Action, Boot

CHECK = "vip-persisted"
AGENTS = {"kube-ipvs0": "kube-proxy"}
"""Who puts addresses on such a device whenever it starts."""
INTERFACES = "/etc/network/interfaces"


def vip_persisted(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """What the host's boot reads gives it the VIP; on a Kubernetes node kube-proxy may do so.

    Sources: interfaces(5), systemd.network(5), NetworkManager's keyfiles, netplan, keepalived, units and
    scripts that such programs run; kube-proxy makes its device and its rules when it starts. Measured: hosts
    of the lab are booted again by what is read here.
    """
    if facts.boot is None:
        return
    for address in dict.fromkeys(virtual.vip for virtual in service.virtual_services):
        device = local_device(facts, address)
        if isinstance(facts.boot, Unknown) or isinstance(device, Unknown):
            reason = next(fact.reason for fact in (facts.boot, device) if isinstance(fact, Unknown))
            yield _finding(realserver, address, Verdict.SKIP, reason)
        elif device is None:
            node = realserver.kind is Kind.KUBERNETES
            seen = "a rule takes its packets" if node else "it is not on this host now"
            yield _finding(realserver, address, Verdict.SKIP, seen)
        elif device in AGENTS:
            yield _finding(realserver, address, Verdict.PASS, f"{AGENTS[device]} puts it on {device}")
        else:
            yield _judged(realserver, address, device, facts.boot)


def _judged(realserver: Realserver, address: Address, device: str, boot: Boot) -> Finding:
    givers = [action for action in everything(boot) if _gives(action, address)]
    sure = next((action for action in givers if not action.inactive), None)
    if sure is not None:
        return _finding(realserver, address, Verdict.PASS, f"it comes back by {sure}")
    remedy = _remedy(address, boot)
    if givers:
        seen = f"{givers[0]} would bring it back, but {givers[0].inactive}"
    else:
        seen = f"it is on {device}, and nothing that this host's boot reads puts it there"
    return _finding(realserver, address, Verdict.WARN, seen, remedy)


def _gives(action: Action, address: Address) -> bool:
    if action.deed is not Deed.ADDRESS:
        return False
    with suppress(ValueError):
        given = ip_interface(action.value)
        # A prefix on lo makes all of its addresses local.
        return given.ip == address or (action.subject == "lo" and address in given.network)
    return False


def _remedy(address: Address, boot: Boot) -> str:
    held = f"{address}/{address.max_prefixlen}"
    if boot.systemd and not boot.not_started("systemd-networkd.service"):
        network = f"[Match]\\nName=lo\\n[Network]\\nAddress={held}\\n"
        return f"printf '{network}' >/etc/systemd/network/lo-{address}.network"
    if INTERFACES in boot.files:
        family = "inet" if address.version == 4 else "inet6"  # noqa: PLR2004  # IPv4
        stanza = f"iface lo {family} static\\n  address {held}\\n"
        return f"printf '{stanza}' >>{INTERFACES}"
    return f"let what sets this host's network up do it at boot: ip addr add {held} dev lo"


def _finding(
    realserver: Realserver, address: Address, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    wanted = f"{address} on this host after a reboot too"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
