"""The driver of a director that Liberica fills: Wikimedia's control plane over IPVS or over Katran.

Puppet writes ``config.yaml`` and reloads nothing; ``systemctl reload liberica-cp`` makes the control plane
load it, or refuse it and go on as before. Which of the two stands in its metrics, as the time of the last
reload by result. Those times are compared with each other, with the file's and with the time the process
began: all of them are of the director's own clock, and what time it is on the control host does not matter.

Over IPVS the kernel's table is read back. Over Katran there is none: what can be read is the file,
and whether the control plane has loaded it. Katran does nothing but encapsulate, so a service that has been
loaded as ``tunnel`` cannot be put back.

The metrics' names are those that Wikimedia's cookbook ``sre.loadbalancer.admin`` reads. Liberica's source
could not be read, so what is not in that cookbook or in its Puppet module is not relied upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferryman import retry
from ferryman.directors.comparison import Comparison
from ferryman.directors.expected_table import expected_table
from ferryman.directors.liberica.conf import SCHEDULER, LibericaConf
from ferryman.directors.liberica.status import Status, clock
from ferryman.directors.managed import ConfigManagedDriver, State
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.errors import DoubtError, NotFollowedError, VerifyError
from ferryman.hosts.verbs.daemons import LibericaRead, LibericaReload
from ferryman.ipvs.table import differences, from_json
from ferryman.model import Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.directors.driver import Before, Observation
    from ferryman.directors.target import Target
    from ferryman.ipvs.table import Table
    from ferryman.model import Edit, Service

CONFIGURED_CHECK = "director-configuration"


class LibericaDriver(ConfigManagedDriver):
    """Runs the agent, reloads the control plane, sees that it loaded its file, and reads IPVS back.

    Its keys beside those of every follower: ``plane``, ``reload``, ``metrics``, ``bgp_metrics``.
    """

    targets = (SetForwarding, SetScheduler)

    default_config = "/etc/liberica/config.yaml"

    def _read_options(self) -> None:
        super()._read_options()
        self.plane = self.options.text("plane", "ipvs")
        if self.plane not in ("ipvs", "katran"):
            self.options.wrong("plane", self.plane, "ipvs or katran")
        self.reload = self.options.command("reload", "systemctl reload liberica-cp")
        self.metrics = self.options.url("metrics", "http://localhost:3003/metrics")
        self.bgp_metrics = self.options.url("bgp_metrics", "http://localhost:3010/metrics")

    @property
    def has_ipvs(self) -> bool:
        """Whether its forwarding plane is IPVS, so that there is a kernel's table to read back."""
        return self.plane == "ipvs"

    def irreversible_reason(self, target: Target) -> str | None:
        """Katran has no direct routing to go back to."""
        if self.has_ipvs or not isinstance(target, SetForwarding):
            return None
        return "its forwarding plane is katran, which has no direct routing to go back to"

    @property
    def reload_command(self) -> str:
        """The command that reloads the control plane, from directors.yaml."""
        return self.reload

    def read_all(self) -> Table:
        """The kernel's table; on a Katran plane, this service's entries as liberica-cp has loaded them."""
        return super().read_all() if self.has_ipvs else self._state().table

    def _before(self, target: Target | None) -> dict[str, Any]:
        """What is there now; on a Katran plane also when its file was last loaded."""
        found = super()._before(target)
        return found if self.has_ipvs else {**found, "resumed": self._status(self._state()).resumed}

    def unsupported(self, target: Target) -> list[str]:
        """A scheduler other than ``mh``, the catalog's included; over Katran direct routing too."""
        limits = [*self._other_schedulers(target), *self._not_katrans(target)]
        return super().unsupported(target) or limits

    def already(self, before: Before, target: Target) -> bool:
        """Whether table, file and process say so.

        Raises:
            RefusedError: Liberica cannot be brought to the target, or the table has a scheduler that it
                does not have.
        """
        self.require_supported(target)
        has = {server.scheduler for server in self.wanted(before, target)}
        self._refuse([self._move_first(scheduler) for scheduler in sorted(has - {SCHEDULER})])
        return super().already(before, target)

    def findings(self, service: Service, table: Table) -> list[Finding]:
        """What the table says; on a Katran plane, what the file says and whether it was loaded."""
        if self.has_ipvs:
            return super().findings(service, table)
        method = Forwarding.TUNNEL if service.encapsulated else Forwarding.DIRECT
        wanted = f"{method.word}, as the catalog says for {service.site}, and loaded by liberica-cp"
        stale = self._pending_reload(self._state())
        lines = [*differences(expected_table(service, method), table), *([stale] if stale else [])]
        return [
            Finding(
                CONFIGURED_CHECK,
                self.host,
                Verdict.FAIL if lines else Verdict.PASS,
                "; ".join(lines) or f"{self.config} says {method.word}, and liberica-cp has loaded it",
                wanted,
                f"finish what was begun there first: a reload ({self.reload}) loads all of it"
                if stale
                else "",
            )
        ]

    def _other_schedulers(self, target: Target) -> Iterator[str]:
        """Schedulers that it does not have: the catalog's, unless those are what is being changed."""
        meant = {virtual_service.scheduler for virtual_service in self.service.virtual_services}
        if isinstance(target, SetScheduler):
            meant = {target.scheduler}
        return (self._move_first(scheduler) for scheduler in sorted(meant - {SCHEDULER}))

    def _move_first(self, scheduler: str) -> str:
        return (
            f"liberica has no scheduler but {SCHEDULER}, and {self.service.name} is to have {scheduler}:"
            f" move it first, with: ferryman scheduler migrate {self.service.name}"
            f" --site {self.service.site} --to {SCHEDULER}"
        )

    def _not_katrans(self, target: Target) -> Iterator[str]:
        if not self.has_ipvs and target == SetForwarding(Forwarding.DIRECT):
            yield "its forwarding plane is katran, which has no direct routing"

    def _restore(self, before: Before, target: Target, made: list[Edit]) -> None:
        if not self.irreversible_reason(target):
            super()._restore(before, target, made)
            return
        state, was = self._state(), from_json(before["table"])
        self._require_not_reloaded(before, target, state)
        self._with_file(state, was, target, made)

    def _require_not_reloaded(self, before: Before, target: Target, state: State) -> None:
        """Raise a VerifyError where it was reloaded since, and a DoubtError where nobody can tell."""
        resumed = self._status(state).resumed
        if resumed is None:
            raise DoubtError(f"{self.host}: {self._silent(state)}; whether it has been reloaded is not known")
        if resumed != before["resumed"]:
            raise VerifyError(
                f"{self.host}: not reversible: {self.irreversible_reason(target)}, and it was reloaded at"
                f" {clock(resumed)}; by hand: let the catalog say IPIP again (ferryman inventory flip"
                f" {self.service.name} --site {self.service.site} --to ipip) before anything reloads it, or"
                " take it out of service"
            )

    def _compared(self, before: Before, target: Target, observation: Observation) -> Comparison:
        """Over Katran, a reload since then counts too: what it loaded cannot be put back."""
        found = super()._compared(before, target, observation)
        if not self.irreversible_reason(target):
            return found
        assert isinstance(observation, State)
        resumed = self._status(observation).resumed
        if resumed == before["resumed"]:
            return found
        return found + Comparison(ours=(f"was reloaded at {clock(resumed)}, and katran does not go back",))

    def _require_restorable(self, before: Before, target: Target, observation: Observation) -> None:
        assert isinstance(observation, State)
        if self.irreversible_reason(target):
            self._require_not_reloaded(before, target, observation)
        super()._require_restorable(before, target, observation)
        if self._status(observation).complaint:
            raise DoubtError(f"{self.host}: would not be reloaded: {self._silent(observation)}")

    def _state(self) -> State:
        """Table, file, answers; without IPVS the table is what has been loaded of the file.

        What is not known to be tunnelled counts as direct: a reload more does no harm.
        """
        state = super()._state()
        if self.has_ipvs:
            return state
        text, answers = state.text, state.answers
        tunnelled = expected_table(self.service, Forwarding.TUNNEL)
        if not Status.of(answers).is_fresh or differences(tunnelled, self._conf(text).configured(tunnelled)):
            known = self._conf(text).configured(expected_table(self.service, Forwarding.DIRECT))
            return State(SetForwarding(Forwarding.DIRECT).apply(known), text, answers)
        return State(tunnelled, text, answers)

    @property
    def _question(self) -> LibericaRead:
        return LibericaRead(self.config, self.metrics, self.bgp_metrics, ipvs=self.has_ipvs)

    def _table_from_file(self, text: str, table: Table) -> Table:
        return self._conf(text).configured(table)

    def _conf(self, text: str) -> LibericaConf:
        return LibericaConf.read(text, f"{self.host}: {self.config}")

    def _status(self, state: State) -> Status:
        return Status.of(state.answers)

    def _reload(self) -> None:
        """Reload, and wait for the control plane to say that it did.

        Raises:
            VerifyError: It refused its file, or could not be reloaded.
            DoubtError: It does not say how it is, so nobody would know; it was not reloaded.
            NotFollowedError: The reload command was content, and the control plane knows of no reload.
        """
        earlier = self._status(state := self._state())
        if earlier.complaint:
            raise DoubtError(f"{self.host}: not reloaded: {self._silent(state)}")
        self.hosts.write(self.host, LibericaReload(self.reload, earlier.latest_s))

        def is_answered(now: Status) -> bool:
            return now.resumed != earlier.resumed or now.refused != earlier.refused

        now = retry.poll_until(
            lambda: self._status(self._state()),
            is_answered,
            within_s=self.converge_s,
            every_s=1.0,
            sleep=self._sleep,
        )
        if now.refused != earlier.refused and now.was_refused:
            raise VerifyError(
                f"{self.host}: liberica-cp refused {self.config} at {clock(now.refused)} and goes on as"
                " before; see why: journalctl -u liberica-cp"
            )
        if not is_answered(now):
            raise NotFollowedError(
                f"{self.host}: {self.reload!r} ran, but after {self.converge_s:g} s liberica-cp still says"
                f" that it loaded its file at {clock(earlier.resumed)} ({self.metrics}); does it run?"
            )

    def _pending_reload(self, state: State) -> str | None:
        status = self._status(state)
        if status.resumed is None:
            return self._silent(state)
        if status.is_fresh:
            return None
        return (
            f"{self.config} is of {clock(status.written)}, and liberica-cp last loaded it at"
            f" {clock(status.resumed)}"
        )

    def _silent(self, state: State) -> str:
        complaint = self._status(state).complaint
        why = f" ({complaint})" if complaint else ""
        return f"{self.metrics} does not say when liberica-cp loaded its file{why}"

    def _health_problems(self, state: State) -> list[str]:
        status, plane = self._status(state), self._conf(state.text).plane
        lines = [f"cannot be asked how it is: {status.complaint}"] if status.complaint else []
        if plane != self.plane:
            lines.append(f"{self.config}: forwarding_plane is {plane}, directors.yaml says {self.plane}")
        if status.was_refused:
            lines.append(
                f"liberica-cp refused {self.config} at {clock(status.refused)} and runs an older one"
            )
        if not status.peers or not status.advertised:
            what = "route is advertised" if status.peers else "BGP session is established"
            lines.append(f"no {what} ({self.bgp_metrics}): no router sends anything here")
        return lines

    def _pending(self, state: State) -> list[str]:
        """Over Katran nobody can tell what a reload would change of other services; findings warn."""
        return super()._pending(state) if self.has_ipvs else []
