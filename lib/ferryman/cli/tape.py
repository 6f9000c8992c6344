"""``ferryman tape``: a tape for people, and one without names and addresses."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.click_shim import PathType, argument, group, option, pass_obj
from ferryman.console import tables
from ferryman.errors import TapeError, UsageError
from ferryman.printable import json_line
from ferryman.tape import file

if TYPE_CHECKING:
    from ferryman.cli.app import App

_KEY_BYTES, _KEY_AT_LEAST = 32, 16
_TOLD = 20
"""How many of the places are told where something is left."""
_FILE = PathType(dir_okay=False, path_type=Path)


@group("tape")
def tape() -> None:
    """Tapes of runs: what was asked and answered, step by step."""


@tape.command()
@argument("path", metavar="TAPE", type=PathType(path_type=Path))
@option("--pcap", type=_FILE, metavar="FILE", help="Write the packets as pcapng, with the steps as comments.")
@pass_obj
def show(app: App, path: Path, pcap: Path | None) -> None:
    """One tape: its header, plan, steps with what was asked and answered, waits, findings, changes, outcome.

    Long values are shortened; -v before the command shows all of each.
    """
    found = file.read(path)
    if pcap is not None:
        _write_packets(found, pcap)
    elif app.json:
        for line in (found.header.as_json(), *(entry.as_json() for entry in found.entries)):
            sys.stdout.write(json_line(line) + "\n")
    else:
        from ferryman.console.tape import shown  # noqa: PLC0415  # only people need it

        tables.show_lines(shown(found, whole=app.verbose))


@tape.command()
@argument("path", metavar="TAPE", type=PathType(path_type=Path))
@option("--out", required=True, type=_FILE, metavar="FILE", help="Where the tape without names is written.")
@option(
    "--key-file",
    type=_FILE,
    metavar="FILE",
    help="What pseudonyms are drawn with, 16 bytes at least; else it is random.",
)
def scrub(path: Path, out: Path, key_file: Path | None) -> None:
    """A tape with pseudonyms in place of names and addresses, the same everywhere, so that it replays.

    Nothing is written unless the command has made sure that no original is left, in any form that it knows.
    """
    from ferryman.tape.scrub.scrub import scrub as scrubbed_of  # noqa: PLC0415  # it brings in scapy
    from ferryman.tape.scrub.verify import verify  # noqa: PLC0415  # the same

    key = secrets.token_bytes(_KEY_BYTES) if key_file is None else _key(key_file)
    original = file.read(path)
    if out.exists() and out.samefile(path):
        raise UsageError(f"{out}: is the tape itself; name another file with --out")
    scrubbed = scrubbed_of(original, key)
    if left := verify(original, scrubbed.tape):
        raise TapeError(
            "\n".join(
                [f"{path}: something of the original would be left; nothing was written", *left[:_TOLD]]
            )
        )
    try:
        file.write(out, scrubbed.tape.header, scrubbed.tape.entries, whole=original.whole)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror}") from error
    tables.say(
        f"{out}: {scrubbed.names} names and {scrubbed.addresses} addresses have pseudonyms; "
        "no original is left"
    )
    for note in scrubbed.notes:
        tables.say(f"note: {note}; it may replay otherwise")


def _key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--key-file: {path}: cannot be read: {error.strerror}") from error
    if len(key) < _KEY_AT_LEAST:
        raise UsageError(f"--key-file: {path}: has {len(key)} bytes, wanted {_KEY_AT_LEAST} at least")
    return key


def _write_packets(found: file.Tape, path: Path) -> None:
    from ferryman.tape.pcap import write_pcap  # noqa: PLC0415  # scapy takes a while

    try:
        number = write_pcap(found, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    tables.say(f"{path}: {number} packets of run {ascii(found.header.run)[1:-1]}")
