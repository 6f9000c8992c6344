"""The lab's files against its topology, and its topology against its inventory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ferryman.config import load
from ferryman.inventory import Inventory, lint
from ferryman.lab import LabPaths, ready, render, topology
from ferryman.model import Forwarding, Kind

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    keys = {host.name: f"key of {host.name}\n" for host in topology.DEFAULT.hosts}
    return render.files(topology.DEFAULT, keys, "ours\n")


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return Inventory.load(REPOSITORY / "inventory")


@pytest.mark.parametrize("service", topology.DEFAULT.services, ids=lambda service: service.name)
def test_the_inventory_says_of_each_service_what_the_lab_is_made_of(
    inventory: Inventory, service: topology.LabService
) -> None:
    said = inventory.service(service.name, "lab")
    assert tuple(virtual_service.vip for virtual_service in said.virtual_services) == service.vips
    for virtual in said.virtual_services:
        assert (virtual.port, virtual.scheduler) == (service.port, service.scheduler)
        assert virtual.scheduler_flags == service.scheduler_flags
    if service.forwarding is Forwarding.TUNNEL:  # the others may have been migrated since
        assert said.encapsulated
    assert tuple(realserver.host for realserver in said.realservers) == service.realservers
    for realserver in said.realservers:
        host = topology.DEFAULT.by_name[realserver.host]
        assert (realserver.address, realserver.address6) == (host.address, host.address6)
        assert realserver.kind is (Kind.KUBERNETES if host.role == "node" else Kind.SERVER)
    in_order = [(director.host, director.role, director.driver) for director in said.directors]
    primary, secondary = service.directors
    assert in_order == [(each.host, each.role, each.driver) for each in (secondary, primary)]


@pytest.mark.parametrize("service", topology.DEFAULT.services, ids=lambda service: service.name)
def test_the_inventory_that_the_lab_writes_for_itself_says_the_same(
    inventory: Inventory, tmp_path: Path, service: topology.LabService
) -> None:
    place = LabPaths(tmp_path / "lab")
    ready.write(place, topology.DEFAULT, [REPOSITORY / "cookbooks"])
    assert lint(place.configuration / "inventory") == []
    own = Inventory.load(place.configuration / "inventory").service(service.name, "lab")
    # whoever tried the lab may have migrated it since
    assert replace(own, encapsulated=False) == replace(
        inventory.service(service.name, "lab"), encapsulated=False
    )
    config = load(place.configuration_file)
    assert (config.lab, config.probe.self_test) == (True, "search")
    assert config.cookbooks == (REPOSITORY / "cookbooks",)


def test_the_inventory_reaches_every_director_and_realserver_and_the_bastion(inventory: Inventory) -> None:
    reached = {name: where.address for name, where in inventory.host_addresses().items()}
    assert reached == {host.name: str(host.address) for host in (*topology.DEFAULT.segment, topology.BASTION)}


def test_the_directors_traffic_sources_are_controls_addresses(inventory: Inventory) -> None:
    said = {
        director.host: director.options["traffic_source"]
        for director in inventory.service("web", "lab").directors
    }
    wanted = {
        topology.DEFAULT.directors[0].name: topology.CONTROL_ADDRESSES,
        topology.DEFAULT.directors[1].name: topology.CANARY_ADDRESSES,
    }
    assert said == {host: {"ipv4": str(ours[0]), "ipv6": str(ours[1])} for host, ours in wanted.items()}


def test_no_address_is_given_twice() -> None:
    given = [str(address) for host in topology.DEFAULT.hosts for address in (host.address, host.address6)]
    given += [str(address) for address in (*topology.CONTROL_ADDRESSES, *topology.CANARY_ADDRESSES)]
    given += [str(pod.address) for pod in topology.DEFAULT.pods]
    given += [str(vip) for service in topology.DEFAULT.services for vip in service.vips]
    assert [address for address, times in Counter(given).items() if times > 1] == []


def test_interface_names_fit_the_kernel() -> None:
    assert all(len(pod.interface) == 15 and pod.interface.startswith("cali") for pod in topology.DEFAULT.pods)


def test_every_namespace_is_made_and_started_once(files: dict[str, str]) -> None:
    made = [line.split()[-1] for line in files["lab/links"].splitlines() if line.startswith("netns add")]
    started = [line.split()[2] for line in files["lab/starts"].splitlines()]
    assert made == started
    assert sorted(made) == sorted([*topology.DEFAULT.by_name, *(pod.name for pod in topology.DEFAULT.pods)])


def test_realservers_start_before_the_directors_that_check_them(files: dict[str, str]) -> None:
    started = [line.split()[2] for line in files["lab/starts"].splitlines()]
    lab = topology.DEFAULT
    last_realserver = max(started.index(host.name) for host in (*lab.servers, *lab.nodes))
    assert last_realserver < min(started.index(host.name) for host in lab.directors)


def test_each_host_has_its_own_key_and_sshd(files: dict[str, str]) -> None:
    for host in topology.DEFAULT.hosts:
        assert files[f"lab/{host.name}/ssh_host_ed25519_key"] == f"key of {host.name}\n"
        assert f"/lab/{host.name}/ssh_host_ed25519_key" in files[f"lab/{host.name}/sshd_config"]
        assert f"sshd -r -f /lab/{host.name}/sshd_config" in files[f"lab/{host.name}/start.sh"]
    assert files["lab/authorized_keys"] == "ours\n"


def test_keepalived_has_a_file_for_each_of_its_services(files: dict[str, str]) -> None:
    for director in ("lvs1", "lvs2"):
        folder = f"etc/netns/{director}/keepalived/services/"
        kept = {name.removeprefix(folder) for name in files if name.startswith(folder)}
        assert kept == {"web.conf", "maps.conf", "k8s-ingress-staging.conf", "search.conf"}
        web, search = files[f"{folder}web.conf"], files[f"{folder}search.conf"]
        assert web.count("virtual_server ") == 2
        assert web.count("real_server ") == 6
        assert ("lvs_method DR" in web, "lvs_method TUN" in search) == (True, True)
        assert "    lvs_sched mh\n    mh-port\n" in files[f"{folder}maps.conf"]


def test_ipvsadm_has_the_services_that_no_keepalived_keeps(files: dict[str, str]) -> None:
    assert files["lab/lvs1/ipvs"].splitlines() == [
        "-A -t 10.99.0.3:8081 -s wrr",
        "-a -t 10.99.0.3:8081 -r 10.10.0.21:8081 -g -w 1",
        "-a -t 10.99.0.3:8081 -r 10.10.0.22:8081 -g -w 1",
        "-a -t 10.99.0.3:8081 -r 10.10.0.23:8081 -g -w 1",
    ]


def test_only_directors_and_plain_servers_have_vips_on_their_loopback(files: dict[str, str]) -> None:
    assert "addr add 10.99.0.4/32 dev lo\n" in files["lab/lvs1/ip"]
    assert "addr add fd99::1/128 dev lo nodad\n" in files["lab/web1/ip"]
    assert "10.99.0.4" not in files["lab/web1/ip"]
    assert "10.99" not in files["lab/node1/ip"]
    assert "-A PREROUTING -d 10.99.0.4/32 -p tcp --dport 30443 -j KUBE-SEP" in files["lab/node1/iptables"]


def test_filtering_is_off_where_it_must_be_and_strict_where_it_should_be(files: dict[str, str]) -> None:
    for host, default in (("web1", None), ("node1", 1)):
        start = files[f"lab/{host}/start.sh"]
        assert "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter" in start
        batch = start.index("ip -batch")
        assert start.index("echo 0 >/proc/sys/net/ipv4/conf/ipip0/rp_filter") > batch
        if default is not None:
            assert start.index("echo 1 >/proc/sys/net/ipv4/conf/default/rp_filter") < batch
    persisted = files["etc/netns/node1/sysctl.d/70-ferryman.conf"]
    assert "net.ipv4.conf.ipip0.rp_filter = 0\n" in persisted
    assert "net.ipv4.conf.default.rp_filter = 1\n" in persisted
