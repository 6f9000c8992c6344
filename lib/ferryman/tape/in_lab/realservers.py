"""What makes a realserver of the lab what the tape's was: commands for whatever differs."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ferryman.lab import daemons
from ferryman.realservers.facts import ALL, DEFAULT, TUNNEL_KINDS, Device, Facts, Pod, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.lab.topology import Host, Topology
    from ferryman.model import Address
    from ferryman.tape.in_lab.names import Names

NIC = "eth0"
FALLBACK = ("tunl0", "ip6tnl0")
"""Made by the kernel's modules; they cannot be deleted."""
SYSCTL_D = "/etc/sysctl.d"
_OURS = ("ipip0", "ipip60", *FALLBACK)
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}\.conf")
_KINDS = (*TUNNEL_KINDS, "sit", "gre", "bridge", "dummy")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the lab has otherwise: what it is, and the shell commands that make it as recorded."""

    what: str
    checks: frozenset[str]
    """The checks that look at it."""
    commands: tuple[str, ...]
    """Empty where nothing can be done."""
    where: str = ""
    """The pod to run them in; the host itself when empty."""


_DECAPSULATION = frozenset({"tunnel-device", "tunnel-others", "tunnel-address", "rp-filter"})
_SETTINGS = frozenset(
    {"rp-filter", "rp-filter-default", "rp-filter-pods", "rp-filter-ipv6", "tunnel-device", "arp"}
)
_PERSISTED = frozenset({"rp-filter-persisted", "sysctl-order"})


@dataclass(frozen=True, slots=True)
class Realserver:
    """A realserver of the lab, and the recorded one that it stands for."""

    lab: Topology
    host: Host
    names: Names
    recorded: Facts
    now: Facts

    def changes(self) -> Iterator[Change]:
        """Everything that differs, devices before their settings."""
        yield from self._tunnels()
        yield from self._mtus()
        yield from self._vips()
        yield from self._settings()
        yield from self._persisted()
        yield from self._listeners()

    def pod_devices(self) -> Mapping[str, str]:
        """The lab's ``cali`` device for each recorded one, as far as there are as many."""
        return dict(zip(_cali(self.recorded), _cali(self.now), strict=False))

    def pod_addresses(self) -> Mapping[Address, Address]:
        """The lab's address for each pod's, as far as there are as many pods."""
        if isinstance(self.recorded.pods, Unknown) or isinstance(self.now.pods, Unknown):
            return {}
        found: dict[Address, Address] = {}
        for was, pod in zip(self.recorded.pods, self.now.pods, strict=False):
            here = {each.version: each for each in _given(pod)}
            found |= {each: here[each.version] for each in _given(was) if each.version in here}
        return found

    @property
    def _nic(self) -> str:
        own = {self.host.address, self.host.address6}
        for name, device in _devices(self.recorded).items():
            if any(self.names.addresses.get(each.ip) in own for each in device.addresses):
                return name
        return NIC

    def _tunnels(self) -> Iterator[Change]:
        wanted = {
            name: device
            for name, device in _devices(self.recorded).items()
            if (device.kind in TUNNEL_KINDS or name in _OURS) and _DEVICE.fullmatch(name)
        }
        known = {
            name: device
            for name, device in _devices(self.now).items()
            if device.kind in TUNNEL_KINDS or name in _OURS
        }
        if not wanted and isinstance(self.recorded.devices, Unknown):
            return
        # First what is in the way: the kernel has one external device of a kind.
        for name in [each for each in known if each not in wanted and each not in FALLBACK]:
            yield Change(f"{name} was not there", _DECAPSULATION, (f"ip link del {name}",))
        for name, device in wanted.items():
            commands = tuple(self._tunnel(name, device, known.get(name)))
            if commands:
                yield Change(f"{name}: {_shown(device)}", _DECAPSULATION, commands)

    def _tunnel(self, name: str, wanted: Device, known: Device | None) -> Iterator[str]:
        ends = (self._end(wanted.local), self._end(wanted.remote))
        form = (wanted.kind, wanted.external, *ends)
        if known is None or (name not in FALLBACK and form != _form(known)):
            if known is not None:
                yield f"ip link del {name}"
            yield self._made(name, wanted, ends)
            known = None
        has = set(_addresses(known)) if known is not None else set()
        wants = {self.names.text(each) for each in _addresses(wanted)}
        yield from (f"ip addr del {each} dev {name}" for each in sorted(has - wants))
        if (known is not None and known.up) != wanted.up:
            yield f"ip link set {name} {'up' if wanted.up else 'down'}"
        yield from (f"ip addr add {each} dev {name}" for each in sorted(wants - has))

    def _made(self, name: str, device: Device, ends: tuple[str | None, str | None]) -> str:
        kind = device.kind if device.kind in _KINDS else "dummy"
        words = [f"ip link add name {name} type {kind}", *(["external"] if device.external else [])]
        words += [
            f"{word} {end}" for word, end in zip(("local", "remote"), ends, strict=True) if end is not None
        ]
        return " ".join(words)

    def _end(self, end: str | None) -> str | None:
        return None if end is None else shlex.quote(self.names.text(end))

    def _mtus(self) -> Iterator[Change]:
        mine, theirs = _devices(self.now).get(NIC), _devices(self.recorded).get(self._nic)
        if mine is not None and theirs is not None and mine.mtu != theirs.mtu:
            command = f"ip link set {NIC} mtu {theirs.mtu}"
            yield Change(f"{NIC} took {theirs.mtu} bytes", frozenset({"nic-mtu"}), (command,))
        if isinstance(self.recorded.pods, Unknown) or isinstance(self.now.pods, Unknown):
            return
        for was, pod in zip(self.recorded.pods, self.now.pods, strict=False):
            ends = [each for each in was.devices.values() if each.peer is not None and each.mtu]
            own = pod.devices.get(NIC)
            if ends and own is not None and ends[0].mtu != own.mtu:
                command = f"ip link set {NIC} mtu {ends[0].mtu}"
                what = f"{pod.name} took {ends[0].mtu} bytes"
                yield Change(what, frozenset({"pod-mtu", "mss"}), (command,), pod.name)

    def _vips(self) -> Iterator[Change]:
        if isinstance(self.recorded.devices, Unknown):
            return
        here = {address: there for there, address in self.names.addresses.items()}
        for vip in dict.fromkeys(vip for each in self.lab.services_of(self.host.name) for vip in each.vips):
            if (there := here.get(vip)) is None:
                continue
            wanted = self._holders(there)
            has = set(_on(self.now, vip))
            length = f"{vip}/{vip.max_prefixlen}"
            nodad = " nodad" if vip.version == 6 else ""  # noqa: PLR2004  # IPv6
            commands = [f"ip addr del {length} dev {name}" for name in sorted(has - wanted)]
            commands += [f"ip addr add {length} dev {name}{nodad}" for name in sorted(wanted - has)]
            if commands:
                where = f"was on {', '.join(sorted(wanted))}" if wanted else "was not there"
                yield Change(f"{vip} {where}", frozenset({"vip"}), tuple(commands))

    def _holders(self, vip: Address) -> set[str]:
        """The lab's devices for those that had a VIP; loopback for any that the lab has not."""
        known, nic, there = _devices(self.now), self._nic, _on(self.recorded, vip)
        found = {NIC if name == nic else name if name in known else "lo" for name in there}
        routes = self.recorded.local_routes
        if not found and not isinstance(routes, Unknown):
            return {"lo" for route in routes if vip in route.prefix}
        return found

    def _settings(self) -> Iterator[Change]:
        recorded, now = self.recorded.settings, self.now.settings
        if isinstance(recorded, Unknown) or isinstance(now, Unknown):
            return
        pods, nic = self.pod_devices(), self._nic
        for key, device in sorted(recorded, key=lambda each: (each[1] != ALL, each[1] != DEFAULT, each)):
            here = NIC if device == nic else pods.get(device, device)
            value = recorded[key, device]
            if now.get((key, here), value) == value:
                continue
            family = "ipv6" if key == "disable_ipv6" else "ipv4"
            command = f"echo {value} >/proc/sys/net/{family}/conf/{here}/{key}"
            yield Change(f"{key} of {here} was {value}", _SETTINGS, (command,))

    def _persisted(self) -> Iterator[Change]:
        recorded, now = self.recorded.persisted, self.now.persisted
        if isinstance(recorded, Unknown) or isinstance(now, Unknown):
            return
        wanted, known = _own_files(recorded.files), _own_files(now.files)
        for path in sorted(known.keys() - wanted.keys()):
            yield Change(f"{path} was not there", _PERSISTED, (f"rm -f {shlex.quote(path)}",))
        for path, text in sorted(wanted.items()):
            if known.get(path) != text:
                command = f"printf %s {shlex.quote(text)} >{shlex.quote(path)}"
                yield Change(f"{path} had another text", _PERSISTED, (command,))

    def _listeners(self) -> Iterator[Change]:
        recorded, now = self.recorded.listeners, self.now.listeners
        if self.host.role != "server" or isinstance(recorded, Unknown) or isinstance(now, Unknown):
            return
        ports = {service.port for service in self.lab.services_of(self.host.name)}
        gone = [
            port
            for port in sorted(ports)
            if any(each.port == port and each.protocol == "tcp" for each in now)
            and not any(each.port == port and each.protocol == "tcp" for each in recorded)
        ]
        if gone:
            file = f"/lab/{self.host.name}/nginx.conf"
            pid = f"/run/nginx-{self.host.name}.pid"
            commands = [rf"sed -i '/listen \[::\]:{port} /d' {file}" for port in gone]
            commands += [f"kill $(cat {pid})", f"while [ -e {pid} ]; do sleep 0.1; done"]
            commands += [f"rm -f /run/nginx-{self.host.name}.sock"]
            if set(gone) != ports:
                commands.append(daemons.nginx_command(self.host.name))
            what = f"nothing listened on {', '.join(map(str, gone))}"
            yield Change(what, frozenset({"listener"}), ("\n".join(commands),))


def _devices(facts: Facts) -> Mapping[str, Device]:
    return {} if isinstance(facts.devices, Unknown) else facts.devices


def _cali(facts: Facts) -> list[str]:
    return sorted(device.name for device in facts.named("cali"))


def _on(facts: Facts, address: Address) -> list[str]:
    return [
        name
        for name, device in _devices(facts).items()
        if any(each.ip == address for each in device.addresses)
    ]


def _given(pod: Pod) -> list[Address]:
    """A pod's own addresses."""
    there = [each.ip for device in pod.devices.values() for each in device.addresses]
    return [each for each in there if not (each.is_loopback or each.is_link_local)]


def _form(device: Device) -> tuple[object, ...]:
    return device.kind, device.external, device.local, device.remote


def _addresses(device: Device) -> list[str]:
    """Those that somebody gave it: link-local ones of IPv6 come and go with it."""
    given = (each for each in device.addresses if not _comes_by_itself(each))
    return [str(each) for each in given]


def _comes_by_itself(address: IPv4Interface | IPv6Interface) -> bool:
    return isinstance(address, IPv6Interface) and address.ip.is_link_local


def _own_files(files: Mapping[str, str]) -> dict[str, str]:
    """The files of sysctl.d that a lab's host has of its own."""
    return {
        path: text
        for path, text in files.items()
        if str(PurePosixPath(path).parent) == SYSCTL_D and _FILE.fullmatch(PurePosixPath(path).name)
    }


def _shown(device: Device) -> str:
    words = [device.kind or "no tunnel", "up" if device.up else "down"]
    words += ["external"] if device.external else []
    return ", ".join([*words, *_addresses(device)])
