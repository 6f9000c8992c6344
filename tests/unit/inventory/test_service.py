from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import InventoryError
from ferryman.inventory import Inventory
from ferryman.lab import topology
from ferryman.model import Kind, MssStrategy, Role
from unit.inventory.conftest import CLUSTERS, HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferryman.model import Address


def nobody(host: str) -> Sequence[Address]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def problems_of(folder: Path, name: str, site: str) -> str:
    with pytest.raises(InventoryError) as caught:
        Inventory.load(folder).service(name, site, resolve=nobody)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "site", "says"),
    [
        ("wbe", "lab", "services.yaml:1: no service is called 'wbe', did you mean web?"),
        ("web", "lob", "services.yaml:10: web: sites: the service is not at lob, did you mean lab?"),
        ("maps", "far", "services.yaml:27: maps: ip: has no address for far, expected far: {LABEL: address}"),
        ("wiki-dumps", "lab", "services.yaml:41: wiki-dumps: has no lvs section, expected a service behind"),
        ("echostore", "lab", "echostore: state: is 'service_setup', expected 'production'"),
        ("echostore", "lab", "echostore: lvs.enabled: is false, expected true"),
        ("maps", "far", "there is no nodes/far.yaml, expected nodes of cluster kubernetes there"),
        (
            "maps",
            "far",
            "maps: lvs.class: has no directors at far: directors.yaml has no site far, there is lab",
        ),
    ],
)
def test_a_service_that_cannot_be_taken_across_is_refused_with_the_reason(
    written: Callable[..., Path], name: str, site: str, says: str
) -> None:
    assert says in problems_of(written(), name, site)


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "services.yaml",
            "cluster: web",
            "cluster: wed",
            "nodes/lab.yaml has no cluster wed, did you mean web?",
        ),
        (
            "services.yaml",
            "service: nginx",
            "service: ngnix",
            "in nodes/lab.yaml no host of web has service ngnix, did you mean nginx?",
        ),
        (
            "services.yaml",
            "class: low-traffic",
            "class: low",
            "directors.yaml has no class low there, there is low-traffic",
        ),
        ("services.yaml", "        weblb: 10.99.0.1", "        weblb: 10.99.0.2", ""),
    ],
)
def test_who_is_missing_is_named(
    replaced: Callable[..., Path], file: str, old: str, new: str, says: str
) -> None:
    folder = replaced(file, old, new)
    if says:
        assert says in problems_of(folder, "web", "lab")
    else:
        # The same address on another port, or protocol, is another virtual service.
        Inventory.load(folder).service("web", "lab", resolve=nobody)


def test_a_missing_directors_file_is_said(written: Callable[..., Path]) -> None:
    assert "there is no directors.yaml" in problems_of(written({"directors.yaml": None}), "web", "lab")


def test_two_services_on_one_address_and_port_are_both_named(replaced: Callable[..., Path]) -> None:
    folder = replaced(
        "services.yaml",
        "state: service_setup\n    lvs: {enabled: false,",
        "state: production\n    lvs: {enabled: true,",
    )
    text = (folder / "services.yaml").read_text()
    (folder / "services.yaml").write_text(
        text.replace("10.99.0.4", "10.99.0.1").replace(
            "443\n    sites: [lab]\n    state: production\n    lvs",
            "80\n    sites: [lab]\n    state: production\n    lvs",
        )
    )
    said = problems_of(folder, "web", "lab")
    assert "web: ip.lab: tcp 10.99.0.1 port 80 at lab belongs to web and to echostore, expected one" in said


def test_a_realserver_that_has_no_address_of_a_needed_family_is_refused(
    replaced: Callable[..., Path],
) -> None:
    folder = replaced("hosts.yaml", "web2: {address: 10.10.0.22, address6: 'fd10::22'}", "web2: {user: x}")
    with pytest.raises(InventoryError) as caught:
        Inventory.load(folder).service("web", "lab", resolve=lambda _: [ip_address("10.1.1.1")])
    assert caught.value.problems == (
        (
            "hosts.yaml:5: web2: web2 has no IPv6 address, expected one for the service's VIP; "
            "give address6 of web2 here, or in DNS"
        ),
    )


def test_every_realserver_that_cannot_be_looked_up_is_named(written: Callable[..., Path]) -> None:
    said = problems_of(written({"hosts.yaml": None}), "web", "lab")
    assert "web1 cannot be looked up (Name or service not known)" in said
    assert "web2 cannot be looked up" in said


def test_a_dual_stack_service_has_a_virtual_service_for_each_label(written: Callable[..., Path]) -> None:
    web = Inventory.load(written()).service("web", "lab", resolve=nobody)
    assert [(virtual_service.label, str(virtual_service)) for virtual_service in web.virtual_services] == [
        ("weblb", "tcp 10.99.0.1:80"),
        ("weblb6", "tcp [fd99::1]:80"),
    ]
    assert (web.encryption, web.lvs_class, web.encapsulated) == (False, "low-traffic", False)
    assert web.probe_paths == ("/healthz", "/")


def test_a_service_knows_scheduler_flags_protocol_and_that_it_is_encapsulated(
    written: Callable[..., Path],
) -> None:
    maps = Inventory.load(written()).service("maps", "lab", resolve=nobody)
    (virtual,) = maps.virtual_services
    assert (virtual.scheduler, virtual.scheduler_flags, virtual.protocol) == ("mh", ("mh-port",), "udp")
    assert maps.encapsulated
    assert [(realserver.host, realserver.kind, realserver.cluster) for realserver in maps.realservers] == [
        ("node1", Kind.KUBERNETES, "staging")
    ]


@pytest.mark.parametrize(
    "flags", ["[mh-port, mh-fallback]", "'mh-port,mh-fallback'", '"mh-port, mh-fallback"']
)
def test_scheduler_flags_are_a_string_or_a_list(replaced: Callable[..., Path], flags: str) -> None:
    folder = replaced("services.yaml", "scheduler_flag: mh-port", f"scheduler_flag: {flags}")
    maps = Inventory.load(folder).service("maps", "lab", resolve=nobody)
    assert maps.virtual_services[0].scheduler_flags == ("mh-port", "mh-fallback")


def test_realservers_are_the_hosts_that_have_the_service_in_file_order(written: Callable[..., Path]) -> None:
    web = Inventory.load(written()).service("web", "lab", resolve=nobody)
    assert [(realserver.host, realserver.address, realserver.address6) for realserver in web.realservers] == [
        ("web1", IPv4Address("10.10.0.21"), IPv6Address("fd10::21")),
        ("web2", IPv4Address("10.10.0.22"), IPv6Address("fd10::22")),
    ]


def test_only_what_hosts_yaml_leaves_out_is_looked_up(replaced: Callable[..., Path]) -> None:
    folder = replaced(
        "hosts.yaml", "web2: {address: 10.10.0.22, address6: 'fd10::22'}", "web2: {address: 10.9.9.9}"
    )
    asked: set[str] = set()

    def resolve(host: str) -> Sequence[Address]:
        asked.add(host)
        return [ip_address("10.1.1.1"), ip_address("fd10::99"), ip_address("fd10::98")]

    web = Inventory.load(folder).service("web", "lab", resolve=resolve)
    assert asked == {"web2", "lvs2", "lvs3"}
    assert (web.realservers[1].address, web.realservers[1].address6) == (
        IPv4Address("10.9.9.9"),
        IPv6Address("fd10::99"),
    )
    assert [(str(director.address), str(director.address6)) for director in web.directors] == [
        ("10.1.1.1", "fd10::12"),
        ("10.1.1.1", "fd10::99"),
        ("10.10.0.11", "fd10::11"),
    ]


def test_a_director_that_cannot_be_looked_up_has_no_address_and_is_no_error(
    written: Callable[..., Path],
) -> None:
    web = Inventory.load(written({"hosts.yaml": HOSTS.replace("lvs1:", "lvs9:")})).service(
        "web", "lab", resolve=nobody
    )
    lvs2, _, lvs1 = web.directors
    assert (lvs1.address, lvs1.address6) == (None, None)
    assert (lvs2.address, lvs2.address6) == (None, IPv6Address("fd10::12"))
    assert lvs1.outer_sources_for(ip_address("10.10.0.21")) == ()


def test_a_family_that_the_service_has_not_is_not_looked_up(written: Callable[..., Path]) -> None:
    """maps has an IPv4 VIP alone, so a director's IPv6 address sends none of its outer packets."""
    both = [ip_address("10.1.1.1"), ip_address("fd10::99")]
    maps = Inventory.load(written()).service("maps", "lab", resolve=lambda _: both)
    assert [director.address6 for director in maps.directors] == [
        IPv6Address("fd10::12"),
        None,
        IPv6Address("fd10::11"),
    ]


@pytest.mark.parametrize(
    ("literal", "four", "six"), [("10.8.8.8", "10.8.8.8", None), ("'fd88::8'", None, "fd88::8")]
)
def test_a_director_that_is_named_by_its_address_is_that_address(
    replaced: Callable[..., Path], literal: str, four: str | None, six: str | None
) -> None:
    folder = replaced("directors.yaml", "host: lvs3", f"host: {literal}")
    lvs3 = Inventory.load(folder).service("web", "lab", resolve=nobody).directors[1]
    assert (lvs3.address, lvs3.address6) == (
        IPv4Address(four) if four else None,
        IPv6Address(six) if six else None,
    )


def test_the_common_keys_of_a_director_are_not_handed_to_its_driver(replaced: Callable[..., Path]) -> None:
    folder = replaced(
        "directors.yaml",
        "driver: keepalived, config",
        "ipip_enabled: false, outer_sources: [172.16.5.1, 'fd10::5'], driver: keepalived, config",
    )
    lvs2, _, lvs1 = Inventory.load(folder).service("web", "lab", resolve=nobody).directors
    assert lvs1.options == {"config": "/etc/keepalived/keepalived.conf"}
    assert (lvs1.ipip_enabled, lvs2.ipip_enabled) == (False, True)
    assert lvs1.outer_sources_for(ip_address("10.10.0.21")) == (IPv4Address("172.16.5.1"),)
    assert lvs1.outer_sources_for(ip_address("fd10::21")) == (IPv6Address("fd10::5"),)
    assert lvs2.outer_sources_for(ip_address("fd10::21")) == (IPv6Address("fd10::12"),)


@pytest.mark.parametrize(
    ("host", "cluster", "mss", "path_mtu"),
    [
        ("", "", MssStrategy.POD_MTU, 1500),
        ("", "path_mtu: 9000, mss: jumbo, ", MssStrategy.JUMBO, 9000),
        ("mss: clamp, ", "path_mtu: 9000, mss: jumbo, ", MssStrategy.CLAMP, 9000),
        ("path_mtu: 1450, ", "path_mtu: 9000, ", MssStrategy.POD_MTU, 1450),
    ],
)
def test_a_nodes_mss_and_path_mtu_are_its_own_then_its_clusters_then_its_kinds(
    written: Callable[..., Path], host: str, cluster: str, mss: MssStrategy, path_mtu: int
) -> None:
    changes = {
        "hosts.yaml": HOSTS.replace("kind: k", f"{host}kind: k"),
        "clusters.yaml": CLUSTERS.replace("{api", f"{{{cluster}api"),
    }
    (node,) = Inventory.load(written(changes)).service("maps", "lab", resolve=nobody).realservers
    assert (node.mss, node.path_mtu) == (mss, path_mtu)


def test_a_plain_server_clamps_unless_hosts_yaml_says_otherwise(replaced: Callable[..., Path]) -> None:
    folder = replaced("hosts.yaml", "web1: {", "web1: {mss: jumbo, path_mtu: 1540, ")
    web1, web2 = Inventory.load(folder).service("web", "lab", resolve=nobody).realservers
    assert (web1.mss, web1.path_mtu) == (MssStrategy.JUMBO, 1540)
    assert (web2.mss, web2.path_mtu) == (MssStrategy.CLAMP, 1500)


def test_directors_come_secondaries_first_in_file_order_with_their_drivers_own_keys(
    written: Callable[..., Path],
) -> None:
    web = Inventory.load(written()).service("web", "lab", resolve=nobody)
    assert [(director.host, director.role) for director in web.directors] == [
        ("lvs2", Role.SECONDARY),
        ("lvs3", Role.SECONDARY),
        ("lvs1", Role.PRIMARY),
    ]
    assert web.directors[2].driver == "keepalived"
    assert web.directors[2].options == {"config": "/etc/keepalived/keepalived.conf"}


def test_hosts_are_reached_as_hosts_yaml_says(written: Callable[..., Path]) -> None:
    reached = Inventory.load(written()).host_addresses()
    lvs1, lvs2, lvs3 = reached["lvs1"], reached["lvs2"], reached["lvs3"]
    assert (lvs1.address, lvs1.port, lvs1.user) == ("10.10.0.11", 2222, "ferry")
    assert (lvs2.address, lvs2.port, lvs2.user) == ("fd10::12", None, None)
    assert lvs3.address is None


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("staging.conf", "{folder}/staging.conf"),
        ("/etc/staging.conf", "/etc/staging.conf"),
        ("~/x", "{home}/x"),
    ],
)
def test_a_kubeconfig_is_looked_for_beside_the_inventory(
    replaced: Callable[..., Path], said: str, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    folder = replaced("clusters.yaml", "api:", f"kubeconfig: {said}, api:")
    found = Inventory.load(folder).clusters["staging"].kubeconfig
    assert found == whole.format(folder=folder, home="/home/someone")


def test_the_labs_inventory_says_what_the_labs_hosts_are() -> None:
    """Directors send from their own addresses, servers clamp, nodes have pods with a smaller MTU."""
    folder = Path(__file__).parents[3] / "inventory"
    mss = {"server": MssStrategy.CLAMP, "node": MssStrategy.POD_MTU}
    for known in topology.DEFAULT.services:
        service = Inventory.load(folder).service(known.name, "lab", resolve=nobody)
        for director in service.directors:
            host = topology.DEFAULT.by_name[director.host]
            assert director.outer_sources_for(host.address) == (host.address,)
            assert director.outer_sources_for(host.address6) == (host.address6,)
            assert director.ipip_enabled
        for realserver in service.realservers:
            assert realserver.mss is mss[topology.DEFAULT.by_name[realserver.host].role]
            assert realserver.path_mtu == 1500


def test_real_services_have_all_their_labels_realservers_and_flags(wmf: Path, tmp_path: Path) -> None:
    for name in ("services.yaml", "nodes"):
        (tmp_path / name).symlink_to(wmf / name)
    pair = "[{host: lvs1, role: primary, driver: pybal}, {host: lvs2, role: secondary, driver: pybal}]"
    (tmp_path / "directors.yaml").write_text(f"eqiad: {{high-traffic1: {pair}, low-traffic: {pair}}}\n")
    inventory = Inventory.load(tmp_path)
    both = [ip_address("10.64.0.1"), ip_address("2620:0:861::1")]
    text = inventory.service("text-https", "eqiad", resolve=lambda _: both)
    assert [virtual_service.label for virtual_service in text.virtual_services] == [
        "testlb",
        "testlb6",
        "textlb",
        "textlb6",
    ]
    assert {type(virtual_service.vip) for virtual_service in text.virtual_services} == {
        IPv4Address,
        IPv6Address,
    }
    assert text.encapsulated
    assert all(realserver.host.startswith("cp1") for realserver in text.realservers)
    apertium = inventory.service("apertium", "eqiad", resolve=lambda _: both)
    assert len(apertium.realservers) > 100
    assert not apertium.encapsulated
