"""What a cookbook author imports: the decorator, ``Plan``, the kinds of step, the stock steps, and the types.

The types of the model are here so that an author can annotate a step. An author's own verb is a ``ReadVerb``
or a ``WriteVerb``; ``kinds`` has the forms that its arguments can have.
"""

from ferryman.click_shim import argument, option
from ferryman.cookbook.command import (
    accept_irreversible_option,
    cookbook,
    drain_option,
    service_argument,
    site_option,
    watch_options,
)
from ferryman.cookbook.context import Ferry, Overrides
from ferryman.cookbook.loading import load
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
    DirectorConverged,
    DirectorsAgree,
    DirectorsEditable,
)
from ferryman.cookbook.steps.git_catalog import CatalogMerged
from ferryman.cookbook.steps.old_connections import OldConnectionsDrained
from ferryman.cookbook.steps.probes import ProbesAnswered
from ferryman.cookbook.steps.realservers import RealserversConverged, RealserversReady, realserver_steps
from ferryman.cookbook.steps.routes import HostRoutesDown, HostRoutesUp
from ferryman.cookbook.steps.scheduler import DirectorRescheduled, SchedulerImpact
from ferryman.cookbook.steps.tables import DirectorsStayConverged
from ferryman.cookbook.steps.traffic import TrafficFlows
from ferryman.cookbook.steps.watch import Soaked, watch_over, watch_requests
from ferryman.directors import SetForwarding, SetScheduler, Target, scheduled
from ferryman.engine.plan import Plan, Step
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import DoubtError, RefusedError, UsageError, VerifyError, WorldChangedError
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

__all__ = [
    "Address",
    "CatalogFlipped",
    "CatalogMerged",
    "CatalogRescheduled",
    "Change",
    "Completed",
    "ControlHostCanProbe",
    "Director",
    "DirectorChanged",
    "DirectorConverged",
    "DirectorRescheduled",
    "DirectorsAgree",
    "DirectorsEditable",
    "DirectorsStayConverged",
    "DoubtError",
    "Edit",
    "EditTable",
    "Ferry",
    "Finding",
    "Forwarding",
    "HostRoutesDown",
    "HostRoutesUp",
    "IpvsTable",
    "Kind",
    "Look",
    "NoChange",
    "OldConnectionsDrained",
    "Overrides",
    "Plan",
    "ProbeResult",
    "ProbeVerdict",
    "ProbesAnswered",
    "ReadVerb",
    "Realserver",
    "RealserversConverged",
    "RealserversReady",
    "RefusedError",
    "Report",
    "Role",
    "SchedulerImpact",
    "Service",
    "SetForwarding",
    "SetScheduler",
    "Soaked",
    "SpoofedSourcesDropped",
    "Step",
    "Target",
    "TrafficFlows",
    "UsageError",
    "Verdict",
    "VerifyError",
    "VirtualService",
    "WorldChangedError",
    "WriteVerb",
    "accept_irreversible_option",
    "argument",
    "catalog_step",
    "cookbook",
    "drain_option",
    "kinds",
    "load",
    "option",
    "read_back",
    "realserver_steps",
    "scheduled",
    "scheduler_catalog_step",
    "service_argument",
    "site_option",
    "watch_options",
    "watch_over",
    "watch_requests",
]
