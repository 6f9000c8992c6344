"""Directors that become what the catalog says, by the example of PyBal."""

from __future__ import annotations

import json

import pytest

from ferryman.directors import SetForwarding, SetScheduler
from ferryman.errors import (
    DoubtError,
    DryRunError,
    RefusedError,
    UnknownOutcomeError,
    VerifyError,
    WorldChangedError,
)
from ferryman.management import NoAgent
from ferryman.model import Forwarding
from tools import does
from unit.directors.following import TEMPLATE, Following
from unit.directors.test_ipvsadm import FLIPPED
from unit.directors.world import RULES

TUNNEL = SetForwarding(Forwarding.TUNNEL)


def test_it_follows_the_catalog_there_and_back(site: Following) -> None:
    driver = site.driver()
    before = json.loads(json.dumps(driver.before()))
    assert not driver.already(before, TUNNEL)
    site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    assert site.shell.rules == FLIPPED
    assert (site.agent_runs, site.restarts) == (1, ["stop", "start"])
    assert driver.already(driver.before(), TUNNEL)
    site.flip(to_ipip=False)
    driver.restore(before, TUNNEL)
    assert site.shell.rules == RULES
    assert driver.before() == before


def test_a_catalog_that_is_not_back_brings_no_director_back(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    with pytest.raises(VerifyError, match=r"pybal\.conf: .* is Tunnel, wanted Route"):
        driver.restore(before, TUNNEL)
    assert site.shell.rules == FLIPPED


def test_twice_is_harmless_and_restarts_nothing(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    for _ in range(2):
        driver.apply(before, TUNNEL)
    assert (site.agent_runs, site.restarts) == (1, ["stop", "start"])


def test_what_never_took_effect_is_not_undone(site: Following) -> None:
    driver = site.driver()
    driver.restore(driver.before(), TUNNEL)
    assert site.shell.writes == []


def test_a_file_that_says_so_already_needs_no_agent(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    site.shell.write("lvs1", does("puppet agent --test"))
    site.shell.writes.clear()
    assert driver.before() == before, "an agent that runs by itself is nobody else"
    assert driver.cannot_tell_before(before, TUNNEL), "that is why nobody can tell which of both are made"
    made = driver.apply(before, TUNNEL)
    assert [edit.command for edit in made] == [driver.reload_command]
    assert (site.agent_runs, site.restarts) == (0, ["stop", "start"])


def test_a_table_that_is_right_by_accident_is_not_already_so(site: Following) -> None:
    """The next restart would undo it: the file says something else."""
    site.shell.rules = FLIPPED
    site.put("pybal.conf", site.config.read_text().replace("False", "True"))
    driver = site.driver()
    before = driver.before()
    assert driver.already(before, TUNNEL)
    site.put("pybal.conf", site.config.read_text().replace("True", "False"))
    assert not driver.already(before, TUNNEL)


def test_an_agent_that_failed_is_quoted_and_nothing_is_restarted(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    site.put("puppet/fails", "4 Error: /Stage[main]/Pybal/File[pybal.conf]: no space left on device")
    with pytest.raises(VerifyError, match=r"lvs1: .* resources failed: .*no space left on device"):
        driver.apply(before, TUNNEL)
    assert site.restarts == []
    assert site.shell.rules == RULES


def test_a_file_that_still_says_otherwise_after_the_agent_is_told_and_nothing_is_restarted(
    site: Following,
) -> None:
    driver = site.driver()
    before = driver.before()
    with pytest.raises(VerifyError, match=r"pybal\.conf: .* is Route, wanted Tunnel .*may this director"):
        driver.apply(before, TUNNEL)
    assert (site.agent_runs, site.restarts) == (1, [])


def test_the_change_may_reach_the_agent_late(site: Following) -> None:
    driver = site.driver(follow_timeout=60)
    before = driver.before()
    driver._sleep = lambda _s: site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    assert (site.agent_runs, site.shell.rules) == (2, FLIPPED)


def test_a_restart_that_does_nothing_is_doubt_and_names_each_destination(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    site.shell.switch("deaf")
    site.put("started", "1000000000")
    with pytest.raises(DoubtError) as error:
        driver.apply(before, TUNNEL)
    for destination in ("10.10.0.21:80", "10.10.0.22:80", "[fd10::21]:80", "[fd10::22]:80"):
        assert f"{destination} is Route, wanted Tunnel" in str(error.value)
    assert "the running pybal began at 2001-09-09T01:46:40Z: it cannot have read it" in str(error.value)


def test_a_half_converged_director_names_the_destination_that_is_not(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    site.put("stuck", "10.10.0.22")
    with pytest.raises(DoubtError) as error:
        driver.apply(before, TUNNEL)
    (line,) = str(error.value).splitlines()
    assert line.startswith("lvs1: pybal stop ")
    assert line.endswith("ran, but after 0 s: tcp 10.99.0.1:80: 10.10.0.22:80 is Route, wanted Tunnel")
    (site.shell.folder / "stuck").unlink()
    site.flip(to_ipip=False)
    driver.restore(before, TUNNEL)
    assert site.shell.rules == RULES


def test_the_kernel_may_follow_late(site: Following) -> None:
    driver = site.driver(converge_timeout=60)
    before = driver.before()
    site.flip(to_ipip=True)
    site.shell.switch("deaf")

    def nap(_seconds: float) -> None:
        (site.shell.folder / "deaf").unlink()
        site.shell.write("lvs1", does(f"pybal start {site.config}"))

    driver._sleep = nap
    driver.apply(before, TUNNEL)
    assert site.shell.rules == FLIPPED


def test_a_lost_answer_is_looked_after_and_nothing_is_repeated(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    site.shell.lost_answers = 1
    driver.apply(before, TUNNEL)
    assert (site.agent_runs, site.restarts) == (1, ["stop", "start"])


def test_a_director_that_stays_silent_is_doubt(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    site.shell.lost_commands = 2
    with pytest.raises(UnknownOutcomeError):
        driver.apply(before, TUNNEL)
    assert site.restarts == []


def test_a_dry_run_runs_neither_agent_nor_daemon(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    commands = [edit.command for edit in driver.edits(before, TUNNEL)]
    assert commands[0] == "puppet agent --test --color=false"
    site.shell.dry_run = True
    with pytest.raises(DryRunError):
        driver.apply(before, TUNNEL)
    assert (site.agent_runs, site.restarts) == (0, [])


def test_someone_elses_weight_stops_the_flip_before_the_agent(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    site.shell.rules = RULES.replace("-w 3", "-w 0")
    with pytest.raises(WorldChangedError, match=r"10\.10\.0\.22:80: weight 0, wanted 3"):
        driver.apply(before, TUNNEL)
    assert (site.agent_runs, site.restarts) == (0, [])


def test_someone_elses_weight_is_kept_and_told_during_a_rollback(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.shell.rules = RULES.replace("-w 3", "-w 5")
    assert driver.restore(before, TUNNEL) == []
    assert site.restarts == []
    seen = driver.compare(before, TUNNEL)
    assert (seen.ours, seen.others) == ((), ("tcp 10.99.0.1:80: 10.10.0.22:80: weight 5, wanted 3",))


def test_the_rollback_tells_what_really_ran(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    site.flip(to_ipip=False)
    agent, reload_command = driver.restore(before, TUNNEL)
    assert (agent.command, reload_command.command) == (
        "puppet agent --test --color=false",
        driver.reload_command,
    )
    assert driver.restore(before, TUNNEL) == []


def test_a_file_that_still_says_so_is_not_back_though_the_table_is(site: Following) -> None:
    """The next restart would make it."""
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    assert driver.applied_state(before, TUNNEL).gone == []
    site.shell.rules = RULES
    assert "pybal.conf: tcp 10.99.0.1:80: 10.10.0.21:80 is Tunnel, wanted Route" in str(
        driver.compare(before, TUNNEL).ours
    )
    assert driver.in_effect(before, TUNNEL) == [], "the file is the agent's"
    site.put("pybal.conf", site.config.read_text().replace("True", "False"))
    assert driver.compare(before, TUNNEL).ours == ()
    assert "is Route, wanted Tunnel" in driver.applied_state(before, TUNNEL).gone[0]


def test_whether_it_can_be_put_back_is_known_before_anything_is_touched(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.put("puppet/agent_disabled.lock", '{"disabled_message": "kernel upgrade, ask ops"}')
    driver.require_restorable(before, TUNNEL)
    (site.shell.folder / "puppet/agent_disabled.lock").unlink()
    site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    driver.require_restorable(before, TUNNEL)
    site.put("puppet/agent_disabled.lock", '{"disabled_message": "kernel upgrade, ask ops"}')
    with pytest.raises(RefusedError, match="lvs1: puppet is disabled: kernel upgrade, ask ops"):
        driver.require_restorable(before, TUNNEL)


def test_an_unfinished_change_of_the_service_itself_refuses_a_change_of_something_else(
    site: Following,
) -> None:
    site.flip(to_ipip=True)
    site.shell.write("lvs1", does("puppet agent --test"))
    driver = site.driver()
    assert driver.before(TUNNEL)["table"]
    with pytest.raises(RefusedError, match=r"has a change of web that is not in the kernel yet.*is Route"):
        driver.before(SetScheduler("mh", ("mh-port",)))


def test_somebodys_unfinished_change_of_another_service_refuses(site: Following) -> None:
    """A restart would make it, with nobody looking."""
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    site.put("puppet/template", TEMPLATE + "tunneling = True\n")
    site.shell.write("lvs1", does("puppet agent --test"))
    unfinished = r"a change that is not in the kernel yet.*tcp 10\.99\.0\.9:80: .* is Route, wanted Tunnel"
    with pytest.raises(RefusedError, match=unfinished):
        driver.before()
    with pytest.raises(VerifyError, match=unfinished):
        driver.apply(before, TUNNEL)
    assert site.restarts == []
    assert driver.now() == before, "whoever goes back only asks what is there"


def test_a_service_that_the_file_does_not_have_refuses(site: Following) -> None:
    site.put("pybal.conf", site.config.read_text().replace("ip = fd99::1", "ip = fd99::2"))
    with pytest.raises(RefusedError, match=r"tcp \[fd99::1\]:80 is not in it"):
        site.driver().before()


def test_a_disabled_agent_refuses_with_the_words_of_whoever_disabled_it(site: Following) -> None:
    site.put("puppet/agent_disabled.lock", '{"disabled_message": "kernel upgrade, ask ops"}')
    with pytest.raises(RefusedError, match="lvs1: puppet is disabled: kernel upgrade, ask ops"):
        site.driver().before()


def test_without_an_agent_it_refuses_and_says_which_key(site: Following) -> None:
    driver = site.driver()
    driver.agent = NoAgent()
    with pytest.raises(RefusedError, match=r"set agent in \[management\]"):
        driver.before()


def test_a_scheduler_is_followed_too(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    mh = SetScheduler("mh", ("mh-port",))
    site.put("puppet/template", TEMPLATE.replace("wrr", "mh\nscheduler-flag = mh-port"))
    driver.apply(before, mh)
    assert "-A -t [fd99::1]:80 -s mh -b mh-port" in site.shell.rules
    site.put("puppet/template", TEMPLATE.replace("wrr", "wrr\nscheduler-flag ="))
    driver.restore(before, mh)
    assert site.shell.rules == RULES
