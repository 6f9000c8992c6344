"""What the host's files say: the answer of ``grep -aH ''`` over /proc, sysctl.d and the like."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, get_args

from ferryman.realservers.facts.sysctl_d import SYSCTL_CONF, SysctlFiles
from ferryman.realservers.facts.values import CALLED_INVALID, MARTIANS, UNTRACKED, LocalRoute, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SETTING = re.compile(r"/proc/sys/net/ipv[46]/conf/(?P<device>[^/]+)/(?P<key>\w+)")
LOCAL = 0x80000000
"""RTF_LOCAL of include/uapi/linux/ipv6_route.h: the host takes such packets for its own."""
RECEIVED = {"rx_packets": 1, "rx_errors": 2, "rx_dropped": 3, "rx_frame_errors": 5}
"""The counters of received packets, by their column in /proc/net/dev."""


def contents(text: str, names: Iterable[str] = ()) -> Mapping[str, str]:
    """The files by path; one without a line is not among them.

    Of those in ``names`` the name may have a colon too.
    """
    lines: dict[str, list[str]] = defaultdict(list)
    odd = sorted((name for name in names if ":" in name), key=len, reverse=True)
    for line in text.split("\n"):
        path, colon, rest = line.partition(":")
        for name in odd:
            if line.startswith(f"{name}:"):
                path, rest = name, line[len(name) + 1 :]
                break
        if colon and path.startswith("/"):
            lines[path].append(rest)
    return {path: "\n".join(found) for path, found in lines.items()}


def kernel(files: Mapping[str, str]) -> str:
    """The release of the running kernel, as ``uname -r`` prints it."""
    return files["/proc/sys/kernel/osrelease"].strip()


def settings(files: Mapping[str, str]) -> Mapping[tuple[Setting, str], int]:
    """The settings of devices, by key and device.

    Raises:
        ValueError: There is none.
    """
    found: dict[tuple[Setting, str], int] = {}
    for path, value in files.items():
        match = SETTING.fullmatch(path)
        key: Setting
        for key in get_args(Setting):
            if match is not None and match["key"] == key:
                found[key, match["device"]] = int(value)
    if not found:
        raise ValueError("no setting in it")
    return found


def counted(files: Mapping[str, str]) -> Mapping[str, int]:
    """What the kernel counts, of TCP as nstat(8) names it, and of what each device received."""
    return {**_tcp(files["/proc/net/netstat"]), **_received(files.get("/proc/net/dev", "")), **_more(files)}


def counted_more(files: Mapping[str, str]) -> Mapping[str, int]:
    """What the kernel counts beside that: IP's own counters, and the sources that cannot be."""
    return _more(files)


def _tcp(text: str) -> Mapping[str, int]:
    names, values = (line.split() for line in text.splitlines() if line.startswith("TcpExt:"))
    pairs = zip(names[1:], values[1:], strict=True)
    return {f"TcpExt{name}": int(value) for name, value in pairs}


def _more(files: Mapping[str, str]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for path, group in (("/proc/net/snmp", "Ip"), ("/proc/net/snmp", "Tcp"), ("/proc/net/netstat", "IpExt")):
        rows = [line.split() for line in files.get(path, "").splitlines() if line.startswith(f"{group}:")]
        if len(rows) == 2:  # noqa: PLR2004  # names and values
            names, values = (row[1:] for row in rows)
            found |= {f"{group}{name}": int(value) for name, value in zip(names, values, strict=True)}
    for path, prefix in (("/proc/net/snmp6", "Ip6"), ("/proc/net/xfrm_stat", "Xfrm")):
        for line in files.get(path, "").splitlines():
            name, _, value = line.partition(" " if " " in line else "\t")
            if name.startswith(prefix):
                found[name] = int(value.strip())
    for path, column, name in (
        ("/proc/net/stat/rt_cache", "in_martian_src", MARTIANS),
        ("/proc/net/stat/nf_conntrack", "drop", UNTRACKED),
        ("/proc/net/stat/nf_conntrack", "invalid", CALLED_INVALID),
    ):
        titles, *processors = [line.split() for line in files.get(path, "").splitlines()] or [[]]
        if column in titles:
            place = titles.index(column)
            found[name] = sum(int(row[place], 16) for row in processors)
    return found


def _received(text: str) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for line in text.splitlines()[2:]:
        device, _, numbers = line.strip().partition(":")
        columns = numbers.split()
        found |= {f"{device}.{name}": int(columns[place]) for name, place in RECEIVED.items()}
    return found


def local_routes6(files: Mapping[str, str]) -> tuple[LocalRoute, ...]:
    """IPv6 prefixes that the kernel takes for its own; none where IPv6 is off."""
    return tuple(_local_routes6(files.get("/proc/net/ipv6_route", "")))


def _local_routes6(text: str) -> Iterator[LocalRoute]:
    for words in (line.split() for line in text.splitlines()):
        if int(words[8], 16) & LOCAL:
            yield LocalRoute(IPv6Network((IPv6Address(bytes.fromhex(words[0])), int(words[1], 16))), words[9])


def sysctl_files(files: Mapping[str, str], names: str, init: str) -> SysctlFiles:
    """The files that set the kernel's settings at boot; one that is there without a line is empty.

    Raises:
        ValueError: It is not known how the host boots, or what a file is called.
    """
    if any(name and not name.startswith("/") for name in names.split("\n")):
        raise ValueError("the name of a file has a newline in it, so that its lines cannot be told apart")
    if init.strip() not in ("systemd", "other"):
        raise ValueError("it is not known whether systemd runs")
    existing = [name for name in names.split("\n") if "/sysctl.d/" in name or name == SYSCTL_CONF]
    return SysctlFiles({name: files.get(name, "") for name in existing}, systemd=init.strip() == "systemd")


def cni_mtu(files: Mapping[str, str]) -> Mapping[str, int]:
    """The MTU of new pods in bytes, by the CNI configuration file that says so.

    What cannot be read and what is automatic (0, or a placeholder) is left out.
    """
    mtus = {path: _mtus(text) for path, text in files.items() if path.startswith("/etc/cni/net.d/")}
    return {path: max(found) for path, found in mtus.items() if found}


def _mtus(text: str) -> list[int]:
    try:
        whole = json.loads(text)
    except ValueError:
        return []
    plugins = whole.get("plugins") if isinstance(whole, dict) else None
    parts: list[Any] = [whole, *(plugins if isinstance(plugins, list) else [])]
    mtus = (part.get("mtu") for part in parts if isinstance(part, dict))
    return [mtu for mtu in mtus if isinstance(mtu, int) and mtu > 0]


def cmdline(files: Mapping[str, str]) -> str:
    """The command line of the one process that was asked for; empty when there is none."""
    return next((text for path, text in files.items() if re.fullmatch(r"/proc/\d+/cmdline", path)), "")
