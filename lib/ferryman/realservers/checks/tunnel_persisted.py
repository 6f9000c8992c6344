"""Check ``tunnel-persisted``: something makes the tunnel device again at the next boot, and sets it up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferryman.model import Finding, Verdict
from ferryman.realservers.checks.after_boot import Future
from ferryman.realservers.checks.decapsulation import IPIP, Tunnel, decapsulator, tunnels
from ferryman.realservers.checks.rp_filter import is_loose
from ferryman.realservers.facts import ALL, Unknown
from ferryman.realservers.facts.boot import Deed
from ferryman.realservers.facts.boot.everything import everything

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Realserver, Service
    from ferryman.realservers.facts import Device, Facts
    from ferryman.realservers.facts.boot import Action, Boot

CHECK = "tunnel-persisted"
MODULES = {"ipip": "ipip", "ip6tnl": "ip6_tunnel"}
"""The kernel module of each kind of device."""
AGENTS = {"cilium_": "Cilium's agent"}
"""Who makes devices with such names whenever it starts."""
INTERFACES = "/etc/network/interfaces"


def tunnel_persisted(service: Service, realserver: Realserver, facts: Facts) -> Iterator[Finding]:
    """What the host's boot reads makes the tunnel device, sets it up, and gives it the address that it needs.

    Sources: interfaces(5), systemd.netdev(5), systemd.network(5), NetworkManager's keyfiles, netplan, units
    and scripts that such programs run; ``ip link add`` loads the module of a kind by its alias. Measured:
    hosts of the lab are booted again by what is read here.
    """
    if facts.boot is None:
        return
    for tunnel in tunnels(service):
        if isinstance(facts.boot, Unknown) or isinstance(facts.devices, Unknown):
            reason = next(fact.reason for fact in (facts.boot, facts.devices) if isinstance(fact, Unknown))
            yield _finding(realserver, tunnel, Verdict.SKIP, reason)
        elif (device := decapsulator(tunnel, facts.devices)) is None:
            yield _finding(realserver, tunnel, Verdict.SKIP, f"no {tunnel.device} is up now")
        else:
            yield _judged(realserver, tunnel, device, facts, facts.boot)


def _judged(realserver: Realserver, tunnel: Tunnel, device: Device, facts: Facts, boot: Boot) -> Finding:
    agent = next((who for begins, who in AGENTS.items() if device.name.startswith(begins)), None)
    if agent is not None:
        return _finding(realserver, tunnel, Verdict.PASS, f"{agent} makes {device.name}")
    own = [action for action in everything(boot) if action.subject == device.name]
    maker = _sure(own, Deed.MAKE)
    by = f"{device.name} is made by {maker}" if maker is not None else _by_module(tunnel, device, boot)
    remedy = _remedy(tunnel, boot)
    if by is None:
        return _finding(realserver, tunnel, Verdict.WARN, _nobody(device.name, own, boot), remedy)
    if _sure(own, Deed.RAISE) is None:
        return _finding(realserver, tunnel, Verdict.WARN, f"{by}, but nothing sets it up", remedy)
    if (line := _blacklisted(tunnel, boot)) is not None:
        seen = f"{by}, but {line} keeps its module from being loaded for that"
        return _finding(
            realserver,
            tunnel,
            Verdict.WARN,
            seen,
            f"echo {MODULES[tunnel.kind]} >/etc/modules-load.d/{MODULES[tunnel.kind]}.conf",
        )
    if tunnel is IPIP and device.has_ipv4 and _sure(own, Deed.ADDRESS) is None and _loose(facts, device):
        seen = f"{by}, but without an address, and with rp_filter 2 it will drop everything"
        return _finding(realserver, tunnel, Verdict.WARN, seen, remedy)
    return _finding(realserver, tunnel, Verdict.PASS, by)


def _sure(actions: list[Action], deed: Deed) -> Action | None:
    """The one that does this at boot, as far as is known."""
    return next((action for action in actions if action.deed is deed and not action.inactive), None)


def _by_module(tunnel: Tunnel, device: Device, boot: Boot) -> str | None:
    """Who makes the kernel's own device: it is there as soon as the module is loaded."""
    if device.name != tunnel.fallback:
        return None
    module = MODULES[tunnel.kind]
    for file in boot.below("/etc/modules"):
        for line in boot.lines(file):
            if line.text.strip().split()[:1] == [module]:
                return f"{device.name} comes with the module {module}, {line}"
    makers = (
        action for action in everything(boot) if action.deed is Deed.MAKE and action.value == tunnel.kind
    )
    maker = next((action for action in makers if not action.inactive), None)
    return None if maker is None else f"{device.name} comes with the module that {maker} wants"


def _nobody(name: str, own: list[Action], boot: Boot) -> str:
    """What there is instead: something that is off, or a line that is not understood."""
    off = next((action for action in own if action.deed is Deed.MAKE), None)
    if off is not None:
        return f"{off} would make {name}, but {off.inactive}"
    word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])")
    for file in boot.files:
        for line in boot.lines(file):
            if (
                "rp_filter" not in line.text
                and word.search(line.text)
                and line.text.lstrip()[:1] not in ("#", ";")
            ):
                return f"{line} names {name}, but whether it makes it at boot cannot be told"
    return f"nothing that this host's boot reads makes {name}"


def _blacklisted(tunnel: Tunnel, boot: Boot) -> str | None:
    """The line that keeps the module from being loaded by its alias, where nothing loads it by its name.

    Source: modprobe.d(5): ``blacklist`` is for aliases, and a device's kind is one.
    """
    module = MODULES[tunnel.kind]
    loaded = any(
        line.text.split()[:1] == [module] for file in boot.below("/etc/modules") for line in boot.lines(file)
    )
    for file in boot.below("/etc/modprobe.d/"):
        for line in boot.lines(file):
            words = line.text.split()
            never = words[:2] == ["install", module] and words[2:3] and words[2].endswith(("/false", "/true"))
            if never or (words[:2] == ["blacklist", module] and not loaded):
                return str(line)
    return None


def _loose(facts: Facts, device: Device) -> bool:
    future = Future.of(facts, conditional=True)
    return is_loose(max(future.value(ALL).value, future.value(device.name).value))


def _remedy(tunnel: Tunnel, boot: Boot) -> str:
    """In the words of what sets this host's network up."""
    if boot.systemd and not boot.not_started("systemd-networkd.service"):
        folder = "/etc/systemd/network"
        named = f"[NetDev]\\nName={tunnel.device}\\nKind={tunnel.kind}\\n"
        netdev = f"{named}[Tunnel]\\nIndependent=yes\\nExternal=yes\\n"
        address = "Address=127.0.0.42/32\\n" if tunnel is IPIP else ""
        network = f"[Match]\\nName={tunnel.device}\\n[Network]\\nLinkLocalAddressing=no\\n{address}"
        return (
            f"printf '{netdev}' >{folder}/{tunnel.device}.netdev && "
            f"printf '{network}' >{folder}/{tunnel.device}.network"
        )
    method = "inet static\\n  address 127.0.0.42/32" if tunnel is IPIP else "inet6 manual"
    made = f"pre-up ip link add name {tunnel.device} type {tunnel.kind} external"
    stanza = f"auto {tunnel.device}\\niface {tunnel.device} {method}\\n  {made}\\n"
    if INTERFACES in boot.files:
        return f"printf '{stanza}' >>{INTERFACES}"
    return f"let what sets this host's network up do it at boot: {tunnel.add}"


def _finding(
    realserver: Realserver, tunnel: Tunnel, verdict: Verdict, seen: str, remedy: str = ""
) -> Finding:
    wanted = f"{tunnel.device} made, and up, after a reboot too"
    return Finding(CHECK, realserver.host, verdict, seen, wanted, remedy)
