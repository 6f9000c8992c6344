"""Whole migrations over directors that run Liberica: doubles of it and of puppet, on the lab's own IPVS.

What each case comes to stands in its assertions: the run's exit code, and how each director forwards then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lab.crossing import changes, events, loaded
from lab.following import DIRECTORS, SERVICE
from lab.liberica_site import LibericaSite

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from lab.running import RunningLab

pytestmark = pytest.mark.lab

DONE, REFUSED, ROLLED_BACK, STRANDED, HELD = 0, 3, 4, 5, 7
OLD, NEW = "-g -g -g", "-i -i -i"
HALF = "-g -i -i"
SKEW_S = 600


@pytest.fixture
def site(lab: RunningLab) -> Iterator[LibericaSite]:
    """Liberica over IPVS on both directors."""
    yield from furnished(LibericaSite(lab))


def furnished(site: LibericaSite) -> Iterator[LibericaSite]:
    site.furnish()
    yield site
    for host in DIRECTORS:
        site.no_trouble(host)
        site.lab.console(
            host,
            "ipvsadm -Sn | sed -n 's/^-a \\(-t 10.99.0.2:8080 -r [^ ]*\\) -i.*/-e \\1 -g -w 1/p'"
            " | while read -r words; do ipvsadm $words; done",
        )
    site.clear()


def migrate(lab: RunningLab, *more: str) -> subprocess.CompletedProcess[str]:
    words = ("--output", "json", "migrate", SERVICE, "--site", "lab", "--yes", "--soak", "1", "--drain", "0")
    return lab.ferryman(*words, *more)


def both(site: LibericaSite) -> dict[str, str]:
    return {host: site.methods(host) for host in DIRECTORS}


def catalog(lab: RunningLab) -> str:
    return (lab.folder / "inventory" / "services.yaml").read_text()


def test_a_flip_and_a_rollback_by_hand_lose_nothing(lab: RunningLab, site: LibericaSite) -> None:
    before = catalog(lab)
    with loaded(lab, "10.99.0.2", 8080) as outcome:
        done = migrate(lab)
        assert done.returncode == DONE, done.stdout + done.stderr
        assert both(site) == {"lvs1": NEW, "lvs2": NEW}
        back = lab.ferryman("inventory", "flip", SERVICE, "--site", "lab", "--to", "direct", "--yes")
        assert "ipip" not in back.stderr
    assert outcome[0].lost == {}
    assert before


def test_clocks_that_are_ten_minutes_apart_do_not_matter(lab: RunningLab, site: LibericaSite) -> None:
    lab.console("rt", f"date -s @$(($(date +%s) + {SKEW_S}))")
    try:
        assert int(lab.console("lvs1", "date +%s")) > time.time() + SKEW_S / 2
        done = migrate(lab)
    finally:
        lab.console("rt", f"date -s @{int(time.time())}")
    assert done.returncode == DONE, done.stdout + done.stderr
    assert both(site) == {"lvs1": NEW, "lvs2": NEW}


def test_a_configuration_that_the_primary_refuses_takes_everything_back(
    lab: RunningLab, site: LibericaSite
) -> None:
    before, world_before = catalog(lab), both(site)
    site.template("lvs1", threshold="most")
    done = migrate(lab)
    assert done.returncode == ROLLED_BACK, done.stdout + done.stderr
    assert "liberica-cp refused" in done.stdout
    assert (catalog(lab), both(site)) == (before, world_before)


def test_a_director_that_is_down_refuses_the_run_before_anything_is_changed(
    lab: RunningLab, site: LibericaSite
) -> None:
    lab.put("director-down", "lvs1")
    done = migrate(lab)
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert changes(done) == []


@pytest.mark.parametrize(
    ("trouble", "said"), [("deaf", "still says that it took"), ("lying", "is Route, wanted Tunnel")]
)
def test_a_reload_that_lies_holds_the_run_before_the_primary_is_touched(
    lab: RunningLab, site: LibericaSite, trouble: str, said: str
) -> None:
    site.trouble("lvs2", trouble)
    done = migrate(lab)
    assert done.returncode == HELD, done.stdout + done.stderr
    assert said in done.stdout
    assert both(site) == {"lvs1": OLD, "lvs2": OLD}
    run = events(done)[0]["run"]
    site.no_trouble("lvs2")
    back = lab.ferryman("rollback", run, "--yes")
    assert back.returncode == ROLLED_BACK, back.stdout + back.stderr
    assert both(site) == {"lvs1": OLD, "lvs2": OLD}


def test_a_half_converged_director_is_told_by_destination_and_resumed(
    lab: RunningLab, site: LibericaSite
) -> None:
    site.trouble("lvs2", "stuck", "10.10.0.21")
    done = migrate(lab)
    assert done.returncode == HELD, done.stdout + done.stderr
    assert "10.10.0.21:8080 is Route, wanted Tunnel" in done.stdout
    assert "10.10.0.22:8080 is Route" not in done.stdout
    assert both(site) == {"lvs1": OLD, "lvs2": HALF}
    site.no_trouble("lvs2")
    run = events(done)[0]["run"]
    resumed = lab.ferryman("resume", run, "--yes")
    assert resumed.returncode == DONE, resumed.stdout + resumed.stderr
    assert both(site) == {"lvs1": NEW, "lvs2": NEW}
