from __future__ import annotations

import re
import subprocess
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

import pytest

from ferryman.hosts.completed import Completed
from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.realservers.facts import (
    DECAPSULATED,
    LISTEN_DROPS,
    REVERSE_PATH_DROPS,
    Device,
    Facts,
    Listener,
    Unknown,
    counters,
    received_on,
)
from ferryman.realservers.facts.clamper import Arguments, Clamper
from ferryman.realservers.facts.parse import parse
from ferryman.realservers.facts.sysctl_d import SysctlFiles
from ferryman.tape.recording import _printed
from ferryman.tape.replaying import printed

if TYPE_CHECKING:
    from collections.abc import Callable


FACTS = ("kernel", "devices", "local_routes", "settings", "listeners", "counted", "persisted")


def unknowns(facts: Facts) -> set[str]:
    return {name for name in FACTS if isinstance(getattr(facts, name), Unknown)}


def device(facts: Facts, name: str) -> Device:
    assert not isinstance(facts.devices, Unknown)
    return facts.devices[name]


def test_an_answer_that_is_none_leaves_everything_unknown_with_what_the_host_said(
    case: Callable[[str], str],
) -> None:
    facts = parse("web1", case("refused"), "sh: not allowed")
    assert len(unknowns(facts)) == 7
    assert facts.kernel == Unknown("files: sh: not allowed")
    assert facts.nat.unread


def test_an_answer_that_was_cut_off_keeps_what_came_before(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("cut-off"))
    assert unknowns(facts) == set(FACTS) - {"devices", "local_routes"}
    assert facts.settings == Unknown("files: it is missing in the answer")
    assert device(facts, "ipip0").kind == "tun"


@pytest.mark.parametrize("size", range(0, 12_000, 997))
def test_an_answer_cut_off_anywhere_is_read_without_an_exception(
    case: Callable[[str], str], size: int
) -> None:
    parse("web1", case("bookworm-namespace")[:size])


@pytest.mark.parametrize("garbage", ["[{}]", "[1]", '{"a": 1}', "null", "[", '[{"ifname": "x"}]', "\x00"])
def test_a_garbled_section_is_unknown_and_spoils_no_other(case: Callable[[str], str], garbage: str) -> None:
    text = case("bullseye-plain")
    start = text.index("[{", text.index(" begin ip"))
    facts = parse("web1", text[:start] + garbage + text[text.index("\n", start) :])
    assert unknowns(facts) <= {"devices", "local_routes"}
    assert isinstance(facts.devices, Unknown) or facts.devices == {}
    assert facts.setting("rp_filter", "ipip0") == 0


def test_old_tools_leave_their_facts_unknown_with_their_own_complaint(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("xenial-without-json"))
    assert facts.devices == Unknown('ip: Option "-j" is unknown, try "ip -help".')
    assert unknowns(facts) == {"devices", "local_routes"}


def test_rules_that_may_not_be_read_are_told(case: Callable[[str], str]) -> None:
    unread = parse("node1", case("unprivileged")).nat.unread
    assert len(unread) == 5
    assert any("Operation not permitted" in reason for reason in unread)


def test_a_host_without_any_tool_for_rules_has_them_unread(case: Callable[[str], str]) -> None:
    assert parse("web1", case("debian-13-busybox")).nat.unread == (
        "nft: neither nft nor iptables is installed",
    )


def test_a_recorded_namespace_is_understood(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("bookworm-namespace"))
    assert unknowns(facts) == set()
    assert facts.kernel == "6.18.44-fc-v595"
    assert facts.setting("rp_filter", "all") == 1
    ipip0 = device(facts, "ipip0")
    assert (ipip0.kind, ipip0.up, ipip0.mtu, ipip0.external) == ("tun", True, 1500, False)
    assert ip_interface("127.0.0.42/32") in ipip0.addresses
    assert {str(table) for table in facts.firewall.tables} >= {
        "iptables-legacy nat",
        "iptables-nft nat",
        "nft ip x",
    }


@pytest.mark.parametrize("name", ["debian-11", "debian-13", "debian-sid"])
def test_the_tools_of_each_distribution_are_understood(case: Callable[[str], str], name: str) -> None:
    facts = parse("node1", case(name))
    assert unknowns(facts) == set()
    assert ip_interface("127.0.0.42/32") in device(facts, "ipip0").addresses
    assert not isinstance(facts.listeners, Unknown)
    assert set(facts.listeners) == {
        Listener("tcp", ip_address("0.0.0.0"), 80),
        Listener("tcp", ip_address("fd99::1"), 8080),
        Listener("udp", ip_address("192.0.2.1"), 53),
    }
    assert not isinstance(facts.local_routes, Unknown)
    assert {ip_network("192.0.2.1"), ip_network("fd99::1")} <= {
        local_route.prefix for local_route in facts.local_routes
    }
    assert not isinstance(facts.pods, Unknown)
    (end,) = [pod.end_of(device(facts, "cali1")) for pod in facts.pods]
    assert end is not None
    assert (end.mtu, device(facts, "cali1").mtu) == (1500, 1460)


@pytest.mark.parametrize(("name", "value"), [("debian-11", None), ("debian-13", "2"), ("debian-sid", "2")])
def test_what_each_distribution_persists_for_a_device_is_read(
    case: Callable[[str], str], name: str, value: str | None
) -> None:
    persisted = parse("node1", case(name)).persisted
    assert isinstance(persisted, SysctlFiles)
    assert persisted.systemd
    winner = persisted.winner("net/ipv4/conf/eth0/rp_filter")
    assert (None if winner is None else winner.value) == value
    own = persisted.winner("net/ipv4/conf/ipip0/rp_filter")
    assert own is not None
    assert str(own) == "/etc/sysctl.d/70-ipip.conf:2 (net/ipv4/conf/ipip0/rp_filter = 0)"


def test_busyboxs_answer_keeps_everything_that_is_no_json(case: Callable[[str], str]) -> None:
    facts = parse("node1", case("debian-13-busybox"))
    assert unknowns(facts) == {"devices", "local_routes"}
    assert not isinstance(facts.listeners, Unknown)
    assert Listener("tcp", ip_address("fd99::1"), 8080) in facts.listeners


def test_a_recorded_lab_host_is_understood(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("lab-web-healthy"))
    assert unknowns(facts) == set()
    ipip0, ipip60 = device(facts, "ipip0"), device(facts, "ipip60")
    assert (ipip0.kind, ipip0.external, ipip0.up, ipip0.has_ipv4) == ("ipip", True, True, True)
    assert (ipip60.kind, ipip60.external, ipip60.up) == ("ip6tnl", True, True)
    assert not device(facts, "tunl0").external
    assert facts.nat.unread == ()


def test_the_pods_devices_settings_are_read_too(case: Callable[[str], str]) -> None:
    facts = parse("node1", case("lab-node-healthy"))
    assert not isinstance(facts.devices, Unknown)
    calis = [name for name in facts.devices if name.startswith("cali")]
    assert calis
    assert all(facts.setting("rp_filter", name) in (0, 1) for name in calis)


def test_a_fallback_device_has_no_ends_of_its_own(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("bullseye-plain"))
    assert (device(facts, "tunl0").local, device(facts, "tunl0").remote) == (None, None)
    assert (device(facts, "ip6tnl0").local, device(facts, "ip6tnl0").remote) == (None, None)


def test_an_address_that_is_tentative_or_failed_is_not_usable(case: Callable[[str], str]) -> None:
    text = case("bullseye-plain")
    mark = '"local":"fd99::1",'
    facts = parse("web1", text.replace(mark, f'{mark}"dadfailed":true,', 1))
    assert device(facts, "lo").unusable == {ip_address("fd99::1")}


def test_a_greeting_before_the_answer_is_passed_over(case: Callable[[str], str]) -> None:
    facts = parse("web1", "Welcome!\n@@00 begin kernel\nnonsense\n" + case("bullseye-plain"))
    assert facts.kernel == "5.10.0-28-amd64"


def test_a_host_cannot_end_a_section_by_printing_what_looks_like_its_end(
    case: Callable[[str], str],
) -> None:
    text = case("bullseye-plain").replace("5.10.0-28-amd64", "5.10\n@@deadbeef end kernel 0 \n")
    assert parse("web1", text).devices == parse("web1", case("bullseye-plain")).devices


def test_a_setting_of_a_device_that_is_not_there_is_unknown(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("bullseye-plain"))
    assert facts.setting("rp_filter", "ipip7") == Unknown("rp_filter of ipip7 was not in the answer")


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_script_runs_here_and_is_understood(shell: str) -> None:
    question = ReadFacts()
    argv = [shell, "-c", question.script, "facts", *question.words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    facts = parse("here", done.stdout)
    assert unknowns(facts) == set()
    assert done.stdout.rstrip().endswith("done")


def test_two_questions_never_share_their_token() -> None:
    assert ReadFacts().words != ReadFacts().words
    assert ReadFacts() == ReadFacts(), "it is no part of what is asked"


def test_what_a_section_complained_of_is_read_from_standard_error(case: Callable[[str], str]) -> None:
    text, _, complaints = case("debian-13-busybox").partition("@@00c0ffee00c0ffee stderr init")
    facts = parse("web1", text, f"a warning of sshd\n@@00c0ffee00c0ffee stderr init{complaints}")
    assert facts.devices == Unknown("ip: BusyBox's answers no questions in JSON; install iproute2")


def test_a_usage_text_is_cut_short(case: Callable[[str], str]) -> None:
    text = case("xenial-without-json").replace('Option "-j" is unknown', "Usage: " + "ip " * 1000)
    facts = parse("web1", text)
    assert isinstance(facts.devices, Unknown)
    assert len(facts.devices.reason) < 400


def test_counters_are_compared_by_their_names(case: Callable[[str], str]) -> None:
    text = case("lab-node-healthy").replace("begin files\n", f"begin files\n{DEV}")
    before = counters(parse("node1", text))
    after = counters(parse("node1", text.replace("ipip0: 100 7 1 2 0 3", "ipip0: 100 9 1 2 0 3")))
    assert {name for name in after if after[name] != before[name]} == {"ipip0.rx_packets", DECAPSULATED}
    assert [
        before[f"ipip0.{name}"] for name in ("rx_packets", "rx_errors", "rx_dropped", "rx_frame_errors")
    ] == [7, 1, 2, 3]
    assert {REVERSE_PATH_DROPS, LISTEN_DROPS, "TcpExtListenOverflows"} <= set(before)
    assert received_on(after) - received_on(before) == 2


DEV = """\
/proc/net/dev:Inter-|   Receive                                                |  Transmit
/proc/net/dev: face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
/proc/net/dev:  eth0: 5000 50 0 0 0 0 0 0 0 0 0 0 0 0 0 0
/proc/net/dev: ipip0: 100 7 1 2 0 3 0 0 0 0 0 0 0 0 0 0
"""


def test_without_an_answer_there_are_no_counters(case: Callable[[str], str]) -> None:
    assert counters(parse("web1", case("refused"))) == {}


def test_each_pods_end_is_found_by_its_namespace_and_its_peer(case: Callable[[str], str]) -> None:
    facts = parse("node1", case("lab-node-healthy"))
    assert not isinstance(facts.pods, Unknown)
    ends = {
        pod.name: pod.end_of(device)
        for pod in facts.pods
        for device in facts.named("cali")
        if pod.end_of(device)
    }
    assert {name: end.mtu for name, end in ends.items() if end is not None} == {
        "node1-1": 1460,
        "node1-2": 1460,
    }


def test_a_pod_that_went_away_meanwhile_is_left_out(case: Callable[[str], str]) -> None:
    text = re.sub(r"(pod 1 node1-2\n)\[.*\]\n", r"\1", case("lab-node-healthy"))
    facts = parse("node1", text)
    assert not isinstance(facts.pods, Unknown)
    assert [pod.name for pod in facts.pods] == ["node1-1"]


def test_ipv6s_local_routes_are_read_from_the_kernels_own_table(case: Callable[[str], str]) -> None:
    prefix, none = f"fd98{28 * '0'} 40", 32 * "0"
    route = f"/proc/net/ipv6_route:{prefix} {none} 00 {none} 00000000 00000002 00000000 {{}} lo\n"
    text = case("bullseye-plain")
    for flags, local in (("80200001", True), ("00200200", False)):
        facts = parse("web1", text.replace("begin files\n", f"begin files\n{route.format(flags)}"))
        assert not isinstance(facts.local_routes, Unknown)
        assert any(str(local_route.prefix) == "fd98::/64" for local_route in facts.local_routes) is local


@pytest.mark.parametrize(
    ("config", "mtu"),
    [
        ('{"plugins": [{"type": "calico", "mtu": 1500}, {"type": "portmap"}]}', 1500),
        ('{"type": "calico", "mtu": 1460}', 1460),
        ('{"plugins": [{"type": "calico", "mtu": 0}]}', None),
        ('{"plugins": [{"type": "calico", "mtu": "__CNI_MTU__"}]}', None),
        ('{"plugins": 3}', None),
        ("[]", None),
        ("no json", None),
    ],
)
def test_the_mtu_of_new_pods_is_read_from_the_cnis_configuration(
    case: Callable[[str], str], config: str, mtu: int | None
) -> None:
    path = "/etc/cni/net.d/10-calico.conflist"
    text = case("lab-node-healthy").replace("begin files\n", f"begin files\n{path}:{config}\n")
    assert parse("node1", text).cni_mtu == ({} if mtu is None else {path: mtu})


def test_the_clampers_unit_and_its_command_line_are_read(case: Callable[[str], str]) -> None:
    token = "@@00c0ffee00c0ffee"
    shown = f"{token} begin clamper\n{case('clamper-running')}\n{token} end clamper 0\n"
    text = case("bullseye-plain").replace(f"{token} begin ip\n", f"{shown}{token} begin ip\n", 1)
    text = text.replace(
        "begin files\n", "begin files\n/proc/871/cmdline:/usr/bin/tcp-mss-clamper\0-s\0[fd99::1]:80\0\n"
    )
    clamper = parse("web1", text).clamper
    assert isinstance(clamper, Clamper)
    assert clamper.running == Arguments(("/usr/bin/tcp-mss-clamper", "-s", "[fd99::1]:80"))
    assert clamper.restart_pending


def test_a_host_of_which_it_is_not_known_how_it_boots_has_no_persisted_settings(
    case: Callable[[str], str],
) -> None:
    assert isinstance(
        parse("web1", case("bullseye-plain").replace("begin init\nsystemd", "begin init\n")).persisted,
        Unknown,
    )


def test_a_file_of_sysctl_d_that_may_not_be_read_leaves_the_persisted_settings_unknown(
    case: Callable[[str], str],
) -> None:
    said = "grep: /etc/sysctl.d/70-ferryman.conf: Permission denied"
    facts = parse("web1", case("bullseye-plain").replace("stderr files\n", f"stderr files\n{said}\n"))
    assert facts.persisted == Unknown(f"files: {said}")
    assert unknowns(facts) == {"persisted"}


def test_what_a_section_complained_of_is_on_the_tape_too(case: Callable[[str], str]) -> None:
    token, said = "00c0ffee00c0ffee", "grep: /etc/sysctl.d/70-ferryman.conf: Permission denied"
    text = case("bullseye-plain")
    done = Completed("web1", "facts", 0, text, f"@@{token} stderr files\n{said}\n")
    again = ReadFacts("0123456789abcdef")
    replayed = again.value(printed("web1", again, _printed(done, token)["value"]))
    assert replayed.persisted == Unknown(f"files: {said}")
    assert replayed == ReadFacts(token).value(done)


def test_an_empty_file_of_sysctl_d_is_there_and_empty(case: Callable[[str], str]) -> None:
    persisted = parse(
        "web1",
        case("bullseye-plain").replace("begin names\n", "begin names\n/etc/sysctl.d/50-default.conf\n"),
    ).persisted
    assert isinstance(persisted, SysctlFiles)
    assert persisted.files["/etc/sysctl.d/50-default.conf"] == ""
