"""Servers are rebooted, and come back with what the checks said that they would, and without the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ferryman.lab import machine
from ferryman.retry import poll_until
from lab.matrix.judging import checked, hasten
from lab.reboot import reboot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.running import RunningLab

pytestmark = pytest.mark.lab

SERVICE = "static"
VIP = "10.99.0.3"
LOOK = """
ip -o link show dev ipip0 2>/dev/null || echo gone
ip -o addr show dev ipip0 2>/dev/null || :
ip -o addr show dev lo
cat /proc/sys/net/ipv4/conf/all/rp_filter
cat /proc/sys/net/ipv4/conf/ipip0/rp_filter 2>/dev/null || echo 0
"""


@dataclass(frozen=True)
class Found:
    """What a server has after its reboot."""

    tunnel: bool
    """ipip0 is up and has its address."""
    vip: bool
    rp_filter: int
    """What is in force on ipip0."""


def look(lab: RunningLab, host: str) -> Found:
    *lines, for_all, own = lab.console(host, LOOK).split("\n")[:-1]
    text = "\n".join(lines)
    up = ",UP," in lines[0] and "127.0.0.42/32" in text
    return Found(up, f" {VIP}/32 " in text, max(int(for_all), int(own)))


@pytest.fixture
def own_lab(lab: RunningLab) -> Iterator[RunningLab]:
    """A lab whose servers may be left as a reboot leaves them: it is booted anew for the tests after it."""
    hasten(lab.folder)
    yield lab
    lab.clear()
    machine.down(lab.place)
    machine.up(lab.place)


def expected(lab: RunningLab) -> dict[str, Found]:
    """What the check of the service foretells of each server."""
    output = checked(lab, SERVICE)

    def says(host: str, check: str) -> bool:
        return any(finding["check"] == check for finding in output.of(host, "warn", "fail", "unknown"))

    return {
        host: Found(
            tunnel=not says(host, "tunnel-persisted"),
            vip=not says(host, "vip-persisted"),
            rp_filter=1 if says(host, "rp-filter-persisted") else 0,
        )
        for host in ("web1", "web2", "web3")
    }


FAULTS = [
    {"web1": (), "web2": ("tunnel-not-persisted",), "web3": ("tunnel-by-own-script", "rp-filter-by-ufw")},
    {
        "web1": ("rp-filter-inline-comment", "vip-not-persisted"),
        "web2": ("tunnel-not-raised", "sysctl-refused"),
        "web3": ("rp-filter-by-ifupdown",),
    },
    {
        "web1": ("sysctl-default-wins",),
        "web2": ("rp-filter-persisted-strict",),
        "web3": ("sysctl-glob-loses", "ufw-off"),
    },
]


@pytest.mark.parametrize("put", FAULTS, ids=["made", "set", "files"])
def test_a_server_comes_back_from_a_reboot_with_what_the_check_foretold(
    own_lab: RunningLab, put: dict[str, tuple[str, ...]]
) -> None:
    for host, names in put.items():
        for name in names:
            own_lab.put(name, host)
    foretold = expected(own_lab)
    assert len(set(foretold.values())) > 1
    for host in put:
        assert look(own_lab, host) == Found(tunnel=True, vip=True, rp_filter=0)
        reboot(own_lab, host)
    assert {host: look(own_lab, host) for host in put} == foretold


def test_a_sound_server_that_was_rebooted_passes_every_check_again(own_lab: RunningLab) -> None:
    reboot(own_lab, "web1")
    output = poll_until(lambda: checked(own_lab, SERVICE), lambda output: output.exit_code == 0, within_s=60)
    assert output.blocking == []
    assert output.exit_code == 0, output.stderr
