"""The registry of all checks on realservers, and how they are run for a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ferryman.errors import DoubtError
from ferryman.model import Finding, Realserver, Service, Verdict
from ferryman.realservers.checks.arp import arp
from ferryman.realservers.checks.before_netfilter import before_netfilter
from ferryman.realservers.checks.clamper import clamper
from ferryman.realservers.checks.firewall import firewall
from ferryman.realservers.checks.listener import listener
from ferryman.realservers.checks.lookups import lookups_for
from ferryman.realservers.checks.mss import mss
from ferryman.realservers.checks.nic_mtu import nic_mtu
from ferryman.realservers.checks.open_decapsulator import open_decapsulator
from ferryman.realservers.checks.pod_mtu import pod_mtu
from ferryman.realservers.checks.pod_spoofing import pod_spoofing
from ferryman.realservers.checks.rp_filter import (
    rp_filter,
    rp_filter_default,
    rp_filter_ipv6,
    rp_filter_pods,
)
from ferryman.realservers.checks.rp_filter_outer import rp_filter_outer
from ferryman.realservers.checks.rp_filter_persisted import rp_filter_persisted
from ferryman.realservers.checks.sysctl_order import sysctl_order
from ferryman.realservers.checks.tunnel_address import tunnel_address
from ferryman.realservers.checks.tunnel_device import tunnel_device
from ferryman.realservers.checks.tunnel_others import tunnel_others
from ferryman.realservers.checks.tunnel_persisted import tunnel_persisted
from ferryman.realservers.checks.udp import udp
from ferryman.realservers.checks.vip import vip
from ferryman.realservers.checks.vip_persisted import vip_persisted
from ferryman.realservers.checks.vrf import vrf
from ferryman.realservers.checks.way_back import way_back
from ferryman.realservers.facts import Facts
from ferryman.realservers.facts.collect import read_facts

if TYPE_CHECKING:
    from ferryman.hosts.hosts import Hosts

Check = Callable[[Service, Realserver, Facts], Iterable[Finding]]

CHECKS: Mapping[str, Check] = {
    "before-netfilter": before_netfilter,
    "rp-filter-outer": rp_filter_outer,
    "tunnel-device": tunnel_device,
    "tunnel-others": tunnel_others,
    "tunnel-address": tunnel_address,
    "tunnel-persisted": tunnel_persisted,
    "rp-filter": rp_filter,
    "rp-filter-persisted": rp_filter_persisted,
    "sysctl-order": sysctl_order,
    "rp-filter-default": rp_filter_default,
    "rp-filter-pods": rp_filter_pods,
    "rp-filter-ipv6": rp_filter_ipv6,
    "pod-spoofing": pod_spoofing,
    "firewall": firewall,
    "vip": vip,
    "vrf": vrf,
    "vip-persisted": vip_persisted,
    "listener": listener,
    "udp": udp,
    "way-back": way_back,
    "mss": mss,
    "clamper": clamper,
    "pod-mtu": pod_mtu,
    "nic-mtu": nic_mtu,
    "arp": arp,
    "open-decapsulator": open_decapsulator,
}
"""Each check by the id of its findings, in the order in which a packet meets what they look at."""


def realserver_checks(service: Service, realserver: Realserver, facts: Facts) -> list[Finding]:
    """The findings of every check about one realserver."""
    return [finding for check in CHECKS.values() for finding in check(service, realserver, facts)]


def service_readiness(service: Service, hosts: Hosts) -> list[Finding]:
    """The findings of every check about every realserver, in the service's order; asks all at once."""
    seen = read_facts(
        hosts, {realserver.host: lookups_for(service, realserver) for realserver in service.realservers}
    )
    return [
        finding
        for realserver in service.realservers
        for finding in _of_realserver(service, realserver, seen[realserver.host])
    ]


def _of_realserver(service: Service, realserver: Realserver, facts: Facts | DoubtError) -> list[Finding]:
    if isinstance(facts, DoubtError):
        seen = str(facts).removeprefix(f"{realserver.host}: ")
        wanted = "an answer over SSH"
        return [Finding("reachable", realserver.host, Verdict.UNKNOWN, seen, wanted)]
    return realserver_checks(service, realserver, facts)
