"""What a node says of its pods' networks: their own ends, their default routes, and what new ones get."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferryman.realservers.facts.devices import devices_of
from ferryman.realservers.facts.devices import pods as pods_of
from ferryman.realservers.facts.files import contents
from ferryman.realservers.facts.sections import Section, sections_of, shortened, tried
from ferryman.realservers.facts.values import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.model import Address
    from ferryman.realservers.facts.values import Device, Pod

CNI_FOLDER = "/etc/cni/net.d"
CNI_SUFFIXES = (".conf", ".conflist", ".json")
"""The files that a container runtime reads there, the first by name (libcni's ``ConfFiles``)."""
MOST_PODS = 1000
"""Namespaces of a node that are looked at; kubelet allows 110 unless it is told otherwise."""
LONGEST_FILE = 1 << 16
"""Characters of a CNI configuration that are read."""


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """A pod's network namespace: the pod's own end of its device, and the host's."""

    pod: Pod
    """The namespace, with its devices and routes."""
    end: Device
    """The device that has the pod's addresses."""
    host_end: Device | None
    """The node's end of it; None where it is not to be seen."""

    @property
    def namespace(self) -> str:
        """Its name on the node: ``ip -n NAME``."""
        return self.pod.name

    @property
    def addresses(self) -> frozenset[Address]:
        """The pod's own addresses, without those of the link."""
        return frozenset(held.ip for held in self.end.addresses if not held.ip.is_link_local)


@dataclass(frozen=True, slots=True)
class CniFile:
    """A file of the CNI's configuration."""

    path: str
    mtu: int | None
    """The MTU in bytes that it gives new pods; None where it leaves that to the plugin."""
    valid: bool
    plugins: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    """Who says that the file is theirs: ``Puppet``, ``the package NAME``."""
    changed: int | None = None
    """When it was last written, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class CniState:
    """What gives a node's new pods their MTU."""

    files: tuple[CniFile, ...] = ()
    """By name: the runtime uses the first."""
    folders: tuple[str, ...] = ()
    """Other folders that a runtime's own configuration names in place of the usual one."""
    felix_mtu: int | None = None
    """What Calico's felix wrote to /var/lib/calico/mtu; used where the file leaves the MTU to the plugin."""
    manages: str = ""
    """calico-node's ``CALICO_MANAGE_CNI``, as its process has it; empty where it has none."""

    @property
    def used(self) -> CniFile | None:
        """The file that the runtime uses: the first by name."""
        return self.files[0] if self.files else None

    @property
    def new_mtu(self) -> int | None:
        """The MTU in bytes that a new pod gets; None where it is not known."""
        if self.folders or self.used is None or not self.used.valid:
            return None
        return self.used.mtu or (self.felix_mtu if "calico" in self.used.plugins else None)


@dataclass(frozen=True, slots=True)
class NodePods:
    """Everything that was read of a node's pods' networks, in one look."""

    host: str
    pods: tuple[PodNetwork, ...] | Unknown
    cni: CniState | Unknown

    def network_of(self, addresses: frozenset[Address] | set[Address]) -> PodNetwork | None:
        """The network of the pod that has one of these addresses."""
        known = () if isinstance(self.pods, Unknown) else self.pods
        return next((network for network in known if network.addresses & addresses), None)


def node_pods(host: str, text: str, complaint: str = "") -> NodePods:
    """Understand the answer; a part that is missing or garbled becomes ``Unknown``."""
    sections = sections_of(f"{text}\n{complaint}")
    missing = shortened(complaint) if not sections and complaint else "it is missing in the answer"

    def section(name: str) -> Section:
        return sections.get(name, Section("", 127, missing))

    pods, cni = section("pods"), section("cni")
    return NodePods(
        host,
        Unknown(f"pods: {pods.complaint or f'status {pods.status}'}")
        if pods.status
        else tried("pods", pods.complaint, lambda: tuple(_networks(section("host").text, pods.text))),
        Unknown(f"cni: {cni.complaint}")
        if "cni" not in sections
        else tried("cni", cni.complaint, lambda: _cni(cni.text, section("owners").text)),
    )


def _networks(host: str, text: str) -> Iterator[PodNetwork]:
    own = list(devices_of(json.loads(host)).values())
    for pod in pods_of(text)[:MOST_PODS]:
        host_end = next((device for device in own if pod.end_of(device) is not None), None)
        end = pod.end_of(host_end) if host_end is not None else _with_addresses(pod)
        if end is not None:
            yield PodNetwork(pod, end, host_end)


def _with_addresses(pod: Pod) -> Device | None:
    """The pod's end by its addresses, where the node's end is not known."""
    devices = (device for device in pod.devices.values() if device.name != "lo")
    return next((device for device in devices if device.addresses), None)


def _cni(text: str, owners: str) -> CniState:
    files = contents(text)
    said = [line.partition(" ")[::2] for line in owners.splitlines()]
    writers: dict[str, list[str]] = {}
    changed: dict[str, int] = {}
    for word, rest in said:
        first, _, path = rest.partition(" ")
        if word == "changed":
            changed[path] = int(first)
        elif word == "puppet":
            writers.setdefault(rest, []).append("Puppet")
        elif word == "package":
            package, _, path = rest.partition(": ")
            writers.setdefault(path, []).append(f"the package {package}")
    names = sorted({path for path in (*files, *changed) if _is_read(path)})
    felix = files.get("/var/lib/calico/mtu", "").strip()
    return CniState(
        tuple(
            _file(path, files.get(path, ""), tuple(writers.get(path, ())), changed.get(path))
            for path in names
        ),
        tuple(sorted({rest for word, rest in said if word == "folder" and rest.rstrip("/") != CNI_FOLDER})),
        int(felix) if re.fullmatch(r"\d{1,5}", felix) else None,
        next((rest for word, rest in said if word == "manages"), ""),
    )


def _is_read(path: str) -> bool:
    return path.startswith(f"{CNI_FOLDER}/") and path.endswith(CNI_SUFFIXES)


def _file(path: str, text: str, writers: tuple[str, ...], changed: int | None) -> CniFile:
    try:
        whole = json.loads(text[:LONGEST_FILE])
        listed = whole.get("plugins", [whole])
        plugins = [plugin for plugin in listed if isinstance(plugin, dict)]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return CniFile(path, None, valid=False, writers=writers, changed=changed)
    return CniFile(
        path,
        max(map(_mtu, plugins), default=0) or None,
        valid=bool(plugins),
        plugins=tuple(str(plugin.get("type", "")) for plugin in plugins),
        writers=writers,
        changed=changed,
    )


def _mtu(plugin: Mapping[str, Any]) -> int:
    """What a plugin is told, 0 for nothing; a placeholder that nobody has filled in is nothing."""
    mtu = plugin.get("mtu")
    return mtu if isinstance(mtu, int) and not isinstance(mtu, bool) and mtu > 0 else 0
