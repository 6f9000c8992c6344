from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.inventory import lint

if TYPE_CHECKING:
    from collections.abc import Callable


def said(folder: Path) -> list[str]:
    return [f"{problem.severity}: {problem}" for problem in lint(folder)]


SOUND = (
    "error: services.yaml:27: maps: ip: has no address for far, expected far: {LABEL: address}",
    "warn: nodes/far.yaml: is missing, so services at far have no realservers",
)


def test_a_sound_inventory_has_no_problems(replaced: Callable[..., Path]) -> None:
    assert said(replaced("services.yaml", "[lab, far]", "[lab]")) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "services.yaml",
            "      lab:\n        weblb",
            "      lob: {a: 10.0.0.1}\n      lab:\n        weblb",
            "warn: services.yaml:6: web: ip.lob: is not among the service's sites, did you mean lab?",
        ),
        (
            "services.yaml",
            "ipip_encapsulation: [lab]",
            "ipip_encapsulation: [lib]",
            "error: services.yaml:39: maps: lvs.ipip_encapsulation[0]: the service is not at lib, did you",
        ),
        (
            "services.yaml",
            "ipip_encapsulation: [lab]",
            "ipip_encapsulation: [lab, lab]",
            "warn: services.yaml:39: maps: lvs.ipip_encapsulation[1]: names lab a second time",
        ),
        (
            "services.yaml",
            "class: low-traffic",
            "class: low",
            "error: services.yaml:15: web: lvs.class: has no directors at lab: directors.yaml has no",
        ),
        (
            "services.yaml",
            "cluster: web",
            "cluster: wed",
            "error: services.yaml:18: web: lvs.conftool.cluster: has no realservers at lab: nodes/lab",
        ),
        (
            "services.yaml",
            "service: nginx",
            "service: x",
            "error: services.yaml:19: web: lvs.conftool.service: has no realservers at lab: in nodes",
        ),
        (
            "directors.yaml",
            "driver: keepalived, config",
            "ipip_enable: false, driver: keepalived, config",
            "warn: directors.yaml:3: lab: low-traffic[0].ipip_enable: is taken for a key of the driver; did",
        ),
        (
            "hosts.yaml",
            "web1: {",
            "web1: {mss: pod_mtu, ",
            "error: hosts.yaml:4: web1: mss: is pod_mtu on a host of kind server, which has no pods",
        ),
        (
            "hosts.yaml",
            "web1: {",
            "web1: {mss: jumbo, path_mtu: 1519, ",
            "error: hosts.yaml:4: web1: mss: is jumbo with a path MTU of 1519, expected path_mtu: 1520",
        ),
        (
            "clusters.yaml",
            "pod_mtu: 1460",
            "mss: jumbo",
            "error: hosts.yaml:6: node1: mss: is jumbo with a path MTU of 1500, expected path_mtu: 1520",
        ),
        (
            "clusters.yaml",
            "pod_mtu: 1460",
            "pod_mtu: 1481",
            "warn: clusters.yaml:1: staging: pod_mtu: is 1481, expected 1480 at most: the path MTU less",
        ),
        (
            "hosts.yaml",
            "lvs3:",
            "lsv3:",
            "warn: hosts.yaml:3: lsv3: is no realserver and no director, did you mean",
        ),
        (
            "hosts.yaml",
            "cluster: staging",
            "cluster: stagin",
            "error: hosts.yaml:6: node1: cluster: clusters.yaml has no cluster stagin, did you mean staging?",
        ),
        (
            "hosts.yaml",
            "kind: kubernetes, ",
            "",
            "error: hosts.yaml:6: node1: cluster: is 'staging' on a host of kind server, expected kind",
        ),
        (
            "hosts.yaml",
            ", cluster: staging",
            "",
            "warn: clusters.yaml:1: staging: no host of hosts.yaml belongs to it",
        ),
        (
            "directors.yaml",
            "lab:\n",
            "lab:\n  high: [{host: lvs9, role: primary, driver: ipvsadm}]\n",
            "warn: directors.yaml:2: lab: high: no service of class high is at lab",
        ),
        (
            "hosts.yaml",
            "port: 2222",
            "port: x",
            "error: hosts.yaml:1: lvs1: port: is 'x', expected an SSH port",
        ),
    ],
)
def test_files_that_disagree_are_told(
    replaced: Callable[..., Path], file: str, old: str, new: str, says: str
) -> None:
    assert says in "\n".join(said(replaced(file, old, new)))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("hosts.yaml", "web1: {", "web1: {mss: jumbo, path_mtu: 1520, "),
        ("hosts.yaml", "web1: {", "web1: {mss: clamp, path_mtu: 1400, "),
        ("clusters.yaml", "pod_mtu: 1460", "pod_mtu: 1480"),
        ("clusters.yaml", "pod_mtu: 1460", "pod_mtu: 1500, path_mtu: 9000, mss: jumbo"),
    ],
)
def test_what_just_fits_is_sound(replaced: Callable[..., Path], file: str, old: str, new: str) -> None:
    assert said(replaced(file, old, new)) == sorted(SOUND, key=lambda line: line.split()[1])


def test_the_labs_own_inventory_is_sound_with_every_key_of_its_drivers() -> None:
    assert lint(Path(__file__).parents[3] / "inventory") == []


def test_what_a_file_that_is_not_there_would_say_is_no_mistake(written: Callable[..., Path]) -> None:
    found = said(written({"directors.yaml": None, "hosts.yaml": None, "clusters.yaml": None}))
    assert found == sorted(SOUND, key=lambda line: line.split()[1])


def test_a_nodes_file_with_another_ending_is_told(written: Callable[..., Path]) -> None:
    found = said(written({"nodes/old.yml": "old: {}\n"}))
    assert "warn: nodes/old.yml: is not read, expected old.yaml" in found


def test_two_services_on_one_address_and_port_are_told_at_both(replaced: Callable[..., Path]) -> None:
    folder = replaced("services.yaml", "weblb: 10.99.0.1", "weblb: 10.99.0.2")
    file = folder / "services.yaml"
    file.write_text(file.read_text().replace("protocol: udp", "protocol: tcp").replace("8080", "80"))
    shared = [line for line in said(folder) if "belongs to" in line]
    assert [line.split(": ")[2] for line in shared] == ["web", "maps"]


def test_the_real_data_is_sound_but_for_the_sites_whose_nodes_are_not_there(wmf: Path) -> None:
    found = lint(wmf)
    assert [problem.severity for problem in found] == ["warn"] * 5
    assert {problem.file for problem in found} == {
        f"nodes/{site}.yaml" for site in ("drmrs", "eqsin", "esams", "magru", "ulsfo")
    }
