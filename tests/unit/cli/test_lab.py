"""``ferryman lab up --like``: what it refuses before anything boots, and what it says of a lab that comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman import lab as the_lab
from ferryman.cli import main
from ferryman.lab import LabPaths, LabStatus, engines, machine
from ferryman.lab.topology import DEFAULT, from_inventory

if TYPE_CHECKING:
    from collections.abc import Iterator

NORTH = Path(__file__).parents[2] / "inventories" / "north"


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was asked to boot; nothing is booted, for a lab takes seconds."""
    asked: list[dict[str, Any]] = []

    def up(_paths: LabPaths, _engine: str, **given: Any) -> LabStatus:  # noqa: ANN401  # as the command gives them
        asked.append(given)
        hosts = dict.fromkeys(given["topology"].by_name, True)
        return LabStatus(True, "guest", 1, hosts, booted_s=7.0, topology=given["topology"])

    monkeypatch.setattr(the_lab, "up", up)
    return asked


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "ferryman.toml").write_text(
        'inventory = "inventory"\ncookbooks = ["cookbooks"]\nlab = true\n'
    )
    yield tmp_path / "ferryman.toml"
    assert not LabPaths.of(tmp_path).root.exists()


def ferryman(config: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["--config", str(config), *words])
    return int(leaving.value.code or 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--like", str(NORTH)], "--like INVENTORY wants --site SITE"),
        (["--site", "north"], "--site, --service and --realservers go with --like INVENTORY"),
        (["--service", "front"], "--site, --service and --realservers go with --like INVENTORY"),
        (
            ["--like", "/nowhere", "--site", "north"],
            "/nowhere: is no directory, expected the ",
        ),
        (["--like", str(NORTH), "--site", "nrth"], "no service is at site 'nrth', did you mean north?"),
        (["--like", str(NORTH), "--site", "north", "--service", "frnt"], "no service is called 'frnt'"),
        (["--like", str(NORTH), "--site", "south", "--service", "front"], "has no directors at south"),
        (
            ["--like", str(NORTH), "--site", "north", "--service", "clocks"],
            "protocol: is 'udp', expected tcp",
        ),
        (["--like", str(NORTH), "--site", "north", "--realservers", "0"], "0 is not in the range"),
    ],
)
def test_bad_input_is_one_message_and_boots_nothing(
    config: Path,
    booted: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    assert ferryman(config, "lab", "up", *words) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert booted == []


def test_more_hosts_than_the_machine_has_memory_for_are_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 900000 kB\nMemAvailable: 102400 kB\n")
    monkeypatch.setattr(engines, "MEMINFO", tmp_path / "meminfo")
    for check in ("require_programs", "require_namespaces"):
        monkeypatch.setattr(engines, check, lambda _engine: None)
    monkeypatch.setattr(machine, "provision", lambda *_given, **_more: pytest.fail("nothing may be made"))
    assert ferryman(config, "lab", "up", "--like", str(NORTH), "--site", "north") == 2
    said = capsys.readouterr().err
    assert "a lab of 13 hosts wants 228 MB of memory, and this machine has 100 MB left" in said
    the_lab.down(LabPaths.of(tmp_path))


def test_another_lab_that_is_up_here_is_left_alone(
    config: Path,
    booted: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("ferryman.lab.machine.namespace.find", lambda _paths: object())
    monkeypatch.setattr(machine, "_is_ready", lambda _paths: True)
    monkeypatch.setattr(machine, "_topology", lambda _paths: DEFAULT)
    assert ferryman(config, "lab", "up", "--like", str(NORTH), "--site", "north") == 2
    shown = capsys.readouterr()
    assert "another lab is up here, of other hosts or services; first: ferryman lab down" in shown.err
    assert (shown.out, booted) == ("", [])


def test_without_words_it_is_the_default_lab(config: Path, booted: list[dict[str, Any]]) -> None:
    assert ferryman(config, "lab", "up") == 0
    (asked,) = booted
    assert asked["topology"] is DEFAULT
    assert asked["cookbooks"] == (config.parent / "cookbooks",)


def test_it_says_beforehand_what_differs_and_afterwards_how_to_migrate_in_it(
    config: Path, booted: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ferryman(config, "lab", "up", "--like", str(NORTH), "--site", "north") == 0
    (asked,) = booted
    assert asked["topology"] == from_inventory(NORTH, "north")
    said = capsys.readouterr().out
    for words in (
        "site north: 3 directors, 7 realservers, 4 services (front, front-plain, ingress, search)",
        "left out: clocks: services.yaml:",
        "left out: front: 2 of its 5 realservers",
        "different: lb1001.north.example.org: the software of the driver pybal does not run in the lab",
    ):
        assert said.index(words) < said.index("the lab is up (guest), 13 hosts")
    assert "2001:db8:1::10" in said
    ours = LabPaths.of(config.parent).configuration_file
    assert said.splitlines()[-1] == f"ferryman --config {ours} migrate front --site north"


def test_programs_are_told_in_lines_of_json(
    config: Path, booted: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("lab", "up", "--like", str(NORTH), "--site", "north", "--service", "front")
    assert ferryman(config, "--output", "json", *words) == 0
    shown = capsys.readouterr()
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert {"left_out": "front: 2 of its 5 realservers"} in lines
    assert {"name": "front frontlb", "what": "vip", "there": "198.51.100.10", "here": "10.99.0.1"} in lines
    assert lines[-1]["next"][-3:] == ["front", "--site", "north"]
    assert "the lab is up (guest)" in shown.err
    assert booted


@pytest.mark.parametrize("as_json", [False, True])
def test_the_status_has_the_map_too(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    lab = from_inventory(NORTH, "north", ["front"])
    now = LabStatus(True, "guest", 17, dict.fromkeys(lab.by_name, True), topology=lab)
    monkeypatch.setattr(the_lab, "status", lambda _paths: now)
    assert ferryman(config, *(["--output", "json"] if as_json else []), "lab", "status") == 0
    said = capsys.readouterr().out
    if as_json:
        lines = [json.loads(line) for line in said.splitlines()]
        assert {"host": "lb1001.north.example.org", "sshd": "up"} in lines
        assert {
            "name": "front frontlb6",
            "what": "vip",
            "there": "2001:db8:1::10",
            "here": "fd99::1",
        } in lines
        return
    assert "2001:db8:1::10" in said
    assert f"in the image of {NORTH}; its configuration: " in said


def test_what_a_lab_has_written_itself_belongs_to_that_lab(config: Path) -> None:
    paths = LabPaths.of(config.parent)
    assert LabPaths.of(paths.configuration) == paths
    assert LabPaths.of(paths.root.parent) != paths
