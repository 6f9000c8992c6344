"""A host's packet filter, from the parts of its answer that speak of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ferryman.firewall import Ruleset, parse_ipsets, parse_nft, parse_save, protocols_of
from ferryman.realservers.facts.sections import tried
from ferryman.realservers.facts.values import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.firewall import Table
    from ferryman.firewall.ipsets import Ipsets
    from ferryman.realservers.facts.sections import Section

T = TypeVar("T")

COMMANDS = {4: "iptables", 6: "ip6tables"}
PROTOCOLS = "/etc/protocols"
TCP_LOOSE = "/proc/sys/net/netfilter/nf_conntrack_tcp_loose"
"""It is there once connection tracking is."""


def rules_of(sections: Mapping[str, Section], missing: str, files: Mapping[str, str]) -> Ruleset:
    """All rules that could be read; ``missing`` says why a part is not in the answer.

    What nft shows of tables that iptables made is replaced by what iptables-nft-save says of them, where it
    was asked: when it was not, nft says all, or there is no nft.
    """
    reading = _Reading(sections, missing)
    sets = reading.understood("ipset", parse_ipsets, needed=False) or {}
    tables: list[Table] = []
    for version, command in COMMANDS.items():
        tables += reading.tables(f"legacy{version}", f"{command}-legacy", version, sets)
    native = reading.understood("nft", parse_nft) or ()
    translated: list[Table] = []
    for version, command in COMMANDS.items():
        needed = f"nft{version}" in sections and not native
        translated += reading.tables(f"nft{version}", f"{command}-nft", version, sets, needed=needed)
    from_iptables = {(table.family, table.name) for table in translated}
    rest = [table for table in native if (table.family, table.name) not in from_iptables]
    return Ruleset(
        (*tables, *translated, *rest),
        tuple(reading.unread),
        protocols_of(files.get(PROTOCOLS, "")),
        files.get(TCP_LOOSE, "1").strip() != "0",
    )


class _Reading:
    """Parts of an answer, and what was wrong with them."""

    def __init__(self, sections: Mapping[str, Section], missing: str) -> None:
        self.sections = sections
        self.missing = missing
        self.unread: list[str] = []

    def tables(
        self, name: str, tool: str, version: int, sets: Ipsets, *, needed: bool = True
    ) -> tuple[Table, ...]:
        """The tables in a part that is iptables-save's."""
        return self.understood(name, lambda text: parse_save(text, tool, version, sets), needed=needed) or ()

    def understood(self, name: str, understand: Callable[[str], T], *, needed: bool = True) -> T | None:
        """What a part says; None when it says nothing that can be understood."""
        parsed = self._parsed(name, understand)
        if not isinstance(parsed, Unknown):
            return parsed
        if needed:
            self.unread.append(parsed.reason)
        return None

    def _parsed(self, name: str, understand: Callable[[str], T]) -> T | Unknown:
        section = self.sections.get(name)
        if section is None:
            return Unknown(f"{name}: {self.missing}")
        if section.status:
            return Unknown(f"{name}: {section.complaint or f'status {section.status}'}")
        return tried(name, section.complaint, lambda: understand(section.text))
