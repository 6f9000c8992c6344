"""All verbs, by name: for whoever holds them on a host, lists them, or takes one back from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman.hosts.verbs import (
    agents,
    daemons,
    directors,
    fence,
    ipvs,
    keepalived,
    keepalived_trial,
    operator,
    pods,
    realservers,
    routes,
    sudo,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.hosts.verbs.verb import Verb

VERBS: tuple[type[Verb[Any]], ...] = (
    fence.TakeOver,
    realservers.ReadFacts,
    realservers.ReadCounters,
    directors.ReadDirector,
    directors.ReadScheduler,
    ipvs.IpvsTable,
    ipvs.Connections,
    ipvs.EditTable,
    routes.ReadHostRoutes,
    routes.AddHostRoutes,
    routes.RemoveHostRoutes,
    pods.ReadPodNetworks,
    pods.EditPodRoutes,
    keepalived.KeepalivedRead,
    keepalived_trial.KeepalivedTrial,
    keepalived.KeepalivedWrite,
    daemons.PybalRead,
    daemons.PybalRestart,
    daemons.PybalDrain,
    daemons.LibericaRead,
    daemons.LibericaReload,
    agents.PuppetState,
    agents.PuppetRun,
    agents.AgentRun,
    agents.AgentRevision,
    agents.CheckoutRevision,
    operator.OperatorQuestion,
    operator.OperatorCommand,
    sudo.SudoCheck,
)
ALL: Mapping[str, type[Verb[Any]]] = {verb.name: verb for verb in VERBS}
