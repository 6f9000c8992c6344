"""Somebody else's entry never stops a service: each kind of fault, in each file, beside one that is sound."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import yaml
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from ferryman import bounded_yaml
from ferryman.catalog import Catalog
from ferryman.catalog.yaml_edit import tree
from ferryman.config import Config
from ferryman.cookbook import CatalogFlipped, Ferry, NoChange, Report, load
from ferryman.errors import InventoryError
from ferryman.hosts.fake import FakeHosts
from ferryman.inventory import Inventory, lint
from ferryman.inventory.document import parse
from unit.inventory.conftest import CLUSTERS, DIRECTORS, HOSTS, NODES, SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.catalog import Encapsulation
    from ferryman.model import Address, Service

COOKBOOKS = Path(__file__).parents[3] / "cookbooks"
NOBODY_LISTENS = cast("Report", None)
"""The step that is checked here has nothing to tell."""
CASE = Path(__file__).with_name("cases") / "catalog-duplicate-key"

DEPOT = """\
  depot:
    description: Somebody else's
    encryption: true
    ip: {lab: {default: 10.99.0.9}}
    page: false
    port: 8090
    sites: [lab]
    state: production
    lvs: {enabled: true, class: high-traffic, conftool: {cluster: depot, service: depot}}
"""
OTHERS = {
    "services.yaml": SERVICES.replace("  web:\n", f"{DEPOT}  web:\n", 1)
    + DEPOT.replace("depot:", "last:", 1).replace("0.9", "0.8"),
    "nodes/lab.yaml": f"{NODES}  depot:\n    depot1: [depot]\n    depot2: [depot, other]\n"
    "  last:\n    last1: [last]\n",
    "directors.yaml": f"{DIRECTORS}  high-traffic:\n    - {{host: lvs7, role: primary, driver: pybal}}\n"
    "far:\n  low-traffic:\n    - {host: lvs8, role: primary, driver: pybal}\n",
    "hosts.yaml": f"depot1: {{address: 10.10.0.91, port: 2200}}\n{HOSTS}depot2: {{address: 10.10.0.92}}\n",
    "clusters.yaml": f"depot: {{api: 'https://10.10.0.90:6443'}}\n{CLUSTERS}last: {{pod_mtu: 1400}}\n",
}
OF_WEB_AND_MAPS = {
    "services.yaml": (SERVICES[SERVICES.index("  web:") : SERVICES.index("  wiki-dumps:")],),
    "nodes/lab.yaml": (NODES,),
    "directors.yaml": (DIRECTORS,),
    "hosts.yaml": (HOSTS,),
    "clusters.yaml": (CLUSTERS,),
}
"""What the two services need; all around it is somebody else's."""
FAULTS: dict[str, tuple[str, str, str | bytes]] = {
    "a key of another service twice": (
        "services.yaml",
        "    page: false\n",
        "    page: false\n    page: true\n",
    ),
    "another service twice": ("services.yaml", "  last:\n", "  depot:\n"),
    "another service's port as a word": ("services.yaml", "port: 8090", "port: many"),
    "another service without a port": ("services.yaml", "    port: 8090\n", ""),
    "another service with a bad address": ("services.yaml", "10.99.0.9}", "10.99.0.999}"),
    "another service of a class that is not there": ("services.yaml", "class: high-traffic", "class: lofty"),
    "another service without nodes": ("services.yaml", "cluster: depot", "cluster: nobody"),
    "another service with a bracket left open": ("services.yaml", "sites: [lab]\n", "sites: [lab\n"),
    "another service with a quote left open": ("services.yaml", "Somebody else's", '"Somebody else'),
    "another service with an unknown alias": ("services.yaml", "page: false", "page: *nothing"),
    "another service with an anchor twice": (
        "services.yaml",
        "encryption: true\n",
        "encryption: &a true\n    x: &a 1\n",
    ),
    "another service with a tab": ("services.yaml", "    page: false", "\tpage: false"),
    "another service with an unknown tag": ("services.yaml", "page: false", "page: !vault x"),
    "another service with a date that is none": ("services.yaml", "page: false", "since: 2024-13-45"),
    "another service that is not UTF-8": ("services.yaml", "Somebody", b"S\xf6mebody"),
    "another service with a forbidden character": ("services.yaml", "Somebody", "Some\x01body"),
    "another service's name that is a number": ("services.yaml", "  depot:\n", "  80:\n"),
    "another service's name that is a list": ("services.yaml", "  depot:\n", "  [depot, 1]:\n"),
    "another service's name that is a mapping": ("services.yaml", "  depot:\n", "  {depot: 1}:\n"),
    "another service's name that is called a number": ("services.yaml", "  depot:\n", "  !!int depot:\n"),
    "another service's port that is called a boolean": ("services.yaml", "port: 8090", "port: !!bool x"),
    "another service's port that is an empty number": ("services.yaml", "port: 8090", "port: !!int ''"),
    "another service's port of thousands of digits": ("services.yaml", "port: 8090", "port: 0x" + "1" * 5000),
    "another service that is indented less": ("services.yaml", "  last:\n", " last:\n"),
    "a merge of nothing in another service": ("services.yaml", "page: false", "<<: 3"),
    "another key of the file left open": (
        "services.yaml",
        "service::catalog:\n",
        "other: [1\nservice::catalog:\n",
    ),
    "another host's services as a word": ("nodes/lab.yaml", "[other]", "other"),
    "another host twice": ("nodes/lab.yaml", "    depot2:", "    depot1:"),
    "another cluster twice": ("nodes/lab.yaml", "  last:\n", "  depot:\n"),
    "another cluster's name that is a list": ("nodes/lab.yaml", "  last:\n", "  [last]:\n"),
    "another cluster that is called a number": (
        "nodes/lab.yaml",
        "  last:\n    last1: [last]\n",
        "  last: !!int ''\n",
    ),
    "another site that is a list": ("nodes/lab.yaml", "lab:\n", "[far]: {}\nlab:\n"),
    "another cluster as a list": ("nodes/lab.yaml", "  last:\n    last1: [last]\n", "  last: [last1]\n"),
    "another host with a bracket left open": ("nodes/lab.yaml", "[depot, other]", "[depot, other"),
    "another host of the cluster left open": ("nodes/lab.yaml", "web3: [other]", "web3: [other"),
    "another site's class twice": ("directors.yaml", "far:\n", "far:\n  low-traffic: []\n"),
    "another class without a primary": (
        "directors.yaml",
        "host: lvs7, role: primary",
        "host: lvs7, role: secondary",
    ),
    "another class with a director left open": (
        "directors.yaml",
        "{host: lvs7, role: primary, driver: pybal}",
        "{host: lvs7",
    ),
    "another site as a word": (
        "directors.yaml",
        "far:\n  low-traffic:\n    - {host: lvs8, role: primary, driver: pybal}\n",
        "far: off\n",
    ),
    "a bad address of another host": ("hosts.yaml", "10.10.0.91", "10.10.0.991"),
    "an unknown key of another host": ("hosts.yaml", "port: 2200", "prot: 2200"),
    "another host of hosts.yaml twice": ("hosts.yaml", "depot2:", "depot1:"),
    "another host of hosts.yaml left open": ("hosts.yaml", "port: 2200}", "port: 2200"),
    "another Kubernetes cluster with a bad MTU": ("clusters.yaml", "1400", "14"),
    "another Kubernetes cluster left open": ("clusters.yaml", "{pod_mtu: 1400}", "{pod_mtu: 1400"),
    "another Kubernetes cluster twice": ("clusters.yaml", "last:", "depot:"),
    "another site's nodes that are no YAML": ("nodes/far.yaml", "", "far: ["),
    "another site's nodes that are empty": ("nodes/far.yaml", "", ""),
}
"""The file, what is in it, and what is there in its place."""


def nobody(host: str) -> Sequence[Address]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def loaded(folder: Path, name: str, site: str = "lab") -> Service:
    return Inventory.load(folder).service(name, site, resolve=nobody)


def refused(folder: Path, name: str) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        loaded(folder, name)
    return list(caught.value.problems)


@pytest.fixture
def sound(written: Callable[..., Path]) -> Path:
    """An inventory with other services, hosts, directors and clusters around, all of them sound."""
    return written(OTHERS)


def spoilt(folder: Path, fault: str) -> Path:
    file, old, new = FAULTS[fault]
    path = folder / file
    content = path.read_bytes() if path.exists() else b""
    assert old.encode() in content, f"{old!r} is not in {file}"
    new = new if isinstance(new, bytes) else new.encode()
    path.write_bytes(content.replace(old.encode(), new, 1) if old else new)
    return folder


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["web", "maps"])
def test_a_fault_of_somebody_else_stops_no_service_and_no_flip(sound: Path, fault: str, name: str) -> None:
    meant = loaded(sound, name)
    folder = spoilt(sound, fault)
    assert loaded(folder, name) == meant
    catalog = Catalog(folder / "services.yaml")
    before = catalog.text()
    ways: list[Encapsulation] = ["direct", "ipip"] if meant.encapsulated else ["ipip", "direct"]
    to, back = ways
    there = catalog.flipped(name, "lab", to)
    catalog.write(there.after, expected=before)
    assert loaded(folder, name).encapsulated is not meant.encapsulated
    changed = [line for line in there.diff.splitlines()[2:] if line[0] in "+-"]
    assert 0 < len(changed) <= 2
    again = catalog.flipped(name, "lab", back)
    catalog.write(again.after, expected=there.after)
    assert loaded(folder, name) == meant
    assert meant.encapsulated or again.after == before


@pytest.mark.parametrize("fault", FAULTS)
def test_a_migration_of_a_sound_service_is_planned_and_its_catalog_step_checks_and_goes_back(
    sound: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ferry, "need_raw_sockets", lambda _: None)
    folder = spoilt(sound, fault)
    before = (folder / "services.yaml").read_bytes()
    ferry = Ferry(Config(file=folder / "ferryman.toml", inventory=folder), FakeHosts())
    plan = load(COOKBOOKS / "migrate.py").plan(ferry, {"service": "web", "site": "lab"})
    (step,) = (step for step in plan.steps if isinstance(step, CatalogFlipped))
    seen = step.check(NOBODY_LISTENS)
    assert not isinstance(seen, NoChange)
    step.do(json.loads(json.dumps(seen)))
    assert (folder / "services.yaml").read_bytes() != before
    step.undo(seen)
    assert (folder / "services.yaml").read_bytes() == before


@pytest.mark.parametrize("fault", FAULTS)
def test_lint_tells_of_each_such_fault(sound: Path, fault: str) -> None:
    before = {str(problem) for problem in lint(sound)}
    told = [problem for problem in lint(spoilt(sound, fault)) if str(problem) not in before]
    assert [problem.file for problem in told if problem.severity == "error"], told


def test_lint_tells_the_faults_of_all_files_at_once_and_of_broken_yaml_the_rest_too(sound: Path) -> None:
    for fault in (
        "another service with a bracket left open",
        "a bad address of another host",
        "another cluster as a list",
        "another class without a primary",
        "another Kubernetes cluster with a bad MTU",
    ):
        spoilt(sound, fault)
    file = sound / "services.yaml"
    file.write_text(file.read_text().replace("protocol: udp", "protocol: sctp"))
    said = "\n".join(str(problem) for problem in lint(sound) if problem.severity == "error")
    for part in ("depot: is not YAML", "'sctp'", "10.10.0.991", "['last1']", "has no primary", "is 14,"):
        assert part in said


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("a key of another service twice", "depot: page: stands twice, first on line 6"),
        ("another service twice", "depot: stands twice, first on line 2"),
        ("another service's port as a word", "depot: port: is 'many', expected a port number"),
        ("another service with a bracket left open", "depot: is not YAML"),
        ("another service with an unknown alias", "depot: is not YAML: found undefined alias 'nothing'"),
        ("another service that is not UTF-8", "byte 0xf6 is not UTF-8"),
        ("another service with a date that is none", "cannot be read as the value it looks like"),
        ("another host with a bracket left open", "depot.depot2: is not YAML"),
        ("another host twice", "lab: depot.depot1: stands twice"),
        ("another class without a primary", "high-traffic: has no primary"),
        ("a bad address of another host", "depot1: address: is '10.10.0.991', expected an IPv4 address"),
        ("another host of hosts.yaml left open", "depot1: is not YAML"),
    ],
)
def test_the_service_whose_entries_they_are_is_refused_with_the_place(
    sound: Path, fault: str, says: str
) -> None:
    assert says in "\n".join(refused(spoilt(sound, fault), "depot"))


def test_the_faults_of_all_entries_that_a_service_needs_are_told_at_once(sound: Path) -> None:
    for fault in (
        "a key of another service twice",
        "another host with a bracket left open",
        "another class without a primary",
        "a bad address of another host",
    ):
        spoilt(sound, fault)
    said = refused(sound, "depot")
    files = [line.split(":")[0] for line in said]
    assert files == ["directors.yaml", "hosts.yaml", "nodes/lab.yaml", "services.yaml"]


def test_a_host_that_may_be_meant_for_the_service_stops_it(written: Callable[..., Path]) -> None:
    folder = written({"nodes/lab.yaml": NODES.replace("web3: [other]", "web3: nginx")})
    assert refused(folder, "web") == [
        "nodes/lab.yaml:5: lab: web.web3: is 'nginx', expected a list of service names"
    ]
    assert loaded(folder, "maps").name == "maps"


def test_a_service_that_is_not_found_may_be_in_the_part_that_cannot_be_read(sound: Path) -> None:
    file = sound / "services.yaml"
    file.write_text(file.read_text().replace("  depot:\n", "  [depot:\n"))
    first, *others = refused(sound, "depot")
    assert "no service is called 'depot'" in first
    assert len(others) == 1
    assert "is not YAML" in others[0]
    assert "it may be the one that was meant" in others[0]
    with pytest.raises(InventoryError, match="it may be the one that was meant"):
        Catalog(file).flipped("depot", "lab", "ipip")


def test_an_address_that_a_faulty_entry_has_too_is_taken_all_the_same(sound: Path) -> None:
    file = spoilt(sound, "a key of another service twice") / "services.yaml"
    file.write_text(file.read_text().replace("10.99.0.9}", "10.99.0.1}").replace("8090", "80"))
    (problem,) = refused(sound, "web")
    assert "tcp 10.99.0.1 port 80 at lab belongs to web and to depot" in problem


def test_a_catalog_that_cannot_be_taken_apart_stops_everybody_with_the_place(sound: Path) -> None:
    file = sound / "services.yaml"
    file.write_text("service::catalog: {web: {port: 80}, maps: {port: 81\n")
    assert "is not YAML" in refused(sound, "web")[0]
    file.write_text(f"{SERVICES}{SERVICES}")
    assert "service::catalog: stands twice, first on line 1" in refused(sound, "web")[0]


def test_an_anchor_that_a_part_which_cannot_be_read_uses_is_not_edited(sound: Path) -> None:
    file = sound / "services.yaml"
    text = file.read_text().replace("ipip_encapsulation: [lab]", "ipip_encapsulation: &there [lab]")
    file.write_text(text.replace("page: false", "page: [*there"))
    with pytest.raises(InventoryError, match="&there is used where the file cannot be read"):
        Catalog(file).flipped("maps", "far", "ipip")


def test_an_anchor_of_an_entry_that_cannot_be_read_stops_those_who_use_it(sound: Path) -> None:
    file = sound / "services.yaml"
    text = file.read_text().replace("port: 8090", "port: &port 8090\n    note: [", 1)
    file.write_text(text.replace("port: 8080", "port: *port"))
    assert "undefined alias 'port'" in refused(sound, "maps")[0]
    assert loaded(sound, "web").name == "web"


def test_a_real_case_of_a_key_that_stands_twice_stops_its_own_service_alone(tmp_path: Path) -> None:
    shutil.copytree(CASE, tmp_path, dirs_exist_ok=True)
    catalog = Catalog(tmp_path / "services.yaml")
    edit = catalog.flipped("atlas", "alpha", "ipip")
    assert "+      ipip_encapsulation: [alpha]" in edit.diff.splitlines()
    with pytest.raises(InventoryError, match="yaml:10: depot: page: stands twice, first on line 6"):
        catalog.flipped("depot", "alpha", "ipip")
    assert "error: services.yaml:10: depot: page: stands twice, first on line 6" in [
        f"{problem.severity}: {problem}" for problem in lint(tmp_path)
    ]


JUNK = [
    *(
        '"',
        "'",
        "[",
        "]",
        "{",
        "}",
        "\t",
        "*x",
        "&x ",
        ": ",
        "- ",
        "#",
        "|",
        ">",
        "!",
        "%",
        "@",
        "?",
        ",",
        "---",
    ),
    *("...", "\x01", " ", "  ", 'key: "', "a: b: c", "\udcf6", "\n", "\n\n  x:\n", "\n  "),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_what_is_read_beside_any_scratch_is_what_was_meant_or_nothing(
    sound: Path, data: st.DataObject
) -> None:
    """Of an entry no part is ever read without the rest, wherever else its file is torn."""
    file = data.draw(st.sampled_from(sorted(OTHERS)))
    text = OTHERS[file]
    for _ in range(data.draw(st.integers(1, 2))):
        place, gone = data.draw(st.integers(0, len(text))), data.draw(st.sampled_from([0, 0, 1, 5, 40]))
        text = text[:place] + data.draw(st.sampled_from(JUNK)) + text[place + gone :]
    assume(all(f"\n{part}" in f"\n{text}" for part in OF_WEB_AND_MAPS[file]))
    for name, content in OTHERS.items():
        (sound / name).write_text(content)
    meant = {name: loaded(sound, name) for name in ("web", "maps")}
    (sound / file).write_bytes(text.encode(errors="surrogateescape"))
    for name, service in meant.items():
        try:
            found = loaded(sound, name)
        except InventoryError:
            event("refused")
            continue
        event("read")
        assert found == service


def test_without_libyaml_all_is_read_and_edited_the_same(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt(sound, "another service with a bracket left open")
    catalog = Catalog(sound / "services.yaml")
    quick = (
        loaded(sound, "web"),
        catalog.flipped("web", "lab", "ipip"),
        refused(sound, "depot")[0].split(" is ")[0],
    )
    for module in (bounded_yaml, tree):
        monkeypatch.setattr(module, "LOADER", yaml.SafeLoader)
    slow = (
        loaded(sound, "web"),
        catalog.flipped("web", "lab", "ipip"),
        refused(sound, "depot")[0].split(" is ")[0],
    )
    assert slow == quick


@pytest.mark.parametrize("cut", range(30, 4100, 370))
def test_half_a_line_anywhere_in_the_real_catalog_costs_one_entry_and_no_other(wmf: Path, cut: int) -> None:
    lines = (wmf / "services.yaml").read_text("utf-8").splitlines()
    lines[cut] += ' "['
    broken = "\n".join(lines).encode()
    found = parse(broken, "services.yaml")
    assert len(found.cuts) <= 6  # those too that use an anchor of it
