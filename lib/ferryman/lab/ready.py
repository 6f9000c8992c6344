"""An inventory of a lab as it booted, and a ``ferryman.toml`` for it: what a migration in the lab needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.lab.topology.values import BASTION, POD_MTU_BYTES, traffic_sources
from ferryman.model import Forwarding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ferryman.lab.paths import LabPaths
    from ferryman.lab.topology import LabService, Topology

INVENTORY = "inventory"
_TOML = """\
# Ferryman's configuration for the lab that it lies in; it goes with the lab, and so do the runs' records.
inventory = "inventory"
cookbooks = {cookbooks}
state = "sqlite:.ferryman/state.db"
lab = true

[ssh]
user = "root"
connect_timeout = 5
command_timeout = 30
concurrency = 32

[probe]
outer_source = {{ ipv4 = "172.16.1.1", ipv6 = "100::1" }}
timeout = 0.3
tries = 3
samples = 4
rate = 200000
{self_test}
[traffic]
timeout = 5
download = "/download"
upload = "/upload"

[directors]
drain_timeout = 20

[watch]
every = 2
soak = 2
"""


def write(paths: LabPaths, lab: Topology, cookbooks: Sequence[Path] = ()) -> None:
    """Write both into the lab's folder; ``cookbooks`` are where the cookbooks are."""
    inventory = paths.configuration / INVENTORY
    (inventory / "nodes").mkdir(parents=True)
    for name, content in {
        "services.yaml": {"service::catalog": {each.name: _service(lab, each) for each in lab.services}},
        f"nodes/{lab.site}.yaml": {lab.site: _nodes(lab)},
        "directors.yaml": {lab.site: _directors(lab)},
        "hosts.yaml": _hosts(lab),
        "clusters.yaml": _clusters(lab),
    }.items():
        (inventory / name).write_text(_yaml(content))
    tunnelled = [each.name for each in lab.services if each.forwarding is Forwarding.TUNNEL]
    self_test = f"self_test = {json.dumps(tunnelled[0])}\n" if tunnelled else ""
    folders = json.dumps([str(folder) for folder in cookbooks] or ["cookbooks"])
    text = _TOML.format(cookbooks=folders, self_test=self_test)
    paths.configuration_file.write_text(text)


def _yaml(content: object) -> str:
    """The content as people write it: the catalog's editor finds its places in it."""
    return str(yaml.safe_dump(content, sort_keys=False, default_flow_style=False, allow_unicode=True))


def _service(lab: Topology, service: LabService) -> dict[str, Any]:
    lvs: dict[str, Any] = {
        "class": service.lvs_class,
        "conftool": {"cluster": service.cluster, "service": service.pool or service.name},
        "enabled": True,
        "scheduler": service.scheduler,
    }
    if service.scheduler_flags:
        lvs["scheduler_flag"] = ",".join(service.scheduler_flags)
    if service.forwarding is Forwarding.TUNNEL:
        lvs["ipip_encapsulation"] = [lab.site]
    return {
        "description": "A service of the lab",
        "encryption": service.encryption,
        "ip": {lab.site: {label: str(vip) for label, vip in zip(service.labels, service.vips, strict=True)}},
        "lvs": lvs,
        "port": service.port,
        "probes": [{"type": "http", "path": path} for path in service.paths],
        "sites": [lab.site],
        "state": "production",
    }


def _nodes(lab: Topology) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for service in lab.services:
        cluster, pool = found.setdefault(service.cluster, {}), service.pool or service.name
        for host in service.realservers:
            pools = cluster.setdefault(host, [])
            pools += [] if pool in pools else [pool]
    return found


def _directors(lab: Topology) -> dict[str, list[dict[str, Any]]]:
    classes = {service.lvs_class: service.directors for service in lab.services}
    found: dict[str, list[dict[str, Any]]] = {}
    for name, directors in classes.items():
        for rank, director in enumerate(directors):
            entry: dict[str, Any] = {
                "host": director.host,
                "role": director.role.value,
                "driver": director.driver,
            }
            if director.driver == "keepalived":
                entry |= {
                    "config": "/etc/keepalived/keepalived.conf",
                    "service_file": "/etc/keepalived/services/{service}.conf",
                    "reload": f"kill -HUP $(cat /run/keepalived-{director.host}.pid)",
                }
            if not director.ipip_enabled:
                entry["ipip_enabled"] = False
            four, six = traffic_sources(rank)
            found.setdefault(name, []).append(
                {**entry, "traffic_source": {"ipv4": str(four), "ipv6": str(six)}}
            )
    return found


def _hosts(lab: Topology) -> dict[str, dict[str, str]]:
    found = {}
    for host in (*lab.segment, BASTION):
        entry = {"address": str(host.address), "address6": str(host.address6)}
        if host.role == "node":
            entry |= {"kind": "kubernetes", "cluster": host.cluster}
        elif host.role == "bastion":
            entry |= {"kind": "bastion"}
        found[host.name] = entry
    return found


def _clusters(lab: Topology) -> dict[str, dict[str, Any]]:
    return {host.cluster: {"pod_mtu": POD_MTU_BYTES, "stage": "staging"} for host in lab.nodes}
