"""What is called so that a shell, a terminal or a file system would take it for something else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ferryman.config.jump import Jump
from ferryman.errors import InventoryError
from ferryman.inventory import Inventory, lint
from ferryman.names import is_host, is_name, is_user

INVENTORY = Path(__file__).parents[3] / "inventory"
HOSTILE = {
    "a line of its own": "web\nroot: x",
    "only its end": "web\n",
    "a colour": "\x1b[31mred",
    "a folder above": "../../etc/passwd",
    "a folder": "a/b",
    "a command": "$(id)",
    "another": "`id`",
    "a third": "a;id",
    "a blank": "a b",
    "an option": "-oProxyCommand=x",
    "hidden": ".x",
    "turned around": "web\u202eevil",
    "C1": "a\x9bb",
    "a pattern": "*",
    "a quote": "it's",
    "nothing": "",
    "other letters": "w\u0435b",
    "a long one": "x" * 300,
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_nothing_is_called_so(name: str) -> None:
    assert not is_name(name)
    assert not is_host(name)
    assert not is_user(name)
    for word in (name, f"{name}@bastion", f"{name}:22"):
        with pytest.raises(ValueError, match="expected a jump host"):
            Jump.parse(word)


def test_what_people_and_dns_call_things_is_allowed() -> None:
    assert all(map(is_name, ("web", "k8s-ingress_1", "rs1.example.org", "10.0.0.1", "_a")))
    assert all(map(is_host, ("rs1.example.org", "fd00::1", "fe80::1%eth0")))
    assert all(map(is_user, ("root", "ops@EXAMPLE.ORG", "EXAMPLE\\ops", "machine$", "first.last")))


def sound() -> dict[str, str]:
    return {str(path.relative_to(INVENTORY)): path.read_text() for path in INVENTORY.rglob("*.yaml")}


CATALOG = ("services.yaml", "service::catalog")
PLACES = [
    (*CATALOG, "web"),
    (*CATALOG, "web", "=sites"),
    (*CATALOG, "web", "ip", "lab"),
    (*CATALOG, "web", "ip", "lab", "weblb"),
    (*CATALOG, "web", "lvs", "=class"),
    (*CATALOG, "web", "lvs", "conftool", "=cluster"),
    (*CATALOG, "web", "lvs", "conftool", "=service"),
    ("directors.yaml", "lab"),
    ("directors.yaml", "lab", "low-traffic"),
    ("directors.yaml", "lab", "low-traffic", 0, "=host"),
    ("directors.yaml", "lab", "low-traffic", 0, "=driver"),
    ("nodes/lab.yaml", "lab", "edge"),
    ("nodes/lab.yaml", "lab", "edge", "web1"),
    ("nodes/lab.yaml", "lab", "edge", "=web1"),
    ("hosts.yaml", "web1"),
    ("hosts.yaml", "web1", "=user"),
    ("hosts.yaml", "web1", "=cluster"),
    ("hosts.yaml", "web1", "=jump"),
    ("clusters.yaml", "staging"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_lint_refuses_such_a_name_wherever_it_stands(
    place: tuple[str, *tuple[str | int, ...]], tmp_path: Path
) -> None:
    file, *keys = place
    texts = sound()
    content = yaml.safe_load(texts[file])
    if file == "hosts.yaml" and keys[-1] != "web1":
        content["web1"][str(keys[-1])[1:]] = ["x"] if keys[-1] == "=jump" else "x"
        texts[file] = yaml.safe_dump(content)
    for name in filter(None, HOSTILE.values()):
        for path, text in (texts | _with(texts, file, name, keys)).items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text)
        errors = [problem for problem in lint(tmp_path) if problem.severity == "error"]
        told = [problem.message for problem in errors if problem.file == file]
        assert [message for message in told if "expected a name of" in message or "jump host" in message], (
            name
        )


def _with(texts: dict[str, str], file: str, name: str, keys: list[str | int]) -> dict[str, str]:
    content = yaml.safe_load(texts[file])
    *way, last = keys
    here = content
    for key in way:
        here = here[key]
    if isinstance(last, str) and last.startswith("="):
        here[last[1:]] = [name] if isinstance(here[last[1:]], list) else name
    else:
        here[name] = here.pop(last)
    return {file: yaml.safe_dump(content)}


def test_an_entry_with_such_a_name_stops_nobody_who_needs_another() -> None:
    texts = sound()
    texts["services.yaml"] += "  $(id): {}\n"
    texts["hosts.yaml"] += "\n-x: {}\n"
    assert Inventory.of_texts(texts).service("web", "lab").name == "web"
    with pytest.raises(InventoryError, match="expected a name of letters"):
        Inventory.of_texts(texts).service("$(id)", "lab")
