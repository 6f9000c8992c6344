"""Labs in the image of an inventory: what is refused, what is kept, what differs; nothing of it gets out."""

from __future__ import annotations

import ipaddress
import re
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from ferryman.errors import InventoryError, LabError
from ferryman.inventory import Inventory, lint
from ferryman.lab import LabPaths, ready, render
from ferryman.lab.topology import Topology, from_data, from_inventory, state, values
from ferryman.model import Forwarding, Kind, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

NORTH = Path(__file__).parents[2] / "inventories" / "north"
OWN_NETWORKS = [
    *values.SEGMENT_NETWORKS,
    *values.POD_NETWORKS,
    *values.VIP_NETWORKS,
    *(
        ipaddress.ip_network(network)
        for network in (
            *("10.20.0.0/24", "10.30.0.0/24", "10.40.0.0/24", "fd20::/64", "fd30::/64", "fd40::/64"),
            *("127.0.0.0/8", "169.254.1.1/32", "fe80::1/128"),
            *("172.16.1.1/32", "100::1/128"),  # the probes' crafted sources
        )
    ),
]
V4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
V6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE)


def texts_of(lab: Topology, place: LabPaths) -> dict[str, str]:
    """Every text that is made of a topology: what the lab's kernel reads, and the lab's own inventory."""
    place.own.mkdir(parents=True)
    ready.write(place, lab, ())
    written = {
        path.relative_to(place.root).as_posix(): path.read_text()
        for path in place.configuration.rglob("*")
        if path.is_file()
    }
    made = render.files(lab, {host.name: "key\n" for host in lab.hosts}, "ours\n")
    return {**made, **written, "control": render.control_batch(lab)}


def addresses_in(text: str) -> set[str]:
    found = set()
    for word in (*V4.findall(text), *V6.findall(text)):
        try:
            found.add(str(ipaddress.ip_address(word)))
        except ValueError:  # a version, a time
            continue
    return found


def strangers(texts: Iterable[str]) -> set[str]:
    """The addresses in some texts that are none of the lab's."""
    found = {ipaddress.ip_address(address) for text in texts for address in addresses_in(text)}
    return {
        str(address)
        for address in found
        if not address.is_unspecified and not any(address in network for network in OWN_NETWORKS)
    }


@pytest.fixture
def place(tmp_path: Path) -> LabPaths:
    return LabPaths(tmp_path / "labs" / "0123456789ab")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return Path(shutil.copytree(NORTH, tmp_path / "inventory"))


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is looked up and nothing is connected to."""

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the network was asked")

    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, never)
    monkeypatch.setattr(socket.socket, "connect", never)


def replaced(folder: Path, file: str, old: str, new: str) -> Path:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return folder


# What is refused


def test_an_inventory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="is no directory, expected the inventory's folder"):
        from_inventory(tmp_path / "nowhere", "north")


@pytest.mark.parametrize("site", ["noth", "", "../north", "north\n"])
def test_an_unknown_site_is_refused_with_those_that_there_are(site: str) -> None:
    with pytest.raises(
        (InventoryError, LabError), match=r"no service is at site 'noth', did you mean north|the site '"
    ):
        from_inventory(NORTH, site)


def test_everything_wrong_with_the_services_that_are_meant_is_told_at_once() -> None:
    with pytest.raises(InventoryError) as raised:
        from_inventory(NORTH, "north", ["frnt", "unused"])
    frnt, unused = raised.value.problems
    assert frnt == "services.yaml:2: no service is called 'frnt', did you mean front?"
    assert unused.endswith("unused: state: is 'lvs_setup', expected 'production'")


def test_a_service_without_directors_in_a_file_that_has_some_is_refused(inventory: Path) -> None:
    replaced(inventory, "directors.yaml", "high-traffic1", "high-traffic2")
    with pytest.raises(
        InventoryError, match=r"front: lvs\.class: has no directors at north: directors\.yaml has no"
    ):
        from_inventory(inventory, "north", ["front"])
    lab = from_inventory(inventory, "north")
    assert [service.name for service in lab.services] == ["ingress", "search"]


def test_directors_that_cannot_be_read_are_not_taken_for_none(inventory: Path) -> None:
    (inventory / "directors.yaml").write_text("north: [\n")
    with pytest.raises(InventoryError, match=r"directors\.yaml"):
        from_inventory(inventory, "north", ["front"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "scheduler: wrr",
            "scheduler: 'wrr; id'",
            r"services.yaml:\d+: ingress: lvs.scheduler: is 'wrr; id'",
        ),
        ("class: low-traffic", "class: 'a/../b'", r"ingress: lvs.class: "),
    ],
)
def test_what_the_lab_cannot_have_is_named_with_file_line_and_key(
    inventory: Path, old: str, new: str, said: str
) -> None:
    replaced(inventory, "services.yaml", old, new)
    with pytest.raises((LabError, InventoryError), match=said):
        from_inventory(inventory, "north", ["ingress"])


def test_a_service_of_datagrams_is_refused_by_name_and_left_out_otherwise() -> None:
    with pytest.raises(LabError, match=r"services.yaml:\d+: clocks: lvs.protocol: is 'udp', expected tcp"):
        from_inventory(NORTH, "north", ["clocks"])
    lab = from_inventory(NORTH, "north")
    assert lab.likeness is not None
    assert any(sentence.startswith("clocks: ") for sentence in lab.likeness.left_out)


def test_more_than_the_lab_holds_is_refused_with_what_it_holds(inventory: Path) -> None:
    many = "".join(f"    f{number}.example.org: [cdn]\n" for number in range(60))
    replaced(inventory, "nodes/north.yaml", "  front:\n", f"  front:\n{many}")
    with pytest.raises(LabError, match="the lab's realservers: has 50 realservers, expected 40 at most"):
        from_inventory(inventory, "north", ["front"], realservers=50)
    assert len(from_inventory(inventory, "north", ["front"], realservers=40).servers) == 40


def test_nothing_that_fits_is_no_lab(inventory: Path) -> None:
    replaced(inventory, "services.yaml", "state: production", "state: lvs_setup")
    with pytest.raises(LabError, match=r"no service at north can be in a lab\nfront: services\.yaml"):
        from_inventory(inventory, "north")


# What is kept


@pytest.fixture(scope="module")
def north() -> Topology:
    return from_inventory(NORTH, "north")


def test_services_keep_names_ports_schedulers_flags_labels_and_mode(north: Topology) -> None:
    kept = [
        (
            each.name,
            each.port,
            each.scheduler,
            each.scheduler_flags,
            each.labels,
            each.encryption,
            each.forwarding,
        )
        for each in north.services
    ]
    both, direct = ("frontlb", "frontlb6"), Forwarding.DIRECT
    assert kept == [
        ("front", 443, "mh", ("mh-port",), both, True, direct),
        ("front-plain", 80, "mh", ("mh-port",), both, False, direct),
        ("ingress", 30443, "wrr", (), ("default", "default6"), False, direct),
        ("search", 9200, "wlc", (), ("default",), False, Forwarding.TUNNEL),
    ]
    assert north.services[0].paths == ("/healthz",)
    assert [vip.version for vip in north.services[0].vips] == [4, 6]
    assert north.services[0].vips == north.services[1].vips


def test_directors_keep_their_roles_and_drivers_that_do_not_run_are_replaced(north: Topology) -> None:
    front, *_, search = north.services
    lb1001, lb1002, lb1003 = (f"lb100{number}.north.example.org" for number in (1, 2, 3))
    assert [(each.host, each.role, each.driver) for each in front.directors] == [
        (lb1001, Role.PRIMARY, "keepalived"),
        (lb1003, Role.SECONDARY, "keepalived"),
    ]
    assert [(each.host, each.role, each.driver) for each in search.directors] == [
        (lb1002, Role.PRIMARY, "keepalived"),
        (lb1003, Role.SECONDARY, "ipvsadm"),
    ]
    said = "\n".join(north.likeness.different) if north.likeness else ""
    for host, driver in ((lb1001, "pybal"), (lb1003, "liberica")):
        assert f"{host}: the software of the driver {driver} does not run in the lab; keepalived is" in said
    assert "outer packets come from the director's own address" in said
    assert "front1002.north.example.org: mss and path_mtu are the lab's" in said


def test_realservers_keep_their_names_and_kinds_up_to_so_many_of_each_service(north: Topology) -> None:
    assert [host.name for host in north.servers] == [
        "front-cache-with-quite-a-long-name-1001.north.example.org",
        "front1002.north.example.org",
        "front1003.north.example.org",
        "search-1001-north-example-org-1047bc",
        "search1002.north.example.org",
    ]
    assert [(host.name, host.cluster) for host in north.nodes] == [
        ("kube1001.north.example.org", "staging"),
        ("kube1002.north.example.org", "staging"),
    ]
    assert north.likeness is not None
    assert "front: 2 of its 5 realservers" in north.likeness.left_out


def test_the_map_says_what_stands_for_every_host_and_every_vip(north: Topology) -> None:
    assert north.likeness is not None
    found = {mapped.name: (mapped.what, mapped.there, mapped.here) for mapped in north.likeness.mapped}
    assert found["front frontlb6"] == ("vip", "2001:db8:1::10", "fd99::1")
    assert found["ingress default"] == ("vip", "198.51.100.30", "10.99.0.2")
    assert found["lb1001.north.example.org"] == (
        "director",
        "203.0.113.1, 2001:db8:2::1",
        "10.10.0.11, fd10::11",
    )
    name = "search-1001-north-example-org-1047bc"
    assert found[name] == ("realserver", "'Search_1001.north.example.org'", "10.10.0.24, fd10::24")
    assert len(found) == len(north.segment) + sum(len(service.vips) for service in north.services)
    assert state.of_json(state.to_json(north)).likeness == north.likeness


def test_an_inventory_without_directors_gets_two_of_the_labs_own(inventory: Path) -> None:
    (inventory / "directors.yaml").unlink()
    lab = from_inventory(inventory, "north", ["search"])
    assert [(each.host, each.role.value, each.driver) for each in lab.services[0].directors] == [
        ("lvs1", "primary", "keepalived"),
        ("lvs2", "secondary", "keepalived"),
    ]
    assert lab.likeness is not None
    assert lab.likeness.different[0].startswith(
        "the inventory has no directors.yaml: two directors of the lab's"
    )


def test_a_directors_gate_that_is_shut_stays_shut(inventory: Path, place: LabPaths) -> None:
    replaced(inventory, "directors.yaml", "driver: pybal", "driver: pybal, ipip_enabled: false")
    texts_of(from_inventory(inventory, "north", ["front"]), place)
    directors = Inventory.load(place.configuration / "inventory").service("front", "north").directors
    assert [director.ipip_enabled for director in directors] == [True, False]


# The inventory that the lab writes for itself


def test_the_labs_own_inventory_is_sound_and_says_what_the_lab_is_made_of(
    north: Topology, place: LabPaths
) -> None:
    texts_of(north, place)
    folder = place.configuration / "inventory"
    assert lint(folder) == []
    written = Inventory.load(folder)
    assert list(written.names) == [service.name for service in north.services]
    for service in north.services:
        said = written.service(service.name, "north")
        assert tuple(virtual.vip for virtual in said.virtual_services) == service.vips
        assert tuple(virtual.label for virtual in said.virtual_services) == service.labels
        assert {virtual.port for virtual in said.virtual_services} == {service.port}
        assert {virtual.scheduler_flags for virtual in said.virtual_services} == {service.scheduler_flags}
        assert said.encapsulated is (service.forwarding is Forwarding.TUNNEL)
        assert said.encryption is service.encryption
        assert said.probe_paths == service.paths
        assert [realserver.host for realserver in said.realservers] == list(service.realservers)
        assert {realserver.kind for realserver in said.realservers} == {
            Kind.KUBERNETES if north.by_name[host].role == "node" else Kind.SERVER
            for host in service.realservers
        }
        last = [(director.host, director.role, director.driver) for director in said.directors][-1]
        assert last == (service.primary.host, Role.PRIMARY, service.primary.driver)


def test_each_director_of_a_service_has_an_address_of_control_of_its_own(
    north: Topology, place: LabPaths
) -> None:
    texts_of(north, place)
    said = yaml.safe_load((place.configuration / "inventory" / "directors.yaml").read_text())["north"]
    for entries in said.values():
        sources = [(entry["role"], entry["traffic_source"]["ipv4"]) for entry in entries]
        assert sources == [("primary", "10.30.0.2"), ("secondary", "10.30.0.3")]


# What the lab boots from


def test_vips_go_to_their_own_directors(north: Topology) -> None:
    files = render.files(north, {host.name: "key\n" for host in north.hosts}, "ours\n")
    router = files["lab/rt/ip"].splitlines()
    assert "route add 10.99.0.0/24 via 10.10.0.11" in router
    assert "route add 10.99.0.2 via 10.10.0.13" in router
    assert "route add fd99::2 via fd10::13" in router
    assert "route add 10.99.0.0/24 via 10.10.0.12 table 2" in router
    assert not any(line.startswith("route add 10.99.0.2 ") and "table 2" in line for line in router)
    assert files["lab/lb1001.north.example.org/ipvs"] == ""
    assert "-A -t 10.99.0.3:9200 -s wlc\n" in files["lab/lb1003.north.example.org/ipvs"]


def test_each_further_secondary_is_reached_from_an_address_of_its_own(place: LabPaths) -> None:
    roles = ("primary", "secondary", "secondary", "secondary")
    lab = from_data(
        {
            "directors": [{"name": f"lb{n}", "role": role} for n, role in enumerate(roles)],
            "realservers": [{"name": "web1"}],
            "services": [{"name": "web", "port": 80, "vips": {"four": "ipv4", "six": "ipv6"}}],
        }
    )
    texts = texts_of(lab, place)
    for number, director, table in ((3, 12, 2), (4, 13, 3), (5, 14, 4)):
        assert f"addr add 10.30.0.{number}/24 dev control0\n" in texts["control"]
        router = texts["lab/rt/ip"]
        assert f"rule add from 10.30.0.{number} to 10.99.0.0/24 lookup {table}\n" in router
        assert f"route add 10.99.0.0/24 via 10.10.0.{director} table {table}\n" in router
        assert f"from fd30::{number} to fd99::/64 lookup {table}\n" in texts["lab/rt/start.sh"]
    said = Inventory.load(place.configuration / "inventory").service("web", "lab").directors
    assert [each.options["traffic_source"] for each in said][-2:] == [
        {"ipv4": "10.30.0.5", "ipv6": "fd30::5"},
        {"ipv4": "10.30.0.2", "ipv6": "fd30::2"},
    ]


def test_pods_answer_for_both_families_where_a_service_has_both(north: Topology) -> None:
    files = render.files(north, {host.name: "key\n" for host in north.hosts}, "ours\n")
    node = "lab/kube1001.north.example.org"
    assert "-A PREROUTING -d fd99::2/128 -p tcp --dport 30443 -j KUBE-SEP" in files[f"{node}/ip6tables"]
    assert "--to-destination [fd64::1:11]:8443" in files[f"{node}/ip6tables"]
    assert "addr add fd64::1:11/128 dev eth0 nodad" in files[f"{node}-pod1/ip"]
    assert "ip_vs_wlc" in render.modules(north)


def test_a_port_with_tls_is_served_with_tls(north: Topology) -> None:
    files = render.files(north, {host.name: "key\n" for host in north.hosts}, "ours\n")
    served = files["lab/front1002.north.example.org/nginx.conf"]
    assert "listen [::]:80 ipv6only=off;" in served
    assert "listen [::]:443 ipv6only=off ssl;" in served


# What never gets out


def test_nothing_that_is_made_has_an_address_of_anybody_else(north: Topology, place: LabPaths) -> None:
    texts = texts_of(north, place)
    given = (NORTH / name for name in ("services.yaml", "hosts.yaml", "directors.yaml"))
    assert len(strangers(path.read_text() for path in given)) > 12
    assert strangers(texts.values()) == set()


ODD = (
    "10.1.2.3",
    "2001:db8::1",
    "167772161",
    "rt",
    "log",
    "x" * 253,
    "type",
    "null",
    "_",
    "1e3",
    "a..b",
    "x-",
)
"""Names that are allowed, and are more than names elsewhere."""


def test_odd_names_and_words_stay_where_they_are(inventory: Path, place: LabPaths) -> None:
    """Realservers, directors, labels, clusters and paths that are more than names."""
    catalog = yaml.safe_load((inventory / "services.yaml").read_text())
    front = catalog["service::catalog"]["front"]
    front["ip"]["north"] = {"reboot": "198.51.100.10", "192.0.2.77": "2001:db8:1::10"}
    front["lvs"]["conftool"] = {"cluster": "type", "service": "192.0.2.78"}
    front["probes"] = [{"type": "http", "path": "/;} return 200 192.0.2.79;"}]
    (inventory / "services.yaml").write_text(yaml.safe_dump(catalog))
    pool = {name: ["192.0.2.78"] for name in ODD}
    (inventory / "nodes/north.yaml").write_text(yaml.safe_dump({"north": {"type": pool}}))
    directors = [
        {"host": "poweroff", "role": "primary", "driver": "id"},
        {"host": "192.0.2.80", "role": "secondary", "driver": "keepalived"},
    ]
    (inventory / "directors.yaml").write_text(yaml.safe_dump({"north": {"high-traffic1": directors}}))
    (inventory / "hosts.yaml").write_text("{}\n")

    lab = from_inventory(inventory, "north", ["front"], realservers=len(ODD))
    assert len({host.name for host in lab.segment}) == len(ODD) + 2
    texts = texts_of(lab, place)
    for path, text in texts.items():
        assert re.fullmatch(r"[A-Za-z0-9._/-]+", path), path
        assert ".." not in path
        if not path.endswith(("services.yaml", "nodes/north.yaml")):
            assert not re.search(r"192\.0\.2|198\.51|2001:db8", text), path
    assert (
        strangers(text for path, text in texts.items() if "services.yaml" not in path and "nodes" not in path)
        == set()
    )
    assert lint(place.configuration / "inventory") == []
    said = Inventory.load(place.configuration / "inventory").service("front", "north")
    assert {str(virtual.vip) for virtual in said.virtual_services} == {"10.99.0.1", "fd99::1"}
    assert len(said.realservers) == len(ODD)


# Real inventories


@pytest.mark.parametrize("site", ["codfw", "eqiad"])
def test_the_real_inventory_makes_a_lab_that_is_as_much_as_fits(
    wmf: Path, place: LabPaths, site: str
) -> None:
    lab = from_inventory(wmf, site)
    assert len(lab.services) >= 30
    assert lab.likeness is not None
    texts = texts_of(lab, place)
    assert strangers(texts.values()) == set()
    assert lint(place.configuration / "inventory") == []


def test_the_real_staging_ingress_and_a_dual_stack_service_make_a_lab(wmf: Path) -> None:
    lab = from_inventory(wmf, "codfw", ["k8s-ingress-staging", "ncredir"])
    staging, ncredir = lab.services
    assert staging.realservers == ("kubestage2001.codfw.wmnet", "kubestage2002.codfw.wmnet")
    assert ncredir.labels == ("ncredirlb", "ncredirlb6")
    assert [str(vip) for vip in ncredir.vips] == ["10.99.0.2", "fd99::1"]
