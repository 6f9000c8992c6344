from __future__ import annotations

import subprocess
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ferryman.directors.keepalived.render import MARKER, owned, rendered
from ferryman.directors.keepalived.scheduler import with_scheduler
from ferryman.directors.keepalived.text import TextError, parse, weights_in, with_method
from ferryman.directors.target import SetForwarding, SetScheduler
from ferryman.ipvs.listing import parse as parse_table
from ferryman.model import Forwarding
from tools import PATH, require_tool
from unit.directors.field import configuration
from unit.directors.world import RULES, WEB

if TYPE_CHECKING:
    from pathlib import Path

TUNNEL, DIRECT = Forwarding.TUNNEL, Forwarding.DIRECT

FILE = """\
! web: do not touch lvs_method DR by hand
virtual_server 10.99.0.1 80 {   # virtual_server 10.99.0.7 80 {
    delay_loop 2
    lvs_sched wrr
\tlvs_method   DR     # DR since 2019
    protocol TCP
    real_server 10.10.0.21 80 {
        weight 1
        HTTP_GET {
            url {
                path "/ready#1 {"
                status_code 200
            }
            connect_timeout 1
        }
    }
    real_server 10.10.0.22 80
    {
        weight 3
        lvs_method DR
        TCP_CHECK { connect_timeout 1 }
    }
}
virtual_server 10.99.0.1 443 {
    protocol TCP
    lvs_method DR
    real_server 10.10.0.21 443 { }
}
virtual_server fd99:0::1 80 {
    lb_kind DR
    protocol TCP
    real_server fd10:0::21 80 { weight 1 }
    real_server fd10::22 80 { weight 1 }
}
virtual_server 10.99.0.1 80 {
    protocol UDP
    lvs_method DR
}
"""


SORRY = (
    "line 6: sorry_server 10.10.0.23 80 would change its method with the realservers:"
    " say its own with sorry_server_lvs_method"
)


def test_only_the_methods_of_this_services_blocks_change_and_no_other_byte() -> None:
    wanted = (
        FILE.replace("lvs_method   DR     #", "lvs_method   TUN     #")
        .replace("        lvs_method DR\n        TCP_CHECK", "        lvs_method TUN\n        TCP_CHECK")
        .replace("lb_kind DR", "lb_kind TUN")
    )
    assert with_method(FILE, WEB.virtual_services, TUNNEL) == wanted
    assert with_method(wanted, WEB.virtual_services, TUNNEL) == wanted
    assert with_method(wanted, WEB.virtual_services, DIRECT) == FILE


def test_a_tunnel_type_that_says_ipip_is_ipip() -> None:
    text = FILE.replace("lvs_method   DR ", "lvs_method TUN type ipip ")
    assert "lvs_method DR     # DR since" in with_method(text, WEB.virtual_services, DIRECT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("virtual_server 10.99.0.1 80", "virtual_server group web"), "no virtual_server 10.99.0.1 80 (tcp)"),
        (("protocol UDP", "protocol TCP"), "2 virtual_server 10.99.0.1 80 (tcp) in it, wanted one"),
        (("lvs_method   DR", "delay_loop 3"), "line 7: real_server 10.10.0.21 80 has no lvs_method"),
        (("lvs_method   DR", "lvs_method NAT"), "line 5: lvs_method NAT: expected DR or TUN"),
        (("lvs_method   DR", "lvs_method $METHOD"), "expected DR or TUN"),
        (("lvs_method   DR", "lvs_method"), "expected DR or TUN"),
        (("lvs_method   DR", "lvs_method TUN type gue port 6080"), "nothing after it"),
        (("lvs_method   DR", "lvs_method TUN type gre"), "nothing after it"),
        (
            ("        lvs_method DR\n", "        lvs_method NAT\n"),
            "line 20: lvs_method NAT: expected DR or TUN",
        ),
        (("lvs_method   DR", "delay_loop 3"), "keepalived masquerades then (NAT)"),
        (
            ("    protocol TCP\n    real_server 10.10.0.21 80", "    real_server 10.10.0.21 80"),
            "that of line 2 has no protocol, which is UDP to keepalived",
        ),
        (("protocol TCP\n    real", "sorry_server 10.10.0.23 80\n    protocol TCP\n    real"), SORRY),
        (
            (
                "protocol TCP\n    real",
                "sorry_server_lvs_method DR\n    sorry_server 10.10.0.21 80\n    protocol TCP\n    real",
            ),
            "line 7: sorry_server 10.10.0.21 80 is a real_server of the same block too",
        ),
        (("delay_loop 2", "@lvs1 delay_loop 2"), "line 3: @lvs1 delay_loop 2: a block with conditions"),
        (("delay_loop 2", "$COMMON"), "line 3: $COMMON: a block with conditions"),
        (("delay_loop 2", "include web-*.conf"), "line 3: include web-*.conf: a block with conditions"),
        (("            connect_timeout 1", "            @lvs1 connect_timeout 1"), "line 14: @lvs1"),
        (
            ("protocol UDP\n    lvs_method DR\n}", "protocol UDP\n    lvs_method DR\n"),
            "its brace is never closed",
        ),
        (("! web", "} ! web"), "line 1: a brace closes that was never opened"),
        (("! web", "{ ! web"), "line 1: a brace opens before any word"),
    ],
)
def test_what_cannot_be_edited_safely_is_refused_with_its_line(change: tuple[str, str], said: str) -> None:
    with pytest.raises(TextError) as error:
        with_method(FILE.replace(*change), WEB.virtual_services, TUNNEL)
    assert said in str(error.value)


def test_a_sorry_server_with_a_method_of_its_own_keeps_it() -> None:
    own = "    sorry_server 10.10.0.23 80\n    sorry_server_lvs_method NAT\n    protocol TCP\n"
    text = FILE.replace("    protocol TCP\n", own)
    after = with_method(text, WEB.virtual_services, TUNNEL)
    assert after.count("sorry_server_lvs_method NAT") == text.count("sorry_server_lvs_method NAT") > 0
    assert with_method(after, WEB.virtual_services, DIRECT) == text


def test_a_sorry_server_is_no_matter_where_each_realserver_has_a_method_of_its_own() -> None:
    virtual = WEB.virtual_services[:1]
    text = """\
virtual_server 10.99.0.1 80 {
    protocol tcp
    sorry_server 10.10.0.23 80
    real_server 10.10.0.21 80 {
        lvs_method DR
    }
}
"""
    assert with_method(text, virtual, TUNNEL) == text.replace("DR", "TUN")


def test_an_owned_file_with_a_sorry_server_needs_its_method_too() -> None:
    text = FILE.replace("    delay_loop 2\n", "    delay_loop 2\n    sorry_server 10.10.0.23 80\n")
    with pytest.raises(TextError, match=r"sorry_server 10\.10\.0\.23 80 would change its method"):
        rendered(text, WEB, parse_table(RULES))


def test_a_weight_of_0_that_a_health_check_set_does_not_get_into_an_owned_file() -> None:
    table = parse_table(RULES.replace("-w 3", "-w 0"))
    assert rendered(FILE, WEB, table) == rendered(FILE, WEB, parse_table(RULES))


def test_an_include_takes_the_rest_of_its_line_braces_and_all() -> None:
    first, two = parse("include /etc/{a,b c}/*.conf  # {\n@lvs1 includea x.conf\n")
    assert first.texts == ("include", "/etc/{a,b c}/*.conf")
    assert two.texts == ("@lvs1", "includea", "x.conf")


def test_definitions_and_escaped_comment_signs_are_words() -> None:
    (server,) = parse("virtual_server ${VIP} 80 { misc \\#1 ${A}b\n }")
    assert server.texts == ("virtual_server", "${VIP}", "80")
    assert server.body is not None
    assert server.body[0].texts == ("misc", "\\#1", "${A}b")


def test_quotes_and_comments_hide_braces() -> None:
    (server,) = parse('virtual_server 10.99.0.1 80 { # }\n path "a } b" ! {\n }')
    assert server.body is not None
    assert server.body[0].texts == ("path", '"a } b"')


def test_an_owned_file_is_written_from_catalog_and_table_and_keeps_its_checks() -> None:
    service = replace(WEB, virtual_services=WEB.virtual_services[:1])
    table = SetScheduler("mh", ("mh-port",)).apply(SetForwarding(TUNNEL).apply(parse_table(RULES)))
    text = rendered(FILE, service, table)
    assert owned(text)
    assert not owned(FILE)
    assert (
        text
        == f"""{MARKER}

virtual_server 10.99.0.1 80 {{
    lvs_sched mh
    mh-port
    lvs_method TUN
    protocol TCP
    delay_loop 2
    real_server 10.10.0.21 80 {{
        weight 1
        HTTP_GET {{
            url {{
                path "/ready#1 {{"
                status_code 200
            }}
            connect_timeout 1
        }}
    }}
    real_server 10.10.0.22 80 {{
        weight 3
        TCP_CHECK {{
            connect_timeout 1
        }}
    }}
}}
"""
    )


def test_rendering_a_rendered_file_changes_the_method_alone() -> None:
    table = parse_table(RULES)
    tunnelled = rendered(FILE, WEB, SetForwarding(TUNNEL).apply(table))
    assert rendered(tunnelled, WEB, SetForwarding(TUNNEL).apply(table)) == tunnelled
    assert rendered(tunnelled, WEB, SetForwarding(DIRECT).apply(table)) == tunnelled.replace(
        "lvs_method TUN", "lvs_method DR"
    )


def test_a_realserver_whose_checks_are_nowhere_is_not_rendered_without_them() -> None:
    table = parse_table(RULES.replace("10.10.0.22:80", "10.10.0.23:80"))
    with pytest.raises(TextError, match=r"no real_server 10.10.0.23 80 in it whose health checks"):
        rendered(FILE, WEB, SetForwarding(TUNNEL).apply(table))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("lvs_method   DR ", "lvs_method DR // direct "),
            "line 5: lvs_method DR // direct: expected DR or TUN, and nothing after it: // is not a comment",
        ),
        (("lvs_method   DR ", "lvs_method DR // direct "), "// is not a comment in keepalived: use # or !"),
        (("lvs_method   DR ", "lvs_method DR //direct "), "// is not a comment in keepalived"),
        (("lvs_method   DR ", "lvs_method DR /* direct */ "), "/* is not a comment in keepalived"),
        (("lvs_method   DR ", "lvs_method DR ; direct "), "; is not a comment in keepalived"),
        (("lvs_method   DR ", "lvs_method DR; "), "; is not a comment in keepalived"),
        (("lvs_method   DR ", "lvs_method DR -- direct "), "-- is not a comment in keepalived"),
        (
            ("    real_server 10.10.0.22 80\n    {", "    // real_server 10.10.0.22 80\n    {"),
            "line 17: // real_server 10.10.0.22 80: // is not a comment in keepalived: use # or !",
        ),
        (("! web", "// virtual_server 10.99.0.9 80 {\n! web"), "brace is never closed: // is not a comment"),
        (("lvs_method   DR ", "lvs_method\u00a0DR "), "has no lvs_method"),
    ],
)
def test_what_comments_elsewhere_is_no_comment_and_the_refusal_says_so(
    change: tuple[str, str], said: str
) -> None:
    with pytest.raises(TextError) as error:
        with_method(FILE.replace(*change), WEB.virtual_services, TUNNEL)
    assert said in str(error.value)


def test_the_scheduler_says_so_too() -> None:
    with pytest.raises(TextError, match=r"line 4: lvs_sched wrr // round: .*// is not a comment in keepal"):
        with_scheduler(
            FILE.replace("lvs_sched wrr", "lvs_sched wrr // round"),
            WEB.virtual_services[:1],
            SetScheduler("mh"),
        )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lvs_method   DR     #", "lvs_method   DR#"),
        ("lvs_method   DR     #", "lvs_method   DR!"),
        ("lvs_method   DR     # DR since 2019", 'lvs_method   DR     # } { " lvs_method NAT'),
        ("delay_loop 2", "delay_loop 2 // seconds"),
        ("delay_loop 2", "/* checks */\n    delay_loop 2; each"),
        ("delay_loop 2", "// lvs_method NAT"),
        ("80 {   #", "80 // web {   #"),
        ("real_server 10.10.0.21 80 {", "real_server 10.10.0.21 80 // first {"),
        ("delay_loop 2", 'quorum_up "/bin/notify a # b { ! c" root'),
        ("delay_loop 2\n", "delay_loop 2\r\n"),
        ("delay_loop 2\n", "\fdelay_loop\v2 \\\n"),
    ],
)
def test_what_keepalived_reads_over_is_kept_as_it_is(old: str, new: str) -> None:
    """Words behind those that it takes, and comments as they really begin and end."""
    text = FILE.replace(old, new)
    assert text != FILE
    after = with_method(text, WEB.virtual_services, TUNNEL)
    changed = [(a, b) for a, b in zip(text.split("\n"), after.split("\n"), strict=True) if a != b]
    assert [a.replace("DR", "TUN", 1) for a, _ in changed] == [b for _, b in changed]
    assert len(changed) == 3
    assert with_method(after, WEB.virtual_services, DIRECT) == text


def test_words_behind_a_port_change_neither_place_nor_weight() -> None:
    text = FILE.replace("10.10.0.22 80\n", "10.10.0.22 80 // two\n").replace("weight 3\n", "weight 3 // w\n")
    assert text != FILE
    assert weights_in(text) == weights_in(FILE)


def test_a_large_fleets_block_changes_in_one_word_there_and_back() -> None:
    virtual = replace(WEB.virtual_services[0], vip=ip_address("2001:db8:7::50"), port=443)
    text = configuration("crowded")
    after = with_method(text, [virtual], TUNNEL)
    assert after == text.replace("lvs_method DR  ", "lvs_method TUN  ")
    assert with_method(after, [virtual], DIRECT) == text


def test_a_block_without_a_port_is_left_alone_and_named_where_it_takes_the_traffic() -> None:
    text = configuration("portless")
    beside = replace(WEB.virtual_services[0], vip=ip_address("10.99.0.2"))
    after = with_method(text, [beside], TUNNEL)
    assert after == "virtual_server 10.99.0.2".join(
        part.replace("DR", "TUN") if number else part
        for number, part in enumerate(text.split("virtual_server 10.99.0.2"))
    )
    with pytest.raises(
        TextError, match=r"line 1: virtual_server 10\.99\.0\.1 has no port and takes the traffic"
    ):
        with_method(text, WEB.virtual_services[:1], TUNNEL)
    with pytest.raises(TextError) as error:
        with_method(text.replace("protocol TCP", "protocol UDP", 1), WEB.virtual_services[:1], TUNNEL)
    assert "takes the traffic" not in str(error.value), "it takes none of TCP"


def test_the_edits_pass_keepalived_s_own_test(tmp_path: Path) -> None:
    require_tool("keepalived", package="keepalived")
    crowded = replace(WEB.virtual_services[0], vip=ip_address("2001:db8:7::50"), port=443)
    portless = replace(WEB.virtual_services[0], vip=ip_address("10.99.0.2"))
    for name, virtual in (("crowded", crowded), ("portless", portless)):
        text = configuration(name)
        for edited in (text, with_method(text, [virtual], TUNNEL)):
            file = tmp_path / "keepalived.conf"
            file.write_text(edited)
            done = subprocess.run(
                ["keepalived", "-t", "-f", file], env={"PATH": PATH}, capture_output=True, check=False
            )
            assert (done.returncode, done.stderr) == (0, b""), name
