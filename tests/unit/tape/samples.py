"""A small tape, and the bytes of tapes that something is wrong with."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from ferryman.tape.file import Entry, Header, PlannedStep, line_of, whole_bytes

if TYPE_CHECKING:
    from pathlib import Path

HEADER = Header(
    ferryman="0.1",
    python="3.11.9",
    run="20261130-110000-abcd",
    action="perform",
    began="2026-11-30T11:00:00.000Z",
    cookbook="migrate",
    cookbook_digest="sha256:00",
    arguments={"service": "static", "site": "lab"},
    options={"dry_run": False, "on_doubt": "hold"},
    operator="anna",
    config={"probe": {"tries": 3}},
    inventory={"services.yaml": "static: {}\n", "nodes/lab.yaml": "web1: {}\n"},
    plan=(PlannedStep("RealserversReady", "realservers of static are ready", ("web1", "static")),),
)


def call(host: str = "web1", verb: str = "facts", value: object = None, **more: object) -> Entry:
    data = {"port": "hosts", "host": host, "verb": verb, "arguments": {}, "writes": False, "lane": "run"}
    return Entry(0.25, "call", {**data, "value": value, **more})


ENTRIES = (
    Entry(0.5, "event", {"event": "step-started", "step": 0, "title": "realservers", "phase": "check"}),
    call(value={"$": "Facts", "addresses": [{"$ip": "10.1.2.3"}]}),
    Entry(1.0, "wait", {"lane": "run", "seconds": 2.0, "interrupted": False}),
    Entry(0.0, "time-up", {"lane": "watch"}),
    Entry(0.0, "turn", {"lane": "run"}),
    Entry(0.0, "signal", {"name": "SIGTERM"}),
    Entry(0.0, "alarm", {"error": {"type": "BusyError", "message": "taken over"}}),
    Entry(0.0, "packet", {"sent": True, "hex": "4500"}),
    Entry(0.125, "outcome", {"outcome": "done", "exit_code": 0, "reason": "all is well", "seconds": 9.5}),
)
PACKED = whole_bytes(HEADER, ENTRIES)
RAW = gzip.decompress(PACKED)
LINES = RAW.splitlines(keepends=True)


def with_header(**changed: object) -> bytes:
    """The lines of a tape without its last, whose header says something else; None takes the key out."""
    header = {**HEADER.as_json(), **changed}
    return line_of({key: value for key, value in header.items() if value != "OUT"}) + b"".join(LINES[1:-1])


def with_entry(line: object) -> bytes:
    """The header and one further line."""
    return LINES[0] + (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "run.tape"
    path.write_bytes(content)
    return path
