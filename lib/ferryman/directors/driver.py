"""What knows how one kind of director is read, changed and put back; one driver for each (director, service).

A driver changes one thing of this service's entries, its target. Every write is one round
trip that compares on the director itself before it writes, so that what someone else changed is not
overwritten. A new driver is a subclass, entered in ``registry.DRIVERS``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ferryman import waits
from ferryman.directors.checks.findings import catalog_findings
from ferryman.directors.checks.preconditions import blockers
from ferryman.directors.comparison import Comparison, compare_tables
from ferryman.directors.options import Options
from ferryman.directors.schedulers import SCHEDULERS
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.errors import RefusedError, UnknownOutcomeError, VerifyError
from ferryman.hosts.verbs.changed import changed_error
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.ipvs.table import Table, differences, from_json, of_service, to_json
from ferryman.management import NoAgent
from ferryman.model import Forwarding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ferryman.directors.target import Target
    from ferryman.errors import WorldChangedError
    from ferryman.hosts.hosts import Hosts
    from ferryman.hosts.verbs import ReadVerb
    from ferryman.ipvs.table import Key
    from ferryman.management import Agent
    from ferryman.model import Director, Edit, Finding, Service

Purpose = Literal["check", "verify", "undo"]
"""What a director is looked at for: to check and change it, to verify what was changed, to put it back."""
Before = Mapping[str, Any]
"""What was there, as a value for the journal: ``{"table": […], "files": {path: {"text": …, "mode": …}}}``."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one round trip read of a director."""

    table: Table
    """The virtual servers of every service."""


@dataclass(frozen=True, slots=True)
class AppliedState:
    """Whether a change that was made still stands, beside what the service's entries say."""

    table: Table
    """The virtual servers of every service."""
    gone: list[str] = field(default_factory=list)
    """What the director's files do not say any more, a line for each thing."""
    others: list[str] = field(default_factory=list)
    """What others have changed in those files beside it."""


def _impossible(target: Target) -> Iterator[str]:
    """What no driver does of a kind of change that it knows."""
    match target:
        case SetForwarding(Forwarding.MASQUERADE):
            yield "only direct routing and IPIP are changed"
        case SetScheduler(scheduler) if scheduler not in SCHEDULERS:
            yield f"IPVS has no scheduler {scheduler!r}, only {', '.join(SCHEDULERS)}"


class Driver(ABC):
    """Reads, changes and puts back one service on one director."""

    targets: ClassVar[tuple[type[Target], ...]] = ()
    """The kinds of target that this driver can bring a director to."""

    def __init__(
        self,
        director: Director,
        service: Service,
        hosts: Hosts,
        agent: Agent | None = None,
        *,
        sleep: Callable[[float], None] = waits.sleep,
    ) -> None:
        self.director = director
        self.service = service
        self.hosts = hosts
        self.agent = agent or NoAgent()
        self.options = Options(director, service)
        self._sleep = sleep
        self.remarks: list[Finding] = []
        """What the latest ``before`` has to say of what it found, though it refuses nothing."""
        self._read_options()

    @abstractmethod
    def _read_options(self) -> None:
        """Take what the driver wants from its keys in directors.yaml.

        Raises:
            ConfigError: One of them is not what it takes.
        """

    @property
    def host(self) -> str:
        """The director's name, as the inventory has it."""
        return self.director.host

    def questions(self, purpose: Purpose, before: Before | None, target: Target) -> Sequence[ReadVerb[Any]]:  # noqa: ARG002  # whoever overrides it needs them
        """What it is going to ask its director for this purpose, for all of it to be asked at once.

        The before is None where none is known. What is not named here is asked when it is needed.
        """
        return (IpvsTable(),) if self.has_ipvs else ()

    table_follows_at_once: ClassVar[bool] = False
    """Whether the table is as written once the writing command has ended; daemons take their time."""

    @property
    def has_ipvs(self) -> bool:
        """Whether the director forwards by its kernel's IPVS table, so that there is one to read back."""
        return True

    @property
    def follows_catalog(self) -> bool:
        """Whether it becomes what the catalog says: a rollback must put the catalog back first."""
        return False

    def irreversible_reason(self, target: Target) -> str | None:  # noqa: ARG002  # whoever overrides it needs the target
        """Why this change could not be put back here; None when it can."""
        return None

    def supports(self, target: Target) -> bool:
        """Whether this driver can bring its director to this target, as far as directors.yaml tells."""
        return not self.unsupported(target)

    def unsupported(self, target: Target) -> list[str]:
        """What this driver cannot do of a target, a line for each reason; nothing is asked of the director.

        A driver with limits of its own adds them.
        """
        if not isinstance(target, self.targets):
            known = ", ".join(kind.__name__ for kind in self.targets)
            return [f"{type(target).__name__} is no kind of change that it knows ({known})"]
        return list(_impossible(target))

    def require_supported(self, target: Target) -> None:
        """Refuse a target that this driver cannot bring its director to; nothing is asked of the director.

        Raises:
            RefusedError: It cannot; names director, driver and target, and has every reason.
        """
        subject = f"{self.host}: driver {self.director.driver} cannot make {self.service.name} {target}"
        if reasons := self.unsupported(target):
            raise RefusedError("\n".join(f"{subject}: {reason}" for reason in reasons))

    def read_all(self) -> Table:
        """Every virtual server as the director's kernel has it now, of all services; one round trip."""
        return self.hosts.read(self.host, IpvsTable())

    def read(self) -> Table:
        """This service's virtual servers as the director's kernel has them now; one round trip."""
        return of_service(self.read_all(), self.service)

    def findings(self, service: Service, table: Table) -> list[Finding]:
        """What was read of the service against what the catalog says in these words of it."""
        return catalog_findings(self.director, service, table)

    def now(self) -> dict[str, Any]:
        """What is there now, in a form for the journal, whether it may be changed or not.

        Raises:
            VerifyError: It could be asked, but what it says is not understood.
            DoubtError: It could not be asked.
        """
        table, files = self._look()
        return {"table": to_json(table), "files": files}

    def before(self, target: Target | None = None) -> dict[str, Any]:
        """What is there now, to be changed next to what the target says; raises as ``now`` does.

        Raises:
            RefusedError: The driver does not support the target, or this director must not be changed as it
                is; the message has every reason.
        """
        if target is not None:
            self.require_supported(target)
        return self._before(target)

    def _before(self, target: Target | None) -> dict[str, Any]:
        """What ``before`` returns, once the target is known to be supported; raises as it does."""
        del target
        found = self.now()
        self._refuse(blockers(from_json(found["table"]), self.service))
        return found

    def moving_weights(self) -> list[tuple[Key, str]]:
        """The destinations of this service whose weights the director's software changes by itself.

        Raises as ``now`` does.
        """
        return []

    def obstacles(self, target: Target) -> list[Finding]:
        """What would refuse this change beside what its table has, and what is to be said of it; only reads.

        Raises as ``now`` does.
        """
        del target
        return []

    def wanted(self, before: Before, target: Target) -> Table:
        """The table as it is to be: the target's aspect of it, everything else as before."""
        return target.apply(from_json(before["table"]))

    @abstractmethod
    def already(self, before: Before, target: Target) -> bool:
        """Whether ``apply`` would have nothing to do."""

    @abstractmethod
    def edits(self, before: Before, target: Target) -> list[Edit]:
        """Exactly what ``apply`` does, for people to read first; touches nothing."""

    @abstractmethod
    def undo_edits(self, before: Before, target: Target) -> list[Edit]:
        """What ``restore`` does after such an ``apply``: for people who have to do it by hand."""

    def cannot_tell_before(self, before: Before, target: Target) -> str | None:
        """What must happen before it is known which of ``edits`` are made; None: all of them, and no other.

        A director that follows the catalog may have followed by itself by then, in part or whole.
        """
        del before, target
        if self.follows_catalog:
            return "the catalog is changed: the director follows it, and may do so by itself"
        return None

    def apply(self, before: Before, target: Target) -> list[Edit]:
        """Make this service's entries what the target says; what is half done is completed.

        Returns:
            What was really done; nothing where nothing was written.

        Raises:
            RefusedError: The driver does not support the target.
            WorldChangedError: What is there is neither the before nor on the way to what is wanted.
            VerifyError: The director said no, or its table did not follow.
            DoubtError: It went silent, also when asked again.
        """
        self.require_supported(target)
        made: list[Edit] = []
        self._settled(lambda: self._apply(before, target, made))
        return list(dict.fromkeys(made))

    def restore(self, before: Before, target: Target) -> list[Edit]:
        """Put back what ``apply`` changed for this target; looks first, and twice is harmless.

        What someone else changed beside it is left as it is: ``compare`` tells.

        Returns:
            What was really done; nothing where nothing was written.

        Raises as ``apply`` does.
        """
        made: list[Edit] = []
        self._settled(lambda: self._restore(before, target, made))
        return list(dict.fromkeys(made))

    def compare(self, before: Before, target: Target) -> Comparison:
        """What is there now, table and files, against the before of a change; raises as ``now`` does."""
        observation = self._observe(before)
        return replace(self._compared(before, target, observation), table=observation.table)

    def require_restorable(self, before: Before, target: Target) -> None:
        """Look whether ``restore`` can succeed; nothing is written, and nothing is asked of what is back.

        Raises as ``restore`` does.
        """
        observation = self._observe(before)
        if self._compared(before, target, observation).ours:
            self._require_restorable(before, target, observation)

    def in_effect(self, before: Before | None, target: Target) -> list[str]:
        """What of this target is in the world, whole or in part; raises as ``now`` does.

        Without a before, that is whatever is as the target says.
        """
        observation = self._observe(before)
        if before is not None:
            return list(self._compared(before, target, observation).ours)
        return [
            *target.matching(of_service(observation.table, self.service)),
            *self._matching_in_files(target, observation),
        ]

    def applied_state(self, before: Before, target: Target) -> AppliedState:
        """The table, and whether the files still say what ``apply`` wrote; one round trip."""
        del before, target
        return AppliedState(self.read_all())

    def _observe(self, before: Before | None) -> Observation:
        """Everything that these look at: the table and, where there are any, the files."""
        del before
        return Observation(self.read_all())

    def _compared(self, before: Before, target: Target, observation: Observation) -> Comparison:
        return compare_tables(from_json(before["table"]), of_service(observation.table, self.service), target)

    def _matching_in_files(self, target: Target, observation: Observation) -> list[str]:
        """What the files say of this service as the target does."""
        del target, observation
        return []

    def _require_restorable(self, before: Before, target: Target, observation: Observation) -> None:
        """Raise where ``restore`` would, though something is to be put back."""
        del before, target, observation

    @abstractmethod
    def _look(self) -> tuple[Table, dict[str, Any]]:
        """This service's part of the table, and the files that are part of the before; one round trip."""

    @abstractmethod
    def _apply(self, before: Before, target: Target, made: list[Edit]) -> None:
        """Reach the target, and add to ``made`` what is done right before it is."""

    @abstractmethod
    def _restore(self, before: Before, target: Target, made: list[Edit]) -> None:
        """Put it back, and add to ``made`` what is done right before it is."""

    def _settled(self, act: Callable[[], None]) -> None:
        """Act; when the answer was lost, once more: acting looks first, so nothing is repeated blindly."""
        try:
            act()
        except UnknownOutcomeError:
            act()

    def _foreign_changes(self, before: Before, target: Target, now: Table) -> list[str]:
        """What differs from the before apart from the target's aspect: somebody else's work."""
        as_before = from_json(before["table"])
        return differences(as_before, target.revert(as_before, now))

    def _refuse(self, reasons: Sequence[str]) -> None:
        """Raise a RefusedError that has them all, where there are any."""
        if reasons:
            raise RefusedError("\n".join(f"{self.host}: {reason}" for reason in reasons))

    def _changed(self, changes: list[str]) -> WorldChangedError:
        return changed_error(self.host, changes)

    def _verify(self, wanted: Table, seen: Table, after: str) -> None:
        wrong = differences(wanted, seen)
        if wrong:
            raise VerifyError("\n".join(f"{self.host}: {after}: {line}" for line in wrong))
