from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.errors import InventoryError
from ferryman.inventory import Inventory, lint
from ferryman.inventory.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def problems_of(folder: Path) -> list[str]:
    """What is wrong with any entry of any file, as ``inventory lint`` tells it."""
    return [str(problem) for problem in Folder.read(folder).problems]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"service::catalog:\n  web:\n    port: [80\n", 4, "that begins on line 3"),
        (b"service::catalog:\n\tweb: 1\n", 2, "there is a tab, YAML indents with spaces"),
        (b"service::catalog: {}\nservice::catalog: {}\n", 2, "stands twice, first on line 1"),
        (b"service::catalog:\n  web: *nowhere\n", 2, "undefined alias"),
        (b"service::catalog:\n  web:\n    <<: 3\n", 3, "expected a mapping or list of mappings for merging"),
        (b"service::catalog:\n  web: \xff\n", 2, "byte 0xff is not UTF-8"),
        (b"\xff\xfea\x00", 1, "byte 0xff is not UTF-8"),
        (b"service::catalog:\n  web: \x01\n", 2, "U+0001"),
        (b"---\nservice::catalog: {}\n---\na: 1\n", 3, "but found another document"),
        (b"service::catalog:\n  web:\n    since: 2024-13-45\n", 3, "month must be in 1..12); quote it"),
        (b"service::catalog:\n  web: !vault x\n", 2, "tag '!vault'"),
        (b"other: {}\n", 1, "has no key service::catalog"),
        (b"- web\n", 1, "is the list ['web'], expected a mapping"),
        (b"service::catalog:\n", 1, "is empty, expected a mapping SERVICE: {"),
        (b"service::catalog:\n  80: {}\n", 2, "80: the key is 80, expected a name; quote it"),
    ],
)
def test_what_is_no_catalog_is_one_error_with_its_line(
    written: Callable[..., Path], content: bytes, line: int, says: str
) -> None:
    (problem,) = problems_of(written({"services.yaml": content}))
    assert problem.startswith(f"services.yaml:{line}: ")
    assert says in problem


def test_an_entry_that_stands_twice_is_told_with_both_places_beside_what_is_wrong_with_the_last(
    written: Callable[..., Path],
) -> None:
    folder = written({"services.yaml": "service::catalog:\n  a: 1\n  a: 3\n"})
    assert problems_of(folder) == [
        "services.yaml:3: a: is 3, expected a mapping",
        "services.yaml:3: a: stands twice, first on line 2",
    ]


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"---\n"])
@pytest.mark.parametrize("name", ["services.yaml", "hosts.yaml", "directors.yaml", "nodes/lab.yaml"])
def test_an_empty_file_is_an_error_for_it_may_have_been_cut(
    written: Callable[..., Path], name: str, content: bytes
) -> None:
    (problem,) = problems_of(written({name: content}))
    assert problem == f"{name}: is empty, expected a mapping; write {{}} when nothing is meant"


def test_a_missing_catalog_is_an_error_that_says_where_it_was_looked_for(
    written: Callable[..., Path],
) -> None:
    folder = written({"services.yaml": None})
    assert problems_of(folder) == [f"services.yaml: is missing, expected a file at {folder}/services.yaml"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="nowhere: is no directory, expected the inventory's folder"):
        Inventory.load(tmp_path / "nowhere")
    (problem,) = lint(tmp_path / "nowhere")
    assert "is no directory" in str(problem)


def test_a_directory_in_a_files_place_is_an_error(written: Callable[..., Path]) -> None:
    folder = written({"hosts.yaml": None})
    (folder / "hosts.yaml").mkdir()
    assert problems_of(folder) == ["hosts.yaml: is a directory, expected a file"]


def test_a_link_to_nowhere_is_an_error_and_no_missing_file(written: Callable[..., Path]) -> None:
    folder = written({"hosts.yaml": None})
    (folder / "hosts.yaml").symlink_to("gone.yaml")
    assert "hosts.yaml: is missing" in problems_of(folder)[0]


def test_files_that_may_be_missing_may(written: Callable[..., Path]) -> None:
    folder = written(
        {"hosts.yaml": None, "clusters.yaml": None, "directors.yaml": None, "nodes/lab.yaml": None}
    )
    assert Inventory.load(folder).names == ("web", "maps", "wiki-dumps", "echostore")


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        (
            "services.yaml",
            "port: 80\n",
            "port: '80'\n",
            "services.yaml:9: web: port: is '80', expected a port",
        ),
        (
            "services.yaml",
            "port: 80\n",
            "port: 0\n",
            "services.yaml:9: web: port: is 0, expected a port number",
        ),
        (
            "services.yaml",
            "    port: 80\n",
            "",
            "services.yaml:2: web: port: is missing, expected a port number",
        ),
        (
            "services.yaml",
            "[lab]\n      conf",
            "true\n      conf",
            "services.yaml:39: maps: lvs.ipip_encapsulation: is true, expected a list of site names, such as",
        ),
        (
            "services.yaml",
            "[lab]\n      conf",
            "lab\n      conf",
            "services.yaml:39: maps: lvs.ipip_encapsulation: is 'lab', expected a list of site names",
        ),
        (
            "services.yaml",
            "[lab]\n      conf",
            "[lab, 3]\n      conf",
            "services.yaml:39: maps: lvs.ipip_encapsulation[1]: is 3, expected a string",
        ),
        (
            "services.yaml",
            "10.99.0.1\n",
            "10.99.0.300\n",
            "services.yaml:7: web: ip.lab.weblb: is '10.99.0.300', expected an IP address",
        ),
        ("services.yaml", "fd99::1\n", "2001:10:20:30:40:50:1:2\n", "expected an IP address, in quotes"),
        ("services.yaml", "weblb: 1", "no: 1", "services.yaml:6: web: ip.lab: has the key false, expected a"),
        ("services.yaml", "protocol: udp", "protocol: sctp", "is 'sctp', expected tcp or udp"),
        ("services.yaml", "enabled: true", "enabled: yes please", "is 'yes please', expected true or false"),
        ("services.yaml", "mh-port", "{a: 1}", "lvs.scheduler_flag: is a mapping, expected a scheduler flag"),
        (
            "services.yaml",
            "      conftool:\n",
            "      conftol:\n",
            "services.yaml:13: web: lvs.conftool: is missing, expected a mapping with cluster and service",
        ),
        (
            "directors.yaml",
            "role: primary",
            "role: first",
            "directors.yaml:3: lab: low-traffic[0].role: is 'first', expected primary or secondary",
        ),
        (
            "directors.yaml",
            "role: secondary",
            "role: primary",
            "directors.yaml:4: lab: low-traffic[1].role: is a second primary (lvs2, after lvs1), expect",
        ),
        (
            "directors.yaml",
            "role: primary",
            "role: secondary",
            "directors.yaml:2: lab: low-traffic: has no primary, expected one director with role: primary",
        ),
        ("directors.yaml", "lvs3", "lvs2", "directors.yaml:5: lab: low-traffic[2].host: is 'lvs2' again"),
        ("directors.yaml", "host: lvs3, ", "", "directors.yaml:5: lab: low-traffic[2].host: is missing"),
        (
            "directors.yaml",
            "  low-traffic:",
            "  empty: []\n  low-traffic:",
            "lab: empty: is the list [], expected",
        ),
        (
            "hosts.yaml",
            "port:",
            "prot:",
            "hosts.yaml:1: lvs1: prot: is no key that is known here; did you mean port?",
        ),
        ("hosts.yaml", "10.10.0.11", "fd10::11", "lvs1: address: is 'fd10::11', expected an IPv4 address"),
        (
            "hosts.yaml",
            "'fd10::11'",
            "10.10.0.11",
            "lvs1: address6: is '10.10.0.11', expected an IPv6 address",
        ),
        ("hosts.yaml", "2222", "70000", "hosts.yaml:1: lvs1: port: is 70000, expected an SSH port"),
        ("hosts.yaml", "kind: kubernetes", "kind: k8s", "is 'k8s', expected server, kubernetes or bastion"),
        (
            "directors.yaml",
            "driver: keepalived, config",
            "ipip_enabled: 'no', driver: keepalived, config",
            "directors.yaml:3: lab: low-traffic[0].ipip_enabled: is 'no', expected true or false",
        ),
        (
            "directors.yaml",
            "driver: keepalived, config",
            "outer_sources: [10.1.1.1, lvs1], driver: keepalived, config",
            "directors.yaml:3: lab: low-traffic[0].outer_sources[1]: is 'lvs1', expected an IP address",
        ),
        (
            "directors.yaml",
            "driver: keepalived, config",
            "outer_sources: 10.1.1.1, driver: keepalived, config",
            "low-traffic[0].outer_sources: is '10.1.1.1', expected a list of addresses, such as [172",
        ),
        (
            "hosts.yaml",
            "kind:",
            "mss: clamped, kind:",
            "node1: mss: is 'clamped', expected clamp, pod_mtu or jumbo",
        ),
        (
            "hosts.yaml",
            "kind:",
            "path_mtu: 1279, kind:",
            "node1: path_mtu: is 1279, expected an MTU in bytes, 1280 to",
        ),
        (
            "hosts.yaml",
            "kind:",
            "path_mtu: 65536, kind:",
            "is 65536, expected an MTU in bytes, 1280 to 65535",
        ),
        (
            "hosts.yaml",
            "kind:",
            "path_mtu: '1500', kind:",
            "is '1500', expected an MTU in bytes, 1280 to 65535",
        ),
        ("hosts.yaml", "kind:", "path_mtu: true, kind:", "is true, expected an MTU in bytes, 1280 to 65535"),
        (
            "clusters.yaml",
            "pod_mtu:",
            "mss: pod, pod_mtu:",
            "staging: mss: is 'pod', expected clamp, pod_mtu or",
        ),
        ("clusters.yaml", "pod_mtu:", "path_mtu: 1, pod_mtu:", "staging: path_mtu: is 1, expected an MTU in"),
        (
            "clusters.yaml",
            "pod_mtu: 1460",
            "pod_mtu: 900",
            "staging: pod_mtu: is 900, expected an MTU in bytes",
        ),
        ("clusters.yaml", "pod_mtu", "pod-mtu", "is no key that is known here; did you mean pod_mtu?"),
        (
            "nodes/lab.yaml",
            "lab:",
            "far:",
            "nodes/lab.yaml:1: has no key lab, expected the site that the file",
        ),
        (
            "nodes/lab.yaml",
            "[other]",
            "other",
            "nodes/lab.yaml:5: lab: web.web3: is 'other', expected a list",
        ),
    ],
)
def test_a_wrong_value_is_named_with_file_line_key_and_what_was_expected(
    replaced: Callable[..., Path], name: str, old: str, new: str, says: str
) -> None:
    problems = problems_of(replaced(name, old, new))
    assert says in "\n".join(problems)
    assert len(problems) == 1


def test_all_problems_of_all_files_are_told_at_once_by_file_and_line(written: Callable[..., Path]) -> None:
    catalog = "service::catalog:\n  b: 1\n  a: {port: x, sites: [], state: p, encryption: no, ip: {}}\n"
    folder = written(
        {"services.yaml": catalog, "hosts.yaml": "w: {a: 1, port: x}\n", "clusters.yaml": b"\xff"}
    )
    places = [problem.split(": ")[0] for problem in problems_of(folder)]
    assert places == ["clusters.yaml:1", "hosts.yaml:1", "hosts.yaml:1", "services.yaml:2", "services.yaml:3"]


def test_unknown_keys_of_the_catalog_are_ignored_and_those_of_a_director_handed_on(
    replaced: Callable[..., Path],
) -> None:
    Inventory.load(replaced("services.yaml", "    port: 80\n", "    port: 80\n    page: {of: others}\n"))


def test_anchors_and_merge_keys_are_followed_and_errors_in_them_name_the_line_they_stand_on(
    written: Callable[..., Path],
) -> None:
    catalog = (
        "service::catalog:\n"
        "  one: &one\n"
        "    {ip: {lab: {default: 10.9.9.9}}, port: 1, sites: [lab], state: production, encryption: true}\n"
        "  two:\n"
        "    <<: *one\n"
        "    port: 2\n"
        "  three:\n"
        "    <<: *one\n"
        "    port: none\n"
    )
    folder = written({"services.yaml": catalog})
    assert problems_of(folder) == [
        "services.yaml:9: three: port: is 'none', expected a port number, 1 to 65535"
    ]


def test_a_mapping_that_contains_itself_does_not_hang(written: Callable[..., Path]) -> None:
    problems_of(written({"services.yaml": "service::catalog: &x\n  web: *x\n"}))


def test_deep_nesting_ends(written: Callable[..., Path]) -> None:
    deep = "[" * 3000 + "]" * 3000
    folder = written({"services.yaml": f"service::catalog: {{}}\nother: {deep}\n"})
    assert Inventory.load(folder).names == ()


def test_the_real_catalog_loads_whole(wmf: Path) -> None:
    inventory = Inventory.load(wmf)
    assert len(inventory.names) == 136
    assert inventory.sites == ("codfw", "drmrs", "eqiad", "eqsin", "esams", "magru", "ulsfo")
