from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

from ferryman.config import TrafficConfig
from ferryman.errors import ConfigError
from ferryman.model import Director, Role, Service, Verdict, VirtualService
from ferryman.traffic import Request, Result, TrafficCheck, traffic_source

FOUR = VirtualService("web", "weblb", "tcp", ip_address("10.99.0.1"), 80, "wrr")
SIX = VirtualService("web", "weblb6", "tcp", ip_address("fd99::1"), 80, "wrr")
WEB = Service("web", "lab", False, "low-traffic", False, (FOUR, SIX), (), (), ("/ready", "/other"))
SECONDARY = Director(
    "lvs2", Role.SECONDARY, "ipvsadm", {"traffic_source": {"ipv4": "10.30.0.3", "ipv6": "fd30::3"}}
)


@dataclass
class Vip:
    """A VIP that answers everything, and remembers what it was asked."""

    asked: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Result:
        self.asked.append(request)
        length = request.upload_bytes if request.kind == "upload" else 4_000_000
        return Result(request.kind, "", 200, length, length, 0.002)


def test_without_a_large_transfer_the_report_says_what_would_not_be_seen() -> None:
    found = TrafficCheck(WEB, TrafficConfig(requests=2), SECONDARY, Vip()).run()
    assert [(finding.check, finding.verdict.value) for finding in found] == [
        ("traffic", "pass"),
        ("traffic-download", "skip"),
        ("traffic-upload", "skip"),
    ] * 2
    assert "a black hole would not be seen" in found[1].seen
    assert found[1].remedy == 'set download = "/path" under [traffic.service.web] in ferryman.toml'


def test_each_virtual_service_gets_its_requests_and_a_transfer_each_way() -> None:
    vip = Vip()
    traffic = TrafficConfig(
        requests=3, download="/download", upload="/upload", upload_bytes=500_000, timeout=4
    )
    found = TrafficCheck(WEB, traffic, SECONDARY, vip).run()
    assert [finding.verdict for finding in found] == [Verdict.PASS] * 6
    asked = [(request.kind, request.path, str(request.vip)) for request in vip.asked]
    four = [*[("small", "/ready", "10.99.0.1")] * 3, ("download", "/download", "10.99.0.1")]
    assert asked[:5] == [*four, ("upload", "/upload", "10.99.0.1")]
    assert len(asked) == 10
    assert {request.timeout_s for request in vip.asked} == {4.0}
    assert vip.asked[-1].upload_bytes == 500_000


def test_requests_come_from_the_address_whose_packets_reach_that_director() -> None:
    vip = Vip()
    TrafficCheck(WEB, TrafficConfig(requests=1), SECONDARY, vip).run()
    assert [str(request.source) for request in vip.asked] == ["10.30.0.3", "fd30::3"]
    TrafficCheck(WEB, TrafficConfig(requests=1), replace(SECONDARY, options={}), vip).run()
    TrafficCheck(WEB, TrafficConfig(requests=1), None, vip).run()
    assert [request.source for request in vip.asked[2:]] == [None] * 4


def test_a_service_without_probes_is_asked_for_its_root_and_over_tls_when_it_says_so() -> None:
    vip = Vip()
    TrafficCheck(replace(WEB, probe_paths=(), encryption=True), TrafficConfig(requests=1), None, vip).run()
    assert {(request.path, request.tls) for request in vip.asked} == {("/", True)}


def test_udp_is_skipped_aloud() -> None:
    udp = replace(WEB, virtual_services=(replace(FOUR, protocol="udp"),))
    (found,) = TrafficCheck(udp, TrafficConfig(), None, Vip()).run()
    assert found.verdict is Verdict.SKIP
    assert "UDP" in found.seen


@pytest.mark.parametrize("named", ["fd30::3", "control", 7])
def test_a_source_that_is_no_address_of_that_family_names_its_entry(named: object) -> None:
    director = replace(SECONDARY, options={"traffic_source": {"ipv4": named}})
    with pytest.raises(ConfigError, match=r"directors.yaml: lvs2: traffic_source: ipv4: is"):
        traffic_source(director, FOUR.vip)


def test_transfers_are_not_tried_where_small_requests_fail_already() -> None:
    traffic = TrafficConfig(requests=2, download="/download", upload="/upload")
    found = TrafficCheck(
        WEB, traffic, None, lambda request: Result(request.kind, "timed out", connected=False)
    ).run()
    assert [finding.verdict.value for finding in found] == ["fail", "skip", "skip"] * 2


def test_the_check_remembers_where_its_own_connections_came_from() -> None:
    local = (ip_address("10.30.0.2"), 40_000)
    check = TrafficCheck(
        WEB, TrafficConfig(requests=1), None, lambda request: Result(request.kind, local=local)
    )
    check.run()
    assert check.sent_from == {local}
