"""The example of the cookbook author's guide: the code on the page does what the page says of it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.config import Config
from ferryman.cookbook import Ferry, load
from ferryman.hosts.fake import FakeHosts
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.ipvs.listing import read_table
from ferryman.testing import Cuts, Harness, cut_everywhere, lose_records_everywhere, meddle_everywhere

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

RULES = "-A -t 192.0.2.1:80 -s wrr\n-a -t 192.0.2.1:80 -r 192.0.2.11:80 -g -w 5\n"
PAGE = Path(__file__).parents[3] / "docs" / "cookbooks.md"
BLOCK = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL)
LOOK, CHANGE, TEST = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
"""The files of the example in the order of the page, each with its path in a repository and its text."""
(SCENARIO,) = re.findall(r"```yaml\n# (scenarios/\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def written(folder: Path, *files: tuple[str, str]) -> Path:
    """The folder, with these files in it; the last one's path."""
    path = folder
    for name, text in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def page_test(tmp_path: Path) -> ModuleType:
    """The page's test, imported from where the page says that it stands, beside the full cookbook."""
    file = written(tmp_path, CHANGE, TEST)
    spec = importlib.util.spec_from_file_location("test_of_the_page", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def look_at(tmp_path: Path, arguments: Mapping[str, str]) -> str:
    """How a run of the page's first cookbook ends on a director with one realserver."""
    hosts = FakeHosts()
    hosts.answer("lvs1", IpvsTable, read_table(RULES))
    cookbook = load(written(tmp_path, LOOK))
    ferry = Ferry(Config(file=Path("ferryman.toml")), hosts)
    return Harness().perform(cookbook.plan(ferry, arguments)).outcome


def test_the_example_begins_with_a_look(tmp_path: Path) -> None:
    arguments = {"director": "lvs1", "vip": "192.0.2.1:80", "realserver": "192.0.2.11:80"}
    assert look_at(tmp_path, arguments) == "done"
    assert look_at(tmp_path, {**arguments, "realserver": "192.0.2.12:80"}) == "refused"


def test_the_page_s_own_tests_pass(page_test: ModuleType) -> None:
    tests = [test for name, test in vars(page_test).items() if name.startswith("test_")]
    assert len(tests) == 4
    for test in tests:
        test()


def test_the_example_is_cut_and_others_write_at_a_share_of_its_calls(page_test: ModuleType) -> None:
    assert cut_everywhere(page_test.scene, briefly=True) > 0
    assert meddle_everywhere(page_test.scene, every=5) > 0
    assert lose_records_everywhere(page_test.scene, every=5) > 0


@pytest.mark.extended
def test_the_example_is_cut_at_every_call(page_test: ModuleType) -> None:
    """In every way, and what others write and lost records too; as every cookbook of the tree is."""
    assert cut_everywhere(page_test.scene, twice=True) > 0
    assert meddle_everywhere(page_test.scene) > 0
    assert lose_records_everywhere(page_test.scene) > 0


def test_the_example_writes_nothing_in_a_dry_run(page_test: ModuleType) -> None:
    scene = page_test.scene(Cuts())
    before = dict(scene.world())
    assert Harness().perform(scene.plan(), dry_run=True).outcome == "done"
    assert scene.world() == before


def test_all_that_the_example_imports_of_cookbooks_is_exported() -> None:
    for _, text in (LOOK, CHANGE):
        assert set(re.findall(r"^from (ferryman\S*)", text, re.MULTILINE)) == {"ferryman.cookbook"}


def test_the_page_s_scenario_is_sound(tmp_path: Path) -> None:
    written(tmp_path, CHANGE)
    shutil.copytree(PAGE.parents[1] / "inventory", tmp_path / "inventory")
    (tmp_path / "ferryman.toml").write_text('cookbooks = ["cookbooks"]\nlab = true\n')
    done = subprocess.run(
        [sys.executable, "-m", "ferryman", "rehearse", "--check", str(written(tmp_path, SCENARIO))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
