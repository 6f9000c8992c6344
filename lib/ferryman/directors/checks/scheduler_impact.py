"""What another scheduler will do to a service's connections, reported before anything is changed.

What is said of the kernel is its source's (6.1, the same in mainline of 2025): a connection keeps its
destination as long as its entry lives (``ip_vs_conn.c``), whatever the scheduler is by then.
``ip_vs_edit_service`` (``ip_vs_ctl.c``) takes the old scheduler away, waits for an RCU grace period, then
gives the new one; ``ip_vs_schedule`` (``ip_vs_core.c``) finds no destination meanwhile, and a new connection
is answered with an ICMP error. With one processor there is nothing to wait for. ``ip_vs_mh.c`` hashes the
client's address, and its port only with ``mh-port``; a destination of weight 0 keeps its slots, so that
without ``mh-fallback`` whoever is hashed there is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman.directors.checks.consistency import HASHING, consistency_findings
from ferryman.directors.checks.findings import catalog_findings, not_reached
from ferryman.directors.schedulers import FLAGS
from ferryman.directors.target import SetScheduler
from ferryman.errors import DoubtError, VerifyError
from ferryman.hosts.verbs.directors import ReadScheduler, SchedulerState
from ferryman.ipvs.table import Table, VirtualServer, key_of, of_service
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.hosts.hosts import Hosts
    from ferryman.model import Director, Service

NOW, MODULE, MOVES = "scheduler-now", "scheduler-module", "scheduler-connections"
HASH, GAP = "scheduler-hash", "scheduler-exchange"


SchedulerStates = dict[str, SchedulerState | DoubtError | VerifyError]
"""By director: what was seen, with this service's part of its table, or why it was not."""


def observe_schedulers(service: Service, hosts: Hosts, target: SetScheduler) -> SchedulerStates:
    """Ask every director of the service at once."""
    keys = tuple(map(key_of, service.virtual_services))
    asked = hosts.read_all(
        {director.host: ReadScheduler(keys, target.scheduler) for director in service.directors}
    )
    return {
        host: replace(answer, table=of_service(answer.table, service))
        if isinstance(answer, SchedulerState)
        else answer
        for host, answer in asked.items()
    }


def rescheduled(service: Service, target: SetScheduler) -> Service:
    """The service as the catalog will have it."""
    virtuals = service.virtual_services
    made = (
        replace(virtual, scheduler=target.scheduler, scheduler_flags=target.flags) for virtual in virtuals
    )
    return replace(service, virtual_services=tuple(made))


def impact_findings(service: Service, target: SetScheduler, seen: SchedulerStates) -> list[Finding]:
    """What blocks the change on each director, and what the change will do there."""
    findings = [
        finding for director in service.directors for finding in _of_one(director, service, target, seen)
    ]
    tables = {
        host: target.apply(state.table) for host, state in seen.items() if isinstance(state, SchedulerState)
    }
    return [*findings, *consistency_findings(service, tables)]


def _of_one(
    director: Director, service: Service, target: SetScheduler, seen: SchedulerStates
) -> Iterator[Finding]:
    state = seen[director.host]
    if not isinstance(state, SchedulerState):
        yield not_reached(director, state)
        return
    yield from catalog_findings(director, _as_scheduled(service, state.table), state.table)
    yield from (_now(director, service, server, target) for server in state.table)
    yield _module(director, state, target)
    changing = [server for server in state.table if _schedule(server) != target]
    if changing:
        yield _moves(director, state, changing, target)
        yield from _parted(director, changing, target)
        yield from _hashed(director, changing, target)
        yield from _gap(director, changing, target)


def _as_scheduled(service: Service, table: Table) -> Service:
    """The service with its directors' scheduler, whatever it is: that one is looked at apart."""
    known = {server.key: server for server in table}
    virtuals = (
        replace(virtual_service, scheduler=server.scheduler, scheduler_flags=server.scheduler_flags)
        if (server := known.get(key_of(virtual_service)))
        else virtual_service
        for virtual_service in service.virtual_services
    )
    return replace(service, virtual_services=tuple(virtuals))


def _schedule(server: VirtualServer) -> SetScheduler:
    return SetScheduler(server.scheduler, tuple(sorted(server.scheduler_flags)))


def _now(director: Director, service: Service, server: VirtualServer, target: SetScheduler) -> Finding:
    """Whether it is what the catalog says or what it is to become: anything else is someone else's."""
    (virtual,) = (
        virtual_service
        for virtual_service in service.virtual_services
        if key_of(virtual_service) == server.key
    )
    catalog = SetScheduler(virtual.scheduler, tuple(sorted(virtual.scheduler_flags)))
    now = _schedule(server)
    known = now in (catalog, target) or catalog == target
    remedy = "" if known else "bring the director in line with the catalog (or the catalog with it) first"
    wanted = f"{catalog}, as in the catalog, or already {target}"
    verdict = Verdict.PASS if known else Verdict.FAIL
    return Finding(NOW, director.host, verdict, f"{server}: {now}", wanted, remedy)


def _module(director: Director, state: SchedulerState, target: SetScheduler) -> Finding:
    name = f"ip_vs_{target.scheduler}"
    if state.module:
        return Finding(MODULE, director.host, Verdict.PASS, f"{name} is there", "a kernel that has it")
    return Finding(
        MODULE,
        director.host,
        Verdict.FAIL,
        f"its kernel has no module {name}: neither loaded nor to be found by modprobe",
        "a kernel that has it",
        f"install the package that has it (it belongs to the running kernel, uname -r); try: modprobe {name}",
    )


def _moves(
    director: Director, state: SchedulerState, changing: list[VirtualServer], target: SetScheduler
) -> Finding:
    """What becomes of the connections there are, and of the next ones of their clients."""
    total, open_ = sum(state.connections.values()), state.connections.get("ESTABLISHED", 0)
    stay = f"{total} connections now, {open_} of them established: each stays with its realserver"
    share = max(share_elsewhere(server, target) for server in changing)
    if not share:
        return Finding(MOVES, director.host, Verdict.PASS, f"{stay}, and so do their next ones", "none moves")
    until_now = "; ".join(sorted({_until_now(server) for server in changing}))
    return Finding(
        MOVES,
        director.host,
        Verdict.WARN,
        f"{stay}; {share:.0%} of their clients open the next one to another ({until_now})",
        "sessions that more than one realserver can serve",
        "nothing, where realservers share their sessions; else choose an hour with few of them",
    )


def _parted(director: Director, changing: list[VirtualServer], target: SetScheduler) -> Iterator[Finding]:
    """A client's connections stay together only where nothing but its address counts."""
    together = sorted({str(now) for server in changing if _by_address(now := _schedule(server))})
    if together and not _by_address(target):
        yield Finding(
            MOVES,
            director.host,
            Verdict.WARN,
            f"two connections of one client may go to two realservers then; with {', '.join(together)} never",
            "sessions that need no more than one connection, or are shared",
            f"{target.scheduler} without {target.scheduler}-port keeps them together" if target.flags else "",
        )


def _gap(director: Director, changing: list[VirtualServer], target: SetScheduler) -> Iterator[Finding]:
    others = sorted({server.scheduler for server in changing} - {target.scheduler})
    if others:
        yield Finding(
            GAP,
            director.host,
            Verdict.WARN,
            f"while its kernel exchanges {', '.join(others)} for {target.scheduler}, for a few milliseconds"
            " where it has more than one processor, new connections are refused",
            "clients that try again",
            "nobody notices on a director that is drained",
        )


def _until_now(server: VirtualServer) -> str:
    if server.options:
        return f"{' '.join(server.options)}: in time they stay, by persistence"
    if server.scheduler in HASHING:
        return f"with {server.scheduler} always to the same"
    return f"with {server.scheduler} just so on any day"


def share_elsewhere(server: VirtualServer, target: SetScheduler) -> float:
    """Of the clients with a connection, the share whose next one goes to another realserver; 0 to 1.

    Each realserver has its weight's share of them, and of the next ones too, one independent of the other.
    """
    now = _schedule(server)
    if now.scheduler == target.scheduler and _keys(now) == _keys(target):
        return 0.0
    weights = [destination.weight for destination in server.destinations if destination.weight > 0]
    return 1 - sum((weight / sum(weights)) ** 2 for weight in weights) if weights else 0.0


def _keys(schedule: SetScheduler) -> set[str]:
    """The flags that have a say in which slot a client is hashed to."""
    return {flag for flag in schedule.flags if flag.endswith("-port")}


def _by_address(schedule: SetScheduler) -> bool:
    """Whether all connections of one client address go to one realserver."""
    return schedule.scheduler in FLAGS and not _keys(schedule)


def _hashed(director: Director, changing: list[VirtualServer], target: SetScheduler) -> Iterator[Finding]:
    """What a hash does with clients that share an address, and with destinations that take nobody."""
    name, host = target.scheduler, director.host
    if name not in FLAGS:
        return
    if _by_address(target):
        yield Finding(
            HASH,
            host,
            Verdict.WARN,
            f"{name} without {name}-port: all clients behind one address go to one realserver",
            "clients with many addresses",
            f"--flag {name}-port spreads them by connection",
        )
    if f"{name}-fallback" not in target.flags:
        idle = sorted(
            {
                destination.key
                for server in changing
                for destination in server.destinations
                if destination.weight == 0
            }
        )
        now = f" (now: {', '.join(idle)})" if idle else ""
        yield Finding(
            HASH,
            host,
            Verdict.WARN,
            f"{name} without {name}-fallback: who is hashed to a destination of weight 0{now} is refused"
            " for as long as it has that weight",
            "realservers that are taken out of the table, not set to weight 0",
            f"--flag {name}-fallback sends them to another",
        )
