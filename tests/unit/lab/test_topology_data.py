"""Topologies of plain data: what is refused, with its key; what is chosen; and that all of it fits."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.errors import LabError
from ferryman.lab import topology
from ferryman.lab.topology import from_data, names, state
from ferryman.lab.topology.values import VIP_NETWORKS
from ferryman.model import Forwarding, Role

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT: dict[str, Any] = {
    "directors": [{"name": "lvs1", "role": "primary"}, {"name": "lvs2", "role": "secondary"}],
    "realservers": [
        *({"name": f"web{number}"} for number in (1, 2, 3)),
        *({"name": f"node{number}", "kind": "kubernetes", "cluster": "staging"} for number in (1, 2)),
    ],
    "services": [
        {"name": "web", "port": 80, "vips": {"weblb": "ipv4", "weblb6": "ipv6"}},
        {"name": "maps", "port": 8080, "scheduler": "mh", "scheduler_flags": ["mh-port"]},
        {"name": "static", "port": 8081, "driver": "ipvsadm", "class": "high-traffic1"},
        {
            "name": "k8s-ingress-staging",
            "port": 30443,
            "realservers": ["node1", "node2"],
            "cluster": "kubernetes",
            "pool": "kubesvc",
        },
        {"name": "search", "port": 9200, "forwarding": "ipip"},
    ],
}
"""The default lab, part by part."""
for _service in DEFAULT["services"]:
    _service.setdefault("realservers", ["web1", "web2", "web3"])

SMALL: dict[str, Any] = {
    "directors": [{"name": "lb1", "role": "primary"}],
    "realservers": [{"name": "one"}, {"name": "two"}],
    "services": [{"name": "web", "port": 80}],
}


def changed(change: Callable[[Any], object]) -> dict[str, Any]:
    data = copy.deepcopy(SMALL)
    change(data)
    return data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], r"^topology: is the list \[\], expected a mapping$"),
        ({}, r"(?m)^topology: directors: is missing, expected a list of \{name, role, driver\}$"),
        ({"like": "home"}, r"^topology: like: is 'home', expected lab$"),
        ({"like": "lab", "site": "x"}, r"topology: site: is no key that is known here"),
        ({"inventory": "inventory"}, r"topology: site: is missing, expected the name of a site"),
        (
            changed(lambda d: d.update(sites="x")),
            r"topology: sites: is no key that is known here; did you mean",
        ),
        (
            changed(lambda d: d["directors"].clear()),
            r"topology: directors: is the list \[\], expected a list of",
        ),
        (
            changed(lambda d: d["directors"][0].update(role="boss")),
            r"topology: directors\[0\]\.role: is 'boss', expected primary or secondary",
        ),
        (
            changed(lambda d: d["directors"][0].update(driver="pybal")),
            r"topology: directors\[0\]\.driver: is 'pybal', expected keepalived or ipvsadm",
        ),
        (
            changed(lambda d: d["directors"][0].update(role="secondary")),
            r"topology: services\[0\]\.directors: web: has 0 primary directors, expected one",
        ),
        (
            changed(lambda d: d["services"][0].update(port="80")),
            r"topology: services\[0\]\.port: is '80', expected a port number, 1 to 65535",
        ),
        (
            changed(lambda d: d["services"][0].update(port=22)),
            r"topology: services\[0\]\.port: web: is 22, which sshd has on one",
        ),
        (
            changed(lambda d: d["services"][0].update(scheduler="$(id)")),
            r"topology: services\[0\]\.scheduler: is '\$\(id\)', expected one of rr, wrr, ",
        ),
        (
            changed(lambda d: d["services"][0].update(scheduler_flags=["mh_port"])),
            r"topology: services\[0\]\.scheduler_flags\[0\]: is 'mh_port', expected one of sh-port, ",
        ),
        (
            changed(lambda d: d["services"][0].update(realservers=["one", "tow"])),
            r"topology: services\[0\]\.realservers: web: 'tow' is not in realservers, did you mean two\?",
        ),
        (
            changed(lambda d: d["services"][0].update(realservers=["one", "one"])),
            r"topology: services\[0\]\.realservers: web: one stands twice",
        ),
        (
            changed(lambda d: d["services"][0].update(vips={"default": "192.0.2.1"})),
            r"services\[0\]\.vips\.default: is '192\.0\.2\.1', expected ipv4, ipv6, or an address of 10\.99",
        ),
        (
            changed(lambda d: d["services"].append(dict(d["services"][0]))),
            r"topology: services\[0\]\.name: web stands twice, expected each service once",
        ),
        (
            changed(
                lambda d: d.update(
                    services=[{"name": n, "port": 80, "vips": {"a": "10.99.0.7"}} for n in ("web", "other")]
                )
            ),
            r"topology: services\[1\]: other: 10\.99\.0\.7:80 is web's, expected one service on it",
        ),
        (
            changed(lambda d: d["services"].append({"name": "tls", "port": 80, "encryption": True})),
            r"topology: services\[1\]\.encryption: tls: port 80 of one is web's too, expected both with",
        ),
        (
            changed(lambda d: d["realservers"].append({"name": "one"})),
            r"topology: realservers: one stands twice, expected each name once",
        ),
        (
            changed(lambda d: d["realservers"].append({"name": "lb1"})),
            r"topology: realservers: lb1 is a director too, expected each host to be either",
        ),
        (
            changed(lambda d: d["realservers"].append({"name": "rt"})),
            r"topology: realservers: 'rt' is a name that the lab has use for",
        ),
        (
            changed(lambda d: d["realservers"].append({"name": "a;b"})),
            r"topology: realservers: 'a;b' is no name that a host can have here, expected lower-case letters",
        ),
        (
            changed(lambda d: d["realservers"].extend({"name": f"s{n}"} for n in range(500))),
            r"topology: realservers: has 502 realservers, expected 40 at most: that is what a lab holds",
        ),
        (
            changed(lambda d: d["services"].extend({"name": f"s{n}", "port": 81} for n in range(40))),
            r"topology: services: has 41 services, expected 40 at most",
        ),
        (
            changed(
                lambda d: d.update(
                    realservers=[{"name": f"s{n}"} for n in range(40)],
                    services=[{"name": f"v{n}", "port": 81} for n in range(7)],
                )
            ),
            r"topology: services: has 280 destinations on lb1, expected 240 at most",
        ),
    ],
)
def test_a_mistake_is_named_by_its_key(data: object, said: str) -> None:
    with pytest.raises(LabError, match=said):
        from_data(data)


def test_every_mistake_is_told_where_the_caller_says_that_it_stands() -> None:
    data = changed(lambda d: (d["services"][0].update(port=0), d["directors"][0].pop("role")))
    with pytest.raises(LabError) as raised:
        from_data(data, lambda path: f"one.yaml:7: {path}")
    assert str(raised.value).splitlines() == [
        "one.yaml:7: ('directors', 0, 'role'): is missing, expected primary or secondary",
        "one.yaml:7: ('services', 0, 'port'): is 0, expected a port number, 1 to 65535",
    ]


def test_services_of_a_class_a_pool_or_a_vip_have_the_same_behind_it() -> None:
    def with_second(**keys: object) -> dict[str, Any]:
        data = copy.deepcopy(SMALL)
        data["directors"].append({"name": "lb2", "role": "primary"})
        own = [{"host": "lb1", "role": "primary"}]
        first = {"name": "web", "port": 80, "directors": own, "class": "c", "vips": {"a": "10.99.0.7"}}
        second = {
            "name": "other",
            "port": 81,
            "directors": [{"host": "lb2", "role": "primary"}],
            "class": "d",
        }
        return {**data, "services": [{**first, "pool": "p"}, {**second, **keys}]}

    from_data(with_second())
    with pytest.raises(LabError, match="other: shares the directors of its class with web"):
        from_data(with_second(**{"class": "c"}))
    with pytest.raises(LabError, match="other: shares the realservers of its pool with web"):
        from_data(with_second(pool="p", realservers=["one"]))
    with pytest.raises(LabError, match=r"other: shares the directors of VIP 10\.99\.0\.7 with web"):
        from_data(with_second(vips={"a": "10.99.0.7"}))


def test_the_default_lab_can_be_said_in_one_word_or_part_by_part() -> None:
    assert from_data({"like": "lab"}) is topology.DEFAULT
    assert from_data(DEFAULT) == topology.DEFAULT


def test_what_is_not_said_is_chosen() -> None:
    lab = from_data(SMALL)
    (service,) = lab.services
    assert service.realservers == ("one", "two")
    assert [(each.host, each.role, each.driver) for each in service.directors] == [
        ("lb1", Role.PRIMARY, "keepalived")
    ]
    assert [str(vip) for vip in service.vips] == ["10.99.0.1"]
    assert service.forwarding is Forwarding.DIRECT
    assert [str(host.address) for host in lab.segment] == ["10.10.0.11", "10.10.0.21", "10.10.0.22"]


def test_free_vips_make_room_for_given_ones() -> None:
    vips = {"a": "ipv4", "b": "10.99.0.1", "c": "ipv6", "d": "fd99::1"}
    lab = from_data(changed(lambda d: d["services"][0].update(vips=vips)))
    assert [str(vip) for vip in lab.services[0].vips] == ["10.99.0.2", "10.99.0.1", "fd99::2", "fd99::1"]
    assert all(any(vip in network for network in VIP_NETWORKS) for vip in lab.services[0].vips)


def test_a_full_lab_gives_no_address_twice() -> None:
    lab = from_data(
        {
            "directors": [{"name": f"d{n}", "role": "secondary" if n else "primary"} for n in range(8)],
            "realservers": [{"name": f"s{n}", "kind": ("server", "kubernetes")[n % 2]} for n in range(40)],
            "services": [{"name": "web", "port": 80}],
        }
    )
    given_out = [address for host in lab.hosts for address in (host.address, host.address6)]
    given_out += [address for pod in lab.pods for address in (pod.address, pod.address6)]
    assert len(set(given_out)) == len(given_out) == 2 * (8 + 40 + 3 + 40)
    assert len({pod.interface for pod in lab.pods}) == 40


@pytest.mark.parametrize("lab", [topology.DEFAULT, from_data(SMALL)])
def test_a_topology_is_read_back_as_it_was_kept(lab: topology.Topology) -> None:
    kept = state.of_json(state.to_json(lab))
    assert kept == lab
    assert kept.likeness == lab.likeness


def test_a_path_of_an_inventory_is_relative_to_the_folder_that_is_named() -> None:
    inventories = Path(__file__).parents[2] / "inventories"
    data = {"inventory": "north", "site": "north", "services": ["search"], "realservers": 1}
    lab = from_data(data, folder=inventories)
    assert [service.name for service in lab.services] == ["search"]
    assert [host.name for host in lab.servers] == ["search-1001-north-example-org-1047bc"]


# Names


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "a..b", "-a", "a-", ".a", "a/b", "../a", "a b", "a\nb", "a\0b", "a;b", "$(id)", "`id`",
        "a'b", "Web1", "wéb", "web1\u202e", "a" * 65, "10.0.0.1", "fd00::1", "167772161", "0x7f.1", "10.1",
        "rt", "control", "client", "log", "share", "localhost", "*", "!a", "{a}", "#a", "%h", "~", "a:b",
    ],
)  # fmt: skip
def test_a_name_that_is_more_than_a_name_is_none_of_a_host(name: str) -> None:
    assert not names.is_host_name(name)
    assert names.is_host_name(names.host_name(name, ()))


@pytest.mark.parametrize("name", ["web1", "web1.example.org", "a", "1and1.example", "mw-web_2", "x" * 64])
def test_an_ordinary_name_stays_as_it_is(name: str) -> None:
    assert names.host_name(name, ()) == name


@given(st.lists(st.text(max_size=90), unique=True, max_size=12))
def test_whatever_hosts_are_called_each_has_a_name_of_its_own(given_names: list[str]) -> None:
    made: list[str] = []
    for name in given_names:
        made.append(names.host_name(name, made))
    assert len(set(made)) == len(made)
    assert all(names.is_host_name(name) for name in made)


def test_devices_have_names_that_the_kernel_takes_and_none_of_its_own() -> None:
    called = ["all", "default", "lo", "br0", "host0", "a-name-that-is-far-too-long.example.org", "web1"]
    lab = from_data(changed(lambda d: d.update(realservers=[{"name": name} for name in called])))
    devices = lab.devices
    assert devices["web1"] == "web1"
    assert devices["host0"] == "host0"
    assert len(set(devices.values())) == len(devices) == len(called) + 3
    assert all(0 < len(device) <= 15 for device in devices.values())
    assert not {"all", "default", "lo", "br0"} & set(devices.values())
