"""Directors that run Liberica and follow the catalog by way of puppet; both are doubles, IPVS is real.

What each case comes to stands in its assertions: how a run ends, and how each director forwards then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ferryman.catalog import Catalog
from ferryman.config import ManagementConfig
from ferryman.directors import Driver, HostRoutes, SetForwarding, driver_for
from ferryman.errors import DoubtError
from ferryman.inventory import Inventory
from ferryman.management import agent_for
from ferryman.model import Forwarding
from lab.liberica_site import LibericaSite
from lab.migration import catalog, changes, events, findings, loaded
from lab.pybal_site import DIRECTORS, SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess
    from typing import Literal

    from lab.director_client import LabHosts
    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1000)]

DONE, REFUSED, ROLLED_BACK, STRANDED, HELD = 0, 3, 4, 5, 7
TUNNEL = SetForwarding(Forwarding.TUNNEL)
OLD, NEW = "-g -g -g", "-i -i -i"
HALF = "-g -i -i"
SKEW_S = 600
RUN_S = 400.0
PAUSE_S = 2.0
"""Seconds of load before, between and after the flips."""


@pytest.fixture
def site(lab: RunningLab) -> Iterator[LibericaSite]:
    """A site where both directors run the double of Liberica over IPVS."""
    found = LibericaSite(lab)
    found.provision()
    yield found
    now = both(found)
    found.clear()
    assert now == {"lvs1": OLD, "lvs2": OLD}


@pytest.fixture
def katran(lab: RunningLab) -> Iterator[LibericaSite]:
    """Liberica that says it forwards by Katran; what carries the lab's packets is its IPVS all the same."""
    found = LibericaSite(lab, plane="katran")
    found.provision()
    yield found
    found.clear()


def both(site: LibericaSite) -> dict[str, str]:
    return {host: site.methods(host) for host in DIRECTORS}


def ferryman(site: LibericaSite, *words: str) -> CompletedProcess[str]:
    return site.lab.ferryman("--output", "json", *words, timeout_s=RUN_S)


def migrated(site: LibericaSite, *more: str) -> CompletedProcess[str]:
    short = ("--soak", "1", "--drain", "0")
    return ferryman(site, "migrate", SERVICE, "--site", "lab", "--yes", *short, *more)


def reason(done: CompletedProcess[str]) -> str:
    return str(events(done)[-1]["reason"])


def on(site: LibericaSite, hosts: LabHosts, host: str = "lvs2") -> Driver:
    """The driver of a director that follows the catalog by puppet."""
    service = Inventory.load(site.lab.folder / "inventory").service(SERVICE, "lab")
    director = next(director for director in service.directors if director.host == host)
    return driver_for(director, service, hosts, agent_for(ManagementConfig(agent="puppet")))


def flip(site: LibericaSite, to: Literal["ipip", "direct"]) -> None:
    """Flip the service in the catalog alone."""
    file = Catalog(catalog(site.lab))
    found = file.flipped(SERVICE, "lab", to)
    file.write(found.after, expected=found.before)


def test_it_migrates_and_rolls_back_with_the_catalog_first(site: LibericaSite) -> None:
    completed = migrated(site)
    assert completed.returncode == DONE, completed.stdout[-3000:]
    assert both(site) == {"lvs1": NEW, "lvs2": NEW}
    back = ferryman(site, "rollback", events(completed)[0]["run"])
    assert back.returncode == DONE, back.stdout[-3000:]
    assert changes(back)[0]["kind"] == "catalog"


def test_under_load_nothing_is_lost_there_and_back(site: LibericaSite, hosts: LabHosts) -> None:
    driver = on(site, hosts, "lvs1")
    before = driver.before()
    routes = HostRoutes(driver.director, driver.service, hosts)
    routes.add(routes.read().needed)
    try:
        with loaded(site.lab, "10.99.0.2", 8080) as outcome:
            time.sleep(PAUSE_S)
            flip(site, "ipip")
            driver.apply(before, TUNNEL)
            assert both(site)["lvs1"] == NEW
            time.sleep(PAUSE_S)
            flip(site, "direct")
            driver.restore(before, TUNNEL)
            time.sleep(PAUSE_S)
    finally:
        routes.remove(routes.read().ours)
    assert outcome[0].lost == {}
    assert outcome[0].done["short"] > 100


def test_a_configuration_that_the_primary_refuses_takes_everything_back(site: LibericaSite) -> None:
    before = catalog(site.lab).read_text()
    site.template("lvs1", threshold="%maps:most:0.5%")
    back = migrated(site)
    assert back.returncode == ROLLED_BACK, back.stdout[-3000:]
    assert f"lvs1: liberica-cp refused {site.config('lvs1')} at 20" in reason(back)
    assert catalog(site.lab).read_text() == before


def test_a_reload_that_nobody_hears_holds_before_the_primary_is_touched(site: LibericaSite) -> None:
    site.trouble("lvs2", "deaf")
    held = migrated(site)
    assert held.returncode == HELD, held.stdout[-3000:]
    assert "liberica-cp still says that it loaded its file at 20" in reason(held)
    assert both(site) == {"lvs1": OLD, "lvs2": OLD}
    site.clear_troubles("lvs2")
    back = ferryman(site, "rollback", events(held)[0]["run"])
    assert back.returncode == DONE, back.stdout[-3000:]


def test_a_director_that_is_down_refuses_and_nothing_is_changed(site: LibericaSite) -> None:
    site.lab.put("sshd-down", "lvs1")
    refused = migrated(site)
    site.lab.clear()
    assert refused.returncode == REFUSED, refused.stdout[-3000:]
    assert changes(refused) == []


def test_clocks_that_are_ten_minutes_apart_do_not_matter(site: LibericaSite, hosts: LabHosts) -> None:
    site.lab.console("rt", f"date -s @$(($(date +%s) + {SKEW_S}))")
    try:
        assert int(site.lab.console("lvs2", "date +%s")) > time.time() + SKEW_S / 2
        driver = on(site, hosts)
        before = driver.before()
        flip(site, "ipip")
        driver.apply(before, TUNNEL)
        assert both(site) == {"lvs1": OLD, "lvs2": NEW}
        assert driver.already(driver.before(), TUNNEL)
        flip(site, "direct")
        driver.restore(before, TUNNEL)
    finally:
        site.lab.console("rt", f"date -s @{int(time.time())}")


def test_a_reload_that_lies_is_found_out_by_the_kernels_table(site: LibericaSite, hosts: LabHosts) -> None:
    driver = on(site, hosts)
    before = driver.before()
    flip(site, "ipip")
    site.trouble("lvs2", "lying")
    with pytest.raises(DoubtError) as error:
        driver.apply(before, TUNNEL)
    for number in (21, 22, 23):
        assert f"10.10.0.{number}:8080 is Route, wanted Tunnel" in str(error.value)
    assert both(site)["lvs2"] == OLD
    site.clear_troubles("lvs2")
    flip(site, "direct")
    driver.restore(before, TUNNEL)


def test_a_half_converged_director_names_the_destination_and_goes_on_when_it_can(
    site: LibericaSite, hosts: LabHosts
) -> None:
    driver = on(site, hosts)
    before = driver.before()
    flip(site, "ipip")
    site.trouble("lvs2", "stuck", "10.10.0.21")
    with pytest.raises(DoubtError) as error:
        driver.apply(before, TUNNEL)
    assert "10.10.0.21:8080 is Route, wanted Tunnel" in str(error.value)
    assert "10.10.0.22:8080 is" not in str(error.value)
    assert both(site)["lvs2"] == HALF
    site.clear_troubles("lvs2")
    driver.apply(before, TUNNEL)
    assert both(site)["lvs2"] == NEW
    flip(site, "direct")
    driver.restore(before, TUNNEL)


def test_over_katran_consent_is_asked_for_and_a_rollback_is_refused_with_what_to_do(
    katran: LibericaSite,
) -> None:
    dry_run = ferryman(katran, "migrate", SERVICE, "--site", "lab", "--dry-run")
    assert dry_run.returncode == REFUSED, dry_run.stdout[-3000:]
    assert "lvs1: not reversible: its forwarding plane is katran" in reason(dry_run)
    titles = [title for title in events(dry_run)[0]["plan"] if "not reversible" in title]
    assert len(titles) == len(DIRECTORS)
    completed = migrated(katran, "--accept-irreversible")
    assert completed.returncode == DONE, completed.stdout[-3000:]
    assert {finding["check"] for finding in findings(completed, "warn")} >= {"irreversible"}
    back = ferryman(katran, "rollback", events(completed)[0]["run"])
    assert back.returncode == REFUSED, back.stdout[-3000:]
    assert "let the catalog say IPIP again (ferryman inventory flip maps --site lab --to ipip)" in reason(
        back
    )
