"""Everything that is looked at on a director before anything is changed, in one round trip.

Its IPVS table, how it reaches each realserver, the MTU of its devices, and the settings of IPVS that matter
to tunnelled traffic. Only the table is needed to go on; what else cannot be read is left out here and
becomes a finding.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ferryman.ipvs.listing import READ_TABLE, read_table
from ferryman.ipvs.table import Table, of_service
from ferryman.errors import DoubtError, VerifyError
from ferryman.hosts.script import script

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from ferryman.hosts.hosts import Completed, Hosts
    from ferryman.model import Address, Realserver, Service

SETTINGS = ("conn_reuse_mode", "pmtu_disc", "schedule_icmp", "sloppy_tcp")
"""Below ``net.ipv4.vs``; what they mean is in the kernel's ``ipvs-sysctl``."""
_PROC = "/proc/sys/net/ipv4/vs"
_ROUTES, _LINKS, _SETTINGS = "== routes", "== links", "== settings"


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


@dataclass(frozen=True, slots=True)
class DirectorState:
    """What one director was seen to be."""

    table: Table | None
    """The service's virtual servers; None where it forwards without IPVS."""
    next_hops: Mapping[Address, NextHop] = field(default_factory=dict)
    mtus: Mapping[str, int] = field(default_factory=dict)
    """The MTU of each of the director's devices, in bytes."""
    settings: Mapping[str, int] = field(default_factory=dict)
    complaint: str = ""
    """What was said on standard error, its first line."""


DirectorStates = Mapping[str, DirectorState | DoubtError | VerifyError]
"""By director: what was seen, or why it was not."""


def observe_directors(service: Service, hosts: Hosts, *, without_ipvs: Container[str] = ()) -> DirectorStates:
    """Ask every director of the service at once; those without IPVS are not asked for a table."""
    ipvs = {director.host: director.host not in without_ipvs for director in service.directors}
    asked = hosts.read_all({host: read_command(service, ipvs=has) for host, has in ipvs.items()})
    return {host: _seen(asked[host], service, ipvs=has) for host, has in ipvs.items()}


@script
def read_command(service: Service, *, ipvs: bool = True) -> str:
    """The shell command whose output ``parse`` understands; it only reads."""
    return "\n".join(
        (
            *([f"{READ_TABLE} || exit"] if ipvs else []),
            f"echo '{_ROUTES}'",
            *_route_questions(address for _, address in addresses_of(service)),
            f"echo '{_LINKS}'",
            "ip -j link show || :",
            f"echo '{_SETTINGS}'",
            f"{{ cd {_PROC} && grep -H . {' '.join(SETTINGS)}; }} 2>/dev/null || :",
        )
    )


def addresses_of(service: Service) -> list[tuple[Realserver, Address]]:
    """Each address that directors send the service's outer packets to, with whose it is."""
    families = sorted({virtual.vip.version for virtual in service.virtual_services})
    return [
        (realserver, address)
        for realserver in service.realservers
        for address in (realserver.address, realserver.address6)
        if address is not None and address.version in families
    ]


def parse(output: str, service: Service, complaints: str = "", *, ipvs: bool = True) -> DirectorState:
    """What ``read_command`` printed, and what it complained of.

    Raises:
        VerifyError: The IPVS table is not understood.
    """
    table, _, rest = output.partition(f"{_ROUTES}\n")
    routes, _, rest = rest.partition(f"{_LINKS}\n")
    links, _, settings = rest.partition(f"{_SETTINGS}\n")
    return DirectorState(
        of_service(read_table(table), service) if ipvs else None,
        dict(found for route in _objects(routes) if (found := _next_hop(route)) is not None),
        {
            str(link["ifname"]): link["mtu"]
            for link in _objects(links)
            if "ifname" in link and _number(link, "mtu")
        },
        dict(_settings(settings)),
        next((line.strip() for line in complaints.splitlines() if line.strip()), ""),
    )


def _seen(
    answer: Completed | DoubtError, service: Service, *, ipvs: bool
) -> DirectorState | DoubtError | VerifyError:
    if isinstance(answer, DoubtError):
        return answer
    try:
        return parse(answer.checked().stdout, service, answer.stderr, ipvs=ipvs)
    except VerifyError as error:
        return error


def _route_questions(addresses: Iterable[Address]) -> Iterator[str]:
    """One process of ip(8) for each family; a question without an answer stops no other."""
    asked = list(addresses)
    for version in (4, 6):
        mine = [shlex.quote(f"route get {address}") for address in asked if address.version == version]
        if mine:
            yield f"printf '%s\\n' {' '.join(mine)} | ip -{version} -j -force -batch - || :"


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in lines that are lists of them; other lines have none."""
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield from (item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def _next_hop(route: dict[str, Any]) -> tuple[Address, NextHop] | None:
    try:
        source = route.get("prefsrc")
        to = ip_address(str(route["dst"]).partition("/")[0])
        return to, NextHop(
            str(route["dev"]),
            ip_address(str(source)) if source else None,
            _own_mtu(route),
            route.get("type") == "local",
        )
    except (KeyError, ValueError):
        return None


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
        if key in SETTINGS and value.strip().isdecimal():
            yield key, int(value)
