"""What knows how one kind of director is read, changed and put back; one driver for each (director, service).

A driver changes one thing: the forwarding method of this service's destinations. Every write is one round
trip that compares on the director itself before it writes, so that what someone else changed is not
overwritten.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ferryman.directors.ipvs import Table, differences, from_json, of_service, to_json
from ferryman.directors.ipvs_listing import READ_TABLE, read_table
from ferryman.directors.options import Options
from ferryman.directors.suitable import reasons_against
from ferryman.errors import RefusedError, UnknownOutcomeError, VerifyError, WorldChangedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.fleet.hosts import Completed, Hosts
    from ferryman.model import Director, Edit, Forwarding, Service

Before = Mapping[str, Any]
"""What was there, as a value for the journal: ``{"table": […], "files": {path: {"text": …, "mode": …}}}``."""

CHANGED = 65
"""The exit status of a driver's script that found something else than it was told to expect."""


class Driver(ABC):
    """Reads, changes and puts back one service on one director."""

    follows_catalog: ClassVar[bool] = False
    """Whether its way back needs the catalog put back first."""

    def __init__(self, director: Director, service: Service, hosts: Hosts) -> None:
        self.director = director
        self.service = service
        self.hosts = hosts
        self.options = Options(director, service)

    @property
    def host(self) -> str:
        """The director's name."""
        return self.director.host

    def read(self) -> Table:
        """This service's virtual servers as the director's kernel has them now; one round trip."""
        return of_service(read_table(self.hosts.read(self.host, READ_TABLE).checked().stdout), self.service)

    def before(self) -> dict[str, Any]:
        """What is there now, in a form for the journal.

        Raises:
            RefusedError: This director must not be changed as it is; the message has every reason.
            VerifyError: It could be asked, but what it says is not understood.
            DoubtError: It could not be asked.
        """
        table, files = self._look()
        reasons = reasons_against(table, self.service)
        if reasons:
            raise RefusedError("\n".join(f"{self.host}: {reason}" for reason in reasons))
        return {"table": to_json(table), "files": files}

    def wanted(self, before: Before, forwarding: Forwarding) -> Table:
        """The table as it is to be: other forwarding methods, everything else as before."""
        return tuple(one.forwarded(forwarding) for one in from_json(before["table"]))

    @abstractmethod
    def already(self, before: Before, forwarding: Forwarding) -> bool:
        """Whether ``apply`` would have nothing to do."""

    @abstractmethod
    def edits(self, before: Before, forwarding: Forwarding) -> list[Edit]:
        """Exactly what ``apply`` does, for people to read first; touches nothing."""

    @abstractmethod
    def edits_back(self, before: Before, forwarding: Forwarding) -> list[Edit]:
        """What ``restore`` does after such an ``apply``: for people who have to do it by hand."""

    def apply(self, before: Before, forwarding: Forwarding) -> None:
        """Make every destination forward by this method; what is half done is completed.

        Raises:
            WorldChangedError: What is there is neither the before nor on the way to what is wanted.
            VerifyError: The director said no, or its table did not follow.
            DoubtError: It went silent, also when asked again.
        """
        self._settled(lambda: self._apply(before, forwarding))

    def restore(self, before: Before) -> None:
        """Put the forwarding methods back; looks first, and twice is harmless.

        Raises as ``apply`` does. What someone else changed meanwhile is left as it is, and told.
        """
        self._settled(lambda: self._restore(before))

    @abstractmethod
    def _look(self) -> tuple[Table, dict[str, Any]]:
        """This service's part of the table, and the files that are part of the before; one round trip."""

    @abstractmethod
    def _apply(self, before: Before, forwarding: Forwarding) -> None: ...

    @abstractmethod
    def _restore(self, before: Before) -> None: ...

    def _settled(self, act: Callable[[], None]) -> None:
        """Act; when the answer was lost, once more: acting looks first, so nothing is repeated blindly."""
        try:
            act()
        except UnknownOutcomeError:
            act()

    def _strange(self, before: Before, now: Table) -> list[str]:
        """What differs from the before apart from forwarding methods: somebody else's work."""
        as_before = from_json(before["table"])
        return differences(as_before, with_methods_of(as_before, now))

    def _changed(self, strange: list[str]) -> WorldChangedError:
        return WorldChangedError(
            "\n".join(f"{self.host}: {line}: someone else changed it since it was read" for line in strange)
            + "\nit was left alone; find out who did, then begin again"
        )

    def _verify(self, wanted: Table, seen: Table, after: str) -> None:
        wrong = differences(wanted, seen)
        if wrong:
            raise VerifyError("\n".join(f"{self.host}: {after}: {line}" for line in wrong))

    def _written(self, done: Completed) -> str:
        """What a driver's script printed; its statuses become its errors."""
        if done.status == CHANGED:
            raise self._changed(done.stderr.strip().splitlines())
        return done.checked().stdout


def with_methods_of(model: Table, table: Table) -> Table:
    """The table with each destination's forwarding method taken from the model, where the model has it."""
    methods = {(server.key, one.key): one for server in model for one in server.destinations}
    return tuple(
        replace(
            server,
            destinations=tuple(
                one.like(methods.get((server.key, one.key), one)) for one in server.destinations
            ),
        )
        for server in table
    )
