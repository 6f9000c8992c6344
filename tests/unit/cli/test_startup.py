"""Each command imports what it needs and nothing else, and works where nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.cli.root import BUILTIN

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).parents[3]
RUNS = (
    *("scapy", "paramiko", "cryptography", "lightkube", "httpx2", "yaml"),
    "ferryman.hosts",
    "ferryman.probe",
)
"""What only a run needs, and at most a look at an inventory."""
LIBRARIES = (*RUNS, "pydantic", "rich.console", "tenacity", "asyncio", "unittest", "invoke", "ssl", "email")
STEPS = (
    "ferryman.cookbook.context",
    "ferryman.cookbook.steps",
    "ferryman.directors",
    "ferryman.config.tables",
)
SLOW = (
    *LIBRARIES,
    *STEPS,
    *("rich", "sqlite3", "json", "logging", "subprocess", "concurrent.futures", "http", "importlib.metadata"),
    *("ferryman.config", "ferryman.model", "ferryman.events", "ferryman.inventory", "ferryman.cookbook"),
)
"""What no list of commands needs."""

COMMANDS = {
    "as a module": [sys.executable, "-m", "ferryman", "--help"],
    "as an installed script": [str(Path(sys.executable).with_name("ferryman")), "--help"],
}

LOADED = """
import sys
sys.argv = ["ferryman", *{words!r}]
from ferryman.cli import main
try:
    main()
except SystemExit as leaving:
    loaded = sorted(sys.modules)
    import json
    print(json.dumps([leaving.code, loaded]), file=sys.stderr)
"""

INVENTORY = {
    "services.yaml": """\
service::catalog:
  web:
    encryption: false
    ip: {lab: {default: 192.0.2.1}}
    lvs:
      class: low-traffic
      conftool: {cluster: web, service: nginx}
      enabled: true
    port: 80
    sites: [lab]
    state: production
""",
    "nodes/lab.yaml": "lab:\n  web:\n    web1: [nginx]\n",
    "directors.yaml": "lab:\n  low-traffic:\n  - {host: lvs1, role: primary, driver: keepalived}\n",
    "hosts.yaml": "web1: {address: 192.0.2.11}\nlvs1: {address: 192.0.2.12}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration, an inventory, and the repository's own cookbooks."""
    (tmp_path / "ferryman.toml").write_text(f'cookbooks = ["{REPOSITORY / "cookbooks"}"]\n')
    for name, text in INVENTORY.items():
        (tmp_path / "inventory" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "inventory" / name).write_text(text)
    return tmp_path


class Ended:
    """A command that has ended: its exit code, what it said, and what it had imported by then."""

    def __init__(self, folder: Path, *words: str, more: Mapping[str, str] | None = None) -> None:
        environment = {**os.environ, **(more or {})}
        environment.pop("FERRYMAN_CONFIG", None)
        done = subprocess.run(
            [sys.executable, "-c", LOADED.format(words=words)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        self.out = done.stdout
        *said, last = done.stderr.splitlines()
        self.said = "\n".join(said)
        self.code, self.modules = json.loads(last)

    def imported(self, unwanted: tuple[str, ...]) -> list[str]:
        """What of these it imported."""
        return [name for name in unwanted if name in self.modules]


def test_help_imports_nothing_that_is_slow(tmp_path: Path) -> None:
    (tmp_path / "cookbooks").mkdir()
    (tmp_path / "cookbooks" / "one.py").write_text('"""Does one thing."""\nimport scapy\n')
    (tmp_path / "ferryman.toml").write_text("")
    ended = Ended(tmp_path, "--help")
    assert "Does one thing." in ended.out
    assert (ended.code, ended.imported(SLOW)) == (0, [])


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_help_imports_nothing_that_is_slow_however_it_is_called(command: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "click" in imported
    assert imported.isdisjoint(SLOW)


@pytest.mark.parametrize(
    "words", [("check",), ("migrate",), ("probe",), ("scheduler", "migrate")], ids=" ".join
)
def test_the_help_of_a_cookbook_imports_no_step_of_it(words: tuple[str, ...], folder: Path) -> None:
    ended = Ended(folder, *words, "--help")
    assert "Undo:" in ended.out
    assert (ended.code, ended.imported((*LIBRARIES, *STEPS, "rich", "sqlite3"))) == (0, [])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "word", "offered"),
    [
        ("ferryman ", "", {"check", "migrate", "scheduler", *BUILTIN}),
        ("ferryman ru", "ru", {"runs"}),
        ("ferryman scheduler ", "", {"migrate"}),
        ("ferryman migrate --s", "--s", {"--site", "--soak"}),
    ],
    ids=["a command", "a command begun", "a command of a group", "an option of a cookbook"],
)
def test_completion_imports_no_command_and_no_step(
    shell: str, line: str, word: str, offered: set[str], folder: Path
) -> None:
    place = word if shell == "fish" else str(len(line.split()) - bool(word))
    more = {"_FERRYMAN_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": place}
    ended = Ended(folder, more=more)
    words = {text for part in ended.out.split() for text in part.split(",")}
    assert offered <= words
    assert (ended.code, ended.imported((*LIBRARIES, *STEPS, "rich", "sqlite3"))) == (0, [])


@pytest.mark.parametrize("words", [("runs",), ("show", "none-of-this-name")], ids=["runs", "show"])
def test_a_list_of_runs_imports_sqlite_and_no_schema(words: tuple[str, ...], folder: Path) -> None:
    ended = Ended(folder, *words)
    assert ended.code == (0 if words == ("runs",) else 2), ended.said
    assert "sqlite3" in ended.modules
    assert ended.imported((*LIBRARIES, *STEPS, "logging")) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('stat = "sqlite:elsewhere.db"\n', "ferryman.toml:1: stat: unknown key; did you mean state?"),
        ('[etcd]\nca = "ca.pem"\n', "etcd.ca: is not used: state names no cluster"),
        ('state = "sqlite:"\n', 'state: not understood, expected "sqlite:PATH"'),
        ("state = 3\n", "ferryman.toml:1: state"),
        ("state = [\n", "not TOML"),
    ],
    ids=["a key like state", "a cluster's table", "no path", "no text", "no TOML"],
)
def test_a_journal_that_may_be_elsewhere_is_never_shown_as_empty(
    text: str, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "ferryman.toml").write_text(text)
    ended = Ended(tmp_path, "runs")
    assert (ended.code, ended.out) == (2, "")
    assert fault in ended.said


def test_a_fault_of_another_table_hides_no_run(tmp_path: Path) -> None:
    (tmp_path / "ferryman.toml").write_text('[probe]\ntries = "many"\n')
    ended = Ended(tmp_path, "runs")
    assert (ended.code, ended.out) == (0, "no runs yet\n")


def test_lint_imports_no_host_and_no_table_of_the_configuration(folder: Path) -> None:
    ended = Ended(folder, "inventory", "lint")
    unwanted = ("scapy", "paramiko", "httpx2", "rich.console", "ferryman.hosts.ssh", "ferryman.config.tables")
    assert (ended.code, ended.out) == (0, "the inventory is sound\n")
    assert ended.imported((*unwanted, "ferryman.catalog", "ferryman.cookbook", "asyncio")) == []


def test_a_run_imports_scapy_when_a_probe_is_due_and_of_other_libraries_what_it_uses(folder: Path) -> None:
    ended = Ended(folder, "check", "wab", "--site", "lab")
    assert "did you mean web?" in ended.said
    assert ended.code == 2
    assert "paramiko" in ended.modules
    unwanted = (
        "scapy",
        "invoke",
        "unittest",
        "asyncio",
        "lightkube",
        "httpx2",
        "ferryman.lab",
        "rich.syntax",
    )
    assert ended.imported((*unwanted, "ferryman.testing", "ferryman.rehearsal", "tenacity")) == []


def test_the_installed_script_is_the_command_line() -> None:
    (script,) = entry_points(group="console_scripts", name="ferryman")
    assert script.value == "ferryman.cli:main"


def test_help_works_without_a_configuration(tmp_path: Path) -> None:
    assert "inventory" in Ended(tmp_path, "--help").out
