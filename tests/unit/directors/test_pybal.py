"""What is PyBal's own: its file, its instrumentation, its restart."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from ferryman.directors import SetForwarding, driver_for
from ferryman.directors.pybal.conf import PybalConf
from ferryman.directors.pybal.driver import PybalDriver
from ferryman.errors import ConfigError, RefusedError, VerifyError
from ferryman.model import Director, Forwarding, Role
from tools import does
from unit.directors.following import METRICS, UP, Following
from unit.directors.test_ipvsadm import FLIPPED
from unit.directors.world import RULES, WEB

TUNNEL = SetForwarding(Forwarding.TUNNEL)

SECTION = "[web_80]\nprotocol = tcp\nip = 10.99.0.1\nport = 80\nscheduler = mh\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ip = 10.99.0.1\n", "no section headers"),
        ("[web_80]\nip = 10.99.0.1\n", r"\[web_80\] has no port, scheduler"),
        (SECTION.replace("10.99.0.1", "weblb"), "'weblb' does not appear to be an IPv4 or IPv6 address"),
        (SECTION.replace("tcp", "sctp"), r"\[web_80\] protocol is 'sctp', expected tcp or udp"),
        (SECTION + "tunneling = perhaps\n", "Not a boolean: perhaps"),
        (SECTION + SECTION, "already exists"),
    ],
)
def test_a_file_that_is_not_understood_is_told_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(VerifyError, match=rf"lvs1: /pybal\.conf: not understood: .*{said}"):
        PybalConf.read(text, "lvs1: /pybal.conf")


def test_a_section_is_found_by_what_is_in_it() -> None:
    text = f"[global]\nbgp = yes\n{SECTION}scheduler-flag = mh-port, mh-fallback\ntunneling = True ; moved\n"
    conf = PybalConf.read(text, "")
    (section,) = conf.sections
    assert conf.speaks_bgp
    assert section.key == ("tcp", ip_address("10.99.0.1"), 80)
    assert section.flags == ("mh-port", "mh-fallback")
    assert section.forwarding is Forwarding.TUNNEL


def test_a_file_that_says_nothing_of_tunnels_or_flags_routes_directly_and_leaves_flags(
    site: Following,
) -> None:
    (server, *_) = site.driver().read()
    (configured,) = PybalConf.read(SECTION, "").configured((server,))
    assert {destination.forwarding for destination in configured.destinations} == {Forwarding.DIRECT}
    assert configured.scheduler_flags == server.scheduler_flags


@pytest.mark.parametrize(
    ("answer", "text", "said"),
    [
        ("alerts", "CRITICAL - web_80: Servers web1 are marked down but pooled", "marked down but pooled"),
        (
            "weblb6_80",
            json.dumps({"web1": UP, "web2": {**UP, "up": False}}),
            "pool weblb6_80: web2 is enabled",
        ),
        ("metrics", METRICS.replace("1.0", "0.0"), "no BGP session of AS 64600 is established"),
        ("metrics", "process_cpu_seconds_total 1.0\n", "tells of no session"),
    ],
)
def test_a_pybal_that_is_not_well_refuses(site: Following, answer: str, text: str, said: str) -> None:
    site.put(f"http/{answer}", text)
    with pytest.raises(RefusedError, match=said):
        site.driver().before()


def test_a_pybal_that_does_not_answer_refuses(site: Following) -> None:
    (site.shell.folder / "http" / "alerts").unlink()
    with pytest.raises(RefusedError, match=r"localhost:9090/alerts: .*No such file"):
        site.driver().before()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("alerts", "WARNING - Pool weblb_80 is too small to allow depooling. "),
        ("weblb_80", json.dumps({"web1": UP, "web9": {**UP, "up": False, "enabled": False}})),
        ("weblb_80", json.dumps({"error": "The desired url was not found"})),
    ],
)
def test_what_is_no_trouble_does_not_refuse(site: Following, answer: str, text: str) -> None:
    """A small pool warns all its life, a server out of service is down, and pools may have other names."""
    site.put(f"http/{answer}", text)
    assert site.driver().before()["table"]


def test_without_bgp_no_session_is_asked_for(site: Following) -> None:
    site.put("http/metrics", "")
    site.put("pybal.conf", site.config.read_text().replace("bgp = yes", "bgp = no"))
    assert site.driver().before()["table"]


COUNTERS = """\
cd "$FAKE_DIRECTOR"
head -n 1 counters
tail -n +2 counters >left && mv left counters
"""


@pytest.mark.parametrize(
    ("counters", "naps"),
    [("5 6 7 7 7 7 8 9", 6), ("1 2 3 4 5 6 7 8 9", 7), ("", 7)],
    ids=["standing still ends it", "so does the time", "unreadable counters never stand still"],
)
def test_between_stop_and_start_it_waits_for_packets_to_end(
    site: Following, counters: str, naps: int
) -> None:
    sed = site.shell.folder / "bin" / "sed"
    sed.write_text(f"#!/bin/sh\n{COUNTERS}")
    sed.chmod(0o755)
    site.put("counters", "".join(f"{count}\n" for count in counters.split()))
    driver = site.driver(drain=7)
    before = driver.before()
    site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    assert (site.shell.folder / "slept").read_text() == "1\n" * naps
    assert site.restarts == ["stop", "start"]


def test_without_a_drain_it_is_a_plain_restart(site: Following) -> None:
    driver = site.driver(drain=0)
    before = driver.before()
    site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    assert not (site.shell.folder / "slept").exists()
    assert driver.edits(before, TUNNEL)[-1].command == driver.restart


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_a_pybal_that_will_not_is_told_in_its_own_words(site: Following, verb: str) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    fault = site.shell.switch(f"no-{verb}")
    with pytest.raises(VerifyError, match=rf"could not be {verb}\w+: pybal\.service: {verb} failed"):
        driver.apply(before, TUNNEL)
    fault.unlink()
    site.flip(to_ipip=False)
    driver.restore(before, TUNNEL)
    assert site.shell.rules == RULES


def test_a_pybal_that_was_left_stopped_is_started_though_the_table_is_right(site: Following) -> None:
    driver = site.driver()
    before = driver.before()
    site.flip(to_ipip=True)
    driver.apply(before, TUNNEL)
    site.shell.write("lvs1", does("pybal stop"))
    driver.apply(before, TUNNEL)
    assert site.restarts[-1] == "start"
    assert site.shell.rules == FLIPPED


@pytest.mark.parametrize(("key", "value"), [("drain", -1), ("drain", "long"), ("stop", ""), ("config", 7)])
def test_a_key_that_is_wrong_names_its_entry(site: Following, key: str, value: object) -> None:
    director = Director("lvs1", Role.PRIMARY, "pybal", {key: value})
    with pytest.raises(ConfigError, match=rf"directors\.yaml: lab: low-traffic: lvs1: {key}: is "):
        driver_for(director, WEB, site.shell)


def test_it_is_asked_and_restarted_through_systemd_unless_told_otherwise(site: Following) -> None:
    driver = driver_for(Director("lvs1", Role.PRIMARY, "pybal"), WEB, site.shell)
    assert isinstance(driver, PybalDriver)
    assert driver.follows_catalog
    assert driver.reload_command.startswith("systemctl stop pybal; ")
    assert "systemctl is-active --quiet pybal" in driver.started
