"""A node behind the router: direct routing does not reach it, IPIP does, and there is no way back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lab.kubernetes.test_lab_pods import answers, vip_of

if TYPE_CHECKING:
    import subprocess
    from typing import Any

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CHANGED = "--accept-changed-plan"
CONSENT = "--accept-irreversible"
FAR = "10.50.0.34"
DIRECTORS = ("lvs1", "lvs2")
POOLED = "    node4:\n    - rack\n"
"""The last lines of the node file, for the service is the last one."""


def migrate(lab: RunningLab, *words: str) -> subprocess.CompletedProcess[str]:
    return lab.ferryman("--output", "json", "migrate", "rack", "--site", "lab", "--yes", *words)


def findings(done: subprocess.CompletedProcess[str], check: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event for event in events if event.get("event") == "finding" and event["check"] == check]


def entries(lab: RunningLab, director: str) -> set[str]:
    """How a director forwards to the service's nodes, from its table."""
    vip, port = vip_of(lab, "rack")
    lines = lab.console(director, "ipvsadm -Sn").splitlines()
    return {line.split(" -r ")[1] for line in lines if line.startswith(f"-a -t {vip}:{port} ")}


def test_direct_routing_there_is_lost_and_the_check_says_so_before_anybody_asks(nodes: RunningLab) -> None:
    vip, port = vip_of(nodes, "rack")
    seen = answers(nodes, port, vip, times=4)
    assert seen.count("") == 2
    checked = nodes.ferryman("--output", "json", "check", "rack", "--site", "lab")
    warned = findings(checked, "director-segment")
    assert {(finding["host"], finding["verdict"]) for finding in warned} == {
        ("lvs1", "warn"),
        ("lvs2", "warn"),
    }
    assert "node4 (behind 10.10.0.254)" in warned[0]["seen"]


def test_the_nodes_of_one_segment_are_told_as_that(nodes: RunningLab) -> None:
    checked = nodes.ferryman("--output", "json", "check", "shop", "--site", "lab")
    assert checked.returncode == 0, checked.stdout
    assert {finding["verdict"] for finding in findings(checked, "director-segment")} == {"pass"}


def test_without_consent_nothing_is_changed_in_a_dry_run_and_for_real(nodes: RunningLab) -> None:
    before = entries(nodes, "lvs1"), entries(nodes, "lvs2")
    for words in ([], ["--dry-run"]):
        refused = migrate(nodes, *words)
        assert refused.returncode == 3, refused.stdout
        assert "not reversible: direct routing does not reach node4 (behind 10.10.0.254)" in refused.stdout
        assert CONSENT in refused.stdout
    assert (entries(nodes, "lvs1"), entries(nodes, "lvs2")) == before


def test_with_consent_it_is_moved_and_then_answers_from_behind_the_router(nodes: RunningLab) -> None:
    """It is out of rotation before: requests that are lost already refuse a run whatever is accepted."""
    vip, port = vip_of(nodes, "rack")
    weigh(nodes, 0)
    refused = migrate(nodes)
    assert refused.returncode == 3, refused.stdout
    assert CONSENT in refused.stdout
    moved = migrate(nodes, CONSENT)
    assert moved.returncode == 0, moved.stdout + moved.stderr
    assert {finding["verdict"] for finding in findings(moved, "irreversible")} == {"warn"}
    assert nodes.console("lvs1", f"ip route show {FAR}; ip route show proto 102") == ""
    weigh(nodes, 1)
    assert set(answers(nodes, port, vip, times=6)) == {"node2-pod1", "node2-pod2", "node4-pod1"}
    checked = nodes.ferryman("--output", "json", "check", "rack", "--site", "lab")
    assert checked.returncode == 0, checked.stdout
    told = findings(checked, "director-segment")
    assert {finding["verdict"] for finding in told} == {"pass"}
    assert "no way back" in told[0]["seen"]
    bars_the_way_back_until_it_has_left(nodes, run_of(moved))


def test_one_that_is_pooled_after_the_move_bars_the_way_back_too(nodes: RunningLab) -> None:
    leave_the_pool(nodes)
    moved = migrate(nodes)
    assert moved.returncode == 0, moved.stdout + moved.stderr
    assert findings(moved, "irreversible") == []
    join_the_pool(nodes, "-i")
    bars_the_way_back_until_it_has_left(nodes, run_of(moved))


def bars_the_way_back_until_it_has_left(lab: RunningLab, run: str) -> None:
    """A rollback is refused and leaves the tunnel; with node4 out of the pool it is made."""
    refused = lab.ferryman("rollback", run, CHANGED)
    assert refused.returncode != 0, refused.stdout
    assert "take those realservers out of rack's pool" in refused.stdout + refused.stderr
    assert all("-i" in entry for director in DIRECTORS for entry in entries(lab, director))
    leave_the_pool(lab)
    back = lab.ferryman("--output", "json", "rollback", run, CHANGED)
    assert back.returncode == 0, back.stdout + back.stderr
    assert all("-g" in entry for director in DIRECTORS for entry in entries(lab, director))
    join_the_pool(lab, "-g")


def run_of(done: subprocess.CompletedProcess[str]) -> str:
    """The run's id."""
    return str(json.loads(done.stdout.splitlines()[-1])["run"])


def weigh(lab: RunningLab, weight: int) -> None:
    """Give node4 a weight on both directors, in the forwarding method that it has."""
    vip, port = vip_of(lab, "rack")
    for director in DIRECTORS:
        method = "-i" if any("-i" in entry for entry in entries(lab, director)) else "-g"
        lab.console(director, f"ipvsadm -e -t {vip}:{port} -r {FAR}:{port} {method} -w {weight}")


def leave_the_pool(lab: RunningLab) -> None:
    """Take node4 out of the pool, in the inventory and on the directors, as their software would."""
    vip, port = vip_of(lab, "rack")
    for director in DIRECTORS:
        lab.console(director, f"ipvsadm -d -t {vip}:{port} -r {FAR}:{port}")
    pool = lab.folder / "inventory" / "nodes" / "lab.yaml"
    assert POOLED in pool.read_text()
    pool.write_text(pool.read_text().replace(POOLED, ""))


def join_the_pool(lab: RunningLab, method: str) -> None:
    """Bring node4 into the pool again, everywhere."""
    vip, port = vip_of(lab, "rack")
    for director in DIRECTORS:
        lab.console(director, f"ipvsadm -a -t {vip}:{port} -r {FAR}:{port} {method} -w 1")
    pool = lab.folder / "inventory" / "nodes" / "lab.yaml"
    pool.write_text(pool.read_text().rstrip("\n") + "\n" + POOLED)
