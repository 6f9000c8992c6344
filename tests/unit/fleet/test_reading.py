from __future__ import annotations

import subprocess
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING

import pytest

from ferryman.fleet.facts import Device, Facts, Unknown
from ferryman.fleet.facts_script import command
from ferryman.fleet.reading import parse

if TYPE_CHECKING:
    from collections.abc import Callable


def unknowns(facts: Facts) -> set[str]:
    names = ("kernel", "clock", "devices", "local_routes", "settings", "listeners", "reverse_path_drops")
    return {name for name in names if isinstance(getattr(facts, name), Unknown)}


def device(facts: Facts, name: str) -> Device:
    assert not isinstance(facts.devices, Unknown)
    return facts.devices[name]


def test_an_answer_that_is_none_leaves_everything_unknown_with_what_the_host_said(
    case: Callable[[str], str],
) -> None:
    facts = parse("web1", case("refused"), "sh: not allowed")
    assert len(unknowns(facts)) == 7
    assert facts.kernel == Unknown("kernel: sh: not allowed")
    assert facts.nat.unread


def test_an_answer_that_was_cut_off_keeps_what_came_before(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("cut-off"))
    assert unknowns(facts) == {"settings", "listeners", "reverse_path_drops"}
    assert facts.settings == Unknown("conf: it is missing in the answer")
    assert device(facts, "ipip0").kind == "tun"


@pytest.mark.parametrize("size", range(0, 12_000, 997))
def test_an_answer_cut_off_anywhere_is_read_without_an_exception(
    case: Callable[[str], str], size: int
) -> None:
    parse("web1", case("bookworm-namespace")[:size])


@pytest.mark.parametrize("garbage", ["[{}]", "[1]", '{"a": 1}', "null", "[", '[{"ifname": "x"}]', "\x00"])
def test_a_garbled_section_is_unknown_and_spoils_no_other(case: Callable[[str], str], garbage: str) -> None:
    text = case("bullseye-plain")
    start = text.index("[{", text.index(" begin devices"))
    facts = parse("web1", text[:start] + garbage + text[text.index("\n", start) :])
    assert unknowns(facts) <= {"devices"}
    assert isinstance(facts.devices, Unknown) or facts.devices == {}
    assert facts.setting("rp_filter", "ipip0") == 0


def test_old_tools_leave_their_facts_unknown_with_their_own_complaint(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("xenial-without-json"))
    assert facts.devices == Unknown('devices: Option "-j" is unknown, try "ip -help".')
    assert unknowns(facts) == {"devices", "local_routes"}


def test_rules_that_may_not_be_read_are_told(case: Callable[[str], str]) -> None:
    unread = parse("node1", case("unprivileged")).nat.unread
    assert len(unread) == 5
    assert any("Operation not permitted" in reason for reason in unread)


def test_a_host_without_any_tool_for_rules_has_them_unread(case: Callable[[str], str]) -> None:
    assert parse("web1", case("busybox")).nat.unread == ("nft: neither nft nor iptables is installed",)


def test_a_recorded_namespace_is_understood(case: Callable[[str], str]) -> None:
    facts = parse("web1", case("bookworm-namespace"))
    assert unknowns(facts) == set()
    assert facts.kernel == "6.18.44-fc-v595"
    assert facts.setting("rp_filter", "all") == 1
    ipip0 = device(facts, "ipip0")
    assert (ipip0.kind, ipip0.up, ipip0.mtu, ipip0.external) == ("tun", True, 1500, False)
    assert ip_interface("127.0.0.42/32") in ipip0.addresses
    assert len(facts.nat.rules[4]) == 2


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
    asked = command().replace("/bin/sh", shell)
    done = subprocess.run([shell, "-c", asked], capture_output=True, text=True, check=True)
    facts = parse("here", done.stdout)
    assert not unknowns(facts) & {"kernel", "clock", "settings", "listeners", "reverse_path_drops"}
    assert done.stdout.rstrip().endswith("done")


def test_two_questions_never_share_their_token() -> None:
    assert command() != command()
