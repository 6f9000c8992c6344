"""Why a service must not be changed as keepalived's files and the kernel have it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.directors.keepalived.text import TextError, parse, portless_for, weights_in
from ferryman.ipvs.table import from_json, key_of
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.directors.driver import Before
    from ferryman.model import Service


def quiescent(before: Before) -> Iterator[str]:
    """Which destinations have a weight of 0 in the kernel, and another in the files."""
    weights: dict[Any, int] = {}
    for file in before["files"].values():
        weights |= weights_in(file["text"])
    for server in from_json(before["table"]):
        for destination in server.destinations:
            written = weights.get((*server.key, destination.address, destination.port), 1)
            if destination.weight == 0 != written:
                yield (
                    f"{server}: {destination.key} has weight 0, and {written} "
                    f"in {', '.join(before['files'])}:"
                    " its health check failed (inhibit_on_failure), and a reload would put it back to"
                    " work; wait until it is healthy"
                )


def taken_by_others(before: Before, service: Service) -> Iterator[str]:
    """Which virtual servers without a port take the traffic of one that the kernel does not have."""
    known = {server.key for server in from_json(before["table"])}
    for virtual in service.virtual_services:
        if key_of(virtual) in known:
            continue
        for path, file in before["files"].items():
            try:
                yield from (f"{path}: {line}" for line in portless_for(parse(file["text"]), virtual))
            except TextError:
                continue


def not_followed(host: str, problem: TextError) -> Finding:
    """A remark on an include that is not followed: nobody knows what waits there for a reload."""
    return Finding(
        "pending-edits",
        host,
        Verdict.WARN,
        f"not seen: {problem}: whether an edit waits for a reload there",
        "every file that keepalived reads, to be compared with its kernel",
        "see that nobody's edit waits there for a reload: this run will reload keepalived",
    )
