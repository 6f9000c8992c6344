"""Everything that reads outside words, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz import in_files, on_clusters, on_hosts, on_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fuzz.target import Target

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (*on_hosts.TARGETS, *in_files.TARGETS, *on_wire.TARGETS, *on_clusters.TARGETS)
}
