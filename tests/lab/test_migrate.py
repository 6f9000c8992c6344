"""The main job on real hosts: a service is migrated, is refused, is rolled back."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from ferryman.retry import poll_until
from lab.migration import (
    DIRECTORS,
    captured,
    catalog,
    changes,
    events,
    findings,
    forwarding,
    killed_at,
    loaded,
    received,
    world,
)
from lab.quick import configure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import CompletedProcess

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

STATIC, MAPS, WEB, WEB6, INGRESS = (
    "10.99.0.3:8081",
    "10.99.0.2:8080",
    "10.99.0.1:80",
    "[fd99::1]:80",
    "10.99.0.4:30443",
)


def migrated(lab: RunningLab, service: str, *more: str) -> CompletedProcess[str]:
    return lab.ferryman("--output", "json", "migrate", service, "--site", "lab", "--yes", *more)


@pytest.fixture(autouse=True)
def as_it_was(lab: RunningLab) -> Iterator[dict[str, str]]:
    """What the lab was like before the test; the test puts it back, and this says so if it did not."""
    before = world(lab)
    yield before
    lab.clear()
    # keepalived takes a realserver back when its health check has passed again
    assert poll_until(lambda: world(lab), lambda now: now == before, within_s=15) == before


def test_a_dual_stack_service_migrates_and_rolls_back(lab: RunningLab, as_it_was: dict[str, str]) -> None:
    old = catalog(lab).read_text().splitlines()
    counters = {host: received(lab, host) for host in ("web1", "web2", "web3")}
    completed = migrated(lab, "web")
    assert completed.returncode == 0, completed.stderr
    assert events(completed)[-1]["outcome"] == "done"
    assert [forwarding(lab, director, vip) for director in DIRECTORS for vip in (WEB, WEB6)] == [{"-i"}] * 4
    new = catalog(lab).read_text().splitlines()
    at = new.index("      ipip_encapsulation:", old.index("  web:"))
    assert new[:at] + new[at + 2 :] == old
    assert new[at + 1].strip() == "- lab"
    assert [host for host, count in counters.items() if received(lab, host) <= count] == []
    back = lab.ferryman("rollback", events(completed)[0]["run"])
    assert back.returncode == 0, back.stdout + back.stderr
    assert world(lab) == as_it_was


@pytest.mark.parametrize(("service", "vip"), [("static", STATIC), ("k8s-ingress-staging", INGRESS)])
def test_each_driver_and_each_kind_of_realserver_migrates(lab: RunningLab, service: str, vip: str) -> None:
    completed = migrated(lab, service)
    assert completed.returncode == 0, completed.stderr
    assert [forwarding(lab, director, vip) for director in DIRECTORS] == [{"-i"}, {"-i"}]
    assert lab.ferryman("rollback", events(completed)[0]["run"]).returncode == 0


def test_a_service_that_was_migrated_is_looked_at_and_left_alone(lab: RunningLab) -> None:
    done = migrated(lab, "search")
    assert done.returncode == 0, done.stderr
    assert "no change needed" in events(done)[-1]["reason"]
    assert changes(done) == []
    assert "probe" in {event["event"] for event in events(done)}, "no change needed is verified, not believed"


@pytest.mark.parametrize(
    ("fault", "host", "named"),
    [
        ("rp-filter-strict", "web2", "net.ipv4.conf.ipip0.rp_filter"),
        ("host-key-changed", "web2", "-R web2, and add the new key"),
        ("sshd-down", "lvs2", "connect"),
        ("black-hole-in", "web1", "cause: path-mtu"),
        ("reset-on-request", "web3", "cause: firewall"),
    ],
)
def test_a_fault_refuses_the_run_names_its_host_and_changes_nothing(
    lab: RunningLab, as_it_was: dict[str, str], fault: str, host: str, named: str
) -> None:
    lab.put(fault, host)
    before = world(lab)
    refused = migrated(lab, "static")
    assert refused.returncode == 3, refused.stderr
    blocking = findings(refused, "fail", "unknown")
    accused = {finding["host"] for finding in blocking}
    assert host in accused
    # requests through the VIP fail for everybody when a realserver's share of them does
    assert accused <= {host, "10.99.0.3"}
    assert named in json.dumps(blocking)
    assert changes(refused) == []
    assert world(lab) == before


def test_a_service_that_does_not_listen_is_told_from_a_tunnel_that_does_not_work(lab: RunningLab) -> None:
    lab.put("listener-closed", "web1")
    refused = migrated(lab, "static")
    assert refused.returncode == 3, refused.stderr
    (answer,) = [event for event in events(refused) if event["event"] == "probe" and event["host"] == "web1"]
    assert answer["verdict"] == "refused"
    assert "listener" in {
        finding["check"] for finding in findings(refused, "fail") if finding["host"] == "web1"
    }
    assert changes(refused) == []


def test_what_breaks_after_the_first_flip_is_rolled_back_and_verified(
    lab: RunningLab, as_it_was: dict[str, str]
) -> None:
    lab.put("breaks-after-flip", "web3")
    back = migrated(lab, "static")
    assert back.returncode == 4, back.stderr
    assert events(back)[-1]["outcome"] == "rolled-back"
    flipped = [change["target"] for change in changes(back) if "ipvsadm -e" in change.get("command", "")]
    assert set(flipped) == {"lvs2"}, "the primary must not be touched"
    lab.clear()
    assert world(lab) == as_it_was


def test_what_breaks_while_the_run_soaks_is_caught_by_the_watch_though_health_checks_are_green(
    lab: RunningLab, as_it_was: dict[str, str]
) -> None:
    configure(lab.folder, {"watch": {"every": 0.5, "soak": 30}})
    lab.put("breaks-in-soak", "web3")
    back = migrated(lab, "maps", "--on-doubt", "rollback")
    assert back.returncode == 4, back.stderr
    reason = events(back)[-1]["reason"]
    assert reason.startswith("the watch: ")
    assert "web3: probe: tcp 10.99.0.2:8080: silent" in reason
    assert "cause: rp-filter" in reason
    flipped = {change["target"].partition(":")[0] for change in changes(back) if change["kind"] == "director"}
    assert flipped == {"lvs1", "lvs2"}
    (soaked,) = [
        event["step"] for event in events(back) if event["event"] == "finding" and event["check"] == "soak"
    ]
    assert "lvs2" in events(back)[0]["plan"][soaked], "the soak of the primary was cut short"
    assert world(lab)["lvs1"] == as_it_was["lvs1"], "keepalived saw nothing wrong with web3"
    lab.clear()
    assert world(lab) == as_it_was


def test_a_configuration_that_keepalived_refuses_changes_nothing_on_it(
    lab: RunningLab, as_it_was: dict[str, str]
) -> None:
    lab.put("keepalived-wrong-config", "lvs2")
    refused = migrated(lab, "maps")
    assert refused.returncode == 3, refused.stderr
    assert "lvs2" in events(refused)[-1]["reason"]
    lab.clear()
    assert world(lab) == as_it_was


def files_of(lab: RunningLab) -> dict[Path, bytes]:
    """Every file of the configuration, but for what dry runs keep: their tapes, and what they foretold."""
    kept = ("foretold", "tapes")
    files = [path for path in lab.folder.rglob("*") if path.is_file() and path.parent.name not in kept]
    return {path: path.read_bytes() for path in files}


def test_a_dry_run_shows_the_plan_and_its_edits_and_sends_nothing_but_ssh(
    lab: RunningLab, as_it_was: dict[str, str]
) -> None:
    files = files_of(lab)
    with captured(lab) as packets:
        dry_run = lab.ferryman("--output", "json", "migrate", "static", "--site", "lab", "--dry-run")
    assert dry_run.returncode == 0, dry_run.stderr
    assert packets, "the capture saw nothing, so it proves nothing"
    neighbours = r"ARP|neighbor (solicitation|advertisement)|multicast listener|router solicitation"
    assert [line for line in packets if not re.search(rf"\.22: |{neighbours}", line)] == []
    assert files_of(lab) == files
    assert world(lab) == as_it_was
    assert changes(dry_run)
    assert not any(change["applied"] for change in changes(dry_run))
    completed = migrated(lab, "static")
    assert events(completed)[0]["plan"] == events(dry_run)[0]["plan"]

    def changed_by(done: CompletedProcess[str]) -> list[str]:
        unsure = [edit for event in events(done) for edit in event.get("edits", ())]
        return sorted(str(edit.get("diff") or edit["command"]) for edit in [*changes(done), *unsure])

    assert changed_by(completed) == changed_by(dry_run)
    assert lab.ferryman("rollback", events(completed)[0]["run"]).returncode == 0


def test_a_run_that_was_killed_keeps_its_lock_and_can_be_resumed(
    lab: RunningLab, as_it_was: dict[str, str]
) -> None:
    killed = killed_at(lab, "lvs1, primary", "migrate", "static", "--site", "lab", "--yes")
    assert forwarding(lab, "lvs2", STATIC) == {"-i"}
    busy = migrated(lab, "static")
    assert busy.returncode == 6
    assert killed in events(busy)[-1]["reason"]
    resumed = lab.ferryman("resume", killed)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert [forwarding(lab, director, STATIC) for director in DIRECTORS] == [{"-i"}, {"-i"}]
    configure(lab.folder, {"directors": {"drain_timeout": 30}})  # or host routes may stay, which is right too
    back = lab.ferryman("rollback", killed)
    assert back.returncode == 0, back.stdout + back.stderr
    assert world(lab) == as_it_was


def test_a_run_that_was_killed_can_be_put_back(lab: RunningLab, as_it_was: dict[str, str]) -> None:
    killed = killed_at(lab, "lvs1, primary", "migrate", "static", "--site", "lab", "--yes")
    back = lab.ferryman("rollback", killed)
    assert back.returncode == 0, back.stdout + back.stderr
    assert world(lab) == as_it_was


def test_no_request_fails_while_a_service_migrates_and_rolls_back(lab: RunningLab) -> None:
    with loaded(lab, "10.99.0.1", 80) as migrating:
        completed = migrated(lab, "web")
    assert completed.returncode == 0, completed.stderr
    with loaded(lab, "10.99.0.1", 80) as back:
        returned = lab.ferryman("--output", "json", "rollback", events(completed)[0]["run"])
    assert returned.returncode == 0, returned.stderr
    for requests in (*migrating, *back):
        assert requests.lost == {}, requests
        assert requests.done["short"] > 100
        assert requests.done["download"] > 0
        assert requests.done["upload"] > 0
    # the long transfers outlived the run, so its host routes stayed, and it said how to take them away
    kept = {
        finding["host"]: finding["remedy"]
        for finding in findings(returned, "warn")
        if finding["check"] == "host-routes"
    }
    assert "lvs1" in kept
    for host, remedy in kept.items():
        lab.console(host, remedy.partition(": ")[2].replace("; ", "\n"))
