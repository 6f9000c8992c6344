"""Labs in the image of an inventory: they come up, and a service is migrated and put back in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ferryman import lab as the_lab
from ferryman.lab import LabPaths
from lab.conftest import own_folder, require_lab
from lab.running import REPOSITORY, RunningLab
from tools import real_inventory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

NORTH = REPOSITORY / "tests" / "inventories" / "north"


@pytest.fixture
def own() -> Iterator[RunningLab]:
    """A lab of the test's own that is not up."""
    require_lab()
    with own_folder() as folder:
        running = RunningLab(folder)
        yield running
        the_lab.down(running.place)


def came_up(own: RunningLab, inventory: Path, site: str, *services: str) -> RunningLab:
    """The lab in the image of an inventory, with the configuration that it has written for itself."""
    named = [word for service in services for word in ("--service", service)]
    up = own.ferryman("lab", "up", "--like", str(inventory), "--site", site, *named)
    assert up.returncode == 0, up.stderr
    line = up.stdout.splitlines()[-1]
    config = own.place.configuration_file
    assert line == f"ferryman --config {config} migrate {services[0]} --site {site}"
    return RunningLab(config.parent)


def migrates_and_rolls_back(there: RunningLab, service: str, site: str) -> None:
    """Migrate a service and put it back; both must end well, and leave the directors as they were."""
    directors = [director.host for director in the_lab.topology_of(there.place).service(service).directors]

    def tables() -> list[list[str]]:
        return [sorted(there.console(host, "ipvsadm -Sn").splitlines()) for host in directors]

    before = tables()
    done = there.ferryman("--output", "json", "migrate", service, "--site", site, "--yes")
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout.splitlines()[-1])
    assert ended["outcome"] == "done"
    assert tables() != before
    back = there.ferryman("--output", "json", "rollback", ended["run"])
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout.splitlines()[-1])["outcome"] == "rolled-back"
    assert tables() == before


def test_a_fault_of_a_host_in_such_a_lab_refuses_the_run_and_names_it(own: RunningLab) -> None:
    there = came_up(own, NORTH, "north", "ingress")
    put = there.ferryman("lab", "fault", "put", "rp-filter-strict")
    assert put.stdout == "in: rp-filter-strict on kube1001.north.example.org\n"
    refused = there.ferryman("migrate", "ingress", "--site", "north", "--yes")
    assert refused.returncode == 3, refused.stderr
    assert "kube1001.north.example.org rp-filter" in refused.stdout
    assert there.ferryman("lab", "fault", "put", "ipvs-weight").returncode == 0
    assert there.ferryman("lab", "fault", "clear").returncode == 0
    absent = there.ferryman("lab", "fault", "put", "clamp-missing")
    assert (absent.returncode, absent.stderr) == (
        2,
        "ferryman: clamp-missing: fits no host of the lab that is up\n",
    )
    migrates_and_rolls_back(there, "ingress", "north")


def test_a_service_of_both_families_migrates_and_rolls_back_in_a_lab_in_its_image(own: RunningLab) -> None:
    there = came_up(own, NORTH, "north", "front", "search")
    each = "for each in $(ip netns list | cut -d' ' -f1); do ip -br -n $each address; ip -n $each route; done"
    configured = there.console("rt", each)
    assert "10.99.0.1/32" in configured
    assert not any(real in configured for real in ("198.51.100.", "203.0.113.", "2001:db8:"))
    for real in ("198.51.100.10", "2001:db8:1::10"):
        assert there.run_in_control(["ping", "-c1", "-W1", real]).returncode != 0
    again = own.ferryman("lab", "up", "--like", str(NORTH), "--site", "north", "--service", "front")
    assert (again.returncode, "another lab is up here" in again.stderr) == (2, True)
    migrates_and_rolls_back(there, "front", "north")
    assert the_lab.down(own.place)
    assert not own.place.root.exists()


def test_the_real_staging_ingress_migrates_and_rolls_back_in_a_lab_in_its_image(own: RunningLab) -> None:
    there = came_up(own, real_inventory(), "codfw", "k8s-ingress-staging", "ncredir")
    migrates_and_rolls_back(there, "k8s-ingress-staging", "codfw")
    status = there.ferryman("--output", "json", "lab", "status")
    mapped = [json.loads(line) for line in status.stdout.splitlines()]
    assert {
        "name": "k8s-ingress-staging default",
        "what": "vip",
        "there": "10.2.1.69",
        "here": "10.99.0.1",
    } in mapped
    checked = there.ferryman("check", "ncredir", "--site", "codfw")
    assert checked.returncode == 0, checked.stdout


def test_a_site_with_more_than_a_lab_holds_comes_up_as_far_as_it_does(own: RunningLab) -> None:
    up = own.ferryman("lab", "up", "--like", str(real_inventory()), "--site", "codfw", timeout_s=400)
    assert up.returncode == 0, up.stderr
    assert "expected 40 at most: that is what a lab holds" in up.stdout
    assert sum(the_lab.status(LabPaths.of(own.folder)).hosts.values()) > 20
