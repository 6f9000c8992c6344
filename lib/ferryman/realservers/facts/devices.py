"""Network devices and addresses, from ``ip -j``."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any

from ferryman.realservers.facts.batch import ADDRESSES, LOCAL_ROUTES, batch_of
from ferryman.realservers.facts.values import Device, LocalRoute, Pod

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferryman.model import Address


def addresses_and_routes(text: str) -> tuple[Mapping[str, Device], tuple[LocalRoute, ...]]:
    """The answer of one ``ip -j -d -batch``: all devices, and IPv4's local routes.

    Raises:
        ValueError: It is not JSON, or not both of them.
    """
    batch = batch_of("ip", text)
    return devices_of(batch.entries(ADDRESSES)), _local_routes(batch.entries(LOCAL_ROUTES))


def devices_of(entries: list[Any]) -> Mapping[str, Device]:
    """The devices in an ``ip -j addr show``, by name."""
    return {entry["ifname"]: _device(entry) for entry in entries if entry}


def pods(text: str) -> tuple[Pod, ...]:
    """The named namespaces: for each a line with number and name, its ``ip -j addr show`` and default routes.

    One that is gone by now has no answer, and is left out. Earlier versions did not ask for routes.
    """
    return tuple(_pods(re.split(r"^pod ", text, flags=re.MULTILINE)[1:]))


def _pods(parts: list[str]) -> Iterator[Pod]:
    for part in parts:
        title, _, answer = part.partition("\n")
        namespace, _, name = title.partition(" ")
        shown, _, routes = answer.partition("routes4\n")
        four, _, six = routes.partition("routes6\n")
        if shown.strip():
            devices = devices_of(json.loads(shown))
            yield Pod(name, int(namespace), devices, {4: _lines(four), 6: _lines(six)})


def _lines(text: str) -> str:
    """Routes with single spaces, a line for each."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def _device(entry: Mapping[str, Any]) -> Device:
    link = entry.get("linkinfo") or {}
    tunnel = link.get("info_data") or {}
    addresses = [address for address in entry.get("addr_info") or () if "local" in address]
    return Device(
        name=entry["ifname"],
        kind=link.get("info_kind"),
        up="UP" in entry["flags"],
        mtu=int(entry.get("mtu", 0)),
        external=tunnel.get("external", False) is not False,
        local=_peer(tunnel.get("local")),
        remote=_peer(tunnel.get("remote")),
        addresses=tuple(ipaddress.ip_interface(f"{a['local']}/{a['prefixlen']}") for a in addresses),
        unusable=frozenset(_address(a) for a in addresses if a.get("tentative") or a.get("dadfailed")),
        index=int(entry.get("ifindex", 0)),
        peer=entry.get("link_index"),
        namespace=entry.get("link_netnsid"),
        master=_name(entry.get("master")),
        link=_name(entry.get("link")) if link.get("info_kind") != "veth" else None,
        xdp=_xdp(entry.get("xdp")),
    )


def _name(value: Any) -> str | None:  # noqa: ANN401  # as below
    return value if isinstance(value, str) else None


MODES = {1: "driver", 2: "generic", 3: "offloaded", 4: "several"}
"""XDP_ATTACHED_* of include/uapi/linux/if_link.h."""


def _xdp(attached: Any) -> str | None:  # noqa: ANN401  # what stands in an answer may be anything
    if not isinstance(attached, dict):
        return None
    each = attached.get("attached")
    first = each[0] if isinstance(each, list) and each and isinstance(each[0], dict) else attached
    program = first.get("prog")
    known = program if isinstance(program, dict) else {}
    called = known.get("name") or f"number {known.get('id', '?')}"
    return f"the {MODES.get(attached.get('mode', 0), 'XDP')} program {called}"


def _address(entry: Mapping[str, Any]) -> Address:
    return ipaddress.ip_address(entry["local"])


def _peer(end: str | None) -> str | None:
    return None if end in (None, "any", "0.0.0.0", "::") else end  # noqa: S104  # the word for any peer


def _local_routes(routes: list[Any]) -> tuple[LocalRoute, ...]:
    return tuple(
        LocalRoute(ipaddress.ip_network(route["dst"], strict=False), route["dev"])
        for route in routes
        if route.get("dst") != "default" and "dev" in route
    )
