from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.realservers.facts.clamper import Arguments, parse_clamper

if TYPE_CHECKING:
    from collections.abc import Callable

VIP, VIP6 = ip_address("192.0.2.1"), ip_address("fd99::1")


def words(line: str) -> Arguments:
    return Arguments(tuple(line.split()))


def test_what_systemctl_says_of_a_unit_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="systemctl"):
        parse_clamper("Unit tcp-mss-clamper.service could not be found.", "")


@pytest.mark.parametrize(
    ("line", "address", "port", "serves"),
    [
        ("", VIP, 80, False),
        ("-s", VIP, 80, False),
        ("-s 192.0.2.1:80", VIP, 81, False),
        ("-s 192.0.2.10:80", VIP, 80, False),
        ("-s 192.0.2.1", VIP, 80, False),
        ("-s fd99::1:80", VIP6, 80, True),
        ("-s nonsense,192.0.2.1:80", VIP, 80, True),
        ("-s 192.0.2.1:80,[fd99::1]:80", VIP6, 80, True),
        ("-s=192.0.2.1:80", VIP, 80, True),
        ("-s [fd99:0:0::1]:80", VIP6, 80, True),
    ],
)
def test_whom_it_serves_is_read_from_its_list(line: str, address: object, port: int, serves: bool) -> None:
    assert words(line).serves(address, port) is serves  # type: ignore[arg-type]  # one of both families


@pytest.mark.parametrize(
    ("line", "mss"),
    [("--ipv4-mss 1440", 1440), ("--ipv4-mss=1440", 1440), ("--ipv6-mss 1400", None), ("--ipv4-mss x", None)],
)
def test_the_mss_is_that_of_the_family(line: str, mss: int | None) -> None:
    assert words(line).mss(4) == mss


def cmdline(line: str) -> str:
    """Return the command line as /proc/PID/cmdline has it."""
    return line.replace(" ", "\0") + "\0"


SAME = (
    "/usr/bin/tcp-mss-clamper --ipv4-mss 1440 --ipv6-mss 1400 "
    "-p :2200 -s 192.0.2.1:80,[fd99::1]:80 -i eth0,lo"
)


@pytest.mark.parametrize(
    ("shown", "line", "pending"),
    [
        ((), SAME.replace("192.0.2.1:80,", ""), True),
        ((), SAME.replace("1440", "1460"), True),
        (("NeedDaemonReload=no", "NeedDaemonReload=yes"), SAME, True),
        ((), SAME, False),
        ((), SAME.replace("/usr/bin/", "/usr/sbin/"), False),
        ((), "", False),
        (("ActiveState=active", "ActiveState=failed"), "", False),
        (("--ipv4-mss 1440", "--ipv4-mss ${MSS}"), SAME, False),
    ],
)
def test_a_restart_is_pending_when_what_runs_is_not_what_the_unit_says(
    case: Callable[[str], str], shown: tuple[str, str] | tuple[()], line: str, pending: bool
) -> None:
    text = case("clamper-running")
    unit = text.replace(*shown) if shown else text
    assert parse_clamper(unit, cmdline(line)).restart_pending is pending


@pytest.mark.parametrize(
    ("state", "enabled"),
    [("disabled", False), ("static", False), ("enabled", True), ("enabled-runtime", True)],
)
def test_a_unit_that_boots_with_the_host_is_enabled(
    case: Callable[[str], str], state: str, enabled: bool
) -> None:
    text = case("clamper-running").replace("UnitFileState=enabled", f"UnitFileState={state}")
    assert parse_clamper(text, "").enabled is enabled
