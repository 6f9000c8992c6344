"""What a host needs that is reached without root, as it is printed from the inventory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.cli import main
from ferryman.cli.host_helper import needs_in
from ferryman.config import ManagementConfig
from ferryman.hosts.helper import render
from ferryman.hosts.helper.forms import FORMS, names_for
from ferryman.inventory import Inventory

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.hosts.helper.needs import Needs

DIRECTORS = """\
lab:
  a:
    - {host: lvs1, role: primary, driver: keepalived, reload: "kill ${PID} {service}",
       service_file: "/srv/lvs/{service}/k.conf"}
    - {host: lvs2, role: primary, driver: ipvsadm}
    - {host: lvs3, role: primary, driver: pybal, drain: 0}
    - {host: lvs4, role: primary, driver: liberica, config: /etc/liberica.yaml}
    - {host: lvs5, role: primary, driver: command, apply: [flip, "{service}", "{{x}}"],
       verify: [is, "{forwarding}"], undo: false}
    - {host: lvs6, role: primary, driver: command, shell: true, apply: "flip {service} {forwarding}",
       verify: "is {forwarding}", undo: "back {service}", read: "show {service}", ipvs: false}
    - {host: lvs7, role: primary, driver: wings}
  b:
    - {host: lvs2, role: primary, driver: keepalived}
"""
TEXT = """\
inventory = "inventory"
cookbooks = []
[ssh]
user = "deploy"
"""


@pytest.fixture(name="folder")
def a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "directors.yaml").write_text(DIRECTORS)
    (tmp_path / "ferryman.toml").write_text(TEXT)
    monkeypatch.setenv("FERRYMAN_CONFIG", str(tmp_path / "ferryman.toml"))
    return tmp_path


def needs(folder: Path, host: str, **management: object) -> Needs:
    return needs_in(Inventory.load(folder / "inventory"), ManagementConfig.model_validate(management))(host)


def status_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["host-helper", *arguments])
    return ended.value.code


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert status_of(*arguments) == 0
    return capsys.readouterr().out


def test_the_helper_is_printed_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == render.program()


def test_sudoers_are_for_the_user_of_the_configuration_or_another(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "deploy ALL=(root) NOPASSWD: " in printed(capsys, "--sudoers", "director")
    assert printed(capsys, "--sudoers", "realserver", "--user", "ferry") == render.sudoers(
        "ferry", "realserver"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sudoers", "x"),
        ("--sudoers", "director", "--user", "a b"),
        ("--sudoers", "director", "--commands", "x"),
    ],
)
def test_what_makes_no_sense_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert status_of(*arguments) == 2
    assert capsys.readouterr().out == ""


def test_the_list_of_several_hosts_is_that_of_each_together(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = json.loads(printed(capsys, "--commands", "lvs2", "--commands", "lvs3"))

    assert listing["keepalived-write"]["commands"] == ["systemctl reload keepalived"]
    assert listing["pybal-restart"]["commands"] == ["systemctl restart pybal"]
    assert "facts" not in listing, "it needs nothing listed"


def test_a_drivers_command_is_a_template_of_itself(folder: Path) -> None:
    allowed = needs(folder, "lvs1")["keepalived-write"]

    assert allowed.commands == ("kill ${{PID}} {service}",)
    assert allowed.files == ("/etc/keepalived/", "/srv/lvs/")


def test_a_file_beside_those_of_others_is_listed_alone(folder: Path) -> None:
    assert needs(folder, "lvs4")["liberica-read"].files == ("/etc/liberica.yaml",)


def test_the_operators_commands_are_listed_as_they_stand(folder: Path) -> None:
    words, text = needs(folder, "lvs5"), needs(folder, "lvs6")

    assert words["operator-question"].commands == (("is", "{forwarding}"),)
    assert words["operator-command"].commands == (("flip", "{service}", "{{x}}"),)
    assert text["operator-question"].commands == ("is {forwarding}", "show {service}")
    assert text["operator-command"].commands == ("flip {service} {forwarding}", "back {service}")
    assert "ipvs-table" not in text, "it has none"


def test_a_director_of_two_classes_needs_what_both_need(folder: Path) -> None:
    assert {"edit-table", "keepalived-write", "take-over"} <= set(needs(folder, "lvs2"))


def test_a_host_that_the_inventory_does_not_have_is_told_with_the_nearest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("--commands", "lsv2") == 2
    assert "--commands: the inventory has no host lsv2, did you mean lvs2" in capsys.readouterr().err


def test_a_driver_that_is_none_is_told_whoever_asks_for_the_list_and_stops_nobody_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("--commands", "lvs7") == 2
    assert "directors.yaml: lab: a: lvs7: driver: is 'wings'" in capsys.readouterr().err
    assert needs(folder, "lvs7") == {}


@pytest.mark.parametrize(
    ("management", "on_director", "on_realserver"),
    [
        ({}, set(), set()),
        ({"agent": "puppet"}, {"puppet-run", "puppet-state"}, set()),
        (
            {"agent": "puppet", "realservers": True},
            {"puppet-run", "puppet-state"},
            {"puppet-run", "puppet-state", "take-over"},
        ),
        ({"agent": "command", "run": ["go"]}, {"agent-run"}, set()),
        ({"agent": "command", "run": ["go"], "revision": ["say"]}, {"agent-run", "agent-revision"}, set()),
        (
            {"agent": "ansible-pull", "run": ["ansible-pull", "-d", "/srv/x"]},
            {"agent-run", "checkout-revision"},
            set(),
        ),
    ],
)
def test_an_agent_is_allowed_where_it_runs(
    folder: Path, management: dict[str, Any], on_director: set[str], on_realserver: set[str]
) -> None:
    without = set(needs(folder, "lvs2"))

    director, realserver = needs(folder, "lvs2", **management), needs(folder, "web1", **management)
    assert set(director) - without == on_director
    assert set(realserver) == {"facts", *on_realserver}
    assert set(director) <= set(names_for("director"))
    assert set(realserver) <= set(names_for("realserver"))


@pytest.mark.parametrize("host", ["lvs1", "lvs2", "lvs3", "lvs4", "lvs5", "lvs6"])
def test_sudoers_of_a_director_have_whatever_one_needs(folder: Path, host: str) -> None:
    found = needs(folder, host)

    assert set(found) <= set(names_for("director"))
    for verb, allowed in found.items():
        takes = FORMS[verb]
        forms = {form[0] for form in (*takes.words, *takes.more)}
        assert bool(allowed.commands) <= ("command" in forms or takes.argv)
        assert bool(allowed.files) <= bool(forms & {"file", "folder"})
