"""What a cookbook author imports: the decorator, ``Plan``, the two kinds of step, and the stock steps."""

from ferryman.commandline import argument, option
from ferryman.cookbook.command import (
    accept_irreversible_option,
    cookbook,
    drain_option,
    service_argument,
    site_option,
    watch_options,
)
from ferryman.cookbook.ferry import Ferry, Overrides
from ferryman.cookbook.loading import load
from ferryman.cookbook.steps.catalog import (
    CatalogFlipped,
    CatalogRescheduled,
    catalog_step,
    scheduler_catalog_step,
)
from ferryman.cookbook.steps.control_host import ControlHostCanProbe
from ferryman.cookbook.steps.decapsulation import SpoofedSourcesDropped
from ferryman.cookbook.steps.directors import DirectorConverged, DirectorsAgree, OldConnectionsDrained
from ferryman.cookbook.steps.git_catalog import CatalogMerged
from ferryman.cookbook.steps.probes import ProbesAnswered
from ferryman.cookbook.steps.realservers import RealserversConverged, RealserversReady, realserver_steps
from ferryman.cookbook.steps.routes import HostRoutesDown, HostRoutesUp
from ferryman.cookbook.steps.scheduler import DirectorRescheduled, SchedulerImpact
from ferryman.cookbook.steps.tables import DirectorsStayConverged
from ferryman.cookbook.steps.traffic import TrafficFlows
from ferryman.cookbook.steps.watch import Soaked, watch_over, watch_requests
from ferryman.directors import scheduled
from ferryman.engine.plan import Plan
from ferryman.engine.steps import Change, Look, NoChange, Report
from ferryman.errors import DoubtError, RefusedError, UsageError, VerifyError, WorldChangedError
from ferryman.model import Edit, Finding, Verdict

__all__ = [
    "CatalogFlipped",
    "CatalogMerged",
    "CatalogRescheduled",
    "Change",
    "ControlHostCanProbe",
    "DirectorConverged",
    "DirectorRescheduled",
    "DirectorsAgree",
    "DirectorsStayConverged",
    "DoubtError",
    "Edit",
    "Ferry",
    "Finding",
    "HostRoutesDown",
    "HostRoutesUp",
    "Look",
    "NoChange",
    "OldConnectionsDrained",
    "Overrides",
    "Plan",
    "ProbesAnswered",
    "RealserversConverged",
    "RealserversReady",
    "RefusedError",
    "Report",
    "SchedulerImpact",
    "Soaked",
    "SpoofedSourcesDropped",
    "TrafficFlows",
    "UsageError",
    "Verdict",
    "VerifyError",
    "WorldChangedError",
    "accept_irreversible_option",
    "argument",
    "catalog_step",
    "cookbook",
    "drain_option",
    "load",
    "option",
    "realserver_steps",
    "scheduled",
    "scheduler_catalog_step",
    "service_argument",
    "site_option",
    "watch_options",
    "watch_over",
    "watch_requests",
]
