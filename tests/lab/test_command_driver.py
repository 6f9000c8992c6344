"""The operator's own commands as a driver, on the lab's own IPVS: what each case comes to."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.directors import HostRoutes, SetForwarding, driver_for
from ferryman.directors.command import CommandDriver
from ferryman.errors import CommandFailedError, DoubtError, NotFollowedError, VerifyError
from ferryman.inventory import Inventory
from ferryman.model import Forwarding
from lab.migration import changes, forwarding, loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.model import Director, Service
    from lab.director_client import LabHosts
    from lab.running import RunningLab

    Made = Callable[..., CommandDriver]

pytestmark = pytest.mark.lab

TUNNEL, DIRECT = SetForwarding(Forwarding.TUNNEL), SetForwarding(Forwarding.DIRECT)
SERVICE, VIP, PORT = "static", "10.99.0.3", 8081
REFUSED = 3
PAUSE_S = 2.0
"""Seconds of load before, between and after the flips."""
FLIP = """\
#!/bin/sh
# flip set|is VIP:PORT ipip|direct|DESTINATION...: an operator's script as it may be
case $3 in ipip) method=-i ;; direct) method=-g ;; *) echo "no method $3" >&2; exit 9 ;; esac
lines() { ipvsadm -Sn | grep -- "^-a -t $1 "; }
case $1 in
set)
    only=$4
    lines "$2" | while read -r _ _ _ _ server _ _ weight _; do
        case $server in "$only"*) ipvsadm -e -t "$2" -r "$server" "$method" -w "$weight" ;; esac
    done ;;
is)
    if lines "$2" | grep -v -- " $method "; then exit 1; fi ;;
esac
"""
KEYS: dict[str, Any] = {
    "apply": ["flip", "set", "{vip}:{port}", "{forwarding}"],
    "verify": ["flip", "is", "{vip}:{port}", "{forwarding}"],
    "undo": ["flip", "set", "{vip}:{port}", "{forwarding}"],
    "read": ["ip", "netns", "identify"],
    "converge_timeout": 2,
}
LYING = {"apply": ["true"], "verify": ["sh", "-c", "exit 0", "{forwarding}"]}


@pytest.fixture(autouse=True)
def flip(lab: RunningLab) -> Iterator[None]:
    """The operator's script is on every host, for they share a file system."""
    lab.console("rt", f"printf %s {shlex.quote(FLIP)} >/usr/local/sbin/flip; chmod +x /usr/local/sbin/flip")
    yield
    lab.console("lvs1", f"flip set {VIP}:{PORT} direct; rm /usr/local/sbin/flip")


@pytest.fixture
def made(lab: RunningLab, hosts: LabHosts) -> Made:
    """The driver of the primary, with more or other keys."""
    service = Inventory.load(lab.folder / "inventory").service(SERVICE, "lab")

    def driver(**keys: Any) -> CommandDriver:  # noqa: ANN401  # as in the file
        director = replace(_primary(service), driver="command", options={**KEYS, **keys})
        found = driver_for(director, service, hosts)
        assert isinstance(found, CommandDriver)
        return found

    return driver


def _primary(service: Service) -> Director:
    return service.directors[-1]


def methods(lab: RunningLab) -> set[str]:
    return forwarding(lab, "lvs1", f"{VIP}:{PORT}")


def test_flip_and_rollback_under_load_lose_nothing(lab: RunningLab, made: Made) -> None:
    driver = made()
    before = driver.before()
    routes = HostRoutes(driver.director, driver.service, driver.hosts)
    routes.add(routes.read().needed)
    try:
        with loaded(lab, VIP, PORT) as outcome:
            time.sleep(PAUSE_S)
            driver.apply(before, TUNNEL)
            assert methods(lab) == {"-i"}
            assert driver.already(driver.before(), TUNNEL)
            time.sleep(PAUSE_S)
            driver.restore(before, TUNNEL)
            time.sleep(PAUSE_S)
    finally:
        routes.remove(routes.read().ours)
    assert driver.before() == before
    assert methods(lab) == {"-g"}
    assert outcome[0].lost == {}
    assert outcome[0].done["short"] > 100


def test_a_command_that_refuses_leaves_everything_as_it_was(lab: RunningLab, made: Made) -> None:
    driver = made(apply=["flip", "set", "{vip}:{port}", "gue"])
    before = driver.before()
    with pytest.raises(CommandFailedError, match="ended with status 9: no method gue"):
        driver.apply(before, TUNNEL)
    assert driver.before() == before
    driver.restore(before, TUNNEL)


def test_a_verify_that_is_not_there_is_a_doubt_at_plan_time(made: Made) -> None:
    driver = made(verify=["flipp", "is", "{forwarding}"])
    with pytest.raises(DoubtError, match=r"ended with status 127.*not found"):
        driver.already(driver.before(), TUNNEL)


def test_commands_that_lie_are_found_out(lab: RunningLab, made: Made) -> None:
    driver = made(**LYING)
    before = driver.before()
    with pytest.raises(NotFollowedError, match=r"10\.10\.0\.21:8081 is Route, wanted Tunnel"):
        driver.apply(before, TUNNEL)
    assert methods(lab) == {"-g"}
    driver.restore(before, TUNNEL)


def test_half_converged_is_told_by_destination_and_put_back(lab: RunningLab, made: Made) -> None:
    driver = made(apply=[*KEYS["apply"], "10.10.0.22"])
    before = driver.before()
    with pytest.raises(NotFollowedError) as error:
        driver.apply(before, TUNNEL)
    assert "10.10.0.21:8081 -g" in str(error.value)
    assert "10.10.0.22:8081 -g" not in str(error.value)
    assert methods(lab) == {"-g", "-i"}
    driver.restore(before, TUNNEL)
    assert driver.before() == before


def test_without_undo_the_rollback_says_what_is_to_be_done(lab: RunningLab, made: Made) -> None:
    driver = made(undo=False)
    before = driver.before()
    driver.apply(before, TUNNEL)
    with pytest.raises(VerifyError, match=r"not reversible: .*: tcp 10\.99\.0\.3:8081 direct"):
        driver.restore(before, TUNNEL)
    assert methods(lab) == {"-i"}


def test_a_director_that_is_down_refuses_the_run_before_anything_is_changed(lab: RunningLab) -> None:
    keys = "".join(f"      {key}: {value!r}\n" for key, value in KEYS.items())
    entry = f"      driver: command\n{keys}"
    directors = lab.folder / "inventory" / "directors.yaml"
    directors.write_text(directors.read_text().replace("      driver: ipvsadm\n", entry))
    lab.put("sshd-down", "lvs1")
    done = lab.ferryman("--output", "json", "migrate", SERVICE, "--site", "lab", "--yes")
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert changes(done) == []
