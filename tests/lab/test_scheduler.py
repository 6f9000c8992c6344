"""Another scheduler on the lab's own IPVS and keepalived: who stays, who moves, and whether anybody is lost.

The guest has one processor: the moment without a scheduler that a kernel of several has is none here.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ferryman.directors import SetScheduler, connections_of, differences
from lab.migration import DIRECTORS, catalog, changes, events, findings, loaded, world
from lab.test_directors import PAUSE_S, VIPS, as_it_was, kernel
from tools import asks

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from lab.director_client import DirectorClients, LabHosts
    from lab.running import RunningLab

__all__ = ["as_it_was"]

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # whole runs, on a guest of one CPU

MH, MH_BY_ADDRESS = SetScheduler("mh", ("mh-fallback", "mh-port")), SetScheduler("mh")
CLIENTS = 60

WHO = """
import json, socket, sys
def asked(vip, port, own):
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", own))
        sock.settimeout(5)
        sock.connect((vip, port))
        sock.sendall(b"GET / HTTP/1.0\\r\\nHost: vip\\r\\n\\r\\n")
        return b"".join(iter(lambda: sock.recv(4096), b"")).split()[-1].decode()
vip, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print(json.dumps([asked(vip, port, 20_000 + number) for number in range(count)]))
"""


def served(lab: RunningLab, name: str) -> list[str]:
    """Which realserver answers each of some clients, one source port each; always the same ports."""
    vip, port = VIPS[name]
    done = lab.run_in_control([sys.executable, "-c", WHO, vip, str(port), str(CLIENTS)])
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def moved(before: list[str], now: list[str]) -> float:
    """The share of clients that another realserver answers."""
    return sum(old != new for old, new in zip(before, now, strict=True)) / len(before)


def rescheduled(lab: RunningLab, service: str, *more: str) -> CompletedProcess[str]:
    return lab.ferryman(
        "--output", "json", "scheduler", "migrate", service, "--site", "lab", "--to", "mh", *more
    )


@pytest.mark.parametrize("name", VIPS)
def test_under_load_nothing_is_lost_there_and_back_and_each_connection_stays_with_its_realserver(
    lab: RunningLab, name: str, director_client: DirectorClients, hosts: LabHosts
) -> None:
    client = director_client(name)
    before = client.driver.before()
    try:
        with loaded(lab, *VIPS[name]) as outcome:
            time.sleep(PAUSE_S)
            then = {
                each for each in connections_of(hosts, client.director, client.service)[0] if not each.closing
            }
            client.driver.apply(before, MH)
            time.sleep(PAUSE_S)
            now = {
                each for each in connections_of(hosts, client.director, client.service)[0] if not each.closing
            }
            client.driver.restore(before, MH)
            time.sleep(PAUSE_S)
    finally:
        client.driver.restore(before, MH)
    assert len(then & now) >= 12, "the long transfers, each with the destination that it had"
    assert outcome[0].lost == {}
    assert outcome[0].done["short"] > 100
    assert outcome[0].done["download"] == outcome[0].done["upload"] == 6


@pytest.mark.parametrize("name", VIPS)
def test_who_comes_back_moves_once_and_then_never_again(
    lab: RunningLab, name: str, director_client: DirectorClients, hosts: LabHosts
) -> None:
    client = director_client(name)
    before = client.driver.before()
    first = served(lab, name)
    try:
        client.driver.apply(before, MH)
        second, third = served(lab, name), served(lab, name)
        client.driver.restore(before, MH)
        client.driver.apply(before, MH_BY_ADDRESS)
        together = served(lab, name)
    finally:
        client.driver.restore(before, MH_BY_ADDRESS)
    assert 0.4 < moved(first, second) < 0.9, "two thirds, with three realservers of client weight"
    assert moved(second, third) == 0
    assert len(set(second)) == 3
    assert len(set(together)) == 1, "without mh-port an address has client realserver"


@pytest.mark.parametrize("name", VIPS)
def test_scheduler_and_flags_change_and_nothing_else_on_the_director(
    name: str, director_client: DirectorClients, hosts: LabHosts
) -> None:
    client = director_client(name)
    before = json.loads(json.dumps(client.driver.before()))
    entries = [line for line in kernel(hosts, "lvs1").splitlines() if line.startswith("-a")]
    client.driver.apply(before, MH)
    assert differences(client.driver.wanted(before, MH), client.driver.read()) == []
    assert [line for line in kernel(hosts, "lvs1").splitlines() if line.startswith("-a")] == entries
    assert client.driver.already(client.driver.before(), MH)
    client.driver.restore(before, MH)
    assert client.driver.before() == before


def test_persistence_survives_the_edit_of_the_kernel(
    director_client: DirectorClients, hosts: LabHosts
) -> None:
    client = director_client("static")
    hosts.read("lvs1", asks("ipvsadm -E -t 10.99.0.3:8081 -s wrr -p 300")).checked()
    try:
        before = client.driver.before()
        client.driver.apply(before, MH)
        assert "-A -t 10.99.0.3:8081 -s mh -p 300 -b mh-fallback,mh-port\n" in kernel(hosts, "lvs1")
        client.driver.restore(before, MH)
        assert "-A -t 10.99.0.3:8081 -s wrr -p 300\n" in kernel(hosts, "lvs1")
    finally:
        hosts.read("lvs1", asks("ipvsadm -E -t 10.99.0.3:8081 -s wrr")).checked()


@pytest.mark.parametrize("name", VIPS)
def test_a_service_is_moved_and_comes_back_to_the_byte(lab: RunningLab, name: str) -> None:
    old, text = world(lab), catalog(lab).read_text()
    moved = rescheduled(lab, name, "--flag", "mh-port", "--yes")
    assert moved.returncode == 0, moved.stdout + moved.stderr
    assert events(moved)[-1]["outcome"] == "done"
    assert catalog(lab).read_text() != text
    vip = ":".join(map(str, VIPS[name])) if name == "static" else "[fd99::1]:80"
    for host in DIRECTORS:
        assert f"-A -t {vip} -s mh -b mh-port\n" in lab.console(host, "ipvsadm -Sn") + "\n"
    again = rescheduled(lab, name, "--flag", "mh-port", "--yes")
    assert changes(again) == []
    assert "no change needed" in events(again)[-1]["reason"]
    back = lab.ferryman("rollback", events(moved)[0]["run"])
    assert back.returncode == 0, back.stdout + back.stderr
    assert world(lab) == old


def test_a_dry_run_says_what_will_happen_and_touches_nothing(lab: RunningLab) -> None:
    old = world(lab)
    dry_run = rescheduled(lab, "static", "--dry-run")
    assert dry_run.returncode == 0, dry_run.stdout + dry_run.stderr
    checks = {finding["check"] for finding in findings(dry_run, "warn")}
    assert checks == {"scheduler-connections", "scheduler-hash", "scheduler-exchange"}
    assert world(lab) == old


def test_a_realserver_that_does_not_answer_refuses_the_run_and_nothing_is_changed(lab: RunningLab) -> None:
    old = world(lab)
    lab.put("listener-closed", "web1")
    refused = rescheduled(lab, "static", "--yes")
    assert refused.returncode == 3, refused.stdout
    lab.clear()
    assert world(lab) == old
