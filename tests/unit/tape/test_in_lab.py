"""A tape's state for a lab: which lab it is, what is read off the tape, and what makes a host so."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.cli.discovery import read as find_cookbooks
from ferryman.cli.replay_lab import words_of
from ferryman.config import load
from ferryman.errors import LabError, TapeError
from ferryman.lab.boot_files import persistent_files
from ferryman.realservers.facts.boot import boot_of
from ferryman.realservers.facts.sysctl_d import SysctlFiles
from ferryman.tape.file import Entry, Tape, read
from ferryman.tape.in_lab import directors, firewall
from ferryman.tape.in_lab.image import Image, image_of
from ferryman.tape.in_lab.names import Names
from ferryman.tape.in_lab.realservers import Change, Realserver
from ferryman.tape.in_lab.settings import toml_of
from ferryman.tape.in_lab.state import State, state_of
from ferryman.tape.in_lab.unlike import unlike

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[3]
TAPES = REPOSITORY / "tests" / "tapes"


@cache
def tape(name: str) -> Tape:
    return read(TAPES / f"{name}.tape")


@cache
def state(name: str) -> State:
    return state_of(tape(name))


@cache
def image(name: str) -> Image:
    return image_of(tape(name))


def changes(recorded: str, sound: str, host: str) -> list[Change]:
    """What differs between a tape's host and the same host on a tape of a run that found nothing wrong."""
    of = image(recorded)
    same = Names(of.names.hosts, {here: here for here in of.names.addresses.values()})
    was, now = state(recorded).realservers[host], state(sound).realservers[host]
    found = Realserver(of.lab, of.lab.by_name[host], same, was.facts, now.facts)
    return [*found.changes(), *firewall.changes(was, now, of.names, found.pod_devices(), {4})]


def edited(was: Tape, edit: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Tape:
    return replace(
        was,
        entries=tuple(replace(entry, data=edit(entry.kind, dict(entry.data))) for entry in was.entries),
    )


def test_addresses_that_change_places_are_mapped_in_one_pass() -> None:
    first, second = ip_address("10.99.0.1"), ip_address("10.99.0.2")
    names = Names({}, {first: second, second: first})
    assert names.text("-d 10.99.0.1/32 --to 10.99.0.2:80, 10.99.0.10") == (
        "-d 10.99.0.2/32 --to 10.99.0.1:80, 10.99.0.10"
    )


def test_a_name_within_another_name_is_left_alone() -> None:
    names = Names({"web1": "a", "web1.example.org": "b"}, {})
    assert names.text("web1 web1.example.org web10 web1.other my-web1 web1: web1.") == (
        "a b web10 web1.other my-web1 a: a."
    )


def test_a_network_becomes_the_labs_and_one_without_counterpart_is_a_stranger() -> None:
    names = Names({}, {ip_address("203.0.113.7"): ip_address("10.99.0.1")})
    assert names.text("-s 203.0.113.0/24 [2001:db8::1]:80") == "-s 10.99.0.0/24 [2001:db8::1]:80"
    assert not names.has_strangers("-s 203.0.113.0/24 -d 0.0.0.0/0 127.0.0.1")
    assert names.has_strangers("-s 198.51.100.0/24")
    assert names.has_strangers("-d 2001:db8::1/128")


def test_the_lab_has_the_hosts_of_the_tapes_inventory_and_other_vips() -> None:
    found = image("done-ipvsadm")
    assert [service.name for service in found.lab.services] == ["search", "static"]
    assert {host.name for host in found.lab.servers} == {"web1", "web2", "web3"}
    vip = found.lab.service("static").vips[0]
    assert found.names.addresses[ip_address("10.99.0.3")] == vip != ip_address("10.99.0.3")


def test_a_tape_without_a_site_has_no_lab() -> None:
    was = tape("check")
    without = replace(was, header=replace(was.header, arguments={}))
    with pytest.raises(TapeError, match=r"check\.tape: its run had no site"):
        image_of(without)


def test_a_tape_with_more_hosts_than_a_lab_holds_names_the_limit_and_no_temporary_folder() -> None:
    was = tape("check")
    hosts = "".join(f"    h{number}: [search, web]\n" for number in range(60))
    nodes = f"lab:\n  edge:\n{hosts}"
    large = replace(
        was, header=replace(was.header, inventory={**was.header.inventory, "nodes/lab.yaml": nodes})
    )
    with pytest.raises((LabError, TapeError)) as raised:
        image_of(large)
    assert "check.tape" in str(raised.value)
    assert "40" in str(raised.value)
    assert "ferryman-replay-" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "host", "what"),
    [
        ("refused-rp-filter", "web2", ["rp_filter of ipip0 was 1"]),
        ("refused-rp-filter", "web1", []),
        ("refused-tunnel-device", "web1", ["ipip0: ipip, down, external, 127.0.0.42/32"]),
        ("refused-rp-filter-persisted", "web3", ["/etc/sysctl.d/99-other.conf had another text"]),
        ("refused-clamp", "web2", ["other firewall rules of IPv4"]),
        ("refused-firewall", "web2", ["other firewall rules of IPv4"]),
    ],
)
def test_what_was_wrong_with_a_host_is_what_differs_from_a_sound_one(
    name: str, host: str, what: list[str]
) -> None:
    assert [change.what for change in changes(name, "done-ipvsadm", host)] == what


def test_a_missing_vip_is_taken_off_and_one_that_is_there_is_put_on() -> None:
    of = image("refused-vip")
    was, now = (state(name).realservers["web3"].facts for name in ("refused-vip", "done-ipvsadm"))
    host = of.lab.by_name["web3"]
    gone = list(Realserver(of.lab, host, of.names, was, now).changes())
    assert {command for change in gone for command in change.commands} == {
        f"ip addr del {vip}/32 dev lo" for service in of.lab.services for vip in service.vips
    }
    same = Names({}, {vip: vip for service in of.lab.services for vip in service.vips})
    back = list(Realserver(of.lab, host, same, now, was).changes())
    assert any(command.startswith("ip addr add") for change in back for command in change.commands)


def test_pods_with_a_large_mtu_get_it_in_their_own_namespaces() -> None:
    found = changes("refused-pod-mtu", "done-kubernetes", "node1")
    assert {(change.where, *change.commands) for change in found if change.where} == {
        (pod, "ip link set eth0 mtu 1500") for pod in ("node1-pod1", "node1-pod2")
    }


def test_a_host_that_could_not_be_reached_is_told_apart_from_one_that_failed_later() -> None:
    assert state("refused-unreachable").unreachable == ["web2"]
    assert state("refused-unreachable").meanwhile == []
    later = state("stranded")
    assert later.unreachable == []
    assert any(what.startswith("lvs2: failed: ") for what in later.meanwhile)
    assert later.judged_phases


def test_what_struck_in_the_middle_of_a_run_is_told_with_the_moment() -> None:
    found = state("rolled-back")
    assert "web2: a probe ended otherwise than at first" in found.meanwhile
    assert found.judged_phases
    told = unlike(tape("rolled-back"), image("rolled-back"), found).told
    assert any(what.startswith("changed during the recorded run: web2: a probe") for what in told)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("lying-director", "the watch found director-table of lvs2 otherwise"),
        ("edited-meanwhile", "somebody edited the catalog"),
        ("interrupted", "the run was sent SIGTERM"),
    ],
)
def test_what_others_did_in_the_middle_of_a_run_is_told(name: str, what: str) -> None:
    assert any(each.startswith(what) for each in state(name).meanwhile), state(name).meanwhile
    assert state(name).judged_phases


@pytest.mark.parametrize(
    "name", ["done-ipvsadm", "done-keepalived", "done-kubernetes", "done-dual-stack", "scheduler"]
)
def test_what_a_run_itself_changed_did_not_strike_in_its_middle(name: str) -> None:
    assert state(name).meanwhile == []
    assert state(name).judged_phases is None


def test_a_director_that_differed_gets_the_recorded_table() -> None:
    names = image("refused-director-differs").names
    recorded = state("refused-director-differs").tables["lvs2"]
    sound = directors.wanted(state("refused-director-differs").tables["lvs1"], names)
    delete, restore = directors.commands(recorded, sound, names)
    assert delete == f"ipvsadm -D -t {names.text('10.99.0.3')}:8081"
    assert "10.10.0.21:8081" not in restore
    assert "10.10.0.22:8081" in restore
    assert not list(directors.commands(recorded, directors.wanted(recorded, names), names))


def test_weights_of_a_table_are_those_of_keepalived_in_the_lab_too() -> None:
    of = image("done-keepalived")
    table = directors.wanted(state("done-keepalived").tables["lvs1"], of.names)
    assert directors.keepalived_files(of.lab, "lvs1", table) == {}
    heavy = tuple(
        replace(server, destinations=tuple(replace(each, weight=7) for each in server.destinations[:1]))
        for server in table
        if server.vip in of.lab.service("maps").vips
    )
    ((path, text),) = directors.keepalived_files(of.lab, "lvs1", heavy).items()
    assert path == "/etc/keepalived/services/maps.conf"
    assert [line.split()[1] for line in text.splitlines() if "weight" in line] == ["7", "1", "1"]


def test_entries_of_others_are_told_and_left_out() -> None:
    names, table = image("done-ipvsadm").names, state("done-ipvsadm").tables["lvs1"]
    assert directors.strangers(table, names)
    assert {server.vip for server in directors.wanted(table, names)} <= set(names.addresses.values())


def test_a_rule_about_nobody_in_the_lab_is_left_out() -> None:
    names = Names({}, {ip_address("203.0.113.7"): ip_address("10.99.0.1")})
    rules = (
        "# Generated\n*filter\n:INPUT DROP [7:420]\n-A INPUT -s 198.51.100.9/32 -j ACCEPT\n"
        "-A INPUT -d 203.0.113.7/32 -i cali1 -j ACCEPT\nCOMMIT\n"
    )
    assert firewall.mapped(rules, names, {"cali1": "cali2"}) == (
        "*filter",
        ":INPUT DROP [0:0]",
        "-A INPUT -d 10.99.0.1/32 -i cali2 -j ACCEPT",
        "COMMIT",
    )


def test_a_file_with_a_shells_own_signs_reaches_the_host_as_text(tmp_path: Path) -> None:
    hostile = "x = 1'; touch /tmp/no; $(touch /tmp/no) `id`\n%s\\n"
    was, now = (state(name).realservers["web1"].facts for name in ("check", "done-ipvsadm"))
    file = "/etc/sysctl.d/99-x.conf"
    files = SysctlFiles({file: hostile}, systemd=False)
    of = image("check")
    facts = replace(was, persisted=files)
    found = [
        command
        for change in Realserver(of.lab, of.lab.by_name["web1"], of.names, facts, now).changes()
        for command in change.commands
        if command.startswith("printf")
    ]
    (command,) = found
    target = tmp_path / "file"
    subprocess.run(["/bin/sh", "-c", command.replace(file, shlex.quote(str(target)))], check=True)
    assert target.read_text() == hostile


def test_a_device_whose_name_is_no_devices_is_not_made() -> None:
    was, now = (state(name).realservers["web1"].facts for name in ("check", "done-ipvsadm"))
    assert isinstance(was.devices, dict)
    name = "x;reboot"
    facts = replace(was, devices={**was.devices, name: replace(was.devices["ipip0"], name=name)})
    of = image("check")
    found = list(Realserver(of.lab, of.lab.by_name["web1"], of.names, facts, now).changes())
    assert not any("reboot" in command for change in found for command in change.commands)


def test_a_driver_that_does_not_run_in_a_lab_is_told_and_its_director_not_judged() -> None:
    was = tape("done-ipvsadm")
    files = dict(was.header.inventory)
    files["directors.yaml"] = files["directors.yaml"].replace("driver: ipvsadm", "driver: liberica")
    other = replace(was, header=replace(was.header, inventory=files))
    found = unlike(other, image("done-ipvsadm"), state("done-ipvsadm"))
    assert "lvs1: what the driver liberica does there" in found.told
    assert found.covers("ipvs-table", "lvs1")
    assert not found.covers("rp-filter", "web1")


def test_a_table_that_health_checks_changed_is_not_judged() -> None:
    was = tape("refused-listener")
    at, asked = [
        (at, entry)
        for at, entry in enumerate(was.entries)
        if (entry.data.get("verb"), entry.data.get("host")) == ("director-state", "lvs2")
    ][-1]
    servers = asked.data["value"]["table"]["$tuple"]
    (gone, *others) = servers[0]["destinations"]["$tuple"]
    first = {**servers[0], "destinations": {"$tuple": others}}
    data = {**asked.data, "verb": "ipvs-table", "value": {"$tuple": [first, *servers[1:]]}}
    again = replace(asked, data=data)
    told = replace(was, entries=(*was.entries[: at + 1], again, *was.entries[at + 1 :]))
    found = unlike(told, image_of(told), state_of(told))
    assert gone
    assert found.covers("ipvs-table", "lvs2")
    assert not found.covers("listener", "web1")


def test_the_command_has_the_tapes_arguments_and_none_is_taken_for_an_option() -> None:
    cookbook = find_cookbooks([REPOSITORY / "cookbooks"]).find("migrate").load()
    was = tape("rolled-back").header
    header = replace(was, arguments={**was.arguments, "service": "--config=x", "accept_irreversible": True})
    words = words_of(cookbook, header, Names({}, {}))
    assert words[:3] == ["migrate", "--yes", "--on-doubt=hold"]
    assert {"--site=lab", "--soak=4.0", "--accept-irreversible"} <= set(words)
    assert words[-2:] == ["--", "--config=x"]


def test_the_labs_configuration_has_the_tapes_and_can_be_read(tmp_path: Path) -> None:
    config = {
        **tape("check").header.config,
        "catalog": {"review": "git"},
        "probe": {"timeout": 0.3, "outer_source": {"ipv4": "203.0.113.7", "ipv6": "100::1"}},
        "traffic": {"download": "/large.bin"},
    }
    names = Names({}, {ip_address("203.0.113.7"): ip_address("10.10.0.11")})
    (tmp_path / "ferryman.toml").write_text(toml_of(config, names, [tmp_path]))
    (tmp_path / "inventory").mkdir()
    found = load(tmp_path / "ferryman.toml")
    assert str(found.probe.outer_source.ipv4) == "10.10.0.11"
    assert found.traffic.download == "/download"


def test_an_answer_that_changed_between_two_looks_is_told() -> None:
    was = tape("check")
    facts = next(entry for entry in was.entries if entry.data.get("verb") == "facts")
    text = facts.data["value"]["$printed"]["stdout"]
    other = text.replace("/rp_filter:0\n", "/rp_filter:1\n")
    assert other != text
    printed = {**facts.data["value"]["$printed"], "stdout": other}
    again = Entry(0.0, "call", {**facts.data, "value": {"$printed": printed}})
    found = state_of(replace(was, entries=(*was.entries, again)))
    assert found.meanwhile == [f"{facts.data['host']}: another state than at first"]


def test_a_host_that_boots_otherwise_than_the_labs_is_told() -> None:
    of, was = image("check"), state("check")
    like = "".join(
        f"/etc/{path.partition('/web1/')[2]}:{number}:{line}\n"
        for path, text in persistent_files(of.lab, of.lab.by_name["web1"]).items()
        for number, line in enumerate(text.splitlines(), 1)
    )
    ufw = "/etc/ufw/ufw.conf:1:ENABLED=yes\n/etc/ufw/ufw.conf:2:IPT_SYSCTL=/etc/ufw/sysctl.conf\n"
    ufw += "/etc/ufw/sysctl.conf:1:net/ipv4/conf/all/rp_filter=1\n"
    for text, told in ((like, False), (f"{like}{ufw}", True), ("", True)):
        boot = boot_of(text, "boot\nthere /sbin/ifup\n", systemd=False)
        seen = was.realservers["web1"]
        other = replace(seen, facts=replace(seen.facts, boot=boot))
        found = unlike(tape("check"), of, replace(was, realservers={**was.realservers, "web1": other}))
        assert found.covers("tunnel-persisted", "web1") is told
        assert found.covers("rp-filter-persisted", "web1") is told
