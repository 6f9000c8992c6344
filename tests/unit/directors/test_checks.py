from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.directors import findings_of, real_outer_sources, with_real_sources
from ferryman.directors.checks.settings import gate, mtu, outer_source, settings, sloppy_alike
from ferryman.directors.observe import observe_directors
from ferryman.errors import UnreachableError, VerifyError
from ferryman.hosts.fake import FakeHosts, Printed
from ferryman.hosts.verbs.directors import DirectorState, NextHop, ReadDirector
from ferryman.ipvs.listing import read_table
from ferryman.model import Director, Finding, Role, Verdict
from unit.directors.world import LVS1, RULES, WEB, virtual

if TYPE_CHECKING:
    from ferryman.hosts.hosts import Hosts
    from ferryman.model import Service
    from unit.directors.world import RealShell

LVS2 = Director("lvs2", Role.SECONDARY, "ipvsadm")
BOTH = replace(WEB, directors=(LVS2, LVS1))
SIX = replace(WEB, virtual_services=(virtual("fd99::1"),))
WEB1, WEB2, WEB1_6, WEB2_6 = map(ip_address, ("10.10.0.21", "10.10.0.22", "fd10::21", "fd10::22"))
OWN = replace(LVS1, address=IPv4Address("10.10.0.11"), address6=IPv6Address("fd10::11"))
FOUR, SIX_SOURCE = ip_address("10.10.0.11"), ip_address("fd10::11")
NEXT_HOPS = {
    WEB1: NextHop("eth0", FOUR),
    WEB2: NextHop("eth0", FOUR),
    WEB1_6: NextHop("eth0", SIX_SOURCE),
    WEB2_6: NextHop("eth0", SIX_SOURCE),
}
FINE = DirectorState((), NEXT_HOPS, {"eth0": 1500}, {"sloppy_tcp": 1})

# iproute2 6.1 on a director with a route of its own MTU, and a host route of an earlier run.
OUTPUT = """\
== routes
[{"dst":"10.10.0.21","gateway":"10.10.0.21","dev":"eth0","prefsrc":"10.10.0.11","flags":[],"uid":0,"cache":[]}]
[{"dst":"10.10.0.22","gateway":"10.10.0.1","dev":"eth1","prefsrc":"10.11.0.11","flags":[],"uid":0,"cache":[],\
"metrics":[{"mtu":1400}]}]
[{"dst":"fd10::21","from":"::","dev":"eth0","protocol":"kernel","prefsrc":"fd10::11","metric":256,"flags":[],\
"pref":"medium"}]
[{"type":"local","dst":"fd10::22","from":"::","dev":"lo","table":"local","protocol":"kernel",\
"prefsrc":"fd10::22","metric":0,"flags":[],"pref":"medium"}]
== links
[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"],"mtu":65536},\
{"ifindex":2,"link_index":5,"ifname":"eth0","flags":["UP"],"mtu":1500},{"ifname":"eth1","mtu":9000}]
== settings
conn_reuse_mode:1
pmtu_disc:0
schedule_icmp:1
sloppy_tcp:0
"""


def state(output: str) -> DirectorState:
    """What is seen where this is printed."""
    hosts = FakeHosts()
    hosts.answer("*", ReadDirector, Printed(output))
    (seen,) = observe_directors(WEB, hosts).values()
    assert isinstance(seen, DirectorState)
    return seen


def directors_findings(service: Service, hosts: Hosts) -> list[Finding]:
    return findings_of(service, observe_directors(service, hosts))


def test_a_shut_gate_fails_and_names_the_director_and_its_entry() -> None:
    found = gate(replace(LVS1, ipip_enabled=False), WEB)
    assert (found.check, found.host, found.verdict) == ("director-gate", "lvs1", Verdict.FAIL)
    assert found.seen == "directors.yaml: lab: low-traffic: lvs1: ipip_enabled: is false"
    assert gate(LVS1, WEB).verdict is Verdict.PASS


def test_a_gate_that_is_shut_on_one_of_two_fails_there_though_that_director_is_silent() -> None:
    service = replace(BOTH, directors=(replace(LVS2, ipip_enabled=False), LVS1))
    hosts = FakeHosts()
    hosts.down("lvs1")
    hosts.down("lvs2")
    found = directors_findings(service, hosts)
    assert [(finding.host, finding.check, finding.verdict) for finding in found] == [
        ("lvs2", "director-gate", Verdict.FAIL),
        ("lvs2", "director", Verdict.UNKNOWN),
        ("lvs1", "director-gate", Verdict.PASS),
        ("lvs1", "director", Verdict.UNKNOWN),
    ]


@pytest.mark.parametrize(
    ("way", "link", "says", "command"),
    [
        (NextHop("eth0", FOUR), 1499, "eth0 has", "ip link set dev eth0"),
        (NextHop("eth0", FOUR, mtu=1499), 1500, "the route by eth0 has", "ip route change …"),
        (NextHop("eth0", FOUR, mtu=9000), 1499, "eth0 has", "ip link set dev eth0"),
    ],
)
def test_a_device_or_a_route_that_is_too_small_fails_and_says_what_would_be_enough(
    way: NextHop, link: int, says: str, command: str
) -> None:
    service = replace(WEB, realservers=WEB.realservers[1:], virtual_services=WEB.virtual_services[:1])
    (found,) = mtu(LVS1, service, replace(FINE, next_hops={WEB2: way}, mtus={"eth0": link}))
    assert (found.check, found.verdict) == ("director-mtu", Verdict.FAIL)
    assert found.seen == f"{says} an MTU of 1499 bytes towards web2"
    assert found.remedy == f"raise it ({command} mtu 1500), or give path_mtu: 1499 in hosts.yaml"


def test_a_realserver_with_a_greater_path_mtu_needs_it_on_the_director_too() -> None:
    web1, web2 = WEB.realservers
    service = replace(WEB, realservers=(web1, replace(web2, path_mtu=1540)))
    fail, good = mtu(LVS1, service, FINE)
    assert (fail.verdict, fail.seen) == (Verdict.FAIL, "eth0 has an MTU of 1500 bytes towards web2")
    assert (good.verdict, good.seen) == (Verdict.PASS, "eth0 has an MTU of 1500 bytes towards web1")


def test_realservers_are_told_together_so_that_two_hundred_are_one_finding() -> None:
    (found,) = mtu(LVS1, WEB, FINE)
    assert (found.verdict, found.seen) == (Verdict.PASS, "eth0 has an MTU of 1500 bytes towards web1, web2")


def test_a_service_with_ipv6_alone_is_looked_at_on_ipv6_alone() -> None:
    seen = replace(
        FINE, next_hops={address: next_hop for address, next_hop in NEXT_HOPS.items() if address.version == 6}
    )
    assert [finding.verdict for finding in mtu(LVS1, SIX, seen)] == [Verdict.PASS]
    hosts = FakeHosts()
    hosts.answer("*", ReadDirector, FINE)
    observe_directors(SIX, hosts)
    assert hosts.calls[0].verb == ReadDirector((WEB1_6, WEB2_6))


def test_a_realserver_that_ip_says_nothing_of_is_unknown() -> None:
    seen = replace(FINE, next_hops={WEB1: NEXT_HOPS[WEB1]}, complaint="sh: ip: not found")
    *_, found = mtu(LVS1, WEB, seen)
    assert found.verdict is Verdict.UNKNOWN
    assert found.seen == (
        "device and MTU could not be read for web1 (fd10::21), web2 (10.10.0.22), web2 (fd10::22):"
        " sh: ip: not found"
    )


@pytest.mark.parametrize(
    "words",
    ["Network is unreachable", "No route to host", "Invalid argument", "Permission denied", "Kein Weg"],
)
def test_a_realserver_without_a_route_fails_however_that_is_spelt(words: str) -> None:
    seen = replace(FINE, next_hops={}, complaint=f"RTNETLINK answers: {words}")
    (found,) = mtu(LVS1, replace(WEB, realservers=WEB.realservers[:1]), seen)
    assert found.verdict is Verdict.FAIL
    assert found.seen.startswith("there is no route to web1 (10.10.0.21), web1 (fd10::21): RTNETLINK")


@pytest.mark.parametrize("broken", ["", 'Object "link" is unknown', '[{"ifname": "eth0"}]', "[1, 2]", "{"])
def test_links_that_are_garbled_make_the_mtu_unknown_and_no_pass(broken: str) -> None:
    head, _, rest = OUTPUT.partition("== links\n")
    seen = state(f"{RULES}{head}== links\n{broken}\n== settings{rest.partition('== settings')[2]}")
    assert seen.mtus == {}
    assert {finding.verdict for finding in mtu(LVS1, WEB, seen)} == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    "broken", ["", "[{", '[{"dst":"10.10.0.21"}]', '[{"dst":"web1","dev":"eth0"}]', '["10.10.0.21"]', "null"]
)
def test_routes_that_are_garbled_make_the_mtu_unknown_and_no_pass(broken: str) -> None:
    seen = state(f"{RULES}== routes\n{broken}\n== links\n[]\n== settings\n")
    assert seen.next_hops == {}
    assert [finding.verdict for finding in mtu(LVS1, WEB, seen)] == [Verdict.UNKNOWN]


def test_what_a_director_prints_is_read_with_its_routes_mtus_and_own_addresses() -> None:
    seen = state(f"{RULES}==\n{OUTPUT}")
    assert [str(server) for server in seen.table or ()] == ["tcp 10.99.0.1:80", "tcp [fd99::1]:80"]
    assert seen.next_hops[WEB2] == NextHop(
        "eth1", ip_address("10.11.0.11"), 1400, gateway=ip_address("10.10.0.1")
    )
    assert seen.next_hops[WEB2_6].local
    assert seen.mtus == {"lo": 65536, "eth0": 1500, "eth1": 9000}
    assert seen.settings == {"conn_reuse_mode": 1, "pmtu_disc": 0, "schedule_icmp": 1, "sloppy_tcp": 0}
    verdicts = [(finding.verdict, finding.seen) for finding in mtu(LVS1, WEB, seen)]
    assert verdicts == [
        (Verdict.FAIL, "the route by eth1 has an MTU of 1400 bytes towards web2"),
        (Verdict.PASS, "eth0 has an MTU of 1500 bytes towards web1"),
    ]


def test_the_real_outer_sources_are_those_of_the_routes_without_the_directors_own_addresses() -> None:
    assert real_outer_sources(state(f"{RULES}==\n{OUTPUT}")) == {
        WEB1: ip_address("10.10.0.11"),
        WEB2: ip_address("10.11.0.11"),
        WEB1_6: ip_address("fd10::11"),
    }


def test_an_outer_source_that_the_inventory_does_not_know_is_a_warning_with_the_line_to_write() -> None:
    seen = state(f"{RULES}==\n{OUTPUT}")
    verdicts = {finding.verdict: finding for finding in outer_source(OWN, WEB, seen)}
    assert verdicts[Verdict.PASS].seen == "outer packets come from fd10::11"
    found = verdicts[Verdict.WARN]
    assert (found.check, found.seen) == (
        "director-source",
        "outer packets to 10.10.0.22 come from 10.11.0.11",
    )
    assert found.wanted == "10.10.0.11, as the inventory says"
    assert "add 10.11.0.11 to outer_sources of directors.yaml: lab: low-traffic: lvs1" in found.remedy


@pytest.mark.parametrize("director", [LVS1, OWN, replace(LVS1, outer_sources=(FOUR, SIX_SOURCE))])
def test_an_outer_source_that_is_known_or_that_nobody_says_anything_of_passes(director: Director) -> None:
    assert [finding.verdict for finding in outer_source(director, WEB, FINE)] == [Verdict.PASS] * 2


def test_probes_can_be_given_the_sources_that_directors_really_use() -> None:
    """A probe from the address that SSH goes to would be dropped where only the real one is let in."""
    named = replace(LVS2, outer_sources=(ip_address("172.16.1.1"),))
    service = replace(BOTH, directors=(named, OWN, replace(LVS1, host="lvs9")))
    seen = state(f"{RULES}==\n{OUTPUT}")
    lvs2, lvs1, lvs9 = with_real_sources(
        service, {"lvs2": seen, "lvs1": seen, "lvs9": VerifyError("no")}
    ).directors
    real = (ip_address("10.10.0.11"), ip_address("10.11.0.11"))
    assert lvs2.outer_sources_for(WEB1) == (ip_address("172.16.1.1"), *real)
    assert lvs1.outer_sources_for(WEB1) == real
    assert lvs1.outer_sources_for(WEB1_6) == (ip_address("fd10::11"),)
    assert lvs9.outer_sources_for(WEB1) == ()


def test_settings_are_recorded_and_fragmenting_is_said_but_is_no_fault() -> None:
    found = settings(LVS1, state(f"{RULES}==\n{OUTPUT}"))
    assert found.verdict is Verdict.PASS
    assert found.seen.startswith(
        "net.ipv4.vs: conn_reuse_mode 1, pmtu_disc 0, schedule_icmp 1, sloppy_tcp 0; "
    )
    assert "fragmented" in found.seen


def test_settings_that_cannot_be_read_are_not_green() -> None:
    assert settings(LVS1, replace(FINE, settings={})).verdict is Verdict.SKIP


def sloppy(service: Service, value: int, other: int) -> list[Finding]:
    seen = {"lvs1": value, "lvs2": other}
    return sloppy_alike(
        service, {host: replace(FINE, settings={"sloppy_tcp": it}) for host, it in seen.items()}
    )


def test_sloppy_tcp_that_differs_matters_with_mh_alone() -> None:
    mh = replace(BOTH, virtual_services=(virtual("10.99.0.1", 80, "mh"),))
    (found,) = sloppy(mh, 1, 0)
    assert (found.host, found.verdict) == ("lvs2", Verdict.WARN)
    assert found.seen == "net.ipv4.vs.sloppy_tcp is 0, on lvs1 it is not"
    assert sloppy(mh, 1, 1) == sloppy(mh, 0, 0) == sloppy(BOTH, 1, 0) == []


def test_the_script_runs_in_a_real_shell_in_one_round_trip_for_each_director(shell: RealShell) -> None:
    routes = {
        str(address): [{"dst": str(address), "dev": "eth0", "prefsrc": str(next_hop.source)}]
        for address, next_hop in NEXT_HOPS.items()
    }
    shell.switch("lookups.json", json.dumps(routes))
    found = directors_findings(
        replace(BOTH, directors=(replace(OWN, host="lvs2", role=Role.SECONDARY), OWN)), shell
    )
    assert len(shell.reads) == 2
    assert {finding.check for finding in found} == {
        "director-gate",
        "ipvs-table",
        "director-mtu",
        "director-segment",
        "director-source",
        "director-sysctl",
    }
    assert {finding.verdict for finding in found if finding.check != "director-sysctl"} == {Verdict.PASS}


def test_a_director_that_says_no_fails_and_one_that_is_silent_is_unknown() -> None:
    hosts = FakeHosts()
    hosts.answer("lvs2", ReadDirector, Printed(stderr="ipvsadm: not found", status=1))
    hosts.down("lvs1")
    seen = observe_directors(BOTH, hosts)
    assert isinstance(seen["lvs2"], VerifyError)
    assert isinstance(seen["lvs1"], UnreachableError)
    found = [
        directors_finding
        for directors_finding in directors_findings(BOTH, hosts)
        if directors_finding.check == "director"
    ]
    assert [(finding.host, finding.verdict) for finding in found] == [
        ("lvs2", Verdict.FAIL),
        ("lvs1", Verdict.UNKNOWN),
    ]


def test_a_table_that_cannot_be_read_fails_though_all_else_can(shell: RealShell) -> None:
    (shell.folder / "rules").unlink()
    (found,) = [
        directors_finding
        for directors_finding in directors_findings(WEB, shell)
        if directors_finding.check == "director"
    ]
    assert found.verdict is Verdict.FAIL


def test_a_table_that_is_not_understood_fails() -> None:
    hosts = FakeHosts()
    hosts.answer("*", ReadDirector, Printed("-A -x what\n"))
    found = [
        directors_finding
        for directors_finding in directors_findings(WEB, hosts)
        if directors_finding.check == "director"
    ]
    assert [finding.verdict for finding in found] == [Verdict.FAIL]


def test_the_table_of_every_director_is_judged_against_the_catalog_and_the_other() -> None:
    hosts = FakeHosts()
    hosts.answer("lvs1", ReadDirector, replace(FINE, table=read_table(RULES)))
    hosts.answer("lvs2", ReadDirector, replace(FINE, table=read_table(RULES.replace("-g -w 3", "-g -w 2"))))
    found = [
        directors_finding
        for directors_finding in directors_findings(BOTH, hosts)
        if directors_finding.check == "ipvs-table"
    ]
    assert [(finding.host, finding.verdict) for finding in found] == [
        ("lvs2", Verdict.PASS),
        ("lvs2", Verdict.PASS),
        ("lvs1", Verdict.PASS),
        ("lvs1", Verdict.PASS),
        ("lvs2", Verdict.WARN),
        ("lvs2", Verdict.PASS),
    ]


def test_a_route_that_leads_nowhere_is_no_way_to_a_realserver() -> None:
    """As ip -6 shows one: by lo, whose MTU is large."""
    nowhere = '[{"type":"unreachable","dst":"fd10::21","dev":"lo","metric":1024,"error":-113,"flags":[]}]'
    seen = state(OUTPUT.replace("== links\n", f"{nowhere}\n== links\n"))
    assert seen.next_hops.get(ip_address("fd10::21"), NextHop("eth0", None)).device != "lo"
