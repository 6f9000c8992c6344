"""Both drivers, host routes and real requests, on the lab's own IPVS and keepalived."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman import retry
from ferryman.directors import (
    SetForwarding,
    catalog_findings,
    connections_of,
    differences,
    old_left,
)
from ferryman.errors import DoubtError, VerifyError
from ferryman.lab import exec_argv
from ferryman.model import Forwarding, Verdict
from lab.migration import loaded
from tools import asks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.model import Service
    from lab.director_client import DirectorClients, LabHosts
    from lab.running import RunningLab

pytestmark = pytest.mark.lab

TUNNEL, DIRECT = SetForwarding(Forwarding.TUNNEL), SetForwarding(Forwarding.DIRECT)
DIRECTORS = ("lvs1", "lvs2")
VIPS = {"static": ("10.99.0.3", 8081), "web": ("fd99::1", 80)}
"""A VIP of each family, and of each driver."""
HEALTHY_S = 20.0
"""Seconds in which keepalived takes a realserver back whose fault is over."""
PAUSE_S = 2.0
"""Seconds of load before, between and after the flips."""

ASK = """
import dataclasses, json, sys
from pathlib import Path
from ferryman.config import TrafficConfig
from ferryman.inventory import Inventory
from ferryman.traffic import TrafficCheck
folder, name, host, settings = sys.argv[1:]
service = Inventory.load(Path(folder)).service(name, "lab")
director = next(one for one in service.directors if one.host == host)
check = TrafficCheck(service, TrafficConfig.model_validate_json(settings), director)
print(json.dumps([[one.check, one.verdict.value, one.seen] for one in check.run()]))
"""

HOLD = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as held:
    print(held.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def kernel(hosts: LabHosts, host: str) -> str:
    """The IPVS table, keepalived's files, and the routes."""
    files = "cat /etc/keepalived/services/*.conf; ls -A /etc/keepalived/services"
    script = f"ipvsadm -Sn | sort; {files}; ip -4 route; ip -6 route show proto 102"
    return hosts.read(host, asks(script)).checked().stdout


@pytest.fixture(autouse=True)
def as_it_was(lab: RunningLab, hosts: LabHosts) -> Iterator[None]:
    """Every test leaves both directors as it found them; health checks need a moment to see it."""

    def look() -> list[str]:
        return [kernel(hosts, host) for host in DIRECTORS]

    before = look()
    yield
    lab.clear()
    assert retry.poll_until(look, lambda now: now == before, within_s=HEALTHY_S) == before


@pytest.mark.parametrize("name", ["static", "web", "maps"])
def test_a_service_is_flipped_and_put_back_on_each_director_and_nothing_else_is(
    name: str, director_client: DirectorClients, hosts: LabHosts
) -> None:
    for host in DIRECTORS:
        client = director_client(name, host)
        before = json.loads(json.dumps(client.driver.before()))
        others = [line for line in kernel(hosts, host).splitlines() if not _is_about(line, client.service)]
        client.driver.apply(before, TUNNEL)
        assert differences(client.driver.wanted(before, TUNNEL), client.driver.read()) == []
        tunnelled = catalog_findings(
            client.director, replace(client.service, encapsulated=True), client.driver.read()
        )
        assert {finding.verdict for finding in tunnelled} == {Verdict.PASS}
        now = kernel(hosts, host).splitlines()
        assert [line for line in now if line.startswith("-") and not _is_about(line, client.service)] == [
            line for line in others if line.startswith("-")
        ]
        client.driver.restore(before, TUNNEL)
        assert client.driver.before() == before


def _is_about(line: str, service: Service) -> bool:
    vips = [str(virtual).split(" ", 1)[1] for virtual in service.virtual_services]
    return any(f"-t {vip} " in line for vip in vips)


def test_a_configuration_that_keepalived_refuses_leaves_everything_as_it_was(
    lab: RunningLab, director_client: DirectorClients, hosts: LabHosts
) -> None:
    client = director_client("web")
    before = client.driver.before()
    lab.put("keepalived-wrong-config", "lvs1")
    seen = kernel(hosts, "lvs1")
    with pytest.raises(
        VerifyError, match="keepalived does not accept the new configuration; nothing was changed"
    ):
        client.driver.apply(before, TUNNEL)
    assert kernel(hosts, "lvs1") == seen


def test_a_frozen_keepalived_is_told_and_the_rollback_survives_its_thaw(
    lab: RunningLab, director_client: DirectorClients
) -> None:
    client = director_client("web").impatient()
    before = client.driver.before()
    lab.put("director-frozen", "lvs1")
    with pytest.raises(DoubtError, match=r"the table did not follow within 3 s: .* is Route, wanted Tunnel"):
        client.driver.apply(before, TUNNEL)
    client.driver.restore(before, TUNNEL)
    lab.clear()
    time.sleep(PAUSE_S)
    assert client.driver.before() == before


def test_a_keepalived_that_is_not_there_cannot_be_reloaded_and_the_file_goes_back(
    director_client: DirectorClients,
) -> None:
    client = director_client("web").impatient()
    before = client.driver.before()
    gone = replace(
        client,
        director=replace(client.director, options={**client.director.options, "reload": "kill -HUP 4194304"}),
    )
    with pytest.raises(VerifyError, match=r"the reload command failed: .*No such process"):
        gone.driver.apply(before, TUNNEL)
    client.driver.restore(before, TUNNEL)


@pytest.mark.parametrize("name", VIPS)
def test_under_load_nothing_is_lost_there_and_back_with_host_routes(
    lab: RunningLab, name: str, director_client: DirectorClients
) -> None:
    client = director_client(name)
    before = client.driver.before()
    protecting = client.routes.read().needed
    assert len(protecting) == 3 * len(client.service.virtual_services)
    client.routes.add(protecting)
    try:
        with loaded(lab, *VIPS[name]) as outcome:
            time.sleep(PAUSE_S)
            client.driver.apply(before, TUNNEL)
            time.sleep(PAUSE_S)
            client.driver.restore(before, TUNNEL)
            time.sleep(PAUSE_S)
    finally:
        client.driver.restore(before, TUNNEL)
        client.routes.remove(client.routes.read().ours)
    assert outcome[0].lost == {}
    assert outcome[0].done["short"] > 100
    assert outcome[0].done["download"] == outcome[0].done["upload"] == 6


def test_host_routes_of_both_families_come_and_go(director_client: DirectorClients, hosts: LabHosts) -> None:
    client = director_client("web", "lvs2")
    needed = client.routes.read().needed
    for _ in range(2):
        client.routes.add(needed)
    seen = client.routes.read()
    assert (seen.needed, seen.ours, seen.notes, seen.problems) == ((), needed, (), ())
    shown = hosts.read("lvs2", asks("ip -4 route show 10.10.0.21; ip -6 route show fd10::21")).stdout
    assert shown.count(" via ") == 2
    for _ in range(2):
        client.routes.remove(needed)
    assert client.routes.read().needed == needed


def test_services_that_share_realservers_keep_their_own_routes(
    director_client: DirectorClients, hosts: LabHosts
) -> None:
    maps, static = director_client("maps"), director_client("static")
    for client in (maps, static):
        client.routes.add(client.routes.read().needed)
    maps.routes.remove(maps.routes.read().ours)
    assert len(static.routes.read().ours) == 3
    assert hosts.read("lvs1", asks("ip -4 route get 10.10.0.21")).stdout.startswith(
        "10.10.0.21 via 10.10.0.21"
    )
    static.routes.remove(static.routes.read().ours)


def test_someone_elses_host_route_is_kept(director_client: DirectorClients, hosts: LabHosts) -> None:
    client = director_client("static")
    hosts.read("lvs1", asks("ip -4 route add 10.10.0.22/32 dev eth0 proto static"))
    try:
        seen = client.routes.read()
        assert [str(route.address) for route in seen.needed] == ["10.10.0.21", "10.10.0.23"]
        assert "10.10.0.22: has a host route without a next hop" in seen.problems[0]
    finally:
        hosts.read("lvs1", asks("ip -4 route del 10.10.0.22/32 dev eth0 proto static"))


@pytest.mark.parametrize("name", VIPS)
def test_a_connection_is_seen_from_its_beginning_to_its_end(
    lab: RunningLab, name: str, director_client: DirectorClients, hosts: LabHosts
) -> None:
    client = director_client(name)
    vip, port = VIPS[name]
    argv = exec_argv(lab.place, "control", [sys.executable, "-c", HOLD, vip, str(port)])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as connected:
        assert connected.stdout
        client_port = int(connected.stdout.readline())
        then = connections_of(hosts, client.director, client.service)[0]
        held = [found for found in then if found.client_port == client_port]
        assert [(str(found.vip), found.state) for found in held] == [(vip, "ESTABLISHED")]
        connected.communicate()
    now = connections_of(hosts, client.director, client.service)[0]
    assert old_left(held, now) == 0
    assert old_left(held, now, closing=True) == 1


def asked(lab: RunningLab, name: str, host: str, **settings: Any) -> list[list[str]]:  # noqa: ANN401  # as in the file
    """The findings of a traffic check that runs where ferryman runs."""
    folder = str(lab.folder / "inventory")
    argv = [sys.executable, "-c", ASK, folder, name, host, json.dumps(settings)]
    done = lab.run_in_control(argv)
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("host", DIRECTORS)
def test_real_requests_pass_through_each_director(
    lab: RunningLab, host: str, director_client: DirectorClients, hosts: LabHosts
) -> None:
    client = director_client("web", host)
    before = {each.host: connections_of(hosts, each, client.service)[0] for each in client.service.directors}
    found = asked(lab, "web", host, requests=10, download="/download", upload="/upload")
    assert [(check, verdict) for check, verdict, _ in found] == [
        ("traffic", "pass"),
        ("traffic-download", "pass"),
        ("traffic-upload", "pass"),
    ] * 2
    assert "10 of 10 requests answered" in found[0][2]
    now = {each.host: connections_of(hosts, each, client.service)[0] for each in client.service.directors}
    assert {name: len(now[name] - before[name]) for name in DIRECTORS} == {host: 24, _other(host): 0}


def _other(host: str) -> str:
    return next(each for each in DIRECTORS if each != host)


def test_a_black_hole_is_seen_by_the_upload_and_by_nothing_else(lab: RunningLab) -> None:
    """An MSS of 1460 and a director whose "fragmentation needed" is lost: full packets do not fit the
    tunnel."""
    rule = "OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP"
    for host in ("web1", "web2", "web3"):
        lab.put("clamp-missing", host)
    lab.console("lvs1", f"iptables-legacy -A {rule}")
    try:
        found = asked(lab, "search", "lvs1", requests=10, download="/download", upload="/upload", timeout=3)
    finally:
        lab.console("lvs1", f"iptables-legacy -D {rule}")
    assert [(check, verdict) for check, verdict, _ in found] == [
        ("traffic", "pass"),
        ("traffic-download", "pass"),
        ("traffic-upload", "fail"),
    ]
    assert "upload stalled after " in found[2][2]
    assert found[2][2].endswith("of 2,000,000 bytes for 3 s")


def test_a_closed_port_and_a_silent_realserver_are_counted_by_kind(lab: RunningLab) -> None:
    lab.put("listener-closed", "web1")
    lab.put("vip-missing", "web2")
    (found, *_) = asked(lab, "static", "lvs1", requests=9, timeout=2)
    assert found[:2] == ["traffic", "fail"]
    assert "3 of 9 requests answered" in found[2]
    assert found[2].endswith("3 refused, 3 timed out")
