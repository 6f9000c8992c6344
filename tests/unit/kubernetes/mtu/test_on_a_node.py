"""The nodes' scripts in a real shell, with real ip(8), network namespaces, devices and routes.

The namespaces are in one of the test's own (``unshare``), so that nothing of this machine is touched.
"""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.hosts.completed import Completed
from ferryman.hosts.verbs.pods import EditPodRoutes, ReadPodNetworks, RouteEdit, edit_commands, with_advmss
from ferryman.realservers.facts import Unknown
from ferryman.realservers.facts.pods import NodePods, node_pods
from tools import require_tool, skip_or_fail

if TYPE_CHECKING:
    from ferryman.hosts.verbs import Verb

ADDRESS, ADDRESS6 = ip_address("10.244.0.9"), ip_address("fd24::9")
FOUR = "default via 169.254.1.1 dev eth0"
SIX = "default via fe80::1 dev eth0 metric 1024 pref medium"
NODE = """
set -e
mount -t tmpfs none /run
mount -t tmpfs none /etc/cni 2>/dev/null || { mkdir -p /run/cni; }
ip netns add cni-a 2>/dev/null
ip link add cali1 mtu 1500 type veth peer name eth0 netns cni-a mtu 1480
ip link set cali1 up
ip -n cni-a link set eth0 up
ip -n cni-a addr add 10.244.0.9/32 dev eth0
ip -n cni-a -6 addr add fd24::9/128 dev eth0 nodad
ip -n cni-a route add 169.254.1.1 dev eth0 scope link
ip -n cni-a route add default via 169.254.1.1 dev eth0
ip -n cni-a -6 route add default via fe80::1 dev eth0 metric 1024
"""


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """Skip everything here where no network namespace can be made."""
    require_tool("unshare", package="util-linux")
    require_tool("ip", package="iproute2")
    probe = ["unshare", "-Urnm", "sh", "-c", "mount -t tmpfs none /run && ip netns add x"]
    if subprocess.run(probe, capture_output=True, check=False, timeout=20).returncode:
        skip_or_fail("no network namespace can be made here")


def on_a_node(*verbs: Verb[Any], before: str = "") -> list[Any]:
    """The values of verbs that a node is asked one after the other; ``before`` is what was done to it."""
    parts = [NODE, before]
    for number, verb in enumerate(verbs):
        script = shlex.join(["sh", "-c", verb.script, "sh", *verb.words])
        parts.append(f"set +e; {script} >/run/out{number} 2>/run/err{number}")
        parts.append(f"echo $? >/run/status{number}; set -e")
    names = " ".join(
        f"/run/{name}{number}" for number in range(len(verbs)) for name in ("status", "out", "err")
    )
    parts.append(f"for f in {names}; do base64 -w0 $f; echo; done")
    command = ["unshare", "-Urnm", "sh", "-c", "\n".join(parts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    texts = [_text(line) for line in done.stdout.splitlines()]
    return [
        verb.value(Completed("node1", verb.shown, int(status), out, err))
        for verb, status, out, err in zip(verbs, texts[::3], texts[1::3], texts[2::3], strict=True)
    ]


def _text(line: str) -> str:
    return base64.b64decode(line).decode()


def edit(version: int, before: str, after: str) -> EditPodRoutes:
    return EditPodRoutes("cni-a", ADDRESS, (RouteEdit(version, before, after),))


def test_a_pod_is_found_by_its_addresses_with_both_ends_and_both_routes() -> None:
    (reading,) = on_a_node(ReadPodNetworks())
    network = reading.network_of({ADDRESS6})
    assert (network.namespace, network.end.mtu, network.host_end.name) == ("cni-a", 1480, "cali1")
    assert network.host_end.mtu == 1500
    assert network.pod.routes == {4: FOUR, 6: SIX}
    assert network.addresses == {ADDRESS, ADDRESS6}


def test_the_mss_is_lowered_and_put_back_exactly_in_both_families() -> None:
    both = (RouteEdit(4, FOUR, with_advmss(FOUR, 1420)), RouteEdit(6, SIX, with_advmss(SIX, 1400)))
    there = EditPodRoutes("cni-a", ADDRESS, both)
    back = EditPodRoutes("cni-a", ADDRESS6, tuple(RouteEdit(e.version, e.wanted, e.expected) for e in both))
    done, again, eased, undone, undone_again, after = on_a_node(
        there, there, ReadPodNetworks(), back, back, ReadPodNetworks()
    )
    assert (done, again, undone, undone_again) == ("done",) * 4
    routes = eased.network_of({ADDRESS}).pod.routes
    assert routes == {4: f"{FOUR} advmss 1420", 6: SIX.replace(" pref", " advmss 1400 pref")}
    assert eased.network_of({ADDRESS}).end.mtu == 1480, "no device is touched"
    assert after.network_of({ADDRESS}).pod.routes == {4: FOUR, 6: SIX}


def test_a_route_that_somebody_else_changed_is_left_alone() -> None:
    theirs = f"ip -n cni-a route change {FOUR} advmss 1000"
    outcome, reading = on_a_node(edit(4, FOUR, f"{FOUR} advmss 1420"), ReadPodNetworks(), before=theirs)
    assert outcome == "other"
    assert reading.network_of({ADDRESS}).pod.routes[4] == f"{FOUR} advmss 1000"


@pytest.mark.parametrize("before", ["ip netns del cni-a", "ip -n cni-a addr del 10.244.0.9/32 dev eth0"])
def test_a_pod_that_is_gone_or_another_one_by_now_is_left_alone(before: str) -> None:
    (outcome,) = on_a_node(edit(4, FOUR, f"{FOUR} advmss 1420"), before=before)
    assert outcome == "gone"


@pytest.mark.parametrize(
    "route",
    ["default via 10.0.0.1 dev eth0; reboot", "default dev eth0\nx", "10.0.0.0/8 dev eth0", ""],
)
def test_nothing_but_a_default_route_becomes_words_of_a_command(route: str) -> None:
    with pytest.raises(Exception, match="expected a tuple of edits of default routes"):
        edit(4, FOUR, route)


def test_the_commands_are_shown_as_people_would_type_them() -> None:
    assert edit_commands("cni-a", (RouteEdit(4, FOUR, f"{FOUR} advmss 1420"),)) == [
        "ip -4 -n cni-a route change default via 169.254.1.1 dev eth0 advmss 1420"
    ]


def answer(cni: str, owners: str = "", pods: str = "", status: int = 0) -> NodePods:
    """What is made of an answer with these sections."""
    parts = {"host": "[]", "pods": pods, "cni": cni, "owners": owners}
    text = "ferryman-facts @@aa11\n"
    for name, said in parts.items():
        text += f"@@aa11 begin {name}\n{said}\n@@aa11 end {name} {status if name == 'pods' else 0}\n"
    return node_pods("node1", text)


def conflist(path: str, mtu: object) -> str:
    return f"{path}:" + json.dumps({"plugins": [{"type": "calico", "mtu": mtu}, {"type": "portmap"}]})


def test_the_configuration_that_is_used_is_the_first_by_name_with_who_claims_it() -> None:
    first, second = "/etc/cni/net.d/10-a.conflist", "/etc/cni/net.d/20-b.conflist"
    cni = answer(
        f"{conflist(second, 1460)}\n{conflist(first, 1500)}",
        f"changed 1700000000 {first}\npuppet {first}\npackage calico-cni: {second}\nmanages true",
    ).cni
    assert not isinstance(cni, Unknown)
    assert cni.used is not None
    assert (cni.used.path, cni.new_mtu, cni.used.writers, cni.manages) == (first, 1500, ("Puppet",), "true")
    assert cni.files[1].writers == ("the package calico-cni",)


@pytest.mark.parametrize("mtu", [0, "__CNI_MTU__", None, True])
def test_an_mtu_that_is_left_to_calico_is_the_one_that_felix_wrote(mtu: object) -> None:
    path = "/etc/cni/net.d/10-a.conflist"
    cni = answer(f"{conflist(path, mtu)}\n/var/lib/calico/mtu:1450").cni
    assert not isinstance(cni, Unknown)
    assert cni.new_mtu == 1450


def test_a_first_file_that_is_broken_or_another_folder_says_nothing_of_new_pods() -> None:
    broken = answer("/etc/cni/net.d/00-x.conf:{").cni
    elsewhere = answer(conflist("/etc/cni/net.d/10-a.conflist", 1460), "folder /opt/cni/conf").cni
    for cni in (broken, elsewhere):
        assert not isinstance(cni, Unknown)
        assert cni.new_mtu is None


@pytest.mark.parametrize("text", ["", "nonsense", "ferryman-facts @@aa11\n@@aa11 begin pods\n{{\n"])
def test_an_answer_that_is_garbled_is_unknown(text: str) -> None:
    reading = node_pods("node1", text, "sh: ip: not found")
    assert isinstance(reading.pods, Unknown)
    assert isinstance(reading.cni, Unknown)
