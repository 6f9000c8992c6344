from __future__ import annotations

from dataclasses import replace

import pytest

from ferryman.directors.checks.consistency import consistency_findings
from ferryman.ipvs.listing import parse
from ferryman.ipvs.table import key_of
from ferryman.model import Director, Finding, Role, Verdict
from unit.directors.world import LVS1, RULES, WEB, virtual

LVS2, LVS3 = (Director(f"lvs{number}", Role.SECONDARY, "ipvsadm") for number in (2, 3))
BOTH = replace(WEB, directors=(LVS2, LVS1))
MH = RULES.replace("-A -t 10.99.0.1:80 -s wrr", "-A -t 10.99.0.1:80 -s mh -b mh-port,mh-fallback")


def judged(secondary: str, primary: str = RULES) -> list[Finding]:
    return consistency_findings(BOTH, {"lvs1": parse(primary), "lvs2": parse(secondary)})


def said(found: list[Finding]) -> list[tuple[str, Verdict, str]]:
    return [
        (finding.host, finding.verdict, finding.seen)
        for finding in found
        if finding.verdict is not Verdict.PASS
    ]


def test_one_weight_that_differs_fails_with_mh_for_another_table_is_made_of_it() -> None:
    other = MH.replace("10.10.0.22:80 -g -w 3", "10.10.0.22:80 -g -w 2")
    assert said(judged(other, MH)) == [
        ("lvs2", Verdict.FAIL, "tcp 10.99.0.1:80: 10.10.0.22:80 has weight 2, there 3")
    ]


def test_one_weight_that_differs_is_a_warning_with_wrr() -> None:
    other = RULES.replace("10.10.0.22:80 -g -w 3", "10.10.0.22:80 -g -w 2")
    assert said(judged(other)) == [
        ("lvs2", Verdict.WARN, "tcp 10.99.0.1:80: 10.10.0.22:80 has weight 2, there 3")
    ]


def test_connection_thresholds_that_differ_are_a_warning() -> None:
    here, *rest = parse(RULES)
    first, other = here.destinations
    limited = replace(here, destinations=(first, replace(other, upper=100, lower=80)))
    found = consistency_findings(BOTH, {"lvs1": (here, *rest), "lvs2": (limited, *rest)})
    seen = "tcp 10.99.0.1:80: 10.10.0.22:80 has thresholds 100 and 80, there 0 and 0"
    assert said(found) == [("lvs2", Verdict.WARN, seen)]


def test_a_destination_that_one_director_lacks_fails_on_whichever_side_it_is() -> None:
    fewer = RULES.replace("-a -t [fd99::1]:80 -r [fd10::22]:80 -g -w 1\n", "")
    ((_, verdict, seen),) = said(judged(fewer))
    assert (verdict, seen) == (Verdict.FAIL, "tcp [fd99::1]:80: [fd10::22]:80 is not among its destinations")
    ((host, verdict, seen),) = said(judged(RULES, fewer))
    assert (host, verdict) == ("lvs2", Verdict.FAIL)
    assert seen == "tcp [fd99::1]:80: [fd10::22]:80 is among its destinations, and not there"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("-s mh", "-s sh", "scheduler sh, there mh"),
        (" -b mh-port,mh-fallback", "", "scheduler flags none, there mh-fallback,mh-port"),
        ("-s mh", "-s mh -p 300", "options -p 300, there none"),
    ],
)
def test_another_scheduler_other_flags_and_other_options_fail(old: str, new: str, says: str) -> None:
    assert said(judged(MH.replace(old, new), MH)) == [("lvs2", Verdict.FAIL, f"tcp 10.99.0.1:80: {says}")]


def test_flags_in_another_order_and_other_forwarding_methods_are_alike() -> None:
    other = MH.replace("mh-port,mh-fallback", "mh-fallback,mh-port").replace(" -g ", " -i ")
    found = judged(other, MH)
    assert [finding.verdict for finding in found] == [Verdict.PASS] * 2
    assert found[0].seen == "tcp 10.99.0.1:80: scheduler, flags, destinations and weights as on lvs1"


def test_other_services_of_a_director_are_not_compared() -> None:
    assert said(judged(RULES.replace("-w 7", "-w 8"))) == []


def test_each_of_three_directors_is_compared_with_the_primary_so_each_difference_is_told_once() -> None:
    other = parse(RULES.replace("10.10.0.22:80 -g -w 3", "10.10.0.22:80 -g -w 2"))
    three = replace(WEB, directors=(LVS2, LVS3, LVS1))
    found = consistency_findings(three, {"lvs1": parse(RULES), "lvs2": other, "lvs3": other})
    assert [host for host, *_ in said(found)] == ["lvs2", "lvs3"]


def test_when_the_primary_is_silent_the_others_are_compared_with_each_other() -> None:
    three = replace(WEB, directors=(LVS2, LVS3, LVS1), virtual_services=(virtual("10.99.0.1"),))
    other = parse(RULES.replace("-s wrr", "-s wlc"))
    found = consistency_findings(three, {"lvs2": other, "lvs3": parse(RULES)})
    assert said(found) == [("lvs2", Verdict.FAIL, "tcp 10.99.0.1:80: scheduler wlc, there wrr")]
    assert found[0].wanted == "as on lvs3"


def test_a_virtual_service_that_one_director_has_not_is_left_to_the_comparison_with_the_catalog() -> None:
    found = consistency_findings(BOTH, {"lvs1": parse(RULES), "lvs2": parse(RULES)[:1]})
    assert [(finding.verdict, finding.seen.partition(": ")[0]) for finding in found] == [
        (Verdict.PASS, "tcp 10.99.0.1:80")
    ]


def test_one_director_alone_agrees_with_nobody() -> None:
    assert consistency_findings(WEB, {"lvs1": parse(RULES)}) == []


def test_a_weight_that_moves_by_itself_cannot_be_made_alike_and_is_a_warning_with_mh_too() -> None:
    other = MH.replace("22:80 -g -w 3", "22:80 -g -w 2").replace("21:80 -g -w 1", "21:80 -g -w 5", 1)
    place = key_of(WEB.virtual_services[0]), "10.10.0.22:80"
    tables = {"lvs1": parse(MH), "lvs2": parse(other)}
    for host in ("lvs1", "lvs2"):
        places = {"lvs1": [], "lvs2": [], host: [place]}
        found = consistency_findings(BOTH, tables, places.__getitem__)
        assert said(found) == [
            ("lvs2", Verdict.FAIL, "tcp 10.99.0.1:80: 10.10.0.21:80 has weight 5, there 1"),
            ("lvs2", Verdict.WARN, "tcp 10.99.0.1:80: 10.10.0.22:80 has weight 2, there 3"),
        ]


def test_nobody_is_asked_which_weights_move_where_none_matters() -> None:
    def asked(host: str) -> list[object]:
        raise AssertionError(host)

    other = RULES.replace("10.10.0.22:80 -g -w 3", "10.10.0.22:80 -g -w 2")
    assert said(consistency_findings(BOTH, {"lvs1": parse(RULES), "lvs2": parse(other)}, asked))  # type: ignore[arg-type]  # it is not asked
    assert not said(consistency_findings(BOTH, {"lvs1": parse(MH), "lvs2": parse(MH)}, asked))  # type: ignore[arg-type]  # nor here
