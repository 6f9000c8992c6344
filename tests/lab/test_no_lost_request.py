"""A flip and its rollback lose no request, and the hazard that host routes are against is a real one.

The hazard is made certain here: connections are held still while their destinations are edited, others come
first, and then the held ones, or the new ones, find the director asking its segment for the VIP itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from ferryman import retry
from ferryman.directors import SetForwarding
from ferryman.lab import exec_argv
from ferryman.model import Forwarding
from lab.flow import Outcome, Pace, flowing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.director_client import DirectorClient, DirectorClients
    from lab.running import RunningLab

pytestmark = pytest.mark.lab

TUNNEL = SetForwarding(Forwarding.TUNNEL)
DRIVERS = {"static": ("10.99.0.3", 8081), "maps": ("10.99.0.2", 8080)}
"""A service of each driver that edits destinations in place."""
FAMILIES = {"static": ("10.99.0.3", 8081), "web": ("fd99::1", 80)}
PACE = Pace(shorts=150, kept=300, downloads=4, uploads=4)
BETWEEN = 1_500
"""Requests before, between and after the edits."""
PATIENCE_S = 60.0
TRANSFERRED_BYTES = 20_000

Answers = list[str]

CLIENT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
vip, port = sys.argv[1], int(sys.argv[2])
def connected():
    return socket.create_connection((vip, port), 3)
def asked(sock):
    sock = sock or connected()
    sock.sendall(b"GET / HTTP/1.1\\r\\nHost: vip\\r\\n\\r\\n")
    return "answered" if sock.recv(4096).startswith(b"HTTP/1.1 200") else "closed"
def tried(sock):
    try:
        return asked(sock)
    except OSError as error:
        return type(error).__name__
held = []
with ThreadPoolExecutor(3) as together:
    for line in sys.stdin:
        if line == "hold\\n":
            held = [connected() for _ in range(3)]
        said = list(together.map(tried, [None] * 3 if line == "new\\n" else held))
        print(json.dumps(said), flush=True)
"""
"""Three connections at a time: a round for three destinations, so that each has one."""


@dataclass
class Client:
    """Asks through a VIP when it is told to, and is still in between."""

    process: subprocess.Popen[str]

    def ask(self, which: Literal["hold", "held", "new"]) -> Answers:
        """What became of three requests: on new connections, to be held with ``hold``, or on those held."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{which}\n")
        self.process.stdin.flush()
        said: Answers = json.loads(self.process.stdout.readline())
        return said


@contextmanager
def asking(lab: RunningLab, vip: str, port: int) -> Iterator[Client]:
    """A client where ferryman runs; its connections end with it."""
    argv = exec_argv(lab.place, "control", [sys.executable, "-c", CLIENT, vip, str(port)])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Client(process)
        process.communicate()


@contextmanager
def protected(client: DirectorClient, *, routes: bool) -> Iterator[None]:
    """Keep host routes to the realservers while the block runs, if ``routes`` says so."""
    if routes:
        client.routes.add(client.routes.read().needed)
    try:
        yield
    finally:
        client.routes.remove(client.routes.read().ours)


@contextmanager
def put_back(client: DirectorClient) -> Iterator[None]:
    """The service is direct-routed again afterwards, whatever happened."""
    before = client.driver.before()
    try:
        yield
    finally:
        client.driver.restore(before, TUNNEL)


@pytest.fixture
def quiet_segment(lab: RunningLab) -> Iterator[None]:
    """No host answers ARP for a VIP, not even the other director, and none is remembered for having done so.

    As the lab boots it, the other director does answer, takes the packets, and resets what it does not know.
    """
    sysctl = "echo {} >/proc/sys/net/ipv4/conf/all/arp_ignore"
    lab.console("lvs2", sysctl.format(1))
    lab.console("lvs1", "ip neigh flush all")
    yield
    lab.console("lvs2", sysctl.format(0))


@contextmanager
def asked_for(lab: RunningLab, vip: str) -> Iterator[list[str]]:
    """The ARP requests and neighbour solicitations for a VIP that pass the director meanwhile."""
    found: list[str] = []
    lab.console(
        "lvs1",
        "tcpdump -Z root -lnni eth0 --immediate-mode 'arp or icmp6' </dev/null >/lab/asked 2>/lab/capture &\n"
        "echo $! >/lab/capture.pid\n"
        "until grep -q listening /lab/capture; do kill -0 $!; sleep 0.1; done",
    )
    try:
        yield found
    finally:
        seen = lab.console("lvs1", "kill $(cat /lab/capture.pid); cat /lab/asked")
        found += [line for line in seen.splitlines() if re.search(rf"who.has {re.escape(vip)}\b", line)]


@pytest.mark.parametrize("name", DRIVERS)
def test_under_a_strong_load_a_flip_and_its_rollback_lose_nothing(
    lab: RunningLab, name: str, director_client: DirectorClients
) -> None:
    client = director_client(name)
    before = client.driver.before()
    with put_back(client), protected(client, routes=True), flowing(lab, *DRIVERS[name], PACE) as outcome:
        answer(outcome, BETWEEN)
        client.driver.apply(before, TUNNEL)
        answer(outcome, BETWEEN)
        client.driver.restore(before, TUNNEL)
        answer(outcome, BETWEEN)
    assert outcome.lost == []
    assert len(outcome.requests) >= 3 * BETWEEN
    assert len(outcome.transfers) == PACE.downloads + PACE.uploads
    assert all(transfer.moved_bytes > TRANSFERRED_BYTES for transfer in outcome.transfers)


def answer(outcome: Outcome, requests: int) -> None:
    """Let so many more requests come to an end."""
    enough = outcome.so_far() + requests
    assert retry.poll_until(outcome.so_far, lambda ended: ended >= enough, within_s=PATIENCE_S) >= enough


@dataclass
class Seen:
    """What became of connections from before an edit, of those after it, and what the director asked for."""

    held: Answers
    new: Answers
    asked_for: list[str]


def after_a_flip(lab: RunningLab, director_client: DirectorClient, *, routes: bool) -> Seen:
    """The first packets are tunnelled; then the held, direct-routed connections go on."""
    vip, port = FAMILIES[director_client.service.name]
    with (
        put_back(director_client),
        protected(director_client, routes=routes),
        asking(lab, vip, port) as client,
    ):
        client.ask("hold")
        director_client.driver.apply(director_client.driver.before(), TUNNEL)
        with asked_for(lab, vip) as lines:
            new = client.ask("new")
            held = client.ask("held")
    return Seen(held, new, lines)


def after_a_rollback(lab: RunningLab, director_client: DirectorClient, *, routes: bool) -> Seen:
    """The first packets are those of held, tunnelled connections; then come new ones, direct-routed."""
    vip, port = FAMILIES[director_client.service.name]
    before = director_client.driver.before()
    with (
        put_back(director_client),
        protected(director_client, routes=routes),
        asking(lab, vip, port) as client,
    ):
        director_client.driver.apply(before, TUNNEL)
        client.ask("hold")
        director_client.driver.restore(before, TUNNEL)
        with asked_for(lab, vip) as lines:
            held = client.ask("held")
            new = client.ask("new")
    return Seen(held, new, lines)


@pytest.mark.usefixtures("quiet_segment")
@pytest.mark.parametrize("name", FAMILIES)
def test_without_host_routes_a_flip_loses_connections_from_before_it(
    lab: RunningLab, name: str, director_client: DirectorClients
) -> None:
    seen = after_a_flip(lab, director_client(name), routes=False)
    assert seen.new == ["answered"] * 3
    assert "answered" not in seen.held
    assert seen.asked_for


@pytest.mark.usefixtures("quiet_segment")
@pytest.mark.parametrize("name", FAMILIES)
def test_without_host_routes_a_rollback_loses_new_connections(
    lab: RunningLab, name: str, director_client: DirectorClients
) -> None:
    seen = after_a_rollback(lab, director_client(name), routes=False)
    assert seen.held == ["answered"] * 3
    assert "answered" not in seen.new
    assert seen.asked_for


@pytest.mark.usefixtures("quiet_segment")
@pytest.mark.parametrize("way", [after_a_flip, after_a_rollback])
@pytest.mark.parametrize("name", FAMILIES)
def test_with_host_routes_all_are_answered_and_the_director_asks_nobody_for_the_vip(
    lab: RunningLab, name: str, director_client: DirectorClients, way: Callable[..., Seen]
) -> None:
    seen = way(lab, director_client(name), routes=True)
    assert seen == Seen(["answered"] * 3, ["answered"] * 3, [])
