"""What a director's table says about a service, against the catalog and the inventory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ferryman.directors.checks.preconditions import membership_diff
from ferryman.errors import DoubtError, FerrymanError
from ferryman.ipvs.table import Table, VirtualServer, differences, key_of
from ferryman.model import Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferryman.model import Director, Service, VirtualService

TABLE_CHECK = "ipvs-table"
REACHED_CHECK = "director"
SHOWN = 5
"""Realservers that one finding names."""


def catalog_findings(director: Director, service: Service, table: Table) -> list[Finding]:
    """One finding for each virtual service: a pass, or everything that is not as the catalog says."""
    known = {server.key: server for server in table}
    return [
        _finding(director, service, virtual, known.get(key_of(virtual)))
        for virtual in service.virtual_services
    ]


def not_reached(director: Director, error: FerrymanError) -> Finding:
    """The finding for a director whose table could not be read."""
    silent = isinstance(error, DoubtError)
    return Finding(
        REACHED_CHECK,
        director.host,
        Verdict.UNKNOWN if silent else Verdict.FAIL,
        str(error),
        "its IPVS table",
        "see that it answers SSH" if silent else "run ipvsadm -Sn there by hand",
    )


def _finding(
    director: Director, service: Service, virtual: VirtualService, seen: VirtualServer | None
) -> Finding:
    scheduler = _scheduler(virtual.scheduler, virtual.scheduler_flags)
    wanted = f"{_methods_word(service)} to {_count(service, virtual)}, {scheduler}"
    if seen is None:
        return Finding(
            TABLE_CHECK,
            director.host,
            Verdict.FAIL,
            f"{virtual}: not in its IPVS table",
            wanted,
            f"set it up there, or name another director for {service.lvs_class} in directors.yaml",
        )
    problems = list(_problems(service, virtual, seen))
    if problems:
        remedy = (
            "bring the director in line with the catalog (or the catalog with it) before anything is moved"
        )
        return Finding(TABLE_CHECK, director.host, Verdict.FAIL, "; ".join(problems), wanted, remedy)
    return Finding(TABLE_CHECK, director.host, Verdict.PASS, f"{virtual}: {_say(seen)}", wanted)


def _problems(service: Service, virtual: VirtualService, seen: VirtualServer) -> Iterator[str]:
    wanted = VirtualServer(
        *seen.key, virtual.scheduler, _known_order(virtual.scheduler_flags), (), seen.options
    )
    alike = VirtualServer(*seen.key, seen.scheduler, _known_order(seen.scheduler_flags), (), seen.options)
    yield from differences([wanted], [alike])
    yield from membership_diff(seen, service)
    forwarding = Forwarding.TUNNEL if service.encapsulated else Forwarding.DIRECT
    wrong: dict[str, list[str]] = {}
    for destination in seen.destinations:
        if destination.forwarding is not forwarding:
            wrong.setdefault(destination.forwarding.word, []).append(destination.key)
    for word, keys in sorted(wrong.items()):
        yield (
            f"{virtual}: {len(keys)} of {len(seen.destinations)} destinations {word} ({', '.join(keys)}),"
            f" the catalog says {forwarding.word} for {service.site}"
        )


def _known_order(flags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(flags))


def _methods_word(service: Service) -> str:
    return (Forwarding.TUNNEL if service.encapsulated else Forwarding.DIRECT).word


def _count(service: Service, virtual: VirtualService) -> str:
    count = sum(1 for realserver in service.realservers if realserver.address_for(virtual.vip) is not None)
    return f"{count} destinations" if count != 1 else "1 destination"


def _say(seen: VirtualServer) -> str:
    words = Counter(destination.forwarding.word for destination in seen.destinations)
    methods = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
    return f"{methods}, {_scheduler(seen.scheduler, seen.scheduler_flags)}"


def _scheduler(name: str, flags: tuple[str, ...]) -> str:
    return f"{name} ({','.join(flags)})" if flags else name


def some(names: Iterable[str]) -> str:
    """These names, each once; of many the first, and how many more there are."""
    named = list(dict.fromkeys(names))
    more = len(named) - SHOWN
    return ", ".join(named[:SHOWN]) + (f" and {more} more" if more > 0 else "")
