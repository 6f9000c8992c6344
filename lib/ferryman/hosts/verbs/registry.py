"""All verbs, by name: for whoever holds them on a host, lists them, or takes one back from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.hosts.verbs import fence, ipvs, operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.hosts.verbs.verb import Verb

VERBS: tuple[type[Verb[Any]], ...] = (
    fence.TakeOver,
    ipvs.IpvsTable,
    ipvs.EditTable,
    ipvs.Connections,
    ipvs.ConnReuseMode,
    operator.OperatorQuestion,
    operator.OperatorCommand,
)
ALL: Mapping[str, type[Verb[Any]]] = {verb.name: verb for verb in VERBS}
