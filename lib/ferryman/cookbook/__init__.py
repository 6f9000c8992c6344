"""What a cookbook author imports: the decorator, ``Plan``, the kinds of step, the stock steps, and the types.

The types of the model are here so that an author can annotate a step. An author's own verb is a ``ReadVerb``
or a ``WriteVerb``; ``kinds`` has the forms that its arguments can have.

What a command line needs is imported with the package. What a plan is made of is a ``LazyName``: the help of
a cookbook does not wait for it. Types, and what steps of an author's own stand on, come when they are named.
"""

from typing import TYPE_CHECKING

from ferryman.click_shim import IntRange, argument, option
from ferryman.cookbook.command import (
    accept_irreversible_option,
    cookbook,
    cookbook_asking,
    drain_option,
    service_argument,
    site_option,
    watch_options,
)
from ferryman.cookbook.loading import load
from ferryman.cookbook.overrides import Overrides
from ferryman.errors import DoubtError, RefusedError, UsageError, VerifyError, WorldChangedError
from ferryman.lazy import lazy_names

if TYPE_CHECKING:
    from ferryman.cookbook.context import Ferry
    from ferryman.cookbook.steps.catalog import (
        CatalogFlipped,
        CatalogRescheduled,
        catalog_step,
        scheduler_catalog_step,
    )
    from ferryman.cookbook.steps.control_host import ControlHostCanProbe
    from ferryman.cookbook.steps.decapsulation import SpoofedSourcesDropped
    from ferryman.cookbook.steps.directors import (
        DirectorChanged,
        DirectorsAgree,
        DirectorsEditable,
    )
    from ferryman.cookbook.steps.dns_sizes import CoreDnsKeepsSmall, DnsAnswersFit
    from ferryman.cookbook.steps.exchange import ExchangesCompleted
    from ferryman.cookbook.steps.forwarding import DirectorConverged
    from ferryman.cookbook.steps.git_catalog import CatalogMerged
    from ferryman.cookbook.steps.old_connections import OldConnectionsDrained
    from ferryman.cookbook.steps.path_mtu import PathMtuAsked, PathMtuDiscovered
    from ferryman.cookbook.steps.pod_advmss import PodsSayLess, live_steps
    from ferryman.cookbook.steps.pod_mtu import NewPodsSmall, PodMtuSeen, RestartsListed, SizesExplained
    from ferryman.cookbook.steps.pod_restart import StageSoaked, WorkloadRestarted, restart_steps
    from ferryman.cookbook.steps.policies import IcmpReachesPods, NothingIsolated, manifests_of
    from ferryman.cookbook.steps.probes import ProbesAnswered
    from ferryman.cookbook.steps.realservers import RealserversConverged, RealserversReady, realserver_steps
    from ferryman.cookbook.steps.routes import HostRoutesDown, HostRoutesUp
    from ferryman.cookbook.steps.scheduler import DirectorRescheduled, SchedulerImpact
    from ferryman.cookbook.steps.service_pods import ServicePodsSmall
    from ferryman.cookbook.steps.tables import DirectorsStayConverged
    from ferryman.cookbook.steps.traffic import TrafficFlows
    from ferryman.cookbook.steps.watch import Soaked, watch_over, watch_requests
    from ferryman.directors.schedulers import scheduled
    from ferryman.directors.target import SetForwarding, SetScheduler, Target
    from ferryman.engine.plan import Plan, Step
    from ferryman.engine.steps import Change, Look, NoChange, Report
    from ferryman.hosts.completed import Completed
    from ferryman.hosts.shared import read_back
    from ferryman.hosts.verbs import ReadVerb, WriteVerb, kinds
    from ferryman.hosts.verbs.ipvs import EditTable, IpvsTable
    from ferryman.model import (
        Address,
        Director,
        Edit,
        Finding,
        Forwarding,
        Kind,
        ProbeResult,
        ProbeVerdict,
        Realserver,
        Role,
        Service,
        Verdict,
        VirtualService,
    )
else:
    __getattr__ = lazy_names(
        __name__,
        when_used={
            "ferryman.cookbook.context": ["Ferry"],
            "ferryman.cookbook.steps.catalog": [
                "CatalogFlipped",
                "CatalogRescheduled",
                "catalog_step",
                "scheduler_catalog_step",
            ],
            "ferryman.cookbook.steps.control_host": ["ControlHostCanProbe"],
            "ferryman.cookbook.steps.decapsulation": ["SpoofedSourcesDropped"],
            "ferryman.cookbook.steps.directors": [
                "DirectorChanged",
                "DirectorsAgree",
                "DirectorsEditable",
            ],
            "ferryman.cookbook.steps.dns_sizes": ["CoreDnsKeepsSmall", "DnsAnswersFit"],
            "ferryman.cookbook.steps.exchange": ["ExchangesCompleted"],
            "ferryman.cookbook.steps.forwarding": ["DirectorConverged"],
            "ferryman.cookbook.steps.git_catalog": ["CatalogMerged"],
            "ferryman.cookbook.steps.old_connections": ["OldConnectionsDrained"],
            "ferryman.cookbook.steps.path_mtu": ["PathMtuAsked", "PathMtuDiscovered"],
            "ferryman.cookbook.steps.pod_advmss": ["PodsSayLess", "live_steps"],
            "ferryman.cookbook.steps.pod_mtu": [
                "NewPodsSmall",
                "PodMtuSeen",
                "RestartsListed",
                "SizesExplained",
            ],
            "ferryman.cookbook.steps.pod_restart": ["StageSoaked", "WorkloadRestarted", "restart_steps"],
            "ferryman.cookbook.steps.policies": ["IcmpReachesPods", "NothingIsolated", "manifests_of"],
            "ferryman.cookbook.steps.probes": ["ProbesAnswered"],
            "ferryman.cookbook.steps.realservers": [
                "RealserversConverged",
                "RealserversReady",
                "realserver_steps",
            ],
            "ferryman.cookbook.steps.routes": ["HostRoutesDown", "HostRoutesUp"],
            "ferryman.cookbook.steps.scheduler": ["DirectorRescheduled", "SchedulerImpact"],
            "ferryman.cookbook.steps.service_pods": ["ServicePodsSmall"],
            "ferryman.cookbook.steps.tables": ["DirectorsStayConverged"],
            "ferryman.cookbook.steps.traffic": ["TrafficFlows"],
            "ferryman.cookbook.steps.watch": ["Soaked", "watch_over", "watch_requests"],
            "ferryman.directors.schedulers": ["scheduled"],
            "ferryman.engine.plan": ["Plan"],
        },
        when_named={
            "ferryman.directors.target": ["SetForwarding", "SetScheduler", "Target"],
            "ferryman.engine.plan": ["Step"],
            "ferryman.engine.steps": ["Change", "Look", "NoChange", "Report"],
            "ferryman.hosts.completed": ["Completed"],
            "ferryman.hosts.shared": ["read_back"],
            "ferryman.hosts.verbs": ["ReadVerb", "WriteVerb", "kinds"],
            "ferryman.hosts.verbs.ipvs": ["EditTable", "IpvsTable"],
            "ferryman.model": [
                "Address",
                "Director",
                "Edit",
                "Finding",
                "Forwarding",
                "Kind",
                "ProbeResult",
                "ProbeVerdict",
                "Realserver",
                "Role",
                "Service",
                "Verdict",
                "VirtualService",
            ],
        },
    )

__all__ = [
    "Address",
    "CatalogFlipped",
    "CatalogMerged",
    "CatalogRescheduled",
    "Change",
    "Completed",
    "ControlHostCanProbe",
    "CoreDnsKeepsSmall",
    "Director",
    "DirectorChanged",
    "DirectorConverged",
    "DirectorRescheduled",
    "DirectorsAgree",
    "DirectorsEditable",
    "DirectorsStayConverged",
    "DnsAnswersFit",
    "DoubtError",
    "Edit",
    "EditTable",
    "ExchangesCompleted",
    "Ferry",
    "Finding",
    "Forwarding",
    "HostRoutesDown",
    "HostRoutesUp",
    "IcmpReachesPods",
    "IntRange",
    "IpvsTable",
    "Kind",
    "Look",
    "NewPodsSmall",
    "NoChange",
    "NothingIsolated",
    "OldConnectionsDrained",
    "Overrides",
    "PathMtuAsked",
    "PathMtuDiscovered",
    "Plan",
    "PodMtuSeen",
    "PodsSayLess",
    "ProbeResult",
    "ProbeVerdict",
    "ProbesAnswered",
    "ReadVerb",
    "Realserver",
    "RealserversConverged",
    "RealserversReady",
    "RefusedError",
    "Report",
    "RestartsListed",
    "Role",
    "SchedulerImpact",
    "Service",
    "ServicePodsSmall",
    "SetForwarding",
    "SetScheduler",
    "SizesExplained",
    "Soaked",
    "SpoofedSourcesDropped",
    "StageSoaked",
    "Step",
    "Target",
    "TrafficFlows",
    "UsageError",
    "Verdict",
    "VerifyError",
    "VirtualService",
    "WorkloadRestarted",
    "WorldChangedError",
    "WriteVerb",
    "accept_irreversible_option",
    "argument",
    "catalog_step",
    "cookbook",
    "cookbook_asking",
    "drain_option",
    "kinds",
    "live_steps",
    "load",
    "manifests_of",
    "option",
    "read_back",
    "realserver_steps",
    "restart_steps",
    "scheduled",
    "scheduler_catalog_step",
    "service_argument",
    "site_option",
    "watch_options",
    "watch_over",
    "watch_requests",
]
