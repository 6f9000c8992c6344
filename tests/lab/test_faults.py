"""Faults of the lab: each goes in, does what it says, and is gone again."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman import lab as the_lab
from ferryman.lab import faults
from ferryman.retry import poll_until
from lab.observe import curl, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.running import RunningLab

pytestmark = pytest.mark.lab


@contextlib.contextmanager
def fault(lab: RunningLab, name: str, host: str) -> Iterator[None]:
    lab.put(name, host)
    try:
        assert [str(fault) for fault in faults.active(lab.place)] == [f"{name} on {host}"]
        assert the_lab.status(lab.place).faults == (f"{name} on {host}",)
        yield
    finally:
        lab.clear()
    assert faults.active(lab.place) == ()


def test_a_host_whose_sshd_is_down_is_seen_and_brought_back_by_the_console(lab: RunningLab) -> None:
    with fault(lab, "sshd-down", "web2"):
        hosts = the_lab.status(lab.place).hosts
        assert [name for name, answers in hosts.items() if not answers] == ["web2"]
    assert all(the_lab.status(lab.place).hosts.values())


def test_a_changed_host_key_is_refused_by_the_labs_own_known_hosts(lab: RunningLab) -> None:
    argv = the_lab.exec_argv(lab.place, "web1", ["true"])
    with fault(lab, "host-key-changed", "web1"):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 255
        assert "Host key verification failed" in done.stderr
    assert subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0


def test_a_frozen_director_takes_a_reload_and_does_nothing_until_it_thaws(lab: RunningLab) -> None:
    def maps() -> set[str]:
        return {how for _, how in tables(lab)["lvs1"]["10.99.0.2:8080 mh (mh-port)"]}

    file, reload = "/etc/keepalived/services/maps.conf", "kill -HUP $(cat /run/keepalived-lvs1.pid)"
    with fault(lab, "director-frozen", "lvs1"):
        lab.console("lvs1", f"sed -i 's/lvs_method DR/lvs_method TUN/' {file}; {reload}; sleep 2")
        assert maps() == {"Route"}
    assert poll_until(maps, lambda seen: seen == {"Tunnel"}, within_s=60) == {"Tunnel"}
    lab.console("lvs1", f"sed -i 's/lvs_method TUN/lvs_method DR/' {file}; {reload}")
    assert poll_until(maps, lambda seen: seen == {"Route"}, within_s=60) == {"Route"}


def test_a_wrong_configuration_fails_keepalived_s_own_test(lab: RunningLab) -> None:
    check = "keepalived -t -f /etc/keepalived/keepalived.conf >/dev/null 2>&1 && echo good || echo bad"
    assert lab.console("lvs2", check) == "good\n"
    with fault(lab, "keepalived-wrong-config", "lvs2"):
        assert lab.console("lvs2", check) == "bad\n"
    assert lab.console("lvs2", check) == "good\n"


@pytest.mark.parametrize(
    ("name", "director"), [("breaks-after-flip", "lvs2"), ("breaks-in-soak", "lvs1")], ids=str
)
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_what_breaks_later_waits_for_its_director_to_tunnel_and_then_breaks(
    lab: RunningLab, name: str, director: str, family: str
) -> None:
    vip, server = (
        ("10.99.0.3:8081", "10.10.0.21:8081") if family == "ipv4" else ("[fd99::1]:80", "[fd10::21]:80")
    )

    def filtering() -> str:
        return lab.console("web1", "cat /proc/sys/net/ipv4/conf/ipip0/rp_filter").strip()

    with fault(lab, name, "web1"):
        curl(lab, "http://10.99.0.5:9200/")
        lab.console(director, f"ipvsadm -e -t {vip} -r {server.replace('21', '22')} -i -w 1")
        assert filtering() == "0"
        lab.console(director, f"ipvsadm -e -t {vip} -r {server} -i -w 1")
        try:
            assert poll_until(filtering, lambda value: value == "1", within_s=30) == "1"
        finally:
            for last in ("21", "22"):
                lab.console(director, f"ipvsadm -e -t {vip} -r {server.replace('21', last)} -g -w 1")
    assert filtering() == "0"


def test_clearing_a_fault_by_name_leaves_the_others(lab: RunningLab) -> None:
    lab.put("ipip0-down", "web1")
    lab.put("ipip0-down", "web2")
    lab.put("rp-filter-strict", "web1")
    assert [str(fault) for fault in faults.clear(lab.place, "ipip0-down", "web1")] == ["ipip0-down on web1"]
    assert [str(fault) for fault in faults.clear(lab.place, host="web1")] == ["rp-filter-strict on web1"]
    assert [str(fault) for fault in faults.active(lab.place)] == ["ipip0-down on web2"]


def test_with_the_last_fault_gone_the_health_checks_have_their_realservers_back(lab: RunningLab) -> None:
    def in_tables(last: str) -> set[str]:
        """In which tables the service that keepalived checks has this realserver."""
        return {
            name
            for name, table in tables(lab).items()
            if (f"10.10.0.{last}:80", "Route") in table["10.99.0.1:80 wrr"]
        }

    with fault(lab, "listener-closed", "web1"):
        assert poll_until(lambda: in_tables("21"), lambda seen: not seen, within_s=20) == set()
        assert in_tables("22") == {"lvs1", "lvs2"}
    assert in_tables("21") == {"lvs1", "lvs2"}
