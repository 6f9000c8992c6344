"""``ferryman rehearse`` before it boots anything: what it refuses, and the scenarios that are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ferryman.cli.template import write

REPOSITORY = Path(__file__).parents[3]
SCENARIOS = sorted((REPOSITORY / "scenarios").glob("*.yaml"))
STRIKES_IN_THE_MIDDLE = ("kill:", "signal:", "edit:", "restore:", "merge:", "meanwhile:", "in soak", "step ")


def rehearse(*words: str, config: Path = REPOSITORY / "ferryman.toml") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ferryman", "--config", str(config), "rehearse", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration like the lab's, in a folder where it can be seen that nothing was made."""
    return furnished(tmp_path, "inventory", "cookbooks")


def furnished(folder: Path, *names: str) -> Path:
    """The folder with a configuration, and what it names."""
    (folder / "ferryman.toml").write_text((REPOSITORY / "ferryman.toml").read_text())
    for name in names:
        (folder / name).symlink_to(REPOSITORY / name)
    return folder


def test_the_scenarios_of_the_repository_are_sound() -> None:
    done = rehearse(str(REPOSITORY / "scenarios"), "--check")
    assert done.stdout == f"{len(SCENARIOS)} scenarios are sound\n", done.stderr
    assert done.returncode == 0


def test_there_are_many_and_in_half_of_them_something_strikes_in_the_middle() -> None:
    texts = [file.read_text() for file in SCENARIOS]
    assert len(texts) >= 16
    assert 2 * sum(any(word in text for word in STRIKES_IN_THE_MIDDLE) for text in texts) >= len(texts)
    assert any("catalog: git" in text for text in texts)
    assert any("state: etcd" in text for text in texts)


BAD = """\
title: Everything is wrong.
faults:
  - { put: no-such-fault, on: web2, at: start }
  - { put: rp-filter-strict, on: nowhere, at: start }
  - { put: rp-filter-strict, on: web2, at: teatime }
run: ferryman migrate static --sight lab
expect: { exit: 0, colour: green }
"""


def test_a_bad_scenario_ends_with_2_every_mistake_has_its_line_and_nothing_is_booted(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD)
    done = rehearse(str(folder / "bad.yaml"), config=folder / "ferryman.toml")
    assert done.returncode == 2
    told = done.stderr.replace("ferryman: ", "").replace(f"{folder}/bad.yaml:", "").splitlines()
    assert [line.partition(": is ")[0] for line in told[:5]] == [
        "3: faults: [0].put",
        "4: faults: [1].on",
        "5: faults: [2].at",
        "6: run: [0].command",
        "7: expect: colour",
    ]
    assert "'--sight'" in told[3]
    assert not (folder / ".ferryman").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("ferryman migrate --help", "asks for help"),
        ("ferryman --version", "there is no such command"),
        ("ferryman lab", "there is no such command"),
        ("ferryman migrate static", "Missing option '--site'"),
        ("ferryman migrate static --site lab --soak nan", "no finite number"),
    ],
)
def test_a_command_that_could_not_run_is_told_before_a_lab_is_booted(
    folder: Path, command: str, said: str
) -> None:
    (folder / "bad.yaml").write_text(f"title: x\nrun: {command}\nexpect: {{ exit: 0 }}\n")
    done = rehearse(str(folder / "bad.yaml"), config=folder / "ferryman.toml")
    assert done.returncode == 2
    assert "bad.yaml:2: run: [0].command" in done.stderr
    assert said in done.stderr


def test_a_scenario_that_is_not_there_ends_with_2(folder: Path) -> None:
    done = rehearse(str(folder / "none.yaml"), config=folder / "ferryman.toml")
    assert done.returncode == 2
    assert "none.yaml: is missing, expected a file" in done.stderr


@pytest.mark.parametrize("option", ["--junit", "--html"])
def test_a_report_that_cannot_be_written_is_told_before_anything_is_played(folder: Path, option: str) -> None:
    (folder / "bad.yaml").write_text(BAD)  # were it played, it would be refused
    done = rehearse(
        str(folder / "bad.yaml"),
        option,
        str(folder / "ferryman.toml" / "file"),
        config=folder / "ferryman.toml",
    )
    assert done.returncode == 2
    assert "nothing was played" in done.stderr


def test_a_configuration_of_real_hosts_is_refused(folder: Path) -> None:
    config = folder / "real.toml"
    config.write_text((REPOSITORY / "ferryman.toml").read_text().replace("lab = true", "lab = false"))
    done = rehearse(str(SCENARIOS[0]), config=config)
    assert done.returncode == 2
    assert "want a configuration with lab = true" in done.stderr


@pytest.mark.parametrize("name", ["one", "kernel/set-one"])
def test_the_scenario_of_a_new_cookbook_is_sound(tmp_path: Path, name: str) -> None:
    furnished(tmp_path, "inventory")
    written = write(name, tmp_path / "cookbooks", tmp_path / "tests", tmp_path / "scenarios")
    done = rehearse(str(written[-1]), "--check", config=tmp_path / "ferryman.toml")
    assert (done.returncode, done.stdout) == (0, "1 scenarios are sound\n"), done.stderr
