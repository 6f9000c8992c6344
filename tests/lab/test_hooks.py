"""The silence of a run in a real Alertmanager, which needs no lab guest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from ferryman.config.hooks import AlertmanagerConfig, HooksConfig
from ferryman.engine.force_close import force_close
from ferryman.engine.plan import Plan
from ferryman.errors import UnknownOutcomeError, VerifyError
from ferryman.events import RunFinished
from ferryman.hooks import Alertmanager, RunNotice, notifier_of
from ferryman.retry import poll_until
from ferryman.state import RunRequest
from ferryman.testing import Becomes, Cut, Cuts, FakeWorld, Harness, Killed
from lab import alertmanager
from lab.alertmanager import WITHIN_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ferryman.engine.runner import Runner
    from ferryman.hooks import Notifier, RunAction
    from lab.alertmanager import RealAlertmanager

REQUEST = RunRequest(
    cookbook="migrate",
    arguments={"service": "web", "site": "codfw"},
    operator="alice@cumin1",
    reason="IPIP for web",
)
DO = 3
"""The call to the outside that writes: a look comes first, one right before the change, and one in it."""
VERIFY = DO + 1
MATCHERS = ["service={service}", "site={site}", "instance=~{service}[0-9]+:.*"]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealAlertmanager]:
    with alertmanager.running(tmp_path) as server:
        server.fire(alertname="of-web", service="web", site="codfw", instance="web2001:9100")
        server.fire(alertname="of-web-elsewhere", service="web", site="eqiad", instance="web1001:9100")
        server.fire(alertname="of-another", service="webx", site="codfw", instance="webx2001:9100")
        yield server


class Watched(FakeWorld):
    """Says what the alerts are whenever it is about to be written to."""

    def __init__(self, real: RealAlertmanager, *cuts: Cut) -> None:
        super().__init__(Cuts(*cuts), a="old")
        self.real = real
        self.seen: list[dict[str, str]] = []

    def write(self, key: str, value: str, *, expected: str) -> None:
        self.seen.append(self.real.states())
        super().write(key, value, expected=expected)


@dataclass
class Site:
    """A service with one value to change, which a real Alertmanager watches."""

    world: Watched
    harness: Harness = field(default_factory=Harness)

    @property
    def plan(self) -> Plan:
        return Plan([Becomes(self.world, "a", "new")], ["web/codfw"])

    def perform(self) -> str:
        return self._runner("begins").perform(REQUEST, self.plan).outcome

    def resume(self) -> str:
        return self._runner("goes on").resume(self.run, self.plan).outcome

    def roll_back(self) -> str:
        return self._runner("goes back").roll_back(self.run, self.plan).outcome

    def close(self) -> None:
        finished = force_close(self.harness.journal, self.run, "bob", "scrapped")
        self._notifier("is closed").ended(self.run, finished)

    def _runner(self, action: RunAction) -> Runner:
        """In a new process, with hooks of its own."""
        return replace(self.harness.runner(), subscribers=[self._notifier(action)])

    def _notifier(self, action: RunAction) -> Notifier:
        table = {"url": self.world.real.url, "matchers": MATCHERS}
        config = HooksConfig.model_validate({"timeout": 30, "alertmanager": {"real": table}})
        return notifier_of(config, REQUEST, REQUEST.operator, action)

    @property
    def run(self) -> str:
        return self.harness.journal.runs()[0].id


def cut(at: int, error: BaseException) -> Cut:
    def fault() -> None:
        raise error

    return Cut(at, "before", fault)


NOTHING_SILENCED = {"of-web": "active", "of-web-elsewhere": "active", "of-another": "active"}
SILENCED = NOTHING_SILENCED | {"of-web": "suppressed"}


def test_the_silence_is_there_before_the_first_change_and_gone_after_the_last(real: RealAlertmanager) -> None:
    site = Site(Watched(real))
    assert site.perform() == "done"
    assert site.world.seen == [SILENCED]
    assert real.silences() == []
    assert real.states() == NOTHING_SILENCED


def test_a_run_that_goes_back_is_silent_until_it_is_back(real: RealAlertmanager) -> None:
    site = Site(Watched(real, cut(VERIFY, VerifyError("no"))))
    assert site.perform() == "rolled-back"
    assert site.world.seen == [SILENCED, SILENCED]
    assert real.states() == NOTHING_SILENCED


def test_a_run_that_is_done_is_taken_back_under_a_silence_of_its_own(real: RealAlertmanager) -> None:
    site = Site(Watched(real))
    site.perform()
    assert site.roll_back() == "rolled-back"
    assert site.world.seen == [SILENCED, SILENCED]
    assert real.silences() == []


def test_a_run_that_is_held_keeps_its_silence_and_says_until_when(
    real: RealAlertmanager, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(Watched(real, cut(VERIFY, UnknownOutcomeError("the answer was lost"))))
    assert site.perform() == "held"
    (silence,) = real.silences()
    assert f"silence {silence['id']} stays until {silence['endsAt']}, for the run is held" in caplog.text
    assert silence["comment"].startswith(f"ferryman {site.run}: migrate service=web site=codfw")
    assert silence["createdBy"] == "alice@cumin1"
    assert real.states() == SILENCED


@pytest.mark.parametrize("way", ["resume", "roll_back"])
def test_whoever_takes_a_run_up_ends_the_silence_that_a_dead_process_left(
    real: RealAlertmanager, way: str
) -> None:
    site = Site(Watched(real, cut(DO, Killed())))
    with pytest.raises(Killed):
        site.perform()
    (left,) = real.silences()
    assert site.resume() == "done" if way == "resume" else site.roll_back() == "rolled-back"
    assert real.silences() == []
    everything = real.ask("GET", "silences")
    assert [silence["id"] for silence in everything] == [left["id"]]  # renewed, and no second one made


def test_a_run_that_is_closed_by_hand_takes_its_silence_with_it(real: RealAlertmanager) -> None:
    site = Site(Watched(real, cut(VERIFY, UnknownOutcomeError("the answer was lost"))))
    assert site.perform() == "held"
    site.close()
    assert real.states() == NOTHING_SILENCED


def test_the_silence_of_another_run_is_left_alone(real: RealAlertmanager) -> None:
    held, other = Site(Watched(real, cut(VERIFY, UnknownOutcomeError("lost")))), Site(Watched(real))
    held.perform()
    assert other.perform() == "done"
    assert [silence["comment"].split()[1] for silence in real.silences()] == [f"{held.run}:"]


def test_a_silence_is_renewed_while_its_process_lives(real: RealAlertmanager) -> None:
    table = AlertmanagerConfig.model_validate({"url": real.url, "matchers": ["service={service}"]})
    short = Alertmanager(table.model_copy(update={"duration": 4}), 20)
    begun = RunNotice(run="20261122-221943-abcd", request=REQUEST, operator="alice@cumin1", action="begins")
    short.begun(begun)
    (first,) = real.silences()
    ends = poll_until(
        lambda: [silence["endsAt"] for silence in real.silences()],
        lambda now: now > [first["endsAt"]],
        within_s=WITHIN_S,
    )
    assert len(ends) == 1
    assert ends > [first["endsAt"]]
    short.ended(replace(begun, finished=RunFinished("done", 0, 1.0, "done")))
    assert real.silences() == []


def test_a_silence_that_alertmanager_will_not_have_is_warned_of(
    real: RealAlertmanager, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(__name__ + ".MATCHERS", ["service=~.*"])
    site = Site(Watched(real))
    assert site.perform() == "done"
    assert "answered 400" in caplog.text
    assert "alerts may fire; the run goes on" in caplog.text
