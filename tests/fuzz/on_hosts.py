"""What hosts answer: each verb, each part of a realserver's facts with all checks, directors' files."""

from __future__ import annotations

import base64
import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.directors.keepalived.edit import edited
from ferryman.directors.keepalived.files import holders, virtuals_in
from ferryman.directors.keepalived.scheduler import with_scheduler
from ferryman.directors.keepalived.text import TextError, parse, weights_in
from ferryman.directors.liberica.conf import LibericaConf
from ferryman.directors.liberica.status import Status, clock
from ferryman.directors.pybal.conf import PybalConf
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.hosts.completed import Completed
from ferryman.hosts.framing import unframed
from ferryman.hosts.verbs.ipvs import IpvsTable
from ferryman.hosts.verbs.realservers import ReadFacts
from ferryman.ipvs.listing import read_table
from ferryman.model import Forwarding, Kind, MssStrategy, Realserver, Service, VirtualService
from ferryman.realservers.checks import realserver_checks
from ferryman.realservers.facts.parse import parse_counters
from fuzz.target import Target
from unit.directors.test_connections import TABLE as CONNECTIONS
from unit.directors.world import RULES
from unit.hosts.test_verbs import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferryman.hosts.verbs import Verb

UNIT = Path(__file__).parents[1] / "unit"
FACTS = UNIT / "realservers" / "cases"
TOKEN = "@@cd3ad965c851dc2f"  # of the recorded answer
KEEPALIVED = """\
global_defs {
    router_id LVS1
}
virtual_server 10.99.0.1 80 {
    delay_loop 6   # seconds
    lb_algo wrr
    lb_kind DR
    protocol TCP
    ! a comment
    real_server 10.10.0.21 80 {
        weight 3
        HTTP_GET {
            url { path /
                  status_code 200 }
            connect_timeout 3
        }
    }
    real_server 10.10.0.22 80 { weight 1 }
}
virtual_server fd99::1 80 {
    lvs_sched mh
    mh-port
    protocol TCP
    lvs_method DR
    real_server fd10::21 80 {
        weight 1
        MISC_CHECK { misc_path "/usr/bin/check {1}" misc_dynamic }
    }
}
include services/*.conf
"""
PYBAL = """\
[global]
bgp = yes
[web_80]
protocol = tcp
ip = 10.99.0.1
port = 80
scheduler = mh
scheduler-flag = mh-port
"""
LIBERICA = """\
fp:
  forwarding_plane: ipvs
services:
  web_80:
    ip: 10.99.0.1
    port: 80
    protocol: tcp
    forward_type: tunnel
"""
METRICS = """\
# HELP liberica_cp_reload Reloads
liberica_cp_configuration_reload_timestamp_seconds{result="ok"} 1.7e+09
process_start_time_seconds 1.7e9
bgp_peer_state{admin_state="UP",session_state="ESTABLISHED",peer="10.0.0.1"} 1
bgp_routes_advertised 4
curl: (7) Failed to connect
"""
ROUTES = '[{"dst":"10.10.0.21","dev":"eth0","prefsrc":"10.10.0.11","flags":[],"uid":0,"cache":[]}]\n'
LINKS = '[{"ifindex":2,"ifname":"eth0","flags":["UP"],"mtu":1500,"linkinfo":{"info_kind":"veth"}}]\n'
PUPPET = """\
Notice: Applied catalog
== status 2 1700000000
{"disabled_message":"ticket"}
== summary
version:
  config: abc
resources:
  failed: 0
"""
ANSWERS = {
    "ipvs-table": (f"{RULES}==\nIP Virtual Server version 1.2.1 (size=4096)\n",),
    "edit-table": (RULES,),
    "connections": (CONNECTIONS,),
    "director-state": (
        f"{RULES}==\n== routes\n{ROUTES}== links\n{LINKS}== settings\nnet.ipv4.vs.conn_reuse_mode = 1\n",
    ),
    "scheduler-state": (f"{RULES}==\n== module\nthere\n== connections\nESTABLISHED 4\n",),
    "keepalived-read": (f"{RULES}==\n==\nKeepalived v2.2.7\n==\n1 keepalived\n==\n/a 0644 10\n==\nQUJD\n",),
    "puppet-run": (PUPPET,),
    "puppet-state": ('{"disabled_message":"a ticket"}\n',),
}
"""Answers of some verbs by name; of the others a few odd ones are enough, for they take little apart."""
ANY = (RULES, ROUTES, LINKS, "", "10.10.0.21 dev eth0 metric 7\n", "key = value\n1234567 main\n", CONNECTIONS)
VIPS = (ip_address("10.99.0.1"), ip_address("fd99::1"))
VIRTUALS = tuple(VirtualService("web", "default", "tcp", vip, 80, "wrr") for vip in VIPS)
REALSERVERS = tuple(
    Realserver("web1", kind, IPv4Address("10.10.0.21"), IPv6Address("fd10::21"), None, mss, 1500)
    for kind, mss in ((Kind.SERVER, MssStrategy.CLAMP), (Kind.KUBERNETES, MssStrategy.POD_MTU))
)
SERVICE = Service("web", "lab", False, "low", False, VIRTUALS, REALSERVERS, (), ())  # as its fields


def _verb(sample: Verb[Any]) -> Callable[[str], object]:
    def read(text: str) -> object:
        status = len(text) % 5 // 4 * (len(text) % 256)  # most scripts succeed
        return sample.value(Completed("lvs1", sample.name, status, text, text[:200]))

    return read


def _framed(text: str) -> object:
    return unframed(Completed("lvs1", "ipvs-table", 0, text, ""), "ferryman-0123", IpvsTable())


def _checked(answer: str) -> object:
    """All that is checked of a host that answers so."""
    facts = ReadFacts().value(Completed("web1", "facts", 0, answer, ""))
    return [realserver_checks(SERVICE, realserver, facts) for realserver in REALSERVERS]


def _sections() -> Iterator[Target]:
    """A target for each part of a realserver's answer; the other parts are of a host as it should be."""
    parts: dict[str, set[str]] = {}
    for case in sorted(FACTS.glob("*.txt")):
        text = case.read_text(errors="surrogateescape")
        for name, part in re.findall(
            r"^@@\w+ begin (\w+)\n(.*?)\n?^@@\w+ end \1 ", text, re.MULTILINE | re.DOTALL
        ):
            parts.setdefault(name, set()).add(part)
    whole = (FACTS / "lab-node-healthy.txt").read_text()
    token = re.search(r"^ferryman-facts (@@\w+)$", whole, re.MULTILINE)[1]  # type: ignore[index]  # it has one
    firewalls = sorted((UNIT / "firewall" / "cases").iterdir())
    for case in firewalls:
        parts["nft" if case.suffix == ".json" else "legacy4"].add(case.read_text())
    for name, seeds in sorted(parts.items()):
        others = re.sub(
            rf"^{token} begin {name}\n.*?^{token} end {name} \d+\n", "", whole, flags=re.MULTILINE | re.DOTALL
        )
        yield Target(
            f"facts-{name}",
            _with_section(others, token, name),
            tuple(sorted(seeds, key=len)),
            WORDS.get(name, ()),
            share=1,
        )
    yield Target("facts", _checked, (whole, (FACTS / "clamper-running.txt").read_text()), share=1)


def _with_section(others: str, token: str, name: str) -> Callable[[str], object]:
    def read(text: str) -> object:
        return _checked(f"{others}\n{token} begin {name}\n{text}\n{token} end {name} 0\n")

    return read


WORDS = {
    "nft": (
        '{"vmap":{"key":{"ct":{"key":"state"}},"data":{"set":[]}}}',
        '{"jump":{"target":"input"}}',
        '{"prefix":{"addr":"::","len":0}}',
        '{"match":{"op":"==","left":{"meta":{"key":"l4proto"}},"right":4}}',
        '{"range":[1,2]}',
        '{"concat":[1,2]}',
        '{"notrack":null}',
        '{"mangle":{"key":{"meta":{"key":"mark"}},"value":1}}',
        '"@set"',
        '{"drop":null}',
        '{"goto":{"target":"x"}}',
        "[]",
        "{}",
        "null",
    ),
    "legacy4": (
        "-A INPUT",
        "-j DROP",
        "-j ACCEPT",
        "-g INPUT",
        "-p ipencap",
        "-p 4",
        "! -s",
        "-s 10.0.0.0/8",
        "-m set --match-set a src",
        "-m comment --comment",
        '"-- a"',
        "-m conntrack --ctstate",
        "INVALID",
        "-m multiport --dports",
        "-j CT --notrack",
        "-j MARK --set-xmark 0x1/0xff",
        "*filter",
        "COMMIT",
        ":INPUT DROP [0:0]",
        "-m rpfilter --invert",
        "--dport 1:80",
        "-i eth+",
        "-j INPUT",
    ),
    "files": (
        "net.ipv4.conf.all.rp_filter = 1",
        "==> /proc/sys/net/ipv4/conf/all/rp_filter <==",
        "-net/ipv4/conf/*/rp_filter=2",
    ),
    "init": ("systemd", "/sbin/init"),
}


def _keepalived(text: str) -> object:
    parse(text)
    weights_in(text)
    virtuals_in(text, VIRTUALS)
    files = {
        "/k.conf": {"text": text, "mode": "0644"},
        "/services/a.conf": {"text": text[::2], "mode": "0644"},
    }
    with_scheduler(text, VIRTUALS, SetScheduler("mh", ("mh-port",)))
    edited(text, VIRTUALS, SetForwarding(Forwarding.TUNNEL))
    return holders("/k.conf", files, VIRTUALS)


def _status(text: str) -> object:
    """What the driver asks of Liberica's own words."""
    status = Status.of({"cp": text, "bgp": text, "written": text})
    return status.is_fresh, status.was_refused, status.latest_s, clock(status.resumed), clock(status.refused)


def _answer_of_daemon(text: str) -> object:
    sample = next(sample for sample in SAMPLES if sample.name == "pybal-read")
    encoded = base64.b64encode(
        text.encode("utf-8", "surrogateescape" if "\ud800" not in text else "replace")
    ).decode()
    return sample.value(Completed("lvs1", "x", 0, f"{RULES}== file\n{encoded}\n== process\n{text}", ""))


TARGETS: tuple[Target, ...] = (
    *(
        Target(
            f"verb-{sample.name}",
            _verb(sample),
            ANSWERS.get(sample.name, ANY),
            ("==", "== routes", "== links", "-A -t"),
        )
        for sample in SAMPLES
        if sample.name != "facts"
    ),
    Target(
        "frame",
        _framed,
        ("\nferryman-0123 begin\nout\nferryman-0123 end\n",),
        ("ferryman-0123 begin", "ferryman-0123 end"),
    ),
    *_sections(),
    Target("counters", parse_counters, ("==> /proc/net/netstat <==\nTcpExt: A B\nTcpExt: 1 2\n",)),
    Target(
        "ipvs-listing",
        read_table,
        ANSWERS["ipvs-table"],
        ("-a -t", "[fd99::1]:80", "--tun-type gue", "-p 300", "-f 7", "-m", "-i"),
    ),
    Target(
        "keepalived-text",
        _keepalived,
        (KEEPALIVED,),
        (
            "include",
            "@lvs1",
            "~SEQ(a,1,2)",
            "$VAR",
            "virtual_server_group",
            "lvs_method TUN",
            "lb_kind DR",
            "sorry_server",
            "alpha",
            "{",
            "}",
            "quorum",
        ),
        refuses=TextError,
    ),
    Target(
        "pybal-conf",
        lambda text: PybalConf.read(text, "lvs1: /pybal.conf"),
        (PYBAL,),
        ("[", "]", "%(ip)s", "tunneling = True", "[global]"),
    ),
    Target(
        "liberica-conf",
        lambda text: LibericaConf.read(text, "lvs1: /config.yaml"),
        (LIBERICA,),
        ("<<: *a", "forward_type: direct", "services: []"),
    ),
    Target("metrics", _status, (METRICS, "1700000000")),
    Target(
        "daemon-answer", _answer_of_daemon, (PYBAL, METRICS), ("-- alerts", "-- pool web_80", "-- metrics")
    ),
)
