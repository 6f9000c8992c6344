"""The driver of a director that Liberica fills: Wikimedia's control plane over IPVS or over Katran.

Puppet writes ``config.yaml`` and reloads nothing; ``systemctl reload liberica-cp`` makes the control plane
take it up, or refuse it and go on as before. Which of the two stands in its metrics, as the time of the last
reload by result. Those times are compared with each other, with the file's and with the time the process
began: all of them are of the director's own clock, and what time it is on the control host does not matter.

Over IPVS the kernel's table is read back. Over Katran there is none: what can be read is the file,
and whether the control plane has taken it up. Katran does nothing but encapsulate, so a service that has been
taken up as ``tunnel`` cannot be put back.

The metrics' names are those that Wikimedia's cookbook ``sre.loadbalancer.admin`` reads. Liberica's source
could not be read, so what is not in that cookbook or in its Puppet module is not relied upon.
"""

from __future__ import annotations

import base64
import shlex
from typing import TYPE_CHECKING, Any

from ferryman import retry
from ferryman.directors.comparison import Comparison
from ferryman.directors.expected_table import nominal
from ferryman.directors.ipvs import differences, from_json
from ferryman.directors.liberica_conf import SCHEDULER, LibericaConf
from ferryman.directors.liberica_status import Status, clock, questions
from ferryman.directors.managed import Follower, State
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.errors import DoubtError, NotFollowedError, RefusedError, VerifyError
from ferryman.model import Finding, Forwarding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.directors.driver import Before, Sight
    from ferryman.directors.ipvs import Table
    from ferryman.directors.target import Target
    from ferryman.model import Edit, Service

CONFIGURED_CHECK = "director-configuration"
_RELOAD_S = 60.0
"""Seconds for the reload command itself."""
_TICKS = "1 2 3"
"""Seconds to wait at most for the director's clock to pass the second of an earlier reload."""


class LibericaDriver(Follower):
    """Runs the agent, reloads the control plane, sees that it took its file up, and reads IPVS back.

    Its keys beside those of every follower: ``plane``, ``reload``, ``metrics``, ``bgp_metrics``.
    """

    default_config = "/etc/liberica/config.yaml"

    def _read_options(self) -> None:
        super()._read_options()
        self.plane = self.options.text("plane", "ipvs")
        if self.plane not in ("ipvs", "katran"):
            self.options.wrong("plane", self.plane, "ipvs or katran")
        self.reload = self.options.text("reload", "systemctl reload liberica-cp")
        self.metrics = self.options.text("metrics", "http://localhost:3003/metrics")
        self.bgp_metrics = self.options.text("bgp_metrics", "http://localhost:3010/metrics")

    @property
    def has_ipvs(self) -> bool:
        """On an IPVS plane."""
        return self.plane == "ipvs"

    def irreversible_reason(self, target: Target) -> str | None:
        """Katran has no direct routing to go back to."""
        if self.has_ipvs or not isinstance(target, SetForwarding):
            return None
        return "its forwarding plane is katran, which has no direct routing to go back to"

    @property
    def renewal(self) -> str:
        """What reloads it."""
        return self.reload

    def read_all(self) -> Table:
        """The kernel's table; on a Katran plane, this service's entries as they have been taken up."""
        return super().read_all() if self.has_ipvs else self._state().table

    def before(self, target: Target | None = None) -> dict[str, Any]:
        """What is there now; on a Katran plane also when its file was last taken up, to tell later."""
        found = super().before(target)
        return found if self.has_ipvs else {**found, "resumed": self._account(self._state()).resumed}

    def already(self, before: Before, target: Target) -> bool:
        """Whether table, file and process say so; refuses what Liberica cannot be brought to."""
        if reasons := [*self._other_schedulers(before, target), *self._not_katrans(target)]:
            raise RefusedError("\n".join(f"{self.host}: {reason}" for reason in reasons))
        return super().already(before, target)

    def findings(self, service: Service, table: Table) -> list[Finding]:
        """The table's; on a Katran plane, what the file says and whether it was taken up."""
        if self.has_ipvs:
            return super().findings(service, table)
        method = Forwarding.TUNNEL if service.encapsulated else Forwarding.DIRECT
        wanted = f"{method.word}, as the catalog says for {service.site}, and taken up by liberica-cp"
        stale = self._stale(self._state())
        lines = [*differences(nominal(service, method), table), *([stale] if stale else [])]
        return [
            Finding(
                CONFIGURED_CHECK,
                self.host,
                Verdict.FAIL if lines else Verdict.PASS,
                "; ".join(lines) or f"{self.config} says {method.word}, and liberica-cp has taken it up",
                wanted,
                f"finish what was begun there first: a reload ({self.reload}) takes up all of it"
                if stale
                else "",
            )
        ]

    def _other_schedulers(self, before: Before, target: Target) -> Iterator[str]:
        """Schedulers that it does not have: the catalog's, unless those are what is being changed."""
        meant = {one.scheduler for one in self.wanted(before, target)}
        if not isinstance(target, SetScheduler):
            meant |= {virtual_service.scheduler for virtual_service in self.service.virtual_services}
        for scheduler in sorted(meant - {SCHEDULER}):
            yield (
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
        self._require_not_taken_up(before, target, state)
        self._with_file(state, was, target, made)

    def _require_not_taken_up(self, before: Before, target: Target, state: State) -> None:
        """Raise where there is no way back any more, or nobody can tell."""
        resumed = self._account(state).resumed
        if resumed is None:
            raise DoubtError(f"{self.host}: {self._silent(state)}; whether it has been reloaded is not known")
        if resumed != before["resumed"]:
            raise VerifyError(
                f"{self.host}: not reversible: {self.irreversible_reason(target)}, and it was reloaded at"
                f" {clock(resumed)}; by hand: let the catalog say IPIP again (ferryman inventory flip"
                f" {self.service.name} --site {self.service.site} --to ipip) before anything reloads it, or"
                " take it out of service"
            )

    def _compared(self, before: Before, target: Target, sight: Sight) -> Comparison:
        """Over Katran, a reload since then counts too: what it took up does not go back."""
        found = super()._compared(before, target, sight)
        if not self.irreversible_reason(target):
            return found
        assert isinstance(sight, State)
        resumed = self._account(sight).resumed
        if resumed == before["resumed"]:
            return found
        return found + Comparison(ours=(f"was reloaded at {clock(resumed)}, and katran does not go back",))

    def _require_restorable(self, before: Before, target: Target, sight: Sight) -> None:
        assert isinstance(sight, State)
        if self.irreversible_reason(target):
            self._require_not_taken_up(before, target, sight)
        super()._require_restorable(before, target, sight)
        if self._account(sight).said:
            raise DoubtError(f"{self.host}: would not be reloaded: {self._silent(sight)}")

    def _state(self) -> State:
        """Table, file, answers; without IPVS the table is what has been taken up of the file.

        What is not known to be tunnelled counts as direct: a reload more does no harm.
        """
        if self.has_ipvs:
            return super()._state()
        script = (
            f"base64 -w0 -- {shlex.quote(self.config)} || exit\necho\n{{\n{self._questions}\n}} 2>&1 || :"
        )
        found, _, answers = self.hosts.read(self.host, script).checked().stdout.partition("\n")
        text = base64.b64decode(found).decode("utf-8", "surrogateescape")
        tunnelled = nominal(self.service, Forwarding.TUNNEL)
        if not Status.of(answers).is_fresh or differences(tunnelled, self._conf(text).configured(tunnelled)):
            known = self._conf(text).configured(nominal(self.service, Forwarding.DIRECT))
            return State(SetForwarding(Forwarding.DIRECT).of(known), text, answers)
        return State(tunnelled, text, answers)

    @property
    def _questions(self) -> str:
        return questions(self.metrics, self.bgp_metrics, self.config)

    def _configured(self, text: str, table: Table) -> Table:
        return self._conf(text).configured(table)

    def _conf(self, text: str) -> LibericaConf:
        return LibericaConf.read(text, f"{self.host}: {self.config}")

    def _account(self, state: State) -> Status:
        return Status.of(state.answers)

    def _renew(self) -> None:
        """Reload, and wait for the control plane to say that it did.

        Raises:
            VerifyError: It refused its file, or could not be reloaded.
            DoubtError: It does not say how it is, so nobody would know; it was not reloaded.
            NotFollowedError: The reload command was content, and the control plane knows of no reload.
        """
        earlier = self._account(state := self._state())
        if earlier.said:
            raise DoubtError(f"{self.host}: not reloaded: {self._silent(state)}")
        self.hosts.write(self.host, self._after_the_second(earlier), timeout_s=_RELOAD_S).checked()

        def is_told(now: Status) -> bool:
            return now.resumed != earlier.resumed or now.refused != earlier.refused

        now = retry.poll_until(
            lambda: self._account(self._state()),
            is_told,
            within_s=self.converge_s,
            every_s=1.0,
            sleep=self._sleep,
        )
        if now.refused != earlier.refused and now.was_refused:
            raise VerifyError(
                f"{self.host}: liberica-cp refused {self.config} at {clock(now.refused)} and goes on as"
                " before; see why: journalctl -u liberica-cp"
            )
        if not is_told(now):
            raise NotFollowedError(
                f"{self.host}: {self.reload!r} ran, but after {self.converge_s:g} s liberica-cp still says"
                f" that it took its file up at {clock(earlier.resumed)} ({self.metrics}); does it run?"
            )

    def _after_the_second(self, earlier: Status) -> str:
        """The reload, in a later second than everything before: the times in its metrics may be whole."""
        passed = f'[ "$(date +%s)" -gt {earlier.latest_s} ] && break'
        return f"for tick in {_TICKS}; do {passed}; sleep 1; done\n{self.reload}"

    def _stale(self, state: State) -> str | None:
        account = self._account(state)
        if account.resumed is None:
            return self._silent(state)
        if account.is_fresh:
            return None
        return (
            f"{self.config} is of {clock(account.written)}, and liberica-cp last took it up at"
            f" {clock(account.resumed)}"
        )

    def _silent(self, state: State) -> str:
        said = self._account(state).said
        return f"{self.metrics} does not say when liberica-cp took its file up{f' ({said})' if said else ''}"

    def _unwell(self, state: State) -> list[str]:
        account, plane = self._account(state), self._conf(state.text).plane
        lines = [f"cannot be asked how it is: {account.said}"] if account.said else []
        if plane != self.plane:
            lines.append(f"{self.config}: forwarding_plane is {plane}, directors.yaml says {self.plane}")
        if account.was_refused:
            lines.append(
                f"liberica-cp refused {self.config} at {clock(account.refused)} and runs an older one"
            )
        if not account.peers or not account.advertised:
            what = "route is advertised" if account.peers else "BGP session is established"
            lines.append(f"no {what} ({self.bgp_metrics}): no router sends anything here")
        return lines

    def _pending(self, state: State) -> list[str]:
        """Over Katran nobody can tell what a reload would change of others; the plan's findings warn."""
        return super()._pending(state) if self.has_ipvs else []
