"""What the tests of a whole migration look at and do to it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.lab import exec_argv, topology
from ferryman.retry import poll_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.running import RunningLab

DIRECTORS = ("lvs1", "lvs2")
REALSERVERS = ("web1", "web2", "web3", "node1", "node2")
SETTLED_S = 15.0
"""Seconds that health checks and the like have to see that all is well again."""
SETTINGS = "cd /proc/sys/net && grep -rs . ipv4/conf ipv4/vs ipv6/conf"
TABLES = "ipvsadm -Sn | sort; cat /etc/keepalived/services/*.conf; ip route; ip -6 route"
"""The kernel lists the newest first: a realserver whose health check failed for a moment, and that keepalived
put back, would stand elsewhere for good, though all is as before."""
BY_THEMSELVES = re.compile(r" expires \d+sec|^.*(stable_secret|mc_forwarding).*$", re.MULTILINE)
"""What changes without anybody's doing: lifetimes that count down, secrets that cannot be read."""

LOADED = """
import sys, json
from ipaddress import ip_address
from load import Load
with Load(ip_address(sys.argv[1]), int(sys.argv[2])) as load:
    print("begun", flush=True)
    sys.stdin.read()
print(json.dumps([load.done, load.lost, load.slowest_s]))
"""


def world(lab: RunningLab) -> dict[str, str]:
    """Everything that a migration may change: catalog, IPVS tables, keepalived's files, routes, settings."""
    asked = dict.fromkeys(REALSERVERS, SETTINGS) | dict.fromkeys(DIRECTORS, f"{TABLES}; {SETTINGS}")
    script = "\n".join(
        f"echo '=={host}'; ip netns exec {host} sh -c {shlex.quote(what)} || :"
        for host, what in asked.items()
    )
    text = BY_THEMSELVES.sub("", lab.console("rt", script))
    seen = dict(part.split("\n", 1) for part in text.split("==")[1:])
    assert all(len(text) > 100 for text in seen.values()), "a host told nothing, so it proves nothing"
    return seen | {"catalog": hashlib.sha256(catalog(lab).read_bytes()).hexdigest()}


def require_world(lab: RunningLab, wanted: dict[str, str]) -> None:
    """The lab is as wanted, or becomes so: keepalived takes a realserver back when it has looked again."""
    assert poll_until(lambda: world(lab), lambda now: now == wanted, within_s=SETTLED_S) == wanted


def is_whole(seen: dict[str, str]) -> bool:
    """Whether both directors have every realserver; keepalived puts them back some time after a fault."""
    wanted = sum(len(service.vips) * len(service.realservers) for service in topology.DEFAULT.services)
    return all(
        sum(line.startswith("-a ") for line in seen[director].splitlines()) == wanted
        for director in DIRECTORS
    )


def catalog(lab: RunningLab) -> Path:
    """The path of the catalog in this lab's configuration."""
    return lab.folder / "inventory" / "services.yaml"


def forwarding(lab: RunningLab, director: str, vip: str) -> set[str]:
    """``-g`` or ``-i`` of the destinations of one virtual service."""
    table = lab.console(director, "ipvsadm -Sn").splitlines()
    lines = [line.split() for line in table if line.startswith(f"-a -t {vip} ")]
    return {word for line in lines for word in line if word in ("-g", "-i", "-m")}


def received(lab: RunningLab, host: str) -> int:
    """How many packets the host's ipip0 has unwrapped since it was made."""
    return int(lab.console(host, "cat /sys/class/net/ipip0/statistics/rx_packets"))


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The events that a command wrote as JSON lines."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def findings(done: subprocess.CompletedProcess[str], *verdicts: str) -> list[dict[str, Any]]:
    """The findings with one of these verdicts."""
    return [event for event in events(done) if event["event"] == "finding" and event["verdict"] in verdicts]


def changes(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The change events, of changes that were made and of those that a dry run shows."""
    return [event for event in events(done) if event["event"] == "change"]


def killed_at(lab: RunningLab, title: str, *arguments: str) -> str:
    """Run ferryman and kill it with -9 when it begins to do the step with this in its title; the run's id."""
    output = run_and_act(lab, title, lambda running: running.send_signal(signal.SIGKILL), *arguments)
    assert output.returncode == -signal.SIGKILL
    return str(output.events[0]["run"])


@dataclass
class RunOutput:
    """The events that a command wrote, and its exit code."""

    events: list[dict[str, Any]]
    returncode: int

    @property
    def run(self) -> str:
        """The id of the run, as its first event has it."""
        return str(self.events[0]["run"])

    @property
    def reason(self) -> str:
        """The reason for the run's outcome, as its last event has it."""
        return str(self.events[-1]["reason"])

    def edited(self) -> set[str]:
        """The directors on which a table, a file or a route was changed."""
        made = [event for event in self.events if event["event"] == "change" and event["applied"]]
        return {event["target"].partition(":")[0] for event in made if event["kind"] == "director"}

    def warnings(self) -> list[str]:
        """Each warning as one line: check, host and what was seen."""
        found = [event for event in self.events if event["event"] == "finding" and event["verdict"] == "warn"]
        return [f"{finding['check']} {finding['host']}: {finding['seen']}" for finding in found]


def run_and_act(
    lab: RunningLab,
    title: str,
    act: Callable[[subprocess.Popen[str]], object],
    *arguments: str,
    phase: str = "do",
) -> RunOutput:
    """Run ferryman, and act when it enters this phase of the step with this in its title."""
    config = str(lab.folder / "ferryman.toml")
    command = [sys.executable, "-m", "ferryman", "--config", config, "--output", "json", *arguments]
    environment = lab.environment
    written: list[dict[str, Any]] = []
    waiting = True
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as running:
        assert running.stdout
        for line in running.stdout:
            written.append(event := json.loads(line))
            if waiting and _begins(event, title, phase):
                waiting = False
                act(running)
    assert not waiting, f"the run ended before it came to {title!r}"
    return RunOutput(written, running.returncode)


def pause_and_act(
    lab: RunningLab, title: str, act: Callable[[], object], *arguments: str, phase: str = "check"
) -> RunOutput:
    """Run ferryman, and let somebody act when it enters this phase of the step with this in its title.

    It stands still while they do: they are never too late, however slow the machine is.
    """

    def strike(running: subprocess.Popen[str]) -> None:
        running.send_signal(signal.SIGSTOP)
        try:
            act()
        finally:
            running.send_signal(signal.SIGCONT)

    return run_and_act(lab, title, strike, *arguments, phase=phase)


def _begins(event: dict[str, Any], title: str, phase: str) -> bool:
    return event["event"] == "step-started" and event["phase"] == phase and title in event["title"]


@contextmanager
def captured(lab: RunningLab) -> Iterator[list[str]]:
    """The packets that leave the control host meanwhile, one line each, once it is over."""
    lines: list[str] = []
    argv = exec_argv(
        lab.place, "control", ["tcpdump", "-lnn", "-i", "control0", "--immediate-mode", "-Q", "out"]
    )
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as capture:
        assert capture.stderr
        assert capture.stdout
        while "listening on" not in capture.stderr.readline():
            assert capture.poll() is None, "tcpdump did not start"
        yield lines
        capture.send_signal(signal.SIGINT)
        lines += filter(None, capture.stdout.read().splitlines())


@dataclass
class Requests:
    """What became of the requests of a load."""

    done: dict[str, int]
    lost: dict[str, int]
    slowest_s: float


@contextmanager
def loaded(lab: RunningLab, vip: str, port: int) -> Iterator[list[Requests]]:
    """Steady requests and long transfers through a VIP meanwhile; what became of them, once it is over."""
    outcome: list[Requests] = []
    argv = exec_argv(lab.place, "control", [sys.executable, "-c", LOADED, vip, str(port)])
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as load:
        assert load.stdin
        assert load.stdout
        assert load.stdout.readline() == "begun\n"
        try:
            yield outcome
        finally:
            load.stdin.close()
        outcome.append(Requests(*json.loads(load.stdout.read())))
