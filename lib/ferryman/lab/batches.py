"""Lines of what the lab's programs read: batches of ``ip``, and kernel settings."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Interface, ip_interface
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ferryman.model import Address


def text(lines: Iterable[str]) -> str:
    """The lines as a file."""
    return "".join(f"{line}\n" for line in lines)


def on_link(address: Address) -> str:
    """An address with the prefix length of the lab's networks."""
    return f"{address}/24" if isinstance(address, IPv4Address) else f"{address}/64"


def address_line(address: str, device: str) -> str:
    """One line of a batch; without duplicate address detection, so that it can be used at once."""
    nodad = " nodad" if isinstance(ip_interface(address), IPv6Interface) else ""
    return f"addr add {address} dev {device}{nodad}"


def settings(values: Mapping[str, int]) -> list[str]:
    """Commands that set kernel settings, by their path below /proc/sys/net."""
    return [f"echo {value} >/proc/sys/net/{key}" for key, value in values.items()]


def start_script(
    name: str, *, sysctl: Mapping[str, int], late: Mapping[str, int], commands: list[str]
) -> str:
    """A host's start script; ``late`` are the settings of devices that its ip batch makes."""
    common = {"ipv6/conf/all/accept_dad": 0, "ipv6/conf/default/accept_dad": 0}
    lines = [
        "set -e",
        f"exec </dev/null >/lab/log/{name}.start 2>&1",
        *settings(common | dict(sysctl)),
        f"ip -batch /lab/{name}/ip",
        *settings(late),
    ]
    return text([*lines, *commands])


def persisted(sysctl: Mapping[str, int], *, default: int) -> str:
    """The settings as they would come back after a reboot."""
    kept = {**sysctl, "ipv4/conf/default/rp_filter": default, "ipv4/conf/ipip0/rp_filter": 0}
    return text([f"net.{key.replace('/', '.')} = {value}" for key, value in kept.items()])
