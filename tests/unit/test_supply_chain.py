"""What is installed where: by hash, without the tools of the tests, and with a list of it in the wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOTSTRAP = ROOT / "scripts" / "bootstrap.sh"
LOCKS = ("requirements.lock", "requirements-dev.lock")


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+) ", text, re.MULTILINE))


def canonical(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_one_version_and_its_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = [entry for entry in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE) if "==" in entry]
    assert len(entries) == len(pins(lock)) > 20
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry) for entry in entries)
    assert "://" not in text


def test_whatever_pip_installs_must_have_a_hash_of_the_lock() -> None:
    installs = [line for line in BOOTSTRAP.read_text().splitlines() if '/pip" install' in line]
    from_lock, project = installs
    assert '--require-hashes -r "$lock"' in from_lock
    assert "--no-deps --no-build-isolation" in project


def test_a_control_host_gets_what_the_project_imports_and_builds_with_and_no_tool_of_the_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    control = set(pins("requirements.lock"))
    needed = {canonical(each) for each in project["project"]["dependencies"]}
    building = {canonical(each) for each in project["build-system"]["requires"]}
    tools = {canonical(each) for each in project["project"]["optional-dependencies"]["dev"]} - building
    assert needed | building <= control
    assert not control & tools


def test_the_tests_run_with_the_versions_of_a_control_host() -> None:
    control, dev = (pins(lock) for lock in LOCKS)
    assert {name: dev.get(name) for name in control} == control


@pytest.mark.parametrize("purpose", ["all", "control lab"])
def test_setup_for_an_unknown_purpose_says_which_there_are_and_does_nothing(purpose: str) -> None:
    done = subprocess.run([str(BOOTSTRAP), purpose], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "usage: bootstrap.sh [control | lab | dev]\n"


def test_the_list_of_components_is_that_of_the_lock_and_valid() -> None:
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415  # for this test alone, and slow
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    text = (ROOT / "ferryman.cdx.json").read_text()
    listed = json.loads(text)
    assert {entry["name"]: entry["version"] for entry in listed["components"]} == pins("requirements.lock")
    assert all(entry["purl"].startswith("pkg:pypi/") for entry in listed["components"])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_a_wheel_carries_the_list_of_components(tmp_path: Path) -> None:
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(built, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    name = f"ferryman-{version('ferryman')}.dist-info/sboms/ferryman.cdx.json"
    with zipfile.ZipFile(wheel) as packed:
        assert packed.read(name) == (ROOT / "ferryman.cdx.json").read_bytes()
        assert not [entry for entry in packed.namelist() if entry.startswith(("tests", "cookbooks"))]
