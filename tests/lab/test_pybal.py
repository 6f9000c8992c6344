"""A service whose directors run PyBal and follow the catalog by way of puppet; both are doubles."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.catalog import Catalog
from ferryman.config import ManagementConfig
from ferryman.directors import Driver, SetForwarding, driver_for
from ferryman.errors import DoubtError, RefusedError, VerifyError
from ferryman.inventory import Inventory
from ferryman.management import PuppetAgent
from ferryman.model import Forwarding
from lab.director_client import LabHosts
from lab.migration import catalog, changes, events
from lab.pybal_site import DIRECTORS, SERVICE, PybalSite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess
    from typing import Literal

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # whole migrations, on a guest of one CPU

TUNNEL = SetForwarding(Forwarding.TUNNEL)
RUN_S = 400.0
IMPATIENT_S = 25
"""Long enough for the double to start, which takes seconds in a guest whose machine is busy."""


@pytest.fixture
def site(lab: RunningLab) -> Iterator[PybalSite]:
    """PyBal on both directors, restarted without a wait: no router listens, so it would be for nothing."""
    found = PybalSite(lab)
    found.provision(drain=0)
    before = (catalog(lab).read_bytes(), *map(found.table, DIRECTORS))
    yield found
    after = (catalog(lab).read_bytes(), *map(found.table, DIRECTORS))
    found.clear()
    assert after == before


@dataclass
class DirectorClient:
    """The secondary director, its driver, and the catalog that both follow."""

    site: PybalSite
    hosts: LabHosts

    @property
    def driver(self) -> Driver:
        return self.with_keys()

    def with_keys(self, **keys: object) -> Driver:
        """The driver with other keys than the inventory's."""
        service = Inventory.load(self.site.lab.folder / "inventory").service(SERVICE, "lab")
        director = next(director for director in service.directors if director.host == "lvs2")
        director = replace(director, options={**director.options, **keys})
        agent = PuppetAgent(ManagementConfig(agent="puppet"))
        return driver_for(director, service, self.hosts, agent)

    def flip(self, to: Literal["ipip", "direct"]) -> None:
        """Change the catalog, as the step before does."""
        file = Catalog(catalog(self.site.lab))
        change = file.flipped(SERVICE, "lab", to)
        file.write(change.after, expected=change.before)

    def back(self, before: dict[str, Any]) -> None:
        """Put catalog and director back, and see that they are."""
        self.flip("direct")
        self.driver.restore(before, TUNNEL)
        assert self.driver.before() == before


@pytest.fixture
def client(site: PybalSite) -> Iterator[DirectorClient]:
    hosts = LabHosts(site.lab)
    yield DirectorClient(site, hosts)
    hosts.close()


def methods(site: PybalSite, host: str) -> list[str]:
    """How each destination is forwarded to, in the table's order."""
    return [line.split()[5] for line in site.table(host).splitlines() if line.startswith("-a")]


def test_an_agent_that_fails_is_quoted_and_nothing_is_restarted(client: DirectorClient) -> None:
    before = client.driver.before()
    client.flip("ipip")
    client.site.put("lvs2", "fails", "1 Error: Could not retrieve catalog: Error 500 on SERVER\n")
    with pytest.raises(VerifyError, match=r"lvs2: .* status 1: Error: Could not retrieve catalog"):
        client.driver.apply(before, TUNNEL)
    assert methods(client.site, "lvs2") == ["-g"] * 3
    client.back(before)


def test_a_configuration_that_still_says_otherwise_is_told_and_nothing_is_restarted(
    client: DirectorClient,
) -> None:
    """The director's own gate is shut: puppet runs well, and writes what it wrote before."""
    before = client.driver.before()
    client.flip("ipip")
    client.site.template("lvs2", "%maps%", "False")
    with pytest.raises(VerifyError, match=r"pybal\.conf: .* is Route, wanted Tunnel .*may this director"):
        client.driver.apply(before, TUNNEL)
    assert methods(client.site, "lvs2") == ["-g"] * 3
    client.back(before)


def test_a_half_converged_director_names_the_destination_that_is_not(client: DirectorClient) -> None:
    before = client.driver.before()
    client.flip("ipip")
    client.site.template("lvs2", "[global]\n", "[global]\ndouble-stuck = 10.10.0.22\n")
    with pytest.raises(DoubtError) as error:
        client.with_keys(converge_timeout=IMPATIENT_S).apply(before, TUNNEL)
    assert "10.10.0.22:8080 is Route, wanted Tunnel" in str(error.value)
    assert "10.10.0.21:8080" not in str(error.value)
    assert methods(client.site, "lvs2") == ["-i", "-g", "-i"]
    client.back(before)


def test_a_pybal_that_is_stopped_refuses_with_what_is_wrong_and_is_started_on_the_rollback(
    client: DirectorClient,
) -> None:
    before = client.driver.before()
    client.site.pybal("lvs2", "stop")
    with pytest.raises(RefusedError, match=r"localhost:9090/alerts: curl: \(7\)"):
        client.driver.before()
    client.driver.restore(before, TUNNEL)
    assert client.driver.before() == before


def test_a_lying_restart_is_doubt_about_each_destination(client: DirectorClient) -> None:
    before = client.driver.before()
    client.flip("ipip")
    with pytest.raises(DoubtError) as error:
        client.with_keys(restart="true", converge_timeout=0).apply(before, TUNNEL)
    for number in (21, 22, 23):
        assert f"10.10.0.{number}:8080 is Route, wanted Tunnel" in str(error.value)
    assert "it cannot have read it" in str(error.value)
    client.back(before)


def test_stop_drain_and_start_is_one_script_that_ends_with_a_running_pybal(client: DirectorClient) -> None:
    before = client.driver.before()
    client.flip("ipip")
    client.with_keys(drain=4).apply(before, TUNNEL)
    assert methods(client.site, "lvs2") == ["-i"] * 3
    client.back(before)


def ferryman(site: PybalSite, *words: str) -> CompletedProcess[str]:
    return site.lab.ferryman("--output", "json", *words, timeout_s=RUN_S)


def migrated(site: PybalSite) -> CompletedProcess[str]:
    return ferryman(site, "migrate", SERVICE, "--site", "lab", "--yes")


def test_a_service_migrates_and_rolls_back_with_the_catalog_first(site: PybalSite) -> None:
    completed = migrated(site)
    assert completed.returncode == 0, completed.stderr
    assert [methods(site, host) for host in DIRECTORS] == [["-i"] * 3] * 2
    back = ferryman(site, "rollback", events(completed)[0]["run"])
    assert back.returncode == 0, back.stdout
    assert changes(back)[0]["kind"] == "catalog"


def test_a_director_that_does_not_follow_holds_the_run_before_the_primary(site: PybalSite) -> None:
    site.restart_lies("lvs2")
    held = migrated(site)
    assert held.returncode == 7, held.stdout
    assert "10.10.0.21:8080 is Route, wanted Tunnel" in events(held)[-1]["reason"]
    touched = {change["target"] for change in changes(held) if "puppet" in json.dumps(change)}
    assert touched <= {"lvs2"}
    assert methods(site, "lvs1") == ["-g"] * 3
    site.restart_works("lvs2")
    back = ferryman(site, "rollback", events(held)[0]["run"], "--accept-changed-plan")
    assert back.returncode == 0, back.stdout
