"""What a cookbook author imports: the decorator, ``Plan``, the two kinds of step, and the stock steps."""

from ferryman.commandline import argument, option
from ferryman.cookbook.command import (
    accept_no_way_back_option,
    cookbook,
    drain_option,
    service_argument,
    site_option,
    watch_options,
)
from ferryman.cookbook.ferry import Ferry, Patience
from ferryman.cookbook.loading import load
from ferryman.cookbook.steps.catalog import (
    CatalogFlipped,
    CatalogRescheduled,
    catalog_flipped,
    catalog_rescheduled,
)
from ferryman.cookbook.steps.control_host import ControlHostCanProbe
from ferryman.cookbook.steps.directors import DirectorConverged, DirectorsAgree, OldConnectionsDrained
from ferryman.cookbook.steps.git_catalog import CatalogMerged
from ferryman.cookbook.steps.probes import ProbesAnswered
from ferryman.cookbook.steps.realservers import RealserversConverged, RealserversReady, realservers_converged
from ferryman.cookbook.steps.routes import HostRoutesDown, HostRoutesUp
from ferryman.cookbook.steps.scheduler import DirectorRescheduled, ReschedulingForetold
from ferryman.cookbook.steps.strangers import StrangersRefused
from ferryman.cookbook.steps.tables import DirectorsStayConverged
from ferryman.cookbook.steps.traffic import TrafficFlows
from ferryman.cookbook.steps.watch import Soaked, watch_over, watch_requests
from ferryman.directors import scheduled
from ferryman.engine.plan import Plan
from ferryman.engine.steps import AlreadySo, Change, Look, Report
from ferryman.errors import DoubtError, RefusedError, UsageError, VerifyError, WorldChangedError
from ferryman.model import Edit, Finding, Verdict

__all__ = [
    "AlreadySo",
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
    "OldConnectionsDrained",
    "Patience",
    "Plan",
    "ProbesAnswered",
    "RealserversConverged",
    "RealserversReady",
    "RefusedError",
    "Report",
    "ReschedulingForetold",
    "Soaked",
    "StrangersRefused",
    "TrafficFlows",
    "UsageError",
    "Verdict",
    "VerifyError",
    "WorldChangedError",
    "accept_no_way_back_option",
    "argument",
    "catalog_flipped",
    "catalog_rescheduled",
    "cookbook",
    "drain_option",
    "load",
    "option",
    "realservers_converged",
    "scheduled",
    "service_argument",
    "site_option",
    "watch_options",
    "watch_over",
    "watch_requests",
]
