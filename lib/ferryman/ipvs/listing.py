"""Reads a director's IPVS table from what ipvsadm prints.

The formats are ipvsadm 1.31's (``print_service_entry`` and ``print_conn`` of ipvsadm.c). ``-S`` leaves out
two things that ``ipvsadm -e`` sets: the connection thresholds of a destination. They are read from ``-L
--thresholds``, because an edit that does not name them sets both to 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn

from ferryman.errors import VerifyError
from ferryman.ipvs.table import Destination, Key, Table, VirtualServer
from ferryman.model import Address, Forwarding, Protocol
from ferryman.numerals import numeral

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROTOCOL_OPTIONS: dict[str, Protocol] = {"-t": "tcp", "-u": "udp"}
_OTHER_SERVICES = ("-f", "--sctp-service")
_FORWARDINGS = {method.value: method for method in Forwarding}
_FLAG_OPTIONS = ("--tun-nocsum", "--tun-csum", "--tun-remcsum", "-o", "-6")
_LIMITED = 4
"""Words of a destination's line up to its thresholds."""
_VALUE_OPTIONS = ("-s", "-b", "-p", "-M", "--pe", "-r", "-w", "-x", "-y", "--tun-type", "--tun-port")


def read_table(output: str) -> Table:
    """The table from what ``ipvsadm -Sn`` and, behind a line ``==``, ``ipvsadm -Ln --thresholds`` print.

    Raises:
        VerifyError: A line is not understood; the message has the line.
    """
    rules, _, thresholds = output.partition("==\n")
    return _with_thresholds(parse(rules), thresholds)


def parse(rules: str) -> Table:
    """The table from ``ipvsadm -Sn``; firewall marks and SCTP are left out: no catalog service is one.

    Raises:
        VerifyError: A line is not understood; the message has the line.
    """
    servers: dict[Key, VirtualServer] = {}
    for number, line in enumerate(rules.splitlines(), start=1):
        words = line.split()
        if not words or (len(words) > 1 and words[1] in _OTHER_SERVICES):
            continue
        _take(servers, _Rule.of(words, f"ipvsadm -Sn, line {number}: {line!r}"))
    return tuple(server.sorted() for server in servers.values())


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of ``ipvsadm -S``: the command, whom it is about, and its options in order."""

    command: str
    key: Key
    options: dict[str, str]
    where: str

    @classmethod
    def of(cls, words: list[str], where: str) -> _Rule:
        if len(words) < 3 or words[0] not in ("-A", "-a") or words[1] not in _PROTOCOL_OPTIONS:  # noqa: PLR2004  # -A, -t and an address
            _not_understood(where, "-A or -a with -t, -u, -f or --sctp-service")
        address, port = _address_port(words[2], where)
        return cls(
            words[0], (_PROTOCOL_OPTIONS[words[1]], address, port), dict(_options(words[3:], where)), where
        )


def _options(words: list[str], where: str) -> Iterator[tuple[str, str]]:
    rest = iter(words)
    for word in rest:
        if word in _VALUE_OPTIONS:
            value = next(rest, None)
            if value is None:
                _not_understood(where, f"a value after {word}")
            yield word, value
        elif word in _FORWARDINGS or word in _FLAG_OPTIONS:
            yield word, ""
        else:
            _not_understood(where, f"no option {word}")


def _take(servers: dict[Key, VirtualServer], rule: _Rule) -> None:
    if rule.command == "-A":
        servers[rule.key] = _virtual_server(rule)
        return
    owner = servers.get(rule.key)
    if owner is None:
        _not_understood(rule.where, "its -A line before it")
    servers[rule.key] = replace(owner, destinations=(*owner.destinations, _destination(rule)))


def _virtual_server(rule: _Rule) -> VirtualServer:
    options = dict(rule.options)
    scheduler = options.pop("-s", None)
    if scheduler is None:
        _not_understood(rule.where, "a scheduler, -s")
    flags = tuple(flag for flag in options.pop("-b", "").split(",") if flag)
    kept = tuple(word for pair in options.items() for word in pair if word)
    return VirtualServer(*rule.key, scheduler=scheduler, scheduler_flags=flags, options=kept)


def _destination(rule: _Rule) -> Destination:
    options = dict(rule.options)
    address, port = _address_port(options.pop("-r", ""), rule.where)
    forwardings = [_FORWARDINGS[option] for option in options if option in _FORWARDINGS]
    weight = numeral(options.pop("-w", "1"))
    if len(forwardings) != 1 or weight is None:
        _not_understood(rule.where, "one of -g, -i, -m, and a weight")
    if options.get("--tun-type") == "ipip":
        del options["--tun-type"]
    tunnel = tuple(word for pair in options.items() for word in pair if word and word not in _FORWARDINGS)
    return Destination(address, port, forwardings[0], weight, tunnel=tunnel)


def _address_port(text: str, where: str) -> tuple[Address, int]:
    address, _, port = text.rpartition(":")
    try:
        return ip_address(address.strip("[]")), int(port)
    except ValueError:
        _not_understood(where, f"address:port, not {text!r}")


def _not_understood(where: str, wanted: str) -> NoReturn:
    raise VerifyError(f"{where}: not understood, expected {wanted}; is this ipvsadm newer than 1.31?")


def _with_thresholds(table: Table, listing: str) -> Table:
    """Add what ``ipvsadm -Ln --thresholds`` says; a destination it does not list keeps 0, no limit."""
    limits: dict[tuple[str, str], tuple[int, int]] = {}
    server = ""
    for line in listing.splitlines():
        words = line.split()
        if words[:1] and words[0] in ("TCP", "UDP"):
            server = f"{words[0].lower()} {words[1]}"
        elif words[:1] == ["->"] and len(words) >= _LIMITED:
            upper, lower = numeral(words[2]), numeral(words[3])
            if upper is not None and lower is not None:
                limits[server, words[1]] = (upper, lower)
    return tuple(_limited(virtual_server, limits) for virtual_server in table)


def _limited(server: VirtualServer, limits: dict[tuple[str, str], tuple[int, int]]) -> VirtualServer:
    def limited(destination: Destination) -> Destination:
        upper, lower = limits.get((str(server), destination.key), (0, 0))
        return replace(destination, upper=upper, lower=lower)

    return replace(server, destinations=tuple(map(limited, server.destinations)))
