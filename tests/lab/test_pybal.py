"""A service whose directors run PyBal and follow the catalog by way of puppet; both are doubles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lab.crossing import catalog, changes, events, findings
from lab.following import DIRECTORS, SERVICE, PybalSite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

    from lab.running import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture
def site(lab: RunningLab) -> Iterator[PybalSite]:
    """PyBal on both directors, restarted without a wait: no router listens, so it would be a full one."""
    found = PybalSite(lab)
    found.furnish(drain=0)
    before = (catalog(lab).read_bytes(), *map(found.table, DIRECTORS))
    yield found
    assert (catalog(lab).read_bytes(), *map(found.table, DIRECTORS)) == before
    found.clear()


def ferryman(site: PybalSite, *words: str) -> CompletedProcess[str]:
    return site.lab.ferryman("--output", "json", *words)


def migrated(site: PybalSite, *more: str) -> CompletedProcess[str]:
    return ferryman(site, "migrate", SERVICE, "--site", "lab", "--yes", *more)


def methods(site: PybalSite, host: str) -> list[str]:
    """How each destination is forwarded to, in the table's order."""
    return [line.split()[5] for line in site.table(host).splitlines() if line.startswith("-a")]


def flipped(done: CompletedProcess[str]) -> set[str]:
    """The directors where anything but a host route was done."""
    return {one["target"] for one in changes(done) if "pybal" in (one.get("command") or "")}


def reason(done: CompletedProcess[str]) -> str:
    return str(events(done)[-1]["reason"])


def test_it_crosses_and_comes_back_with_the_catalog_first(site: PybalSite) -> None:
    crossed = migrated(site)
    assert crossed.returncode == 0, crossed.stderr
    assert [methods(site, host) for host in DIRECTORS] == [["-i"] * 3] * 2
    twice = migrated(site)
    assert (twice.returncode, changes(twice)) == (0, [])
    back = ferryman(site, "rollback", events(crossed)[0]["run"])
    assert back.returncode == 0, back.stdout
    kinds = [one["kind"] for one in changes(back)]
    assert kinds[0] == "catalog"
    assert [methods(site, host) for host in DIRECTORS] == [["-g"] * 3] * 2


def test_an_agent_that_fails_is_quoted_and_all_goes_back(site: PybalSite) -> None:
    site.put("lvs2", "/lab/lvs2/puppet/fails", "1 Error: Could not retrieve catalog: Error 500 on SERVER\n")
    back = migrated(site)
    assert back.returncode == 4, back.stderr
    assert "lvs2: 'puppet agent --test --color=false': status 1: Error: Could not retrieve" in reason(back)
    assert flipped(back) <= {"lvs2"}


def test_a_configuration_that_still_says_otherwise_is_told_and_all_goes_back(site: PybalSite) -> None:
    """The director's own gate is shut: puppet runs well, and writes what it wrote before."""
    template = "/lab/lvs2/puppet/template"
    site.lab.console("lvs2", f"sed -i s/%maps%/False/ {template}")
    back = migrated(site)
    assert back.returncode == 4, back.stderr
    assert "pybal.conf: tcp 10.99.0.2:8080: 10.10.0.21:8080 is Route, wanted Tunnel" in reason(back)
    assert "may this director tunnel at all?" in reason(back)


def test_a_restart_that_does_nothing_holds_before_the_primary(site: PybalSite) -> None:
    site.restart_lies("lvs2")
    held = migrated(site)
    assert held.returncode == 7, held.stdout
    for number in (21, 22, 23):
        assert f"lvs2: true ran, but after 5 s: tcp 10.99.0.2:8080: 10.10.0.{number}:8080 is Route" in reason(
            held
        )
    assert "it cannot have read it" in reason(held)
    assert flipped(held) <= {"lvs2"}
    assert methods(site, "lvs1") == ["-g"] * 3
    site.restart_works("lvs2")
    resumed = ferryman(site, "resume", events(held)[0]["run"], "--accept-changed-plan")
    assert resumed.returncode == 0, resumed.stdout
    assert ferryman(site, "rollback", events(held)[0]["run"]).returncode == 0


def test_a_half_converged_director_names_the_destination_and_goes_back(site: PybalSite) -> None:
    site.put("lvs2", "/lab/lvs2/puppet/stuck", "")
    site.lab.console(
        "lvs2", "sed -i 's/^instrumentation.*/&\\ndouble-stuck = 10.10.0.22/' /lab/lvs2/puppet/template"
    )
    back = migrated(site, "--on-doubt", "rollback")
    assert back.returncode == 4, back.stderr
    assert "10.10.0.22:8080 is Route, wanted Tunnel" in reason(back)
    assert "10.10.0.21:8080" not in reason(back)
    assert flipped(back) <= {"lvs2"}


def test_a_director_that_is_down_refuses_and_nothing_is_changed(site: PybalSite) -> None:
    site.lab.put("sshd-down", "lvs2")
    refused = migrated(site)
    site.lab.clear()
    assert refused.returncode == 3, refused.stdout
    assert changes(refused) == []
    assert "lvs2" in json.dumps(findings(refused, "fail", "unknown"))


def test_a_pybal_that_is_stopped_refuses_and_says_what_is_wrong(site: PybalSite) -> None:
    site.pybal("lvs2", "stop")
    refused = migrated(site)
    site.pybal("lvs2", "start")
    site.wait_until_up()
    assert refused.returncode == 3, refused.stdout
    assert "localhost:9090/alerts: curl: (7)" in reason(refused)
    assert changes(refused) == []
