from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ferryman.errors import VerifyError
from ferryman.ipvs.listing import parse, read_table
from ferryman.ipvs.table import Table, differences, edit, from_json, rules, to_json
from ferryman.model import Forwarding
from unit.directors.world import RULES

EVERYTHING = """\
-A -t 10.99.0.2:8080 -s mh -b mh-fallback,mh-port
-a -t 10.99.0.2:8080 -r 10.10.0.21:8080 -i -w 1 --tun-type ipip
-a -t 10.99.0.2:8080 -r 10.10.0.22:8080 -i -w 0 --tun-type gue --tun-port 6080 --tun-nocsum
-A -u 10.99.0.3:53 -s rr -p 300 -M 255.255.255.0 --pe sip -o
-a -u 10.99.0.3:53 -r 10.10.0.21:5353 -m -w 100
-A -t [fd99::1]:80 -s wrr -p 60
-a -t [fd99::1]:80 -r [fd10::15]:80 -g -w 1
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-A -t 10.99.0.1:80 -s wrr --shiny new", "no option --shiny"),
        ("-A -t 10.99.0.1:80 -s wrr 'new", "no option 'new"),
        ("-A -t 10.99.0.1:80", "a scheduler, -s"),
        ("-A -t 10.99.0.1:80 -s", "a value after -s"),
        ("-a -t 10.99.0.1:80 -r 10.10.0.21:80 -g -w 1", "its -A line before it"),
        ("-A -t weblb:http -s wrr", "address:port, not 'weblb:http'"),
        ("IP Virtual Server version 1.2.1 (size=4096)", "-A or -a"),
    ],
)
def test_a_line_that_is_not_understood_is_named(line: str, said: str) -> None:
    with pytest.raises(VerifyError) as error:
        parse(f"-A -t 10.99.0.9:80 -s rr\n{line}\n")
    assert f"ipvsadm -Sn, line 2: {line!r}" in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize("bad", ["-w 1", "-g -i -w 1", "-g -w many"])
def test_a_destination_needs_one_method_and_a_number_for_its_weight(bad: str) -> None:
    with pytest.raises(VerifyError, match="one of -g, -i, -m, and a weight"):
        parse(f"-A -t 10.99.0.1:80 -s wrr\n-a -t 10.99.0.1:80 -r 10.10.0.21:80 {bad}\n")


def test_every_option_of_ipvsadm_survives_reading_and_writing() -> None:
    lines = [line for server in parse(EVERYTHING) for line in rules(server)]
    assert "\n".join(lines) + "\n" == EVERYTHING


def test_every_option_survives_the_journal() -> None:
    table = parse(EVERYTHING)
    assert from_json(json.loads(json.dumps(to_json(table)))) == table


def test_firewall_marks_and_sctp_are_passed_over() -> None:
    others = "-A -f 7 -s rr\n-a -f 7 -r 10.10.0.21:0 -g -w 1\n-A --sctp-service 10.99.0.1:80 -s rr\n"
    assert parse(others + RULES) == parse(RULES)


def test_thresholds_come_from_the_other_listing() -> None:
    listing = "TCP  [fd99::1]:80 wrr\n  -> [fd10::21]:80                200        20         0          0\n"
    table = read_table(f"{RULES}==\n{listing}")
    limited = [
        (destination.key, destination.upper, destination.lower)
        for server in table
        for destination in server.destinations
        if destination.upper
    ]
    assert limited == [("[fd10::21]:80", 200, 20)]


def test_destinations_are_in_the_order_of_their_numbers() -> None:
    text = "-A -t 10.99.0.1:80 -s rr\n" + "".join(
        f"-a -t 10.99.0.1:80 -r 10.10.0.{last}:80 -g -w 1\n" for last in (100, 21, 9)
    )
    assert [str(destination.address) for destination in parse(text)[0].destinations] == [
        "10.10.0.9",
        "10.10.0.21",
        "10.10.0.100",
    ]


def _table(text: str = RULES) -> Table:
    return parse(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("10.10.0.22:80 -g -w 3", "10.10.0.22:80 -i -w 3"), "10.10.0.22:80 is Tunnel, wanted Route"),
        (("10.10.0.22:80 -g -w 3", "10.10.0.22:80 -g -w 0"), "10.10.0.22:80: weight 0, wanted 3"),
        (("-A -t 10.99.0.1:80 -s wrr", "-A -t 10.99.0.1:80 -s mh"), "scheduler mh, wanted wrr"),
        (
            ("-A -t 10.99.0.1:80 -s wrr", "-A -t 10.99.0.1:80 -s wrr -b flag-1"),
            "scheduler flags flag-1, wanted none",
        ),
        (("-A -t 10.99.0.1:80 -s wrr", "-A -t 10.99.0.1:80 -s wrr -p 9"), "options -p 9, wanted none"),
        (("-a -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 3\n", ""), "10.10.0.22:80 is missing"),
        (
            (
                "-r 10.10.0.22:80 -g -w 3\n",
                "-r 10.10.0.22:80 -g -w 3\n-a -t 10.99.0.1:80 -r 10.10.0.24:80 -i -w 1\n",
            ),
            "10.10.0.24:80 is there (Tunnel), wanted no such destination",
        ),
    ],
)
def test_each_difference_is_said_by_name(change: tuple[str, str], said: str) -> None:
    lines = differences(_table(), _table(RULES.replace(*change)))
    assert len(lines) == 1
    assert lines[0].startswith("tcp 10.99.0.1:80")
    assert said in lines[0]


def test_a_virtual_server_that_is_gone_is_a_difference_and_someone_elses_is_not() -> None:
    table = _table()
    assert differences(table, table[1:]) == ["tcp 10.99.0.1:80: not in the table"]
    assert differences(table[:1], table) == []


def test_thresholds_are_compared_and_edited() -> None:
    server = _table()[0]
    limited = replace(server.destinations[0], upper=100, lower=50)
    other = replace(server, destinations=(limited, *server.destinations[1:]))
    assert differences([other], [server]) == [
        "tcp 10.99.0.1:80: 10.10.0.21:80: upper threshold 0, wanted 100",
        "tcp 10.99.0.1:80: 10.10.0.21:80: lower threshold 0, wanted 50",
    ]
    assert edit(server, limited).endswith("-r 10.10.0.21:80 -g -w 1 -x 100 -y 50")


def test_another_method_takes_the_tunnels_options_away_with_it() -> None:
    gue = parse(EVERYTHING)[0].destinations[1]
    assert gue.tunnel == ("--tun-type", "gue", "--tun-port", "6080", "--tun-nocsum")
    assert gue.forwarded(Forwarding.TUNNEL) == gue
    assert gue.forwarded(Forwarding.DIRECT).tunnel == ()
    assert gue.address == ip_address("10.10.0.22")
