"""What is read of a director before anything is changed, each in one round trip."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ferryman.hosts.verbs.ipvs import CONNECTIONS, OF_SERVICE, TABLE_SCRIPT, IpvsTable, table_in
from ferryman.hosts.verbs.kinds import ADDRESSES, MODULE, SWITCH, VIRTUALS
from ferryman.hosts.verbs.verb import MIB, ReadVerb
from ferryman.ipvs.connections import kernels_key
from ferryman.numerals import numeral
from ferryman.realservers.facts.routing import NO_WAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ferryman.hosts.completed import Completed
    from ferryman.hosts.verbs.verb import Included
    from ferryman.ipvs.table import Key, Table
    from ferryman.model import Address

SETTINGS = ("conn_reuse_mode", "pmtu_disc", "schedule_icmp", "sloppy_tcp")
"""Below ``net.ipv4.vs``; what they mean is in the kernel's ``ipvs-sysctl``."""
_ROUTES, _LINKS, _SETTINGS = "== routes", "== links", "== settings"
_MODULE, _CONNECTIONS = "== module", "== connections"


@dataclass(frozen=True, slots=True)
class NextHop:
    """How a director reaches one address, as ``ip route get`` says."""

    device: str
    source: Address | None
    """What IPVS puts into the outer header: it looks the route up without a source and takes the one that
    comes with it (``__ip_vs_get_out_rt``, ``ip_vs_xmit.c``). For IPv6 it takes the device's address, whatever
    ``src`` the route has (``__ip_vs_route_output_v6``)."""
    mtu: int | None = None
    """The route's own MTU in bytes, where it has one."""
    local: bool = False
    """The address is the director's own: nothing leaves it."""
    gateway: Address | None = None
    """The router that the packet is handed to; None where the address is on the device's own segment."""

    def router_before(self, address: Address) -> Address | None:
        """The router between the director and an address; None where they share a segment.

        A host route through the address itself, such as ferryman's own, leads to no router.
        """
        return None if self.local or self.gateway == address else self.gateway


@dataclass(frozen=True, slots=True)
class DirectorState:
    """What one director was seen to be."""

    table: Table | None
    """The virtual servers of every service; None where it was not asked for them."""
    next_hops: Mapping[Address, NextHop] = field(default_factory=dict)
    mtus: Mapping[str, int] = field(default_factory=dict)
    """The MTU of each of the director's devices, in bytes."""
    settings: Mapping[str, int] = field(default_factory=dict)
    complaint: str = ""
    """What was said on standard error, its first line."""


@dataclass(frozen=True)
class ReadDirector(ReadVerb[DirectorState]):
    """Reads the table, how addresses are reached, the MTU of each device, and IPVS's settings.

    Only the table is needed to go on: whatever else cannot be read is left out.
    """

    name = "director-state"
    limit = 16 * MIB
    script = f"""\
[ "$1" = no ] || {{ {TABLE_SCRIPT}; }} || exit
echo '{_ROUTES}'
[ -z "$2" ] || printf '%s\\n' "$2" | ip -4 -j -force -batch - || :
[ -z "$3" ] || printf '%s\\n' "$3" | ip -6 -j -force -batch - || :
echo '{_LINKS}'
ip -j link show || :
echo '{_SETTINGS}'
{{ cd /proc/sys/net/ipv4/vs && grep -H . {" ".join(SETTINGS)}; }} 2>/dev/null || :
"""

    addresses: tuple[Address, ...] = field(metadata=ADDRESSES)
    """How these are reached."""
    ipvs: bool = field(default=True, metadata=SWITCH)
    """Whether there is a table."""

    @property
    def includes(self) -> Included:
        """The table, where there is one."""
        return ((IpvsTable(), lambda state: state.table),) if self.ipvs else ()

    @property
    def words(self) -> Sequence[str]:
        """Whether there is a table, and the questions of each family."""
        return ("yes" if self.ipvs else "no", *(route_questions(self.addresses, "get {}")))

    def parse(self, done: Completed) -> DirectorState:
        """What was seen."""
        table, _, rest = done.checked().stdout.partition(f"{_ROUTES}\n")
        routes, _, rest = rest.partition(f"{_LINKS}\n")
        links, _, settings = rest.partition(f"{_SETTINGS}\n")
        complaints = (line.strip() for line in done.stderr.splitlines())
        return DirectorState(
            table_in(done, table) if self.ipvs else None,
            dict(found for route in _objects(routes) if (found := _next_hop(route)) is not None),
            {
                str(link["ifname"]): link["mtu"]
                for link in _objects(links)
                if "ifname" in link and _number(link, "mtu")
            },
            dict(_settings(settings)),
            next((line for line in complaints if line), ""),
        )


@dataclass(frozen=True, slots=True)
class SchedulerState:
    """What one director was seen to have of some virtual services."""

    table: Table
    """The virtual servers of every service."""
    module: bool
    """Whether its kernel has the wanted scheduler, or can load it."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """The number of the virtual services' connections, by their state."""


@dataclass(frozen=True)
class ReadScheduler(ReadVerb[SchedulerState]):
    """Reads the table, whether the kernel has a scheduler, and how many connections there are by state.

    ``modprobe -n`` loads nothing.
    """

    name = "scheduler-state"
    limit = 16 * MIB
    script = f"""\
{TABLE_SCRIPT} || exit
echo '{_MODULE}'
if [ -d "/sys/module/ip_vs_$1" ] || modprobe -nq "ip_vs_$1"; then echo there; fi
echo '{_CONNECTIONS}'
shift
awk '{OF_SERVICE} {{ n[$8]++ }} END {{ for (state in n) print state, n[state] }}' "$@" {CONNECTIONS}
"""

    virtuals: tuple[Key, ...] = field(metadata=VIRTUALS)
    scheduler: str = field(metadata=MODULE)

    @property
    def words(self) -> Sequence[str]:
        """The scheduler, and the virtual services as the kernel's lines have them."""
        return (self.scheduler, *map(kernels_key, self.virtuals))

    def parse(self, done: Completed) -> SchedulerState:
        """What was seen."""
        table, _, rest = done.checked().stdout.partition(f"{_MODULE}\n")
        module, _, states = rest.partition(f"{_CONNECTIONS}\n")
        counts = (line.split() for line in states.splitlines())
        return SchedulerState(
            table_in(done, table), module.strip() == "there", {state: int(count) for state, count in counts}
        )


def route_questions(addresses: Iterable[Address], question: str) -> tuple[str, str]:
    """The lines for ``ip -batch``, of IPv4 and of IPv6; one that is empty asks nothing.

    One process of ip(8) answers them all, and a question without an answer stops no other (``-force``).
    """
    asked = list(addresses)
    four, six = (
        "\n".join(f"route {question.format(address)}" for address in asked if address.version == version)
        for version in (4, 6)
    )
    return four, six


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in lines that are lists of them; other lines have none."""
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            continue
        yield from (item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def _next_hop(route: dict[str, Any]) -> tuple[Address, NextHop] | None:
    if route.get("type") in NO_WAY:
        return None
    try:
        source = route.get("prefsrc")
        to = ip_address(str(route["dst"]).partition("/")[0])
        return to, NextHop(
            str(route["dev"]),
            ip_address(str(source)) if source else None,
            _own_mtu(route),
            route.get("type") == "local",
            gateway_of(route),
        )
    except (KeyError, ValueError):
        return None


def gateway_of(route: Mapping[str, Any]) -> Address | None:
    """The gateway of a route as ip(8) shows it: of the route's own family, or of another one (``via``).

    Raises:
        ValueError: It is no address.
    """
    via = route.get("via")
    shown = via.get("host") if isinstance(via, dict) else route.get("gateway")
    return ip_address(str(shown)) if shown else None


def _own_mtu(route: dict[str, Any]) -> int | None:
    metrics = route.get("metrics")
    entries = metrics if isinstance(metrics, list) else []
    return next(
        (metric["mtu"] for metric in entries if isinstance(metric, dict) and _number(metric, "mtu")), None
    )


def _number(values: dict[str, Any], key: str) -> bool:
    return isinstance(values.get(key), int)


def _settings(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key in SETTINGS and (number := numeral(value.strip())) is not None:
            yield key, number
