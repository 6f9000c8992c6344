"""The inventory from the command line, and what a fault in it means for a run that is to go back."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman.cli import main
from ferryman.engine.signals import HANDLED
from unit.cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES = """\
service::catalog:
  depot:
    encryption: true
    ip: {lab: {default: 192.0.2.20}}
    page: false
    port: 8080
    sites: [lab]
    state: production
    page: true
    lvs: {enabled: true, class: depot, conftool: {cluster: depot, service: depot}}
  web:
    encryption: true
    ip: {lab: {default: 192.0.2.10}}
    port: 8443
    sites: [lab]
    state: production
    lvs:
      enabled: true
      class: low-traffic
      conftool: {cluster: web, service: web}
"""
COOKBOOK = '''\
"""Make a file new, for a service."""

from pathlib import Path

import waiting
from ferryman.cookbook import Ferry, Plan, argument, cookbook


@cookbook
@argument("service")
def renew(ferry: Ferry, service: str) -> Plan:
    """Make a file new."""
    moving = ferry.service(service, "lab")
    return Plan([waiting.New(ferry.config.folder, "a")], [moving.name])
'''


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A command that has ended ignores signals; the process of the tests must not."""
    before = {each: signal.getsignal(each) for each in HANDLED}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A configuration with an inventory that has a catalog and nothing else, and much else that is wrong."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "services.yaml").write_text(SERVICES)
    (tmp_path / "inventory" / "directors.yaml").write_text("lab: [\n")
    file = tmp_path / "ferryman.toml"
    file.write_text('inventory = "inventory"\nstate = "floppy:"\n[ssh]\nport = "many"\n')
    return file


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A folder with a sound service ``web``, a faulty one, and a cookbook for a service."""
    workspace = Workspace(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "cookbooks"))
    (tmp_path / "cookbooks" / "renew.py").write_text(COOKBOOK)
    inventory = tmp_path / "inventory"
    (inventory / "services.yaml").write_text(SERVICES)
    (inventory / "nodes" / "lab.yaml").write_text("lab: {web: {web1: [web]}}\n")
    (inventory / "hosts.yaml").write_text("web1: {address: 192.0.2.1}\nlvs1: {address: 192.0.2.2}\n")
    (inventory / "directors.yaml").write_text(
        "lab: {low-traffic: [{host: lvs1, role: primary, driver: ipvsadm}]}\n"
    )
    yield workspace
    workspace.close()


def ferryman(config: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["--config", str(config), "--output", "json", *words])
    return int(leaving.value.code or 0)


def renewed(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> str:
    """A run that is done and stands; its name."""
    assert ferryman(workspace.folder / "ferryman.toml", "renew", "web", "--yes") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert workspace.files[0] == "new"
    return str(events[-1]["run"])


def test_a_flip_needs_the_catalog_and_nothing_else_and_its_diff_applies(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("inventory", "flip", "web", "--site", "lab", "--to", "ipip")
    main_file = alone.parent / "inventory" / "services.yaml"
    with pytest.raises(SystemExit) as leaving:
        main(["--config", str(alone), *words])
    assert leaving.value.code == 0
    diff = capsys.readouterr().out
    assert main_file.read_text() == SERVICES
    subprocess.run(["git", "apply", "-p1"], cwd=main_file.parent, input=diff, text=True, check=True)
    patched = main_file.read_text()
    main_file.write_text(SERVICES)
    assert ferryman(alone, *words, "--write") == 0
    assert main_file.read_text() == patched
    assert "      ipip_encapsulation: [lab]\n" in patched


def test_a_flip_of_an_entry_with_a_key_twice_is_refused_with_both_places(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ferryman(alone, "inventory", "flip", "depot", "--site", "lab", "--to", "ipip") == 2
    said = capsys.readouterr().err
    assert "services.yaml:9: depot: page: stands twice, first on line 5" in said
    assert "directors.yaml" not in said


def test_lint_tells_everything_whatever_else_the_configuration_says(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ferryman(alone, "inventory", "lint") == 2
    said = capsys.readouterr().out
    assert "services.yaml:9: depot: page: stands twice, first on line 5" in said
    assert "directors.yaml:2: lab: is not YAML" in said


def test_a_run_begins_and_goes_back_though_others_entries_are_broken_meanwhile(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = renewed(workspace, capsys)
    inventory = workspace.folder / "inventory"
    (inventory / "services.yaml").write_text(SERVICES.replace("page: false", "page: ["))
    (inventory / "nodes" / "far.yaml").write_text("far: {\n")
    (inventory / "clusters.yaml").write_text("other: {pod_mtu: 1\n")
    with (inventory / "hosts.yaml").open("a") as hosts:
        hosts.write("depot1: {address: nowhere}\n")
    assert ferryman(workspace.folder / "ferryman.toml", "rollback", run) == 0
    assert workspace.files[0] == "old"
    assert "depot" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lab]\n    state: production\n    lvs:\n", "lab]\n    state: lvs_setup\n    lvs:\n"),
        ("enabled: true\n", "enabled: false\n"),
        ("192.0.2.20", "192.0.2.10"),
    ],
    ids=["its state", "it is not enabled", "another service on its address"],
)
def test_what_only_keeps_a_run_from_beginning_keeps_none_from_going_back(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    run = renewed(workspace, capsys)
    assert old in SERVICES
    changed = SERVICES.replace(old, new).replace("port: 8080", "port: 8443")
    (workspace.folder / "inventory" / "services.yaml").write_text(changed)
    assert ferryman(workspace.folder / "ferryman.toml", "renew", "web", "--yes") == 2
    assert ferryman(workspace.folder / "ferryman.toml", "rollback", run) == 0
    assert workspace.files[0] == "old"


def test_a_run_whose_own_entry_is_broken_meanwhile_says_where_and_what_to_do(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = renewed(workspace, capsys)
    catalog = workspace.folder / "inventory" / "services.yaml"
    catalog.write_text(SERVICES.replace("port: 8443", "port: many"))
    assert ferryman(workspace.folder / "ferryman.toml", "rollback", run) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "services.yaml:14: web: port: is 'many', expected a port number" in said
    assert f"nothing was changed just now, and all is as the run left it (ferryman show {run})" in said
    assert f"mend them, then: ferryman rollback {run}" in said
    catalog.write_text(SERVICES)
    assert ferryman(workspace.folder / "ferryman.toml", "rollback", run) == 0
    assert workspace.files[0] == "old"
