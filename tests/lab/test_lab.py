"""The lab itself: what it is made of, what it keeps apart, and that nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic
import pytest

from ferryman import lab as the_lab
from ferryman.errors import LabError
from ferryman.inventory import Inventory
from ferryman.lab import faults, holder, topology
from ferryman.lab.furnish import DOWNLOAD_BYTES
from ferryman.model import Forwarding, host_port
from ferryman.patience import until
from lab.running import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.lab import LabPlace
    from lab.running import RunningLab

pytestmark = pytest.mark.lab

ALL_VIPS = [(service, vip) for service in topology.SERVICES for vip in service.vips]
VIP_IDS = [f"{service.name}-{vip}" for service, vip in ALL_VIPS]
URLS = [f"http://{host_port(vip, service.port)}" for service, vip in ALL_VIPS]
SLOW_S = 240

PROBE = """
import json, sys
from pathlib import Path
from ferryman.config import ProbeConfig
from ferryman.inventory import Inventory
from ferryman.probe import Prober, probe_targets
inventory = Inventory.load(Path(sys.argv[1]) / "inventory")
names = sys.argv[2].split(",")
targets = [target for name in names for target in probe_targets(inventory.service(name, "lab"))]
results = Prober(ProbeConfig(timeout=0.7, tries=2)).probe(targets, lambda _: None)
print(json.dumps([[r.host, str(r.virtual_service.vip), r.verdict.value, r.mss] for r in results]))
"""
ENTER = """
import sys
from pathlib import Path
from ferryman.lab import LabPlace, enter
enter(LabPlace.of(Path(sys.argv[1])))
enter(LabPlace.of(Path(sys.argv[1])))
import os
os.execvp(sys.argv[2], sys.argv[2:])
"""


def probed(lab: RunningLab, *services: str) -> dict[tuple[str, str], tuple[str, int | None]]:
    """What each realserver answered to an encapsulated SYN, by host and VIP."""
    names = ",".join(services)
    done = lab.run_in_control([sys.executable, "-c", PROBE, str(lab.folder), names])
    assert done.returncode == 0, done.stderr
    return {(host, vip): (verdict, mss) for host, vip, verdict, mss in json.loads(done.stdout)}


def curl(lab: RunningLab, url: str, *options: str, stdin: str = "") -> str:
    done = lab.run_in_control(["curl", "-gsS", "--max-time", "20", *options, url], stdin=stdin)
    assert done.returncode == 0, f"{url}: {done.stderr}"
    return done.stdout


def tables(lab: RunningLab) -> dict[str, dict[str, set[tuple[str, str]]]]:
    """What ``ipvsadm -Ln`` says on each director: virtual service to destinations and how they get theirs."""
    found: dict[str, dict[str, set[tuple[str, str]]]] = {}
    for director in topology.DIRECTORS:
        of_director: dict[str, set[tuple[str, str]]] = {}
        current: set[tuple[str, str]] = set()
        for line in lab.console(director.name, "ipvsadm -Ln").splitlines():
            if words := re.match(r"TCP +(\S+) (.+?) *$", line):
                current = of_director.setdefault(f"{words[1]} {words[2]}", set())
            elif words := re.match(r" +-> (\S+:\d+) +(\w+)", line):
                current.add((words[1], words[2]))
        found[director.name] = of_director
    return found


def new_connections(lab: RunningLab) -> dict[str, int]:
    """How many connections each director has seen begin; the sums in ip_vs_stats lag by two seconds."""
    return {
        director.name: int(
            lab.console(director.name, "grep ' 0 ' /proc/net/ip_vs_stats_percpu").split()[1], 16
        )
        for director in topology.DIRECTORS
    }


def machine_network() -> str:
    """Devices, routes and named namespaces of the machine itself."""
    commands = ("ip -br link", "ip route show table all", "ip -6 route show table all", "ip netns list")
    return "\n".join(
        subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
        for command in commands
    )


def processes_of(place: LabPlace) -> list[str]:
    """Every process whose command line names the lab's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(place.root).encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
    return found


def assert_nothing_is_left(place: LabPlace) -> None:
    assert not place.root.exists()
    assert str(place.root) not in Path("/proc/self/mountinfo").read_text()
    # a key that was being made when its maker was killed takes some milliseconds more to come to its end
    assert until(lambda: processes_of(place), lambda left: not left, within_s=5) == []


def guest_processes(place: LabPlace) -> list[int]:
    return [
        int(pid)
        for pid in processes_of(place)
        if b"linux.uml" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    ]


# What it is made of


def test_every_realserver_answers_an_encapsulated_syn_with_a_mss_that_fits(lab: RunningLab) -> None:
    names = [service.name for service in topology.SERVICES]
    answers = probed(lab, *names)
    wanted = {(host, str(vip)) for service, vip in ALL_VIPS for host in service.realservers}
    assert set(answers) == wanted
    assert {verdict for verdict, _ in answers.values()} == {"accepted"}
    assert {
        mss for (host, vip), (_, mss) in answers.items() if host.startswith("web") and ":" not in vip
    } == {1440}
    assert {mss for (host, vip), (_, mss) in answers.items() if ":" in vip} == {1400}
    assert {mss for (host, _), (_, mss) in answers.items() if host.startswith("node")} == {1420}


def test_both_directors_tables_are_as_the_catalog_says(lab: RunningLab) -> None:
    inventory = Inventory.load(lab.folder / "inventory")
    wanted: dict[str, set[tuple[str, str]]] = {}
    for name in (service.name for service in topology.SERVICES):
        service = inventory.service(name, "lab")
        how = Forwarding.TUNNEL if service.encapsulated else Forwarding.DIRECT
        for virtual in service.virtual_services:
            flags = f" ({','.join(virtual.scheduler_flags)})" if virtual.scheduler_flags else ""
            destinations = wanted.setdefault(
                f"{host_port(virtual.vip, virtual.port)} {virtual.scheduler}{flags}", set()
            )
            for realserver in service.realservers:
                address = realserver.address_for(virtual.vip)
                assert address is not None
                destinations.add((host_port(address, virtual.port), how.word))
    assert tables(lab) == {"lvs1": wanted, "lvs2": wanted}


@pytest.mark.parametrize("url", URLS, ids=VIP_IDS)
def test_small_and_large_requests_pass_through_every_vip(lab: RunningLab, url: str) -> None:
    assert re.fullmatch(r"(web|node)\d(-pod\d)?\n", curl(lab, f"{url}/"))
    size = curl(lab, f"{url}/download", "--output", "/dev/null", "--write-out", "%{size_download}")
    assert int(size) == DOWNLOAD_BYTES
    body = "x" * DOWNLOAD_BYTES
    answered = curl(lab, f"{url}/upload", "--data-binary", "@-", "-H", "Expect:", stdin=body)
    assert int(answered) == DOWNLOAD_BYTES


def test_an_upload_without_a_length_is_counted_all_the_same(lab: RunningLab) -> None:
    body = "x" * 300_000
    chunked = ("--data-binary", "@-", "-H", "Transfer-Encoding: chunked")
    assert int(curl(lab, f"{URLS[0]}/upload", *chunked, stdin=body)) == len(body)


@pytest.mark.parametrize("url", URLS, ids=VIP_IDS)
def test_the_second_address_of_control_reaches_vips_through_the_secondary_director(
    lab: RunningLab, url: str
) -> None:
    source = str(topology.CANARY_ADDRESSES[url.startswith("http://[")])
    before = new_connections(lab)
    curl(lab, f"{url}/", "--interface", source)
    after = new_connections(lab)
    assert (after["lvs1"] - before["lvs1"], after["lvs2"] - before["lvs2"]) == (0, 1)


def test_every_host_answers_ssh_by_name_and_runs_as_root_without_shell_start_up(lab: RunningLab) -> None:
    for host in topology.BY_NAME:
        argv = the_lab.exec_argv(lab.place, host, ["sh", "-c", "id -u; ls -A ~"])
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
        assert done.stdout == "0\n", host


def test_kubernetes_nodes_keep_strict_filtering_for_pods_and_loose_for_the_tunnel(lab: RunningLab) -> None:
    script = (
        "cd /proc/sys/net/ipv4/conf; cat all/rp_filter default/rp_filter ipip0/rp_filter; cat cali*/rp_filter"
    )
    assert lab.console("node1", script).split() == ["0", "1", "0", "1", "1"]


def test_each_host_has_its_own_keepalived_and_sysctl_folders(lab: RunningLab) -> None:
    lab.console("lvs1", "echo mine >/etc/keepalived/services/own.note; echo mine >/etc/sysctl.d/own.note")
    try:
        listed = lab.console("lvs2", "ls /etc/keepalived/services /etc/sysctl.d")
        assert "own.note" not in listed
        assert "web.conf" in listed
    finally:
        lab.console("lvs1", "rm /etc/keepalived/services/own.note /etc/sysctl.d/own.note")


def test_keepalived_takes_a_service_to_the_tunnel_on_reload(lab: RunningLab) -> None:
    file = "/etc/keepalived/services/maps.conf"
    reload = "kill -HUP $(cat /run/keepalived-lvs2.pid)"

    def maps() -> set[str]:
        table = tables(lab)["lvs2"]["10.99.0.2:8080 mh (mh-port)"]
        return {how for _, how in table}

    lab.console("lvs2", f"sed -i 's/lvs_method DR/lvs_method TUN/' {file}; {reload}")
    try:
        assert until(maps, lambda seen: seen == {"Tunnel"}, within_s=15) == {"Tunnel"}
    finally:
        lab.console("lvs2", f"sed -i 's/lvs_method TUN/lvs_method DR/' {file}; {reload}")
    assert until(maps, lambda seen: seen == {"Route"}, within_s=15) == {"Route"}


INSIDE = """
cd /tmp
mkdir -p inner
export PYTHONPATH={path} PYTHONDONTWRITEBYTECODE=1
/usr/bin/python3 -c 'import ferryman.lab' 2>&1 || {{ echo cannot; exit 0; }}
exec /usr/bin/python3 - <<'END' 2>&1
import json, subprocess
from pathlib import Path
from ferryman.lab import LabPlace, down, engines, exec_argv, up
place = LabPlace.of(Path("/tmp/inner"))
try:
    status = up(place, "auto", within_s=80)
    fetched = exec_argv(place, "control", ["curl", "-gsS", "--max-time", "20", *{urls}])
    answers = subprocess.run(fetched, capture_output=True, text=True).stdout.split()
    print(json.dumps([status.engine, all(status.hosts.values()), answers]))
finally:
    down(place)
assert not place.root.exists()
END
"""


def test_a_machine_whose_own_kernel_is_able_needs_no_guest(lab: RunningLab) -> None:
    """The lab's own kernel is such a machine: a second lab comes up inside the first."""
    path = f"{REPOSITORY / 'lib'}:{Path(pydantic.__file__).parents[1]}"
    urls = [f"{url}/" for url in URLS]
    said = the_lab.console(lab.place, "client", INSIDE.format(path=path, urls=urls), timeout_s=110)
    if "cannot" in said.split():
        pytest.skip(f"the system's own Python cannot run the package: {said.splitlines()[-2]}")
    engine, all_answer, answers = json.loads(said.splitlines()[-1])
    assert (engine, all_answer) == ("netns", True)
    assert len(answers) == len(URLS)


# What it keeps apart


def test_nothing_but_the_lab_can_be_reached_from_control(lab: RunningLab) -> None:
    links = json.loads(lab.run_in_control(["ip", "-j", "link"]).stdout)
    assert {link["ifname"] for link in links} <= {"lo", "control0", "lab0"}
    assert lab.run_in_control(["ping", "-c1", "-W1", "192.0.2.1"]).returncode != 0


def test_entering_twice_is_harmless_and_reaches_the_lab(lab: RunningLab) -> None:
    command = [sys.executable, "-c", ENTER, str(lab.folder), "ip", "-br", "address"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")},
    )
    assert "10.30.0.2/24" in done.stdout


def test_root_of_the_guest_cannot_touch_the_machines_files(lab: RunningLab) -> None:
    if the_lab.status(lab.place).engine != "guest" or os.getuid() != 0:
        pytest.skip("the guest has rights of its own only where root boots it")
    mounted = "mkdir -p /tmp/machine; mount -t hostfs -o / none /tmp/machine"
    lab.console("rt", mounted)
    try:
        for folder in ("etc", "usr/bin", "root", str(REPOSITORY)[1:], str(lab.place.own)[1:]):
            lab.console("rt", f"! touch /tmp/machine/{folder}/written-by-the-guest 2>/dev/null")
            assert not Path(f"/{folder}/written-by-the-guest").exists()
        lab.console("rt", f"! cat /tmp/machine{lab.place.identity} >/dev/null 2>&1")
        lab.console("rt", "! cat /tmp/machine/etc/shadow >/dev/null 2>&1")
    finally:
        lab.console("rt", "umount /tmp/machine")


def test_what_the_guest_writes_stays_in_its_own_memory(lab: RunningLab) -> None:
    lab.console("rt", "echo gone >/etc/ferryman-was-here; rm /etc/services")
    assert not Path("/etc/ferryman-was-here").exists()
    assert Path("/etc/services").exists()


# Up and down


def test_entering_refuses_while_the_lab_is_absent(spare: LabPlace) -> None:
    ways: list[Callable[[], object]] = [
        lambda: the_lab.enter(spare),
        lambda: the_lab.exec_argv(spare, "control", ["true"]),
        lambda: the_lab.console(spare, "rt", "true"),
        lambda: faults.put(spare, "sshd-down", "web1"),
    ]
    for way in ways:
        with pytest.raises(LabError, match="the lab is not up: ferryman lab up"):
            way()
    assert the_lab.status(spare).up is False
    assert the_lab.down(spare) is False


@pytest.mark.timeout(SLOW_S)
def test_a_lab_comes_up_once_survives_the_death_of_its_guest_and_leaves_nothing(spare: LabPlace) -> None:
    before = machine_network()
    first = the_lab.up(spare)
    assert first.booted_s is not None
    assert first.booted_s < 30
    assert set(first.hosts) == set(topology.BY_NAME)
    assert all(first.hosts.values())
    second = the_lab.up(spare)
    assert (second.pid, second.booted_s) == (first.pid, None)

    found = holder.find(spare)
    assert found is not None
    if first.engine == "guest":
        os.kill(min(guest_processes(spare)), signal.SIGKILL)
        until(lambda: processes_of(spare), lambda left: not left, within_s=10, every_s=0.1)
        assert processes_of(spare) == []
    else:
        os.kill(found.pid, signal.SIGKILL)
    with pytest.raises(LabError, match="not up"):
        the_lab.enter(spare)

    third = the_lab.up(spare)
    assert all(third.hosts.values())
    assert the_lab.down(spare) is True
    assert_nothing_is_left(spare)
    assert machine_network() == before


@pytest.mark.timeout(SLOW_S)
@pytest.mark.parametrize("after_s", [0.05, 0.4, 1.5, 4.0])
def test_a_boot_that_is_killed_midway_leaves_nothing_that_down_does_not_clear(
    spare: LabPlace, after_s: float
) -> None:
    script = (
        "import sys; from pathlib import Path; from ferryman.lab import *; up(LabPlace(Path(sys.argv[1])))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(spare.root)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")},
    ) as booting:
        until(lambda: spare.root.exists() or booting.poll() is not None, bool, within_s=20, every_s=0.01)
        time.sleep(after_s)
        booting.kill()
    with pytest.raises(LabError, match="not up"):
        the_lab.enter(spare)
    the_lab.down(spare)
    assert_nothing_is_left(spare)


@pytest.mark.timeout(SLOW_S)
def test_a_boot_that_takes_too_long_is_given_up_with_the_end_of_its_log(spare: LabPlace) -> None:
    begun = time.monotonic()
    with pytest.raises(LabError, match="did not come up in time; the end of its log"):
        the_lab.up(spare, within_s=1.0)
    assert time.monotonic() - begun < 20
    assert_nothing_is_left(spare)


@pytest.mark.timeout(SLOW_S)
def test_a_guest_that_panics_is_told_from_one_that_is_slow(
    spare: LabPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferryman.lab.render.FSTAB", "lab /nowhere tmpfs defaults 0 0\n")
    with pytest.raises(LabError, match=r"died while booting(.|\n)*/nowhere: mount point does not exist"):
        the_lab.up(spare, "guest")
    assert_nothing_is_left(spare)


# Faults


@contextlib.contextmanager
def fault(lab: RunningLab, name: str, host: str) -> Iterator[None]:
    lab.put(name, host)
    try:
        assert [str(one) for one in faults.active(lab.place)] == [f"{name} on {host}"]
        assert the_lab.status(lab.place).faults == (f"{name} on {host}",)
        yield
    finally:
        lab.clear()
    assert faults.active(lab.place) == ()


def test_a_host_whose_sshd_is_down_is_seen_and_brought_back_by_the_console(lab: RunningLab) -> None:
    with fault(lab, "sshd-down", "web2"):
        hosts = the_lab.status(lab.place).hosts
        assert [name for name, answers in hosts.items() if not answers] == ["web2"]
    assert all(the_lab.status(lab.place).hosts.values())


def test_a_changed_host_key_is_refused_by_the_labs_own_known_hosts(lab: RunningLab) -> None:
    argv = the_lab.exec_argv(lab.place, "web1", ["true"])
    with fault(lab, "host-key-changed", "web1"):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 255
        assert "Host key verification failed" in done.stderr
    assert subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0


def test_a_frozen_director_takes_a_reload_and_does_nothing_until_it_thaws(lab: RunningLab) -> None:
    def maps() -> set[str]:
        return {how for _, how in tables(lab)["lvs1"]["10.99.0.2:8080 mh (mh-port)"]}

    file, reload = "/etc/keepalived/services/maps.conf", "kill -HUP $(cat /run/keepalived-lvs1.pid)"
    with fault(lab, "director-frozen", "lvs1"):
        lab.console("lvs1", f"sed -i 's/lvs_method DR/lvs_method TUN/' {file}; {reload}; sleep 2")
        assert maps() == {"Route"}
    assert until(maps, lambda seen: seen == {"Tunnel"}, within_s=15) == {"Tunnel"}
    lab.console("lvs1", f"sed -i 's/lvs_method TUN/lvs_method DR/' {file}; {reload}")
    assert until(maps, lambda seen: seen == {"Route"}, within_s=15) == {"Route"}


def test_a_wrong_configuration_fails_keepalived_s_own_test(lab: RunningLab) -> None:
    check = "keepalived -t -f /etc/keepalived/keepalived.conf >/dev/null 2>&1 && echo good || echo bad"
    assert lab.console("lvs2", check) == "good\n"
    with fault(lab, "keepalived-wrong-config", "lvs2"):
        assert lab.console("lvs2", check) == "bad\n"
    assert lab.console("lvs2", check) == "good\n"


@pytest.mark.parametrize(
    ("name", "director"), [("breaks-after-flip", "lvs2"), ("breaks-in-soak", "lvs1")], ids=str
)
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_what_breaks_later_waits_for_its_director_to_tunnel_and_then_breaks(
    lab: RunningLab, name: str, director: str, family: str
) -> None:
    vip, server = (
        ("10.99.0.3:8081", "10.10.0.21:8081") if family == "ipv4" else ("[fd99::1]:80", "[fd10::21]:80")
    )

    def filtering() -> str:
        return lab.console("web1", "cat /proc/sys/net/ipv4/conf/ipip0/rp_filter").strip()

    with fault(lab, name, "web1"):
        curl(lab, "http://10.99.0.5:9200/")
        lab.console(director, f"ipvsadm -e -t {vip} -r {server.replace('21', '22')} -i -w 1")
        assert filtering() == "0"
        lab.console(director, f"ipvsadm -e -t {vip} -r {server} -i -w 1")
        try:
            assert until(filtering, lambda value: value == "1", within_s=8) == "1"
        finally:
            for last in ("21", "22"):
                lab.console(director, f"ipvsadm -e -t {vip} -r {server.replace('21', last)} -g -w 1")
    assert filtering() == "0"


def test_clearing_a_fault_by_name_leaves_the_others(lab: RunningLab) -> None:
    lab.put("ipip0-down", "web1")
    lab.put("ipip0-down", "web2")
    lab.put("rp-filter-strict", "web1")
    assert [str(one) for one in faults.clear(lab.place, "ipip0-down", "web1")] == ["ipip0-down on web1"]
    assert [str(one) for one in faults.clear(lab.place, host="web1")] == ["rp-filter-strict on web1"]
    assert [str(one) for one in faults.active(lab.place)] == ["ipip0-down on web2"]


def test_with_the_last_fault_gone_the_health_checks_have_their_realservers_back(lab: RunningLab) -> None:
    def in_tables(last: str) -> set[str]:
        """In which tables the service that keepalived checks has this realserver."""
        return {
            name
            for name, table in tables(lab).items()
            if (f"10.10.0.{last}:80", "Route") in table["10.99.0.1:80 wrr"]
        }

    with fault(lab, "listener-closed", "web1"):
        assert until(lambda: in_tables("21"), lambda seen: not seen, within_s=20) == set()
        assert in_tables("22") == {"lvs1", "lvs2"}
    assert in_tables("21") == {"lvs1", "lvs2"}
