"""Puts a tape's state into a lab that is up: it looks at each host, changes what differs, and looks again."""

from __future__ import annotations

import secrets
import shlex
from typing import TYPE_CHECKING

from ferryman import lab as the_lab
from ferryman.errors import LabError
from ferryman.hosts.completed import Completed
from ferryman.hosts.verbs.ipvs import TABLE_SCRIPT
from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.ipvs.listing import read_table
from ferryman.lab import faults
from ferryman.retry import poll_until
from ferryman.tape.form import shown
from ferryman.tape.in_lab import directors, firewall
from ferryman.tape.in_lab.realservers import Realserver
from ferryman.tape.in_lab.state import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ferryman.ipvs.table import Table
    from ferryman.lab import LabPaths
    from ferryman.lab.topology import Host
    from ferryman.tape.in_lab.image import Image
    from ferryman.tape.in_lab.realservers import Change
    from ferryman.tape.in_lab.state import State
    from ferryman.tape.in_lab.unlike import Unlike

_LOOK_S = 120.0
_RELOAD_S = 15.0
_TRIES = 3
"""A device that is made anew loses its settings: they are put in with the next look."""


def put_in(paths: LabPaths, image: Image, state: State, found: Unlike) -> list[str]:
    """Make the lab's hosts what the tape's were; what was put in, in words.

    What cannot be is added to what is not imitated, and not judged.

    Raises:
        LabError: The lab does not answer.
    """
    done: list[str] = []
    for there, seen in state.realservers.items():
        if (here := image.names.hosts.get(there)) is not None:
            done += _realserver(paths, image, image.lab.by_name[here], seen, found)
    for there, table in state.tables.items():
        if (here := image.names.hosts.get(there)) is not None:
            done += _director(paths, image, here, table, found)
    # Last: they are entered past their sshd, and asked by nobody any more.
    for there in state.unreachable:
        if (here := image.names.hosts.get(there)) is not None:
            faults.put(paths, "sshd-down", here)
            done.append(f"{here}: takes no SSH connections")
    return done


def _realserver(paths: LabPaths, image: Image, host: Host, recorded: Seen, found: Unlike) -> list[str]:
    done: dict[str, None] = {}
    for left in reversed(range(_TRIES)):
        now = _look(paths, host.name)
        was, has = recorded.facts.kernel, now.facts.kernel
        if isinstance(was, str) and isinstance(has, str) and was != has:
            found.add(f"{host.name}: its kernel {shown(was)}; the lab's is {has}")
        changes = _changes(image, host, recorded, now)
        if not changes:
            break
        if left:
            for change in changes:
                done[f"{host.name}: {change.what}"] = None
            _run_all(paths, host.name, changes)
            continue
        for change in changes:
            done.pop(f"{host.name}: {change.what}", None)
            found.add(f"{host.name}: {change.what}", {*change.checks, "probe"}, host.name)
    return list(done)


def _changes(image: Image, host: Host, recorded: Seen, now: Seen) -> list[Change]:
    pair = Realserver(image.lab, host, image.names, recorded.facts, now.facts)
    names = image.names.with_more(pair.pod_addresses())
    families = {vip.version for service in image.lab.services_of(host.name) for vip in service.vips}
    return [*pair.changes(), *firewall.changes(recorded, now, names, pair.pod_devices(), families)]


def _look(paths: LabPaths, host: str) -> Seen:
    verb = ReadFacts(secrets.token_hex(8))
    printed = the_lab.console(paths, host, f"set +e\nset -- {verb.token}\n{verb.script}", timeout_s=_LOOK_S)
    return Seen.of(Completed(host, verb.shown, 0, printed, ""))


def _run_all(paths: LabPaths, host: str, changes: Sequence[Change]) -> None:
    """Every command, whether or not those before it did anything: the next look says what came of them."""
    for where in dict.fromkeys(change.where or host for change in changes):
        commands = (each for change in changes if (change.where or host) == where for each in change.commands)
        the_lab.console(paths, where, _all(commands), timeout_s=_LOOK_S)


def _all(commands: Iterable[str]) -> str:
    return "\n".join(f"{{\n{command}\n}} >/dev/null 2>&1 || :" for command in commands)


def _director(paths: LabPaths, image: Image, host: str, recorded: Table, found: Unlike) -> list[str]:
    names = image.names

    def differs() -> list[str]:
        return list(directors.commands(recorded, _table(paths, host), names))

    done = []
    files = directors.keepalived_files(image.lab, host, directors.wanted(recorded, names))
    if files:
        the_lab.console(paths, host, _all(_reload(host, files)), timeout_s=_LOOK_S)
        poll_until(differs, lambda left: not left, within_s=_RELOAD_S)
        done.append(f"{host}: other weights in keepalived's files")
    if commands := differs():
        the_lab.console(paths, host, _all(commands), timeout_s=_LOOK_S)
        done.append(f"{host}: another IPVS table")
        if differs():
            found.add(f"{host}: its IPVS table", directors.CHECKS, host)
            done.pop()
    return done


def _reload(host: str, files: Mapping[str, str]) -> Iterator[str]:
    for path, text in files.items():
        yield f"printf %s {shlex.quote(text)} >{shlex.quote(path)}"
    yield f"kill -HUP $(cat /run/keepalived-{host}.pid)"


def _table(paths: LabPaths, host: str) -> Table:
    printed = the_lab.console(paths, host, TABLE_SCRIPT, timeout_s=_LOOK_S)
    try:
        return read_table(printed)
    except ValueError as error:
        raise LabError(f"{host}: its IPVS table is not understood: {error}") from error
