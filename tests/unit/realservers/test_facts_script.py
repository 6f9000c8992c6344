"""The script of a realserver's facts on this machine: what it costs, and what it makes of odd hosts."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferryman.hosts.completed import Completed
from ferryman.hosts.verbs.realservers import ReadCounters, ReadFacts
from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.routing import Lookup, NoRoute
from tools import PATH, program, require_tool
from unit.realservers.sysctl_readers import PROCPS, in_a_root, require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.hosts.verbs import Verb
    from ferryman.realservers.facts import Facts

LOOKUPS = tuple(
    Lookup(ip_address(to), ip_address(of))
    for to, of in (("9.9.9.9", "192.0.2.1"), ("192.0.2.7", "192.0.2.1"), ("2620:fe::fe", "fd99::1"))
)
VERB = ReadFacts("0123456789abcdef", LOOKUPS)
APPENDED = "PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH\n"
SHELLS = ["dash", "bash", "busybox sh"]
UP = "ip link set lo up; ip addr add 192.0.2.1/24 dev lo; ip addr add fd99::1/128 dev lo"
FORKS, FORKS_OF_COUNTERS = 8, 2
"""Of facts: ip for each family, tc, ss, nft, and grep for /proc, for what boots, and for what that names."""

INSIDE = """
mount -t proc proc /proc || exit
{prepared}
first=$(sh -c 'echo $$')
{shell} -c {script} facts {words} >{folder}/out 2>{folder}/err </dev/null
last=$(sh -c 'echo $$')
echo $((last - first - 2))
"""
"""In a namespace of its own processes have numbers in their order; the shell and the last one are two."""


def inside(
    folder: Path, verb: Verb[object], shell: str = "dash", prepared: str = UP
) -> tuple[int, Completed]:
    """Run a verb in namespaces of its own: how many processes it began, and its answer."""
    require(PROCPS)
    text = INSIDE.format(
        prepared=prepared,
        shell=shell,
        script=shlex.quote(verb.script),
        words=shlex.join(verb.words),
        folder=folder,
    )
    as_root = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *as_root, "--net", "--mount", "--pid", "--fork", "sh", "-c", text]
    env = {**os.environ, "PATH": PATH}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
    out, err = ((folder / name).read_text(errors="surrogateescape") for name in ("out", "err"))
    return int(done.stdout.split()[-1]), Completed("here", verb.shown, 0, out, err)


def with_tools(folder: Path, *names: str, stubs: Mapping[str, str] | None = None, script: str = "") -> Facts:
    """The facts of this machine, as they are told where it has these programs alone."""
    tools = folder / "tools"
    tools.mkdir()
    for name in names:
        (tools / name).symlink_to(program(name))
    for name, text in (stubs or {}).items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    script = script or VERB.script
    assert APPENDED in script
    done = subprocess.run(
        ["/bin/sh", "-c", script.replace(APPENDED, ""), "facts", *VERB.words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tools)},
    )
    return VERB.value(Completed("here", "facts", done.returncode, done.stdout, done.stderr))


def unknowns(facts: Facts) -> Mapping[str, str]:
    parts = {name: getattr(facts, name) for name in facts.__slots__}
    return {name: part.reason for name, part in parts.items() if isinstance(part, Unknown)}


@pytest.mark.parametrize("shell", SHELLS)
def test_all_facts_take_few_programs(tmp_path: Path, shell: str) -> None:
    require_tool(shell.partition(" ")[0], package=shell.partition(" ")[0])
    require_tool("ip", "tc", "ss", package="iproute2")
    forks, answer = inside(tmp_path, VERB, shell)
    facts = VERB.value(answer)
    assert unknowns(facts) == {}
    assert len(facts.routing.found) == 3
    assert forks <= FORKS


@pytest.mark.parametrize("shell", SHELLS)
def test_counters_take_fewer(tmp_path: Path, shell: str) -> None:
    require_tool(shell.partition(" ")[0], package=shell.partition(" ")[0])
    forks, answer = inside(tmp_path, ReadCounters(), shell)
    counted = ReadCounters().value(answer)
    assert {"TcpExtListenDrops", "IpInReceives", "lo.rx_packets"} <= set(counted)
    assert forks <= FORKS_OF_COUNTERS


def test_an_address_without_ipv6_asks_ip_once(tmp_path: Path) -> None:
    forks, answer = inside(tmp_path, ReadFacts("0123456789abcdef", LOOKUPS[:2]))
    assert "begin ip6" not in answer.stdout
    assert forks <= FORKS - 1


MANY = f"""
{UP}
i=0; while [ $i -lt 1000 ]; do echo "link add a$i type veth peer name b$i"; i=$((i+1)); done | ip -batch -
i=0; while [ $i -lt 2000 ]; do
  echo "addr add 10.$((i/250)).$((i%250)).1/32 dev lo"
  echo "rule add pref $((i+100)) from 10.9.$((i/250)).$((i%250)) lookup 7"
  i=$((i+1))
done | ip -batch -
(
  echo 'table ip many {{ chain input {{ type filter hook input priority 0; '
  i=0; while [ $i -lt 2000 ]; do echo "ip saddr 10.9.$((i/250)).$((i%250)) accept"; i=$((i+1)); done
  echo '}}; }}'
) | nft -f -
"""


@pytest.mark.extended
def test_a_host_with_thousands_of_devices_addresses_rules_takes_no_more_programs(tmp_path: Path) -> None:
    require_tool("nft", package="nftables")
    forks, answer = inside(tmp_path, VERB, prepared=MANY.replace("{{", "{").replace("}}", "}"))
    facts = VERB.value(answer)
    assert forks <= FORKS
    assert unknowns(facts) == {}
    assert not isinstance(facts.devices, Unknown)
    assert not isinstance(facts.local_routes, Unknown)
    assert len(facts.devices) > 2000
    assert len(facts.devices["lo"].addresses) > 2000
    assert len(facts.local_routes) > 2000
    assert facts.setting("rp_filter", "b999") in (0, 1, 2)
    assert len(facts.routing.rules[4]) > 2000
    assert [len(chain.rules) for table in facts.firewall.tables for chain in table.chains.values()] == [2000]
    assert len(answer.stdout) < ReadFacts.limit / 8


def test_a_route_that_is_missing_is_told_by_its_number_on_standard_error(tmp_path: Path) -> None:
    _, answer = inside(tmp_path, VERB)
    assert "Command failed -:4" in answer.stderr
    facts = VERB.value(answer)
    assert isinstance(facts.routing.found[LOOKUPS[0]], NoRoute)
    assert facts.routing.found[LOOKUPS[1]] != facts.routing.found[LOOKUPS[0]]
    assert not isinstance(facts.devices, Unknown)
    without = VERB.value(Completed("here", "facts", 0, answer.stdout, ""))
    assert without.routing.found == {}, "which answer is which question's is not known then"
    assert (without.devices, without.local_routes) == (facts.devices, facts.local_routes)


EVERYTHING = ("ip", "tc", "ss", "nft", "grep")


def test_without_ip_its_parts_alone_are_unknown(tmp_path: Path) -> None:
    facts = with_tools(tmp_path, *set(EVERYTHING) - {"ip"})
    assert set(unknowns(facts)) == {"devices", "local_routes"}
    assert re.search("ip: .*not found", unknowns(facts)["devices"])
    assert facts.routing.found == {}


def test_without_ss_the_kernels_own_tables_are_read(tmp_path: Path) -> None:
    assert unknowns(with_tools(tmp_path, *set(EVERYTHING) - {"ss"})) == {}


def test_without_grep_no_file_is_known(tmp_path: Path) -> None:
    facts = with_tools(tmp_path, *set(EVERYTHING) - {"grep"})
    assert {"kernel", "settings", "counted", "persisted"} <= set(unknowns(facts))
    assert re.search("files: .*grep.*not found", str(facts.kernel))
    assert not isinstance(facts.devices, Unknown)


def test_no_tool_at_all_leaves_everything_unknown_and_nothing_fails(tmp_path: Path) -> None:
    facts = with_tools(tmp_path)
    assert {"kernel", "devices", "settings", "listeners", "counted", "persisted"} <= set(unknowns(facts))
    assert facts.firewall.unread


ASKED = {name: f"echo {name} >>{{log}}" for name in ("nft", "tc", "iptables-nft-save")}


@pytest.mark.parametrize(
    ("loaded", "modules", "asked"),
    [
        ("", "netfilter/nf_tables.ko sched/sch_ingress.ko", ""),
        ("", "netfilter/nf_tables.ko.xz sched/sch_ingress.ko.zst", ""),
        ("nf_tables sch_ingress", "netfilter/nf_tables.ko sched/sch_ingress.ko", "nft tc"),
        ("", "", "nft tc"),
        (None, "netfilter/nf_tables.ko sched/sch_ingress.ko", "nft tc"),
    ],
    ids=["not loaded", "compressed", "loaded", "built in, or not known", "no /sys"],
)
def test_what_the_kernel_has_not_loaded_is_not_asked_for(
    tmp_path: Path, loaded: str | None, modules: str, asked: str
) -> None:
    """Stand-ins for the tools, and folders for the kernel's: this machine's kernel is what it is."""
    log = tmp_path / "asked"
    log.touch()
    release = Path("/proc/sys/kernel/osrelease").read_text().strip()
    for name in modules.split():
        file = tmp_path / "modules" / release / "kernel" / "net" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    if loaded is not None:
        (tmp_path / "sys").mkdir()
        for name in loaded.split():
            (tmp_path / "sys" / name).mkdir()
    script = VERB.script.replace("/lib/modules", f"{tmp_path}/modules").replace(
        "/sys/module", f"{tmp_path}/sys"
    )
    stubs = {name: text.format(log=log) for name, text in ASKED.items()}
    facts = with_tools(tmp_path, "ip", "ss", "grep", stubs=stubs, script=script)
    assert sorted(set(log.read_text().split())) == asked.split()
    assert facts.filters == ()
    assert facts.firewall.tables == ()
    assert facts.firewall.unread == ()


def test_a_user_without_rights_learns_what_anybody_may_read(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("there are no rights to lay down")
    script = (
        "setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all sh -c"
        f" {shlex.quote(VERB.script)} facts {shlex.join(VERB.words)}"
    )
    argv = ["unshare", "--net", "sh", "-c", f"{UP}; {script}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "PATH": PATH})
    facts = VERB.value(Completed("here", "facts", 0, done.stdout, done.stderr))
    assert unknowns(facts) == {}
    assert facts.firewall.unread, "that there are no rules is not said by who may not look"


ODD = ("a b.conf", "a*b.conf", "-e.conf", "$(id).conf", "it's.conf", "a:1.conf", "ü.conf")


def answered_in_a_root(folder: Path, names: Sequence[str]) -> Facts:
    require(PROCPS)
    files = {
        f"/etc/sysctl.d/{name}": f"net.ipv4.conf.x{number}.rp_filter = 1\n".encode()
        for number, name in enumerate(names)
    }
    argv = ["/bin/sh", "-c", f"{UP}; exec 2>&1; exec sh -c {shlex.quote(VERB.script)} facts {VERB.token}"]
    return VERB.value(Completed("here", "facts", 0, in_a_root(folder, files, argv), ""))


def test_files_of_sysctl_d_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    persisted = answered_in_a_root(tmp_path, ODD).persisted
    assert not isinstance(persisted, Unknown)
    assert {name.rpartition("/")[2]: text.split()[0] for name, text in persisted.files.items()} == {
        name: f"net.ipv4.conf.x{number}.rp_filter" for number, name in enumerate(ODD)
    }


def test_a_name_with_a_newline_is_told_for_no_line_can_carry_it(tmp_path: Path) -> None:
    persisted = answered_in_a_root(tmp_path, ["a\nb.conf"]).persisted
    assert isinstance(persisted, Unknown)
    assert "newline" in persisted.reason
