"""Bad input and bad days: each has its exit code and one clear message, and nothing is half changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lab.migration import catalog, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.running import RunningLab

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def unchanged(lab: RunningLab) -> Iterator[None]:
    """Nothing on any host changes, whatever the input."""
    before = world(lab)
    text = catalog(lab).read_bytes()
    yield
    catalog(lab).write_bytes(text)
    assert world(lab) == before


@pytest.mark.parametrize(
    ("service", "site", "said"),
    [
        ("wbe", "lab", ["wbe", "web"]),
        ("web", "mars", ["mars", "lab"]),
        ("wiki-dumps", "lab", ["wiki-dumps", "lvs"]),
        ("echostore", "lab", ["echostore", "service_setup"]),
        ("printserver", "lab", ["printserver", "enabled"]),
    ],
)
def test_what_cannot_be_migrated_is_refused_by_name(
    lab: RunningLab, service: str, site: str, said: list[str]
) -> None:
    done = lab.ferryman("migrate", service, "--site", site, "--yes")
    assert done.returncode == 2
    assert [word for word in said if word not in done.stderr] == []
    assert len(done.stderr.strip().splitlines()) <= 3


def test_a_scalar_where_a_list_belongs_is_named_with_its_line(lab: RunningLab) -> None:
    lines = catalog(lab).read_text().splitlines(keepends=True)
    at = lines.index("      ipip_encapsulation:\n")
    lines[at : at + 2] = ["      ipip_encapsulation: true\n"]
    catalog(lab).write_text("".join(lines))
    done = lab.ferryman("migrate", "search", "--site", "lab", "--yes")
    assert done.returncode == 2
    assert f"services.yaml:{at + 1}" in done.stderr
    assert "ipip_encapsulation" in done.stderr


def test_a_missing_catalog_is_one_clear_error(lab: RunningLab) -> None:
    catalog(lab).unlink()
    done = lab.ferryman("migrate", "web", "--site", "lab", "--yes")
    assert done.returncode == 2
    assert "services.yaml" in done.stderr


def test_without_somebody_to_ask_a_change_needs_yes(lab: RunningLab) -> None:
    done = lab.ferryman("migrate", "static", "--site", "lab")
    assert done.returncode == 2
    assert "--yes" in done.stderr


def test_a_key_that_cannot_be_read_is_named(lab: RunningLab, tmp_path: Path) -> None:
    identity = lab.place.identity
    hidden = identity.rename(identity.with_suffix(".away"))
    try:
        done = lab.ferryman("check", "static", "--site", "lab")
    finally:
        hidden.rename(identity)
    assert done.returncode == 2
    assert str(identity) in done.stderr


def test_without_raw_sockets_it_says_so_before_anything_else(lab: RunningLab) -> None:
    if os.getuid() != 0:
        pytest.skip("capabilities can only be dropped by root")
    config = str(lab.folder / "ferryman.toml")
    # net_raw is dropped before the lab is entered, and the rest is as root has it
    command = ["setpriv", "--bounding-set=-net_raw", sys.executable, "-m", "ferryman", "--config", config]
    done = subprocess.run(
        [*command, "check", "static", "--site", "lab"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert "CAP_NET_RAW" in done.stderr
    assert done.stdout == ""


WATCHED = """
import sys
def heard(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"):
        print("NETWORK", event, arguments[1:], file=sys.stderr)
sys.addaudithook(heard)
from ferryman.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["check", "migrate"])
def test_when_the_lab_is_not_up_commands_refuse_and_ask_the_network_for_nothing(
    lab: RunningLab, tmp_path: Path, command: str
) -> None:
    shutil.copytree(lab.folder, tmp_path / "other")
    words = ["--config", str(tmp_path / "other" / "ferryman.toml"), command, "web", "--site", "lab", "--yes"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "ferryman: the lab is not up: ferryman lab up"
