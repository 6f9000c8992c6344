"""A probe's answer is a finding: one verdict passes, each other one names its cause and says what to do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config, ProbeConfig
from ferryman.cookbook import ControlHostCanProbe, Ferry, ProbesAnswered
from ferryman.cookbook.steps.probes import merged
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.kubernetes import NodeStates
from ferryman.model import (
    Director,
    Finding,
    Kind,
    ProbeResult,
    ProbeVerdict,
    Realserver,
    Role,
    Service,
    Verdict,
    VirtualService,
)
from ferryman.tape.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.probe import Target

LVS1, LVS2 = IPv4Address("10.10.0.11"), IPv4Address("10.10.0.12")
VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("10.99.0.1"), 80, "wrr")
WEB = Service(
    "web",
    "lab",
    encryption=False,
    lvs_class="low-traffic",
    encapsulated=False,
    virtual_services=(VIRTUAL,),
    realservers=tuple(
        Realserver(f"web{number}", Kind.SERVER, IPv4Address(f"10.10.0.2{number}"), None) for number in (1, 2)
    ),
    directors=tuple(
        Director(host, Role.PRIMARY, "ipvsadm", address=address)
        for host, address in (("lvs1", LVS1), ("lvs2", LVS2))
    ),
)
GOOD = replace(WEB, name="search", encapsulated=True)


@dataclass
class Heard:
    """Keeps what a step reports."""

    findings: list[Finding] = field(default_factory=list)
    probes: list[ProbeResult] = field(default_factory=list)

    def finding(self, finding: Finding) -> None:
        self.findings.append(finding)

    def probe(self, result: ProbeResult) -> None:
        self.probes.append(result)


@dataclass(frozen=True, eq=False)
class Answered(Ferry):
    """A ferry whose probes are answered as scripted, by host; everybody else's are accepted."""

    by_host: Mapping[str, ProbeVerdict] = field(default_factory=dict, kw_only=True)
    again: ProbeVerdict | None = field(default=None, kw_only=True)
    """What those answer that are asked again; None: the same."""
    retried: int = field(default=0, kw_only=True)
    """Flows of web2 that were answered only when they were asked again."""
    without_pods: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Nodes that externalTrafficPolicy keeps silent."""
    sent: list[Target] = field(default_factory=list, kw_only=True)

    def probe(self, targets: Sequence[Target], *, quick: bool = False) -> list[ProbeResult]:
        self.sent.extend(targets)
        return [
            self._result(target, self.by_host.get(target.host, ProbeVerdict.ACCEPTED)) for target in targets
        ]

    def probe_briefly(self, targets: Sequence[Target]) -> list[ProbeResult]:
        return self.probe(targets)

    def probe_again(self, targets: Sequence[Target]) -> list[ProbeResult]:
        self.sent.extend(targets)
        return [
            self._result(target, self.again or self.by_host.get(target.host, ProbeVerdict.ACCEPTED))
            for target in targets
        ]

    def service(self, name: str, site: str, *, only: Sequence[str] = ()) -> Service:
        assert (name, site, only) == ("search", "lab", ())
        return GOOD

    def node_states(self, service: Service) -> NodeStates:
        assert service == WEB
        return NodeStates((), self.without_pods)

    def _result(self, target: Target, verdict: ProbeVerdict) -> ProbeResult:
        good = int(verdict is ProbeVerdict.ACCEPTED)
        return ProbeResult(
            target.host,
            target.virtual_service,
            verdict,
            mss=1460 if verdict is ProbeVerdict.UNSUITABLE else 1440,
            outer_source=target.outer_source,
            accepted=good,
            retried=self.retried if target.host == "web2" else 0,
        )


def ferry(
    by_host: Mapping[str, ProbeVerdict] | None = None,
    *,
    again: ProbeVerdict | None = None,
    dry_run: bool = False,
    self_test: str | None = None,
) -> Answered:
    hosts = FakeHosts()
    for host in ("web1", "web2"):
        hosts.down(host)
    config = Config(file=Path("ferryman.toml"), probe=ProbeConfig(self_test=self_test))
    return Answered(config, hosts, dry_run=dry_run, by_host=by_host or {}, again=again)


def probed(world: Answered) -> Heard:
    heard = Heard()
    ProbesAnswered(world, WEB).look(heard)
    return heard


def test_every_realserver_is_asked_with_every_directors_source() -> None:
    world = ferry()
    probed(world)
    assert [(one.host, one.outer_source) for one in world.sent] == [
        (host, source) for host in ("web1", "web2") for source in (LVS1, LVS2)
    ]


@pytest.mark.parametrize(("quick", "patience"), [(False, "fixed"), (True, "measured")])
def test_silence_has_the_configured_time_unless_nothing_follows_from_it(quick: bool, patience: str) -> None:
    asked: list[str] = []

    def probe(config: ProbeConfig, targets: Sequence[Target], heard: object = None) -> list[ProbeResult]:
        asked.append(config.patience)
        return [ProbeResult(target.host, target.virtual_service, ProbeVerdict.ACCEPTED) for target in targets]

    config = Config(file=Path("ferryman.toml"))
    ProbesAnswered(Ferry(config, FakeHosts(), ports=Ports(probe=probe)), WEB, quick=quick).look(Heard())
    assert asked == [patience]


def test_what_is_accepted_from_every_source_is_one_finding_and_one_event() -> None:
    heard = probed(ferry())
    assert [(finding.host, finding.verdict) for finding in heard.findings] == [
        ("web1", Verdict.PASS),
        ("web2", Verdict.PASS),
    ]
    assert "2 of 2 flows, MSS 1440, from 10.10.0.11, 10.10.0.12" in heard.findings[0].seen
    assert [probe.host for probe in heard.probes] == ["web1", "web2"]


@pytest.mark.parametrize("verdict", [one for one in ProbeVerdict if one is not ProbeVerdict.ACCEPTED])
def test_only_an_accepted_probe_passes(verdict: ProbeVerdict) -> None:
    heard = probed(ferry({"web2": verdict}))
    assert [(finding.host, finding.verdict) for finding in heard.findings] == [
        ("web1", Verdict.PASS),
        ("web2", Verdict.FAIL),
    ]
    assert heard.findings[1].remedy


@pytest.mark.parametrize(
    ("verdict", "cause"),
    [
        (ProbeVerdict.REFUSED, "listener"),
        (ProbeVerdict.UNSUITABLE, "mss"),
        (ProbeVerdict.UNREACHABLE, "path"),
    ],
)
def test_the_cause_is_named_though_the_host_cannot_be_asked(verdict: ProbeVerdict, cause: str) -> None:
    assert f"cause: {cause}:" in probed(ferry({"web2": verdict})).findings[1].seen


def test_a_silence_that_nothing_explains_says_so() -> None:
    world = ferry({"web2": ProbeVerdict.SILENT})
    assert isinstance(world.hosts, FakeHosts)
    world.hosts.up("web2")
    world.hosts.answer("web2", None, Printed())
    (finding,) = probed(world).findings[1:]
    assert "cause: not found" in finding.seen
    assert "tcpdump" in finding.remedy


def test_what_answers_when_it_is_asked_again_is_a_doubt() -> None:
    (finding,) = probed(ferry({"web2": ProbeVerdict.SILENT}, again=ProbeVerdict.ACCEPTED)).findings[1:]
    assert finding.verdict is Verdict.UNKNOWN
    assert "cause: unsteady" in finding.seen


def test_a_dry_run_sends_nothing_and_says_so() -> None:
    world = ferry(dry_run=True)
    heard = probed(world)
    assert world.sent == []
    assert {finding.verdict for finding in heard.findings} == {Verdict.SKIP}


def test_a_node_that_is_to_be_silent_is_told_and_stops_nothing() -> None:
    world = replace(ferry({"web2": ProbeVerdict.SILENT}), without_pods=frozenset({"web2"}))
    (finding,) = probed(world).findings[1:]
    assert (finding.verdict, finding.host) == (Verdict.WARN, "web2")
    assert "externalTrafficPolicy" in finding.wanted


def test_of_several_answers_the_worst_counts() -> None:
    fine = ProbeResult("web1", VIRTUAL, ProbeVerdict.ACCEPTED, 0.4, 1440, "", LVS1, 4, 4)
    large = ProbeResult("web1", VIRTUAL, ProbeVerdict.UNSUITABLE, 0.3, 1460, "one pod", LVS2, 4, 3)
    assert merged([fine, large]) == replace(
        large, detail="from 10.10.0.11, 10.10.0.12; 10.10.0.12: one pod", asked=8, accepted=7
    )


def self_tested(world: Answered) -> Finding:
    heard = Heard()
    ControlHostCanProbe(world, WEB).look(heard)
    (finding,) = heard.findings
    return finding


def test_one_good_answer_proves_the_control_host() -> None:
    passed = self_tested(ferry({"web1": ProbeVerdict.SILENT}, self_test="search"))
    assert (passed.verdict, passed.seen) == (
        Verdict.PASS,
        "2 of 4 probes of search at lab were accepted",
    )


def test_a_control_host_that_reaches_nobody_is_named_before_the_realservers_are() -> None:
    silent = dict.fromkeys(("web1", "web2"), ProbeVerdict.SILENT)
    failed = self_tested(ferry(silent, self_test="search"))
    assert (failed.check, failed.host, failed.verdict) == ("control-host", "control", Verdict.FAIL)


def test_without_a_service_that_is_known_to_be_good_it_is_skipped() -> None:
    assert self_tested(ferry()).verdict is Verdict.SKIP
    assert self_tested(ferry(dry_run=True, self_test="search")).verdict is Verdict.SKIP


def test_an_answer_that_came_only_when_it_was_asked_again_passes_and_is_warned_of() -> None:
    world = replace(ferry(), retried=1)
    warned = [one for one in probed(world).findings if one.verdict is not Verdict.PASS]
    [finding] = warned
    assert (finding.check, finding.host, finding.verdict) == ("retried", "web2", Verdict.WARN)
    assert "2 of 2 flows were answered only when the SYN was sent again" in finding.seen
