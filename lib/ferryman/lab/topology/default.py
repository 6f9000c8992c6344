"""The lab that ``ferryman lab up`` makes without further words.

The lab's inventory (``inventory/`` of the repository) says the same in the words of a catalog; a test holds
the two together.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from ferryman.lab.topology.addresses import pods_behind, segment_host
from ferryman.lab.topology.values import DriverName, LabService, ServiceDirector, Topology
from ferryman.model import Forwarding, Role

_SERVERS = tuple(segment_host(f"web{number}", "server", 20 + number) for number in (1, 2, 3))
_NODES = tuple(segment_host(f"node{number}", "node", 30 + number, "staging") for number in (1, 2))
_WEBS = tuple(host.name for host in _SERVERS)


def _directors(driver: DriverName) -> tuple[ServiceDirector, ...]:
    return (ServiceDirector("lvs1", Role.PRIMARY, driver), ServiceDirector("lvs2", Role.SECONDARY, driver))


DEFAULT = Topology(
    directors=(segment_host("lvs1", "director", 11), segment_host("lvs2", "director", 12)),
    servers=_SERVERS,
    nodes=_NODES,
    pods=pods_behind(_NODES),
    services=(
        LabService(
            "web",
            (IPv4Address("10.99.0.1"), IPv6Address("fd99::1")),
            80,
            "wrr",
            _WEBS,
            _directors("keepalived"),
            labels=("weblb", "weblb6"),
        ),
        LabService(
            "maps",
            (IPv4Address("10.99.0.2"),),
            8080,
            "mh",
            _WEBS,
            _directors("keepalived"),
            scheduler_flags=("mh-port",),
        ),
        LabService(
            "static",
            (IPv4Address("10.99.0.3"),),
            8081,
            "wrr",
            _WEBS,
            _directors("ipvsadm"),
            lvs_class="high-traffic1",
        ),
        LabService(
            "k8s-ingress-staging",
            (IPv4Address("10.99.0.4"),),
            30443,
            "wrr",
            tuple(host.name for host in _NODES),
            _directors("keepalived"),
            cluster="kubernetes",
            pool="kubesvc",
        ),
        LabService(
            "search",
            (IPv4Address("10.99.0.5"),),
            9200,
            "wrr",
            _WEBS,
            _directors("keepalived"),
            forwarding=Forwarding.TUNNEL,
        ),
    ),
)
