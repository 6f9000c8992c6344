"""A tape with names and addresses wherever a tape has them, in every form."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from ferryman.tape.file import Entry, PlannedStep, Tape
from unit.tape.samples import HEADER

V4, V6 = "10.64.0.14", "2620:0:861:101:10:64:0:14"
NETWORK, MAC = "10.64.0.0/22", "aa:00:5e:12:34:56"


def quoted(value: object) -> str:
    """The value as JSON, which is YAML too."""
    return json.dumps(value, ensure_ascii=False)


def catalog(service: str, site: str, cluster: str = "edge") -> str:
    return (
        f"service::catalog:\n  {quoted(service)}:  # of {service}\n"
        f"    description: what anna wrote of it\n"
        f"    encryption: false\n    ip:\n      {quoted(site)}: {{default: {V4}}}\n"
        f"    lvs:\n      class: low-traffic\n      conftool: {{cluster: {quoted(cluster)}, "
        f"service: {quoted(service)}}}\n      enabled: true\n      scheduler: wrr\n"
        f"    port: 80\n    sites: [{quoted(site)}]\n    state: production\n"
    )


def tape_of(host: str = "web1", service: str = "static", site: str = "codfw", **more: Any) -> Tape:  # noqa: ANN401
    """A tape about a host, a service and a site; ``more`` are further texts that the host printed."""
    hosts, text = [host, f"{host}x2"], catalog(service, site)
    header = replace(
        HEADER,
        arguments={"service": service, "site": site, "reason": "because Joan asked", "task": "T424242"},
        operator="anna@deploy1.codfw.wmnet",
        config={"ssh": {"user": "ferryuser"}, "traffic": {"service": {service: {"requests": 3}}}},
        inventory={
            "services.yaml": text,
            "nodes/lab.yaml": quoted({site: {"edge": {name: [service] for name in hosts}}}),
            "hosts.yaml": quoted(
                {host: {"address": V4, "address6": V6, "kind": "server", "user": "ops-joan"}}
            ),
            "directors.yaml": quoted({site: {"low-traffic": [{"host": "lb1", "role": "primary"}]}}),
        },
        plan=(PlannedStep("RealserversReady", f"Every realserver of {service} is ready", (service, host)),),
        journal={"request": {"reason": "because Joan asked", "operator": "anna@deploy1"}},
    )
    outer = IP(src="10.64.1.1", dst=V4) / IP(src="10.64.1.1", dst="208.80.154.224") / TCP(dport=80)
    return Tape(
        header,
        (
            call("facts", host, {"$printed": {"stdout": printed(host, **more), "stderr": "", "status": 0}}),
            call(
                "syn",
                host,
                {"$": "Target", "host": host, "realserver_address": {"$ip": V4}, "mss_limit": 1440},
            ),
            call(
                "nodes",
                "",
                {"$": "Node", "name": "kube7.codfw.wmnet", "addresses": {"$set": [V4, V6]}},
                "cluster",
                arguments={"cluster": f"https://{site}.example.org:6443"},
            ),
            call(
                "pods",
                "",
                {
                    "$": "Pod",
                    "namespace": "payments",
                    "name": f"{service}-7",
                    "node": host,
                    "addresses": {"$tuple": [{"$ip": V4}]},
                    "labels": {"app": service, "acmecorp.example/team": "mercury", "on": "true"},
                    "owner": {"$": "Owner", "kind": "Deployment", "name": service},
                },
                "cluster",
            ),
            call("text", "", {"sha256": sha256(text.encode()).hexdigest(), "content": text}, "catalog"),
            call("write", "", None, "catalog", arguments={"sha256": sha256(text.encode()).hexdigest()}),
            event("step-started", step=0, title=f"Every realserver of {service} is ready", phase="check"),
            event(
                "finding",
                step=0,
                check="rp-filter",
                host=host,
                verdict="fail",
                seen=f"{host} has {V4} at {site}, and {V6}",
                wanted="nothing",
                remedy=f"ssh anna@{host} in /home/anna/notes, mail joan@example.org",
            ),
            Entry(0.0, "packet", {"sent": True, "hex": bytes(outer).hex()}),
            Entry(0.0, "packet", {"sent": False, "hex": bytes(IPv6(src=V6, dst="fd00::9") / TCP()).hex()}),
            Entry(
                0.0,
                "outcome",
                {"outcome": "refused", "exit_code": 3, "reason": f"{host}: no", "seconds": 1.0},
            ),
        ),
        whole=True,
        path=Path("run.tape"),
    )


def printed(host: str, **more: Any) -> str:  # noqa: ANN401  # texts
    """What a host prints: its name and addresses in every form."""
    address, address6 = IPv4Address(V4), IPv6Address(V6)
    little = bytes(reversed(address.packed)).hex().upper()
    words = [address6.packed[start : start + 4][::-1].hex() for start in range(0, 16, 4)]
    return "\n".join(
        [
            f"{V4}/22 {NETWORK} {V6} [{V6}]:443 {address6.exploded} {V6.upper()} ::ffff:{V4} fe80::14",
            f"0: {little}:0050 {''.join(words)}:0050",
            f"{address.packed.hex()} 0x{address.packed.hex()} {int(address)}",
            f"ip-{V4.replace('.', '-')}.internal",
            f"{address6.packed.hex()} 02 40 00 80 eth0",
            f"{address.reverse_pointer} {address6.reverse_pointer} {MAC} {MAC.upper()}",
            f"https://{host}/x?at={quote(f'{host} {V4}', safe='')} {quote(f'{V6}/x', safe='')}",
            base64.b64encode(f"this is {host} at {V4}".encode()).decode(),
            f"this is {host} at {V4}".encode().hex(),
            f"{host.upper()} server-{host}-eth0 /etc/{host}.conf",
            "SHA256:" + "Ab3" * 14 + "x " + "AAAAB3" + "Nz9q" * 12,
            *map(str, more.values()),
        ]
    )


def call(verb: str, host: str, value: object, port: str = "hosts", **more: Any) -> Entry:  # noqa: ANN401  # JSON
    data = {"port": port, "host": host, "verb": verb, "arguments": {}, "writes": False, "lane": "run"}
    return Entry(0.25, "call", {**data, "value": value, **more})


def event(name: str, **data: Any) -> Entry:  # noqa: ANN401  # JSON
    return Entry(0.0, "event", {"event": name, **data})
