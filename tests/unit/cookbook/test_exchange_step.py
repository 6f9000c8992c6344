"""An exchange's outcome is a finding: who is asked what, which outcomes block, and whose fault each is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config
from ferryman.config.tables import TrafficTable
from ferryman.cookbook import ExchangesCompleted, Ferry
from ferryman.directors import DirectorState
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.realservers import ReadCounters, ReadFacts
from ferryman.ipvs.table import Destination, VirtualServer
from ferryman.model import Finding, Forwarding, Kind, Realserver, Verdict, VirtualService
from ferryman.probe.exchange import ExchangeResult, ExchangeVerdict, Stage, TlsSeen
from unit.cookbook.test_probes_step import VIRTUAL, WEB, Heard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.model import Service
    from ferryman.probe.exchange import ExchangeTarget

CASES = Path(__file__).parents[1] / "realservers" / "cases"
HEALTHY = (CASES / "lab-web-healthy.txt").read_text()
HTTP = replace(WEB, probe_paths=("/health",))
BAD = [verdict for verdict in ExchangeVerdict if verdict is not ExchangeVerdict.COMPLETED]
STATUS = {ExchangeVerdict.COMPLETED: 200}


@dataclass(frozen=True, eq=False)
class Exchanging(Ferry):
    """A ferry whose exchanges end as scripted, by host; everybody else's are completed."""

    by_host: Mapping[str, ExchangeVerdict] = field(default_factory=dict, kw_only=True)
    again: ExchangeVerdict | None = field(default=None, kw_only=True)
    """What becomes of those that are made again; None: the same."""
    more: Mapping[str, object] = field(default_factory=dict, kw_only=True)
    """Further fields of every result."""
    asked: list[ExchangeTarget] = field(default_factory=list, kw_only=True)

    def exchange(self, service: Service, targets: Sequence[ExchangeTarget]) -> list[ExchangeResult]:
        del service
        first = not self.asked
        self.asked.extend(targets)
        return [self._result(target, first=first) for target in targets]

    def _result(self, target: ExchangeTarget, *, first: bool) -> ExchangeResult:
        verdict = self.by_host.get(target.target.host, ExchangeVerdict.COMPLETED)
        if not first and self.again is not None:
            verdict = self.again
        result = ExchangeResult(
            target, verdict, "as it was seen", Stage.ANSWER, largest_up=1428, largest_down=1448,
            status=STATUS.get(verdict),
        )  # fmt: skip
        return replace(result, **self.more)  # type: ignore[arg-type]  # fields by name


def ferry(
    by_host: Mapping[str, ExchangeVerdict] | None = None,
    *,
    again: ExchangeVerdict | None = None,
    dry_run: bool = False,
    traffic: TrafficTable | None = None,
    **more: object,
) -> Exchanging:
    hosts = FakeHosts()
    for host in ("web1", "web2"):
        hosts.answer(host, ReadFacts, Printed(HEALTHY))
        hosts.answer(host, ReadCounters, Printed(""))
    config = Config(file=Path("ferryman.toml"), traffic=traffic or TrafficTable())
    return Exchanging(config, hosts, dry_run=dry_run, by_host=by_host or {}, again=again, more=more)


def looked(world: Exchanging, service: Service = HTTP) -> list[Finding]:
    heard = Heard()
    ExchangesCompleted(world, service).look(heard)
    assert {finding.check for finding in heard.findings} <= {"exchange"}
    return heard.findings


def of(host: str, findings: Sequence[Finding]) -> Finding:
    (found,) = (finding for finding in findings if finding.host == host)
    return found


@pytest.mark.parametrize("verdict", BAD)
def test_what_does_not_complete_twice_blocks_unless_an_odd_answer_came_through(
    verdict: ExchangeVerdict,
) -> None:
    findings = looked(ferry({"web1": verdict}))
    wanted = Verdict.WARN if verdict is ExchangeVerdict.BAD_ANSWER else Verdict.FAIL
    assert (of("web1", findings).verdict, of("web2", findings).verdict) == (wanted, Verdict.PASS)
    assert verdict.value in of("web1", findings).seen
    assert of("web1", findings).remedy


def test_what_completes_when_it_is_made_again_is_a_doubt() -> None:
    world = ferry({"web1": ExchangeVerdict.SILENT}, again=ExchangeVerdict.COMPLETED)
    found = of("web1", looked(world))
    assert found.verdict is Verdict.UNKNOWN
    assert "cause: unsteady" in found.seen


def test_an_odd_answer_that_does_not_come_again_does_not_block_either() -> None:
    world = ferry({"web1": ExchangeVerdict.BAD_ANSWER}, again=ExchangeVerdict.COMPLETED)
    assert of("web1", looked(world)).verdict is Verdict.WARN


def test_a_hung_server_is_told_as_its_own_failure_and_that_directors_know_of_it() -> None:
    world = ferry({"web1": ExchangeVerdict.SILENT})
    address = IPv4Address("10.10.0.21")
    for host, weights in (("lvs1", (0,)), ("lvs2", ())):
        destinations = tuple(Destination(address, 80, Forwarding.DIRECT, weight) for weight in weights)
        table = (VirtualServer("tcp", VIRTUAL.vip, 80, "wrr", destinations=destinations),)
        known = world.memory.director_states.get("web", {})
        world.memory.director_states["web"] = {**known, host: DirectorState(table)}
    found = of("web1", looked(world))
    assert found.verdict is Verdict.FAIL
    assert "cause: server: its kernel took the request" in found.seen
    assert "directors know of it: lvs2 without it in the table, lvs1 with its weight at 0" in found.seen


def test_each_realserver_is_asked_once_for_every_request_whatever_directors_there_are() -> None:
    world = ferry(traffic=TrafficTable(download="/large", upload="/upload"))
    looked(world)
    assert [(each.target.host, each.request.method, each.request.path) for each in world.asked] == [
        (host, *request) for host in ("web1", "web2") for request in (("GET", "/large"), ("POST", "/upload"))
    ]


def test_a_node_is_asked_as_often_as_it_is_probed_for_each_may_reach_another_pod() -> None:
    node = Realserver("web1", Kind.KUBERNETES, IPv4Address("10.10.0.21"), None)
    world = ferry({"web1": ExchangeVerdict.SILENT})
    looked(world, replace(HTTP, realservers=(node, HTTP.realservers[1])))
    hosts = [each.target.host for each in world.asked]
    assert (hosts.count("web1"), hosts.count("web2")) == (4 + 4, 1)


def test_an_answer_of_any_status_counts_and_is_told() -> None:
    found = of("web1", looked(ferry(status=503)))
    assert found.verdict is Verdict.PASS
    assert "GET /health: HTTP 503" in found.seen
    assert "segments of 1,428 bytes up and 1,448 down" in found.seen


def test_a_certificate_is_not_judged_and_that_is_told() -> None:
    found = of("web1", looked(ferry(tls=TlsSeen("TLSv1.3")), replace(HTTP, encryption=True)))
    assert found.verdict is Verdict.PASS
    assert "GET /health over TLS" in found.seen
    assert "TLSv1.3, its certificate not judged" in found.seen


def test_segments_that_were_sent_again_are_told() -> None:
    assert "2 segments sent again" in of("web1", looked(ferry(retransmissions=2))).seen


def test_a_service_without_a_request_is_connected_to_and_nothing_more_is_claimed() -> None:
    found = of("web1", looked(ferry(), WEB))
    assert found.verdict is Verdict.SKIP
    assert "connected and closed; nothing was asked" in found.seen
    assert "[traffic.service.web]" in found.remedy


def test_a_connection_that_fails_blocks_also_where_nothing_is_asked() -> None:
    assert of("web1", looked(ferry({"web1": ExchangeVerdict.HALF_OPEN}), WEB)).verdict is Verdict.FAIL


def test_whose_syn_is_not_accepted_is_not_asked_further() -> None:
    world = ferry()
    world.memory.unanswered["web"] = frozenset({("web1", str(VIRTUAL))})
    findings = looked(world)
    assert of("web1", findings).verdict is Verdict.SKIP
    assert "see its probe" in of("web1", findings).seen
    assert {each.target.host for each in world.asked} == {"web2"}


def test_udp_has_no_connection() -> None:
    udp = VirtualService("web", "udp", "udp", IPv4Address("10.99.0.1"), 53, "wrr")
    findings = looked(ferry(), replace(HTTP, virtual_services=(udp,)))
    assert [(found.host, found.verdict) for found in findings] == [(str(udp), Verdict.SKIP)]


def test_a_dry_run_makes_none_and_says_so() -> None:
    world = ferry(dry_run=True)
    findings = looked(world)
    assert world.asked == []
    assert {(found.verdict, found.seen) for found in findings} == {
        (Verdict.SKIP, f"{VIRTUAL}: not sent in a dry run")
    }
