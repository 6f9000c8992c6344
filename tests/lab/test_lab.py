"""The lab itself: what it is made of, and what it keeps apart."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tenacity
import yaml

import ferryman
from ferryman import lab as the_lab
from ferryman.inventory import Inventory
from ferryman.lab import topology
from ferryman.lab.provision import DOWNLOAD_BYTES
from ferryman.model import Forwarding, host_port
from ferryman.retry import poll_until
from lab.observe import curl, tables
from lab.running import REPOSITORY
from tools import skip_or_fail

if TYPE_CHECKING:
    from lab.running import RunningLab

pytestmark = pytest.mark.lab

ALL_VIPS = [(service, vip) for service in topology.DEFAULT.services for vip in service.vips]
VIP_IDS = [f"{service.name}-{vip}" for service, vip in ALL_VIPS]
URLS = [f"http://{host_port(vip, service.port)}" for service, vip in ALL_VIPS]

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
from ferryman.lab import LabPaths, enter
enter(LabPaths.of(Path(sys.argv[1])))
enter(LabPaths.of(Path(sys.argv[1])))
import os
os.execvp(sys.argv[2], sys.argv[2:])
"""


def probed(lab: RunningLab, *services: str) -> dict[tuple[str, str], tuple[str, int | None]]:
    """What each realserver answered to an encapsulated SYN, by host and VIP."""
    names = ",".join(services)
    done = lab.run_in_control([sys.executable, "-c", PROBE, str(lab.folder), names])
    assert done.returncode == 0, done.stderr
    return {(host, vip): (verdict, mss) for host, vip, verdict, mss in json.loads(done.stdout)}


def new_connections(lab: RunningLab) -> dict[str, int]:
    """How many connections each director has seen begin; the sums in ip_vs_stats lag by two seconds."""
    return {
        director.name: int(
            lab.console(director.name, "grep ' 0 ' /proc/net/ip_vs_stats_percpu").split()[1], 16
        )
        for director in topology.DEFAULT.directors
    }


# What it is made of


def test_every_realserver_answers_an_encapsulated_syn_with_a_mss_that_fits(lab: RunningLab) -> None:
    names = [service.name for service in topology.DEFAULT.services]
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
    for name in (service.name for service in topology.DEFAULT.services):
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
    for host in topology.DEFAULT.by_name:
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
        assert poll_until(maps, lambda seen: seen == {"Tunnel"}, within_s=60) == {"Tunnel"}
    finally:
        lab.console("lvs2", f"sed -i 's/lvs_method TUN/lvs_method DR/' {file}; {reload}")
    assert poll_until(maps, lambda seen: seen == {"Route"}, within_s=60) == {"Route"}


INSIDE = """
cd /tmp
mkdir -p inner
export PYTHONPATH=/lab/share/shown PYTHONDONTWRITEBYTECODE=1
/usr/bin/python3 -c 'import ferryman.lab' 2>&1 || {{ echo cannot; exit 0; }}
exec /usr/bin/python3 - <<'END' 2>&1
import json, subprocess
from pathlib import Path
from ferryman.lab import LabPaths, down, engines, exec_argv, up
place = LabPaths.of(Path("/tmp/inner"))
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
    for package in (ferryman, tenacity, yaml):  # all that the lab's part of the package imports
        lab.show(Path(inspect.getfile(package)).parent)
    urls = [f"{url}/" for url in URLS]
    said = the_lab.console(lab.place, "client", INSIDE.format(urls=urls), timeout_s=110)
    if "cannot" in said.split():
        skip_or_fail(f"the system's own Python cannot run the package: {said.splitlines()[-2]}")
    engine, all_answer, answers = json.loads(said.splitlines()[-1])
    assert (engine, all_answer) == ("netns", True)
    assert len(answers) == len(URLS)


def test_hosts_see_what_is_shown_to_them_wherever_it_comes_from_and_as_it_is_now(
    lab: RunningLab, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    (folder / "catalog").write_text("old\n")
    (folder / "catalog").chmod(0o600)
    shown, there = lab.show(folder)
    assert lab.console("lvs1", f"cat {there}/catalog") == "old\n"
    (shown / "new").write_text("new\n")
    (shown / "new").rename(shown / "catalog")
    assert lab.console("lvs1", f"cat {there}/catalog") == "new\n"


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
