"""``ferryman tape``: a tape for people, and one without names and addresses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.click_shim import PathType, argument, group, option, pass_obj
from ferryman.console import tables
from ferryman.errors import UsageError
from ferryman.tape import file

if TYPE_CHECKING:
    from ferryman.cli.app import App

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
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    else:
        from ferryman.console.tape import shown  # noqa: PLC0415  # only people need it

        tables.show_lines(shown(found, whole=app.verbose))


def _write_packets(found: file.Tape, path: Path) -> None:
    from ferryman.tape.pcap import write_pcap  # noqa: PLC0415  # scapy takes a while

    try:
        number = write_pcap(found, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    tables.say(f"{path}: {number} packets of run {ascii(found.header.run)[1:-1]}")
