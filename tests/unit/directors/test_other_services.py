"""The other services of a director, before and after a change to one of them."""

from __future__ import annotations

import pytest

from ferryman.directors import left_changed, others_findings
from ferryman.directors.ipvs import of_others
from ferryman.directors.ipvs_listing import parse
from ferryman.model import Verdict
from unit.directors.world import RULES, WEB

STRANGER = "10.99.0.9:80"


def test_only_what_is_not_the_services_own_is_compared() -> None:
    table = parse(RULES)
    assert [str(of_other) for of_other in of_others(table, WEB)] == [f"tcp {STRANGER}"]


def test_untouched_services_pass() -> None:
    (finding,) = others_findings("lvs1", parse(RULES), parse(RULES))
    assert (finding.verdict, finding.seen) == (
        Verdict.PASS,
        "3 virtual servers of other services are untouched",
    )


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        (f"-a -t {STRANGER} -r 10.10.0.21:80 -g", f"-a -t {STRANGER} -r 10.10.0.21:80 -i", "wanted Route"),
        (f"-A -t {STRANGER} -s rr", f"-A -t {STRANGER} -s wrr", "scheduler wrr, wanted rr"),
        (f"-A -t {STRANGER} -s rr", f"-A -t {STRANGER} -s rr -p 300", "options -p 300"),
        (STRANGER, "10.99.0.8:80", f"tcp {STRANGER} is gone; tcp 10.99.0.8:80 is new"),
    ],
)
def test_what_health_checks_do_not_do_fails(old: str, new: str, seen: str) -> None:
    (finding,) = others_findings("lvs1", parse(RULES), parse(RULES.replace(old, new)))
    assert finding.verdict is Verdict.FAIL
    assert seen in finding.seen
    assert "configuration" in finding.remedy


def test_what_health_checks_do_is_a_warning() -> None:
    weighed = RULES.replace("-w 7", "-w 0")
    (finding,) = others_findings("lvs1", parse(RULES), parse(weighed))
    assert finding.verdict is Verdict.WARN
    assert finding.seen == f"tcp {STRANGER}: 10.10.0.21:80 has weight 0, had 7"
    out = RULES.replace(f"-a -t {STRANGER} -r 10.10.0.21:80 -g -w 7\n", "")
    assert others_findings("lvs1", parse(RULES), parse(out))[0].seen.endswith("10.10.0.21:80 is out")
    assert others_findings("lvs1", parse(out), parse(RULES))[0].seen.endswith("10.10.0.21:80 is in")


def test_at_the_end_of_a_way_back_what_a_reload_may_have_done_to_others_is_a_warning_of_its_own() -> None:
    changed = RULES.replace(f"-A -t {STRANGER} -s rr", f"-A -t {STRANGER} -s wrr")
    (finding,) = left_changed("lvs1", parse(RULES), parse(changed.replace("-w 7", "-w 0")))
    assert (finding.check, finding.verdict) == ("other-services-changed", Verdict.WARN)
    assert f"tcp {STRANGER}: scheduler wrr, wanted rr" in finding.seen
    assert left_changed("lvs1", parse(RULES), parse(RULES.replace("-w 7", "-w 0"))) == []
