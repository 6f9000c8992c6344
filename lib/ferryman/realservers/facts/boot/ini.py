"""Files with sections: systemd-networkd's, and the keyfiles of NetworkManager."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ferryman.realservers.facts.boot.actions import Action, Deed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.realservers.facts.boot.actions import ConfigLine
    from ferryman.realservers.facts.boot.collected import Boot

NETWORKD = (
    "/etc/systemd/network/",
    "/run/systemd/network/",
    "/usr/local/lib/systemd/network/",
    "/usr/lib/systemd/network/",
)
KEYFILES = ("/etc/NetworkManager/system-connections/", "/run/NetworkManager/system-connections/")
KEYFILES_OF_PACKAGES = ("/usr/lib/NetworkManager/system-connections/",)
FILTERS = {"no": "0", "strict": "1", "loose": "2"}
FILTERS_SINCE = 255
"""The version of systemd that knows IPv4ReversePathFilter=; an earlier one passes over it."""

Entry = tuple[str, str, str, "ConfigLine"]
"""Section, key, value, and the line."""


def networkd(boot: Boot) -> Iterator[Action]:
    """What systemd-networkd makes and sets up.

    Sources: systemd.netdev(5); systemd.network(5): a device that no .network matches is left as it is, a
    .netdev of a tunnel that is not ``Independent=`` is made once a .network names it in ``Tunnel=``, and
    the first .network that matches is the only one.
    """
    who = "systemd-networkd"
    inactive = boot.not_started("systemd-networkd.service") or (
        "" if boot.systemd else "systemd does not run"
    )
    files = _first_of_each_name(boot, NETWORKD)
    networks = [(file, [*_entries(boot, file)]) for file in files if file.endswith(".network")]
    attached = {value for _, entries in networks for _, key, value, _ in entries if key == "Tunnel"}
    made = set()
    for file in files:
        if file.endswith(".netdev"):
            entries = [*_entries(boot, file)]
            name, kind = _value(entries, "Name"), _value(entries, "Kind")
            independent = _value(entries, "Independent").lower() in ("yes", "true", "1", "on")
            alone = kind in ("ipip", "ip6tnl") and not independent and name not in attached
            why = inactive or (
                f"no .network has Tunnel={name}, and it is not Independent=yes" if alone else ""
            )
            if name:
                made.add(name)
                yield Action(Deed.MAKE, name, kind, _line(entries, "Name"), who, why)
    taken: set[str] = set()
    for _, entries in networks:
        patterns = [word for key, value in _match(entries) if key == "Name" for word in value.split()]
        names = [name for name in (*made, "lo") if name not in taken and _fits(name, patterns)]
        taken.update(names)
        for name in names or [pattern for pattern in patterns if not set(pattern) & set("*?[!")]:
            yield from _network(boot, entries, name, who, inactive)


def _network(boot: Boot, entries: Sequence[Entry], name: str, who: str, inactive: str) -> Iterator[Action]:
    yield Action(Deed.RAISE, name, "", entries[0][3], who, inactive)
    for section, key, value, line in entries:
        if key == "Address" and section in ("Network", "Address"):
            yield Action(Deed.ADDRESS, name, value, line, who, inactive)
        known = (boot.networkd_version or 0) >= FILTERS_SINCE
        if key == "IPv4ReversePathFilter" and known and value in FILTERS:
            yield Action(Deed.SET, f"net/ipv4/conf/{name}/rp_filter", FILTERS[value], line, who, inactive)


def network_manager(boot: Boot) -> Iterator[Action]:
    """What NetworkManager makes and sets up, by its keyfiles; an rp_filter it only makes looser."""
    inactive = boot.not_started("NetworkManager.service") or ("" if boot.systemd else "systemd does not run")
    for file in _first_of_each_name(boot, (*KEYFILES, *KEYFILES_OF_PACKAGES)):
        entries = [*_entries(boot, file)]
        name, kind = _value(entries, "interface-name"), _value(entries, "type")
        why = inactive or ("autoconnect=false" if _value(entries, "autoconnect") == "false" else "")
        if not name:
            continue
        line = _line(entries, "interface-name")
        if kind in ("ip-tunnel", "dummy"):
            yield Action(Deed.MAKE, name, kind, line, "NetworkManager", why)
        yield Action(Deed.RAISE, name, "", line, "NetworkManager", why)
        for _, key, value, at in entries:
            if re.fullmatch(r"address\d*", key):
                yield Action(Deed.ADDRESS, name, value.partition(",")[0], at, "NetworkManager", why)


def _first_of_each_name(boot: Boot, folders: Sequence[str]) -> list[str]:
    """The files in the order of their names, of two with one name that in the earlier folder."""
    found: dict[str, str] = {}
    for folder in folders:
        for file in boot.below(folder):
            found.setdefault(file.rpartition("/")[2], file)
    return [found[name] for name in sorted(found)]


def _entries(boot: Boot, file: str) -> Iterator[Entry]:
    section = ""
    lines = [line for name in (file, *boot.below(f"{file}.d/")) for line in boot.lines(name)]
    for line in lines:
        text = line.text.strip()
        if text.startswith("["):
            section = text.strip("[]")
        elif "=" in text and text[0] not in "#;":
            key, _, value = text.partition("=")
            yield section, key.strip(), value.strip(), line


def _value(entries: Sequence[Entry], key: str) -> str:
    return next((value for _, name, value, _ in reversed(entries) if name == key), "")


def _line(entries: Sequence[Entry], key: str) -> ConfigLine:
    return next(line for _, name, _, line in reversed(entries) if name == key)


def _match(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    return ((key, value) for section, key, value, _ in entries if section == "Match")


def _fits(name: str, patterns: Sequence[str]) -> bool:
    if any(pattern.startswith("!") and fnmatchcase(name, pattern[1:]) for pattern in patterns):
        return False
    return any(fnmatchcase(name, pattern) for pattern in patterns)
