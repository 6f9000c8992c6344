"""The fault matrix: what is put wrong, what a check says of it, and the cause that a probe or exchange names.

A row is one fault on one host, judged by ``ferryman check SERVICE``. ``WRONG`` ones are refused, and
finding and cause are named; ``FINE`` ones only look wrong, and must pass.
"""

from __future__ import annotations

from dataclasses import dataclass

REFUSED, DONE = 3, 0
V4, DUAL, PODS, OLD = "static", "web", "k8s-ingress-staging", "search"
"""Services: on IPv4 alone, dual stack, behind nodes, and one that is encapsulated already."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fault, and what is to be made of it."""

    fault: str
    host: str
    service: str
    check: str | None = None
    """The id of a finding that blocks, or, in a row that passes, of one that warns."""
    cause: str | None = None
    """What the failed probe names, or exchange; None where both are good, or there is nobody to ask."""
    exit_code: int = REFUSED
    on: str | None = None
    """Whom the finding is about, where that is not the host: a VIP, or whoever asks in vain."""

    def __str__(self) -> str:
        return f"{self.fault}-{self.host}-{self.service}"


def _wrong(fault: str, host: str, service: str, check: str, cause: str | None = None) -> Row:
    return Row(fault, host, service, check, cause)


def _fine(fault: str, host: str, service: str, warns: str | None = None) -> Row:
    return Row(fault, host, service, warns, exit_code=DONE)


WRONG = (
    # who filters
    _wrong("rp-filter-strict", "web1", V4, "rp-filter", "rp-filter"),
    _wrong("rp-filter-all-strict", "web2", V4, "rp-filter", "rp-filter"),
    _wrong("rp-filter-both-strict", "web3", V4, "rp-filter", "rp-filter"),
    _wrong("rp-filter-strict", "node1", PODS, "rp-filter", "rp-filter"),
    _wrong("rp-filter-all-strict", "node2", PODS, "rp-filter", "rp-filter"),
    _wrong("rp-filter-ipv6", "web1", DUAL, "rp-filter-ipv6", "firewall"),
    _wrong("rp-filter-outer", "web1", V4, "rp-filter-outer", "rp-filter"),
    _wrong("rp-filter-outer", "web2", DUAL, "rp-filter-outer", "rp-filter"),
    _wrong("rp-filter-outer-unreachable", "web3", V4, "rp-filter-outer", "rp-filter"),
    _wrong("rp-filter-outer", "node1", PODS, "rp-filter-outer", "rp-filter"),
    # who drops before anybody else
    _wrong("tc-drops-ipip", "web1", V4, "probe", "before-netfilter"),
    _wrong("tc-drops-ipip-in-chain", "web2", V4, "probe", "before-netfilter"),
    _wrong("tc-drops-answers", "web3", V4, "probe", "before-netfilter"),
    _wrong("xdp-drops-ipip", "web1", V4, "probe", "before-netfilter"),
    _wrong("tc-drops-ipip", "node1", PODS, "probe", "before-netfilter"),
    _wrong("xdp-drops-ipip", "node2", PODS, "probe", "before-netfilter"),
    # who will filter after a reboot
    _wrong("rp-filter-persisted-strict", "web1", V4, "rp-filter-persisted"),
    _wrong("rp-filter-persisted-all-strict", "web2", V4, "rp-filter-persisted"),
    _wrong("sysctl-glob-wins", "web3", V4, "rp-filter-persisted"),
    _wrong("sysctl-slashes", "web1", V4, "rp-filter-persisted"),
    _wrong("sysctl-dash-value", "web2", V4, "rp-filter-persisted"),
    _wrong("sysctl-default-wins", "web3", V4, "rp-filter-persisted"),
    _wrong("sysctl-glob-wins", "node1", PODS, "rp-filter-persisted"),
    _wrong("sysctl-default-wins", "node2", PODS, "rp-filter-persisted"),
    _wrong("rp-filter-inline-comment", "web1", V4, "rp-filter-persisted"),
    _wrong("rp-filter-by-ufw", "web2", V4, "rp-filter-persisted"),
    _wrong("rp-filter-by-ifupdown", "web3", V4, "rp-filter-persisted"),
    _wrong("rp-filter-by-ufw", "node1", PODS, "rp-filter-persisted"),
    # who unwraps
    _wrong("ipip0-down", "web1", V4, "tunnel-device", "tunnel-device"),
    _wrong("ipip0-absent", "web2", V4, "tunnel-device", "tunnel-device"),
    _wrong("ipip0-of-another-kind", "web3", V4, "tunnel-device", "tunnel-device"),
    _wrong("ipip0-down", "node1", PODS, "tunnel-device", "tunnel-device"),
    _wrong("ipip0-absent", "node2", PODS, "tunnel-device", "tunnel-device"),
    _wrong("ipip60-down", "web1", DUAL, "tunnel-device", "tunnel-device"),
    _wrong("ipip60-absent", "web2", DUAL, "tunnel-device", "tunnel-device"),
    _wrong("ipip60-without-ipv6", "web3", DUAL, "tunnel-device", "tunnel-device"),
    _wrong("ipip0-no-address-loose", "web1", V4, "tunnel-address", "tunnel-address"),
    _wrong("ipip0-for-an-unknown-director", "web2", V4, "probe", "tunnel-device"),
    _wrong("ipip0-for-one-director", "web3", V4, "probe", "tunnel-device"),
    _wrong("tunnel-external-other", "web1", V4, "tunnel-device"),
    _wrong("ipip0-in-vrf", "web2", V4, "vrf", "vrf"),
    _wrong("ipip0-in-vrf", "web3", DUAL, "vrf", "vrf"),
    # who keeps out
    _wrong("firewall-proto4", "web1", DUAL, "firewall", "firewall"),
    _wrong("firewall-ip6ip6", "web2", DUAL, "firewall", "firewall"),
    _wrong("firewall-ipip", "web3", DUAL, "firewall", "firewall"),
    _wrong("firewall-reject", "web1", V4, "firewall", "firewall"),
    _wrong("firewall-raw", "web2", V4, "firewall", "firewall"),
    _wrong("firewall-crafted-only", "web3", V4, "firewall", "firewall"),
    _wrong("firewall-one-director", "web1", V4, "firewall", "firewall"),
    _wrong("firewall-inner", "web2", V4, "firewall", "firewall"),
    _wrong("firewall-inner-reject", "web3", V4, "firewall", "firewall"),
    _wrong("firewall-inner-reset", "web1", V4, "firewall", "firewall"),
    # who lets the SYN through, and nothing after it
    _wrong("half-tracked", "web2", V4, "exchange", "firewall"),
    _wrong("tc-drops-acks", "web1", V4, "exchange", "before-netfilter"),
    _wrong("tc-drops-acks", "node1", PODS, "exchange", "before-netfilter"),
    _wrong("reset-on-request", "web3", V4, "exchange", "firewall"),
    _wrong("reset-on-request", "web2", DUAL, "exchange", "firewall"),
    _wrong("reset-on-request", "node2", PODS, "exchange", "server"),
    # who answers in vain
    _wrong("firewall-answers", "web2", V4, "probe", "way-back"),
    _wrong("vip-no-route-back", "web3", V4, "probe", "way-back"),
    _wrong("ecn-ce", "web3", V4, "probe", "ecn"),
    _wrong("firewall-ipip", "node1", PODS, "firewall", "firewall"),
    _wrong("firewall-inner", "node2", PODS, "firewall", "firewall"),
    Row("outer-source-filtered", "rt", V4, "control-host", on="control"),
    Row("director-source-filtered", "rt", V4, "control-host", on="control"),
    # what becomes of it
    _wrong("vip-missing", "web1", V4, "vip", "vip"),
    _wrong("vip-missing-ipv6", "web2", DUAL, "vip", "vip"),
    # the node sends what is not its own back to the director, and another node answers: probes are fooled
    _wrong("dnat-missing", "node1", PODS, "vip"),
    _wrong("listener-closed", "web1", V4, "listener", "listener"),
    _wrong("listener-elsewhere", "web2", V4, "listener", "listener"),
    _wrong("listener-ipv4-only", "web3", DUAL, "listener", "listener"),
    _wrong("listener-closed", "node2", PODS, "probe", "listener"),
    _wrong("listener-hung", "web1", V4, "exchange", "server"),
    _wrong("listener-hung", "node2", PODS, "exchange", "server"),
    # what is too large
    _wrong("clamp-missing", "web1", V4, "probe", "mss"),
    _wrong("clamp-old-list", "web2", V4, "probe", "mss"),
    _wrong("clamp-too-large", "web3", V4, "probe", "mss"),
    _wrong("clamp-ipv4-only", "web1", DUAL, "probe", "mss"),
    _wrong("pod-mtu-1500", "node1", PODS, "pod-mtu", "pod-mtu"),
    _wrong("pod-mtu-1500-one-pod", "node2", PODS, "pod-mtu"),
    _wrong("pod-mtu-1500-inside", "node1", PODS, "pod-mtu", "pod-mtu"),
    _wrong("nic-mtu-small", "web1", V4, "nic-mtu", "nic-mtu"),
    _wrong("nic-mtu-small", "node2", PODS, "nic-mtu", "nic-mtu"),
    _wrong("black-hole-in", "web1", V4, "exchange", "path-mtu"),
    _wrong("black-hole-in", "web2", DUAL, "exchange", "path-mtu"),
    _wrong("black-hole-in", "node1", PODS, "exchange", "path-mtu"),
    _wrong("black-hole-out", "web3", V4, "exchange", "path-mtu"),
    _wrong("black-hole-out", "web1", DUAL, "exchange", "path-mtu"),
    _wrong("black-hole-out", "node2", PODS, "exchange", "path-mtu"),
    _wrong("director-mtu-small", "lvs2", V4, "director-mtu"),
    # who cannot be asked
    _wrong("sshd-down", "web1", V4, "reachable"),
    _wrong("host-key-changed", "web2", V4, "reachable"),
    _wrong("link-down", "web3", V4, "reachable", "reachable"),
    _wrong("sshd-down", "lvs2", V4, "director"),
    # what directors disagree on
    _wrong("ipvs-scheduler", "lvs2", V4, "ipvs-table"),
    _wrong("ipvs-extra", "lvs2", V4, "ipvs-table"),
    _wrong("ipvs-missing", "lvs2", V4, "ipvs-table"),
    _wrong("ipvs-absent", "lvs2", V4, "ipvs-table"),
    _wrong("ipvs-tunnelled", "lvs2", V4, "ipvs-table"),
    _wrong("ipvs-masqueraded", "lvs1", V4, "ipvs-table"),
    _wrong("ipvs-persistent", "lvs2", V4, "ipvs-table"),
    Row("director-sends-no-ipip", "lvs1", OLD, "traffic", on="10.99.0.5"),
)

FINE = (
    _fine("rp-filter-loose", "web1", V4),
    _fine("rp-filter-loose-over-strict", "web2", V4),
    _fine("rp-filter-all-loose", "web3", V4),
    _fine("rp-filter-all-loose-over-strict", "web1", V4),
    _fine("rp-filter-both-loose", "web2", V4),
    _fine("rp-filter-eth0-strict", "web3", V4),
    _fine("rp-filter-outer-loose", "web3", V4),
    _fine("rp-filter-outer-loose", "node2", PODS),
    _fine("tc-drops-others", "web1", V4),
    _fine("tc-drops-others", "node1", PODS),
    _fine("xdp-passes", "web2", V4),
    _fine("xdp-passes", "node2", PODS),
    _fine("rp-filter-loose", "node1", PODS),
    _fine("rp-filter-loose-over-strict", "node2", PODS),
    _fine("rp-filter-default-loose", "node1", PODS, "rp-filter-default"),
    _fine("rp-filter-pod-open", "node2", PODS, "rp-filter-pods"),
    _fine("rp-filter-ipv6", "web1", V4),
    _fine("calico-raw-rules", "node1", PODS),
    _fine("pod-spoofing-open", "node2", PODS, "pod-spoofing"),
    _fine("policy-drops-icmp", "node1", PODS),
    _fine("policy-allows-icmp", "node2", PODS),
    _fine("sysctl-glob-loses", "web1", V4),
    _fine("sysctl-earlier-loses", "web2", V4, "sysctl-order"),
    _fine("sysctl-excluded-from-glob", "web3", V4),
    _fine("sysctl-commented-out", "web1", V4),
    _fine("sysctl-other-ending", "web2", V4),
    _fine("sysctl-refused", "web3", V4),
    _fine("ufw-off", "web1", V4),
    _fine("tunnel-not-persisted", "web2", V4, "tunnel-persisted"),
    _fine("tunnel-not-raised", "web3", V4, "tunnel-persisted"),
    _fine("tunnel-by-own-script", "web1", V4),
    _fine("vip-not-persisted", "web2", V4, "vip-persisted"),
    _fine("ipip60-absent", "web3", V4),
    _fine("ipip60-down", "node1", PODS),
    _fine("ipip60-without-ipv6", "node2", PODS),
    _fine("ipip0-no-address", "web1", V4, "tunnel-address"),
    _fine("ipip0-for-anybody", "web2", V4, "tunnel-device"),
    _fine("tunl0-instead", "web3", V4, "tunnel-device"),
    _fine("tunl0-up", "web1", V4),
    _fine("tunl0-in-use", "web2", V4, "tunnel-others"),
    _fine("firewall-ip6ip6", "web3", V4),
    _fine("firewall-directors-only", "web1", V4),
    _fine("firewall-guarded", "web2", V4),
    _fine("firewall-closed-but-right", "web3", V4),
    _fine("firewall-invalid", "web1", V4),
    _fine("firewall-other-protocols", "web2", V4),
    _fine("firewall-behind-accept", "web3", V4),
    _fine("firewall-invalid", "node1", PODS),
    _fine("not-tracked", "web2", V4),
    _fine("icmp-dropped", "node2", PODS),
    _fine("icmp-dropped", "web1", V4),
    _fine("loss-third", "web2", V4),
    _fine("vip-missing-ipv6", "web1", V4),
    _fine("vip-on-eth0", "web2", V4, "vip"),
    _fine("vip-by-dnat", "web3", V4, "vip"),
    _fine("arp-answers", "web1", V4, "arp"),
    _fine("forwards-strangers", "web2", V4, "forwards-strangers"),
    _fine("listener-ipv4-only", "web3", V4),
    _fine("syn-cookies", "web1", V4),
    _fine("no-timestamps", "web2", DUAL),
    _fine("no-timestamps", "node1", PODS),
    _fine("clamp-old-list", "web3", DUAL),
    _fine("clamp-low", "web1", DUAL),
    _fine("clamp-ipv4-only", "web2", V4),
    _fine("clamp-postrouting", "web3", DUAL),
    _fine("pod-mtu-1500-outside", "node1", PODS),
    _fine("pod-mtu-1480", "node2", PODS),
    _fine("nic-mtu-jumbo", "web1", V4),
    _fine("nic-mtu-jumbo", "node1", PODS),
    _fine("director-frozen", "lvs2", V4),
    _fine("fragmentation-needed-lost", "lvs1", V4),
    _fine("ipvs-weight", "lvs2", V4, "ipvs-table"),
    _fine("ipvs-drained", "lvs2", V4, "ipvs-table"),
    _fine("rp-filter-loose", "web1", OLD),
)
ROWS = (*WRONG, *FINE)
