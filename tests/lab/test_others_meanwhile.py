"""What somebody else does to the world in the middle of a run: it never ends done, nor verified, over it.

They strike between two steps of a run that is held still meanwhile, on the real kernel and the real
keepalived. However it ends, it says whom it is about; and where it says that all is as before, it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ferryman.hosts.verbs.routes import PROTOCOL
from lab.migration import (
    RunOutput,
    catalog,
    forwarding,
    killed_at,
    pause_and_act,
    require_world,
    run_and_act,
    world,
)

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # whole migrations, on a guest of one CPU

STATIC, MAPS = "10.99.0.3:8081", "10.99.0.2:8080"
VIPS = {"static": STATIC, "maps": MAPS}
REALSERVERS = ("10.10.0.21", "10.10.0.22", "10.10.0.23")
MAPS_FILE = "/etc/keepalived/services/maps.conf"
SOAK_OF_LVS2, SOAK_OF_LVS1 = (f"nothing wrong for a while with {host} changed" for host in ("lvs2", "lvs1"))
FLUSH = f"ip -4 route flush proto {PROTOCOL}; ip -6 route flush proto {PROTOCOL}"


def migrate(service: str) -> tuple[str, ...]:
    """Its soak is long enough for whoever reads along."""
    return ("migrate", service, "--site", "lab", "--yes", "--soak", "4")


def require_back(lab: RunningLab, output: RunOutput, old: dict[str, str], *, names: str) -> None:
    """It did not end done, named whom it is about, and is back: by itself, or once it is told to."""
    assert output.returncode in (4, 7), output.reason
    assert names in output.reason
    if output.returncode == 7:
        back = lab.ferryman("rollback", output.run)
        assert back.returncode == 0, back.stdout + back.stderr
    require_world(lab, old)
    require_over(lab, output.run)


def require_over(lab: RunningLab, run: str) -> None:
    """Nobody is kept waiting by it: a dry run would not be, so the journal is asked."""
    again = lab.ferryman("resume", run)
    assert again.returncode == 2, again.stdout + again.stderr
    assert "is over" in again.stderr


def flipped(lab: RunningLab, director: str, service: str, method: str) -> None:
    """Somebody gives each destination another method by hand."""
    vip = VIPS[service]
    port = vip.rpartition(":")[2]
    edits = [f"ipvsadm -e -t {vip} -r {realserver}:{port} {method} -w 1" for realserver in REALSERVERS]
    lab.console(director, "\n".join(edits))


def restoring(lab: RunningLab, director: str) -> str:
    """The script that empties a director's table and fills it with what is in it now.

    The kernel lists the newest first: what is restored in the order of the list would be listed backwards.
    """
    rules = lab.console(director, "ipvsadm -Sn").splitlines()
    services = [line for line in rules if line.startswith("-A ")]
    destinations = [line for line in rules if line.startswith("-a ")]
    newest_last = "\n".join([*reversed(services), *reversed(destinations)])
    return f"ipvsadm -C\nipvsadm -R <<'END'\n{newest_last}\nEND\n"


@pytest.mark.parametrize("service", ["static", "maps"])
def test_a_director_that_is_rebooted_in_its_soak_is_seen_before_the_next_one_is_touched(
    lab: RunningLab, old_world: dict[str, str], service: str
) -> None:
    reboot = f"{restoring(lab, 'lvs2')}{FLUSH}"
    output = pause_and_act(lab, SOAK_OF_LVS2, lambda: lab.console("lvs2", reboot), *migrate(service))
    assert "lvs1, primary" not in made(output), "the primary must not be flipped"
    require_back(lab, output, old_world, names="lvs2")


def made(output: RunOutput) -> str:
    """The titles of the steps that were begun, in one string."""
    return "\n".join(
        str(event["title"])
        for event in output.events
        if event["event"] == "step-started" and event["phase"] == "do"
    )


@pytest.mark.parametrize("service", ["static", "maps"])
def test_a_primary_that_is_rebooted_in_its_soak_is_seen_at_the_end(
    lab: RunningLab, old_world: dict[str, str], service: str
) -> None:
    reboot = f"{restoring(lab, 'lvs1')}{FLUSH}"
    output = pause_and_act(lab, SOAK_OF_LVS1, lambda: lab.console("lvs1", reboot), *migrate(service))
    require_back(lab, output, old_world, names="lvs1")


@pytest.mark.parametrize("soak", [SOAK_OF_LVS2, SOAK_OF_LVS1])
def test_a_stale_copy_of_the_catalog_moved_over_it_is_seen(
    lab: RunningLab, old_world: dict[str, str], soak: str
) -> None:
    path = catalog(lab)
    stale = path.with_suffix(".stale")
    stale.write_bytes(path.read_bytes())
    output = pause_and_act(lab, soak, lambda: stale.replace(path), *migrate("static"))
    if soak == SOAK_OF_LVS2:
        assert "lvs1, primary" not in made(output), "the primary must not be flipped"
    require_back(lab, output, old_world, names="services.yaml")


def test_a_run_is_not_taken_back_from_under_a_later_one(lab: RunningLab, old_world: dict[str, str]) -> None:
    first = lab.ferryman("migrate", "maps", "--site", "lab", "--yes")
    assert first.returncode == 0, first.stdout + first.stderr
    new_world = world(lab)
    later = lab.ferryman("scheduler", "migrate", "maps", "--site", "lab", "--to", "wrr", "--yes")
    assert later.returncode == 0, later.stdout + later.stderr
    rescheduled = world(lab)

    refused = lab.ferryman("rollback", run_of(first))
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert run_of(later) in refused.stdout + refused.stderr
    assert world(lab) == rescheduled

    for run, left in ((run_of(later), new_world), (run_of(first), old_world)):
        back = lab.ferryman("rollback", run)
        assert back.returncode == 0, back.stdout + back.stderr
        require_world(lab, left)


def run_of(done: CompletedProcess[str]) -> str:
    """The run's id, of what was told to people."""
    found = re.search(r" run (\d{8}-\d{6}-\w+)", done.stdout)
    assert found, done.stdout
    return found[1]


def test_routes_go_as_the_journal_has_them_though_a_realserver_has_left_the_pool(
    lab: RunningLab, old_world: dict[str, str]
) -> None:
    run = killed_at(lab, "The catalog says IPIP", *migrate("static"))
    put_up = {host: our_routes(lab, host) for host in ("lvs1", "lvs2")}
    assert [len(routes) for routes in put_up.values()] == [3, 3]
    nodes = lab.folder / "inventory" / "nodes" / "lab.yaml"
    nodes.write_text(re.sub(r"(web3: .*), static,", r"\1,", nodes.read_text()))

    back = run_and_act(
        lab, "lvs2 has a host route", lambda _: None, "rollback", run, "--accept-changed-plan", phase="undo"
    )
    assert back.returncode == 0, back.reason
    require_world(lab, old_world)
    deleted = {host: deletions(back, host) for host in put_up}
    assert deleted == put_up, "what is told as done is what ran"


def our_routes(lab: RunningLab, host: str) -> set[str]:
    """The addresses that have a host route of ours."""
    shown = lab.console(host, f"ip -4 route show proto {PROTOCOL}; ip -6 route show proto {PROTOCOL}")
    return {line.split()[0] for line in shown.splitlines()}


def deletions(output: RunOutput, host: str) -> set[str]:
    """The addresses whose routes are told to have been deleted there."""
    commands = "\n".join(
        str(event["command"])
        for event in output.events
        if event["event"] == "change" and event["applied"] and event["target"] == host
    )
    return set(re.findall(r"route del (\S+?)(?:/\d+)? ", commands))


ADDED = f"-a -t {STATIC} -r 10.10.0.31:8081"


@pytest.mark.parametrize("method", ["-g", "-i"])
def test_a_destination_that_somebody_added_strands_no_run_whose_own_part_is_back(
    lab: RunningLab, old_world: dict[str, str], method: str
) -> None:
    run = meanwhile_killed(lab, SOAK_OF_LVS2, f"ipvsadm {ADDED} {method} -w 0")
    back = run_and_act(lab, "lvs2, secondary", lambda _: None, "rollback", run, phase="undo")
    require_theirs_alone(lab, back, 0, old_world)


def meanwhile_killed(lab: RunningLab, title: str, script: str) -> str:
    """Somebody acts on lvs2, and the run is killed with -9; its id."""

    def strike(running: object) -> None:
        lab.console("lvs2", script)
        running.kill()  # type: ignore[attr-defined]  # a process

    return run_and_act(lab, title, strike, *migrate("static"), phase="check").run


def test_a_run_goes_back_over_a_destination_that_somebody_added_and_says_so(
    lab: RunningLab, old_world: dict[str, str]
) -> None:
    output = pause_and_act(
        lab, SOAK_OF_LVS2, lambda: lab.console("lvs2", f"ipvsadm {ADDED} -g -w 0"), *migrate("static")
    )
    require_theirs_alone(lab, output, 4, old_world)


def require_theirs_alone(lab: RunningLab, output: RunOutput, status: int, old: dict[str, str]) -> None:
    """All of ours is back, what they added stands and is named, and nothing is kept waiting."""
    try:
        assert output.returncode == status, output.reason
        assert any("10.10.0.31" in warning for warning in output.warnings()), output.warnings()
        assert "10.10.0.31" in output.reason, "the ending names it too"
    finally:
        lab.console("lvs2", ADDED.replace("-a ", "ipvsadm -d "))
    require_world(lab, old)
    require_over(lab, output.run)


@pytest.mark.parametrize(
    ("director", "edit"), [("lvs2", "lvs_sched wrr/lvs_sched rr"), ("lvs1", "lvs_method DR/lvs_method TUN")]
)
def test_an_edit_that_waits_in_another_services_file_refuses_the_run(
    lab: RunningLab, old_world: dict[str, str], director: str, edit: str
) -> None:
    """keepalived's reload reads every file, also one that somebody has edited and not reloaded."""
    file = "/etc/keepalived/services/web.conf"
    lab.console(director, f"cp {file} {file}.bak; sed -i 's/{edit}/' {file}")
    reloads = {host: reloaded(lab, host) for host in ("lvs1", "lvs2")}
    waiting = world(lab)
    try:
        refused = lab.ferryman("migrate", "maps", "--site", "lab", "--yes")
        assert refused.returncode == 3, refused.stdout + refused.stderr
        assert file in refused.stdout + refused.stderr
        assert director in refused.stdout + refused.stderr
        assert world(lab) == waiting
        assert {host: reloaded(lab, host) for host in ("lvs1", "lvs2")} == reloads
    finally:
        lab.console(director, f"mv {file}.bak {file}; kill -HUP $(cat /run/keepalived-{director}.pid)")


def reloaded(lab: RunningLab, host: str) -> int:
    """How many times keepalived has read its configuration anew."""
    return int(lab.console(host, f"grep -ci reload /lab/log/{host}.keepalived || :"))


def test_a_file_that_configuration_management_put_back_without_a_reload_is_seen(
    lab: RunningLab, old_world: dict[str, str]
) -> None:
    back = f"sed -i 's/lvs_method TUN/lvs_method DR/' {MAPS_FILE}"
    output = pause_and_act(lab, SOAK_OF_LVS2, lambda: lab.console("lvs2", back), *migrate("maps"))
    assert "lvs1, primary" not in made(output), "the primary must not be flipped"
    require_back(lab, output, old_world, names="lvs2")


@pytest.mark.parametrize("director", ["lvs2", "lvs1"])
def test_host_routes_that_somebody_flushed_are_seen_while_they_are_needed(
    lab: RunningLab, old_world: dict[str, str], director: str
) -> None:
    output = pause_and_act(lab, SOAK_OF_LVS2, lambda: lab.console(director, FLUSH), *migrate("static"))
    assert "lvs1, primary" not in made(output), "connections from before would break with it"
    require_back(lab, output, old_world, names=director)


@pytest.mark.parametrize("director", ["lvs2", "lvs1"])
def test_a_director_that_is_flipped_back_while_the_run_drains_is_seen_at_the_end(
    lab: RunningLab, old_world: dict[str, str], director: str
) -> None:
    output = pause_and_act(
        lab,
        "No director has connections of static left",
        lambda: flipped(lab, director, "static", "-g"),
        *migrate("static"),
    )
    require_back(lab, output, old_world, names=director)


def test_a_director_that_is_flipped_before_its_turn_is_not_taken_for_the_runs_own(
    lab: RunningLab, old_world: dict[str, str]
) -> None:
    output = pause_and_act(
        lab,
        "The catalog says IPIP",
        lambda: flipped(lab, "lvs2", "static", "-i"),
        *migrate("static"),
        phase="do",
    )
    assert output.returncode in (4, 5, 7), output.reason
    assert "lvs2" in output.reason
    assert forwarding(lab, "lvs1", STATIC) == {"-g"}, "the primary must not be flipped"
    if output.returncode == 4:
        require_world(lab, old_world)
        return
    flipped(lab, "lvs2", "static", "-g")
    back = lab.ferryman("rollback", output.run)
    assert back.returncode == 0, back.stdout + back.stderr
    require_world(lab, old_world)
