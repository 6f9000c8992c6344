from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ferryman.directors import SetScheduler, scheduled
from ferryman.directors.keepalived.edit import edited
from ferryman.directors.keepalived.text import TextError
from ferryman.errors import UsageError
from unit.directors.world import WEB

if TYPE_CHECKING:
    from ferryman.directors.target import Target

FILE = """\
! lvs_sched wrr is what we had
virtual_server 10.99.0.1 80 {
    lvs_sched   wrr   # lvs_sched wrr
    lvs_method DR
    protocol TCP
    real_server 10.10.0.21 80 { weight 1 }
}
virtual_server 10.99.0.1 443 {
    lvs_sched wrr
    protocol TCP
}
virtual_server fd99::1 80 {
\tlb_algo wrr
\tpersistence_timeout 300
\tprotocol TCP
\treal_server fd10::21 80 { weight 1 }
}
"""
MH = SetScheduler("mh", ("mh-fallback", "mh-port"))
WRR = SetScheduler("wrr")


def rescheduled(text: str, target: Target = MH) -> str:
    return edited(text, WEB.virtual_services, target)


def test_the_words_change_the_flags_stand_below_them_and_no_other_byte_changes() -> None:
    wanted = FILE.replace(
        "lvs_sched   wrr   # lvs_sched wrr\n",
        "lvs_sched   mh   # lvs_sched wrr\n    mh-fallback\n    mh-port\n",
    ).replace("\tlb_algo wrr\n", "\tlb_algo mh\n\tmh-fallback\n\tmh-port\n")
    assert rescheduled(FILE) == wanted
    assert rescheduled(wanted) == wanted
    assert rescheduled(wanted, WRR) == FILE


def test_lines_that_end_as_on_windows_go_on_doing_so() -> None:
    there = rescheduled(FILE.replace("\n", "\r\n"))
    assert there == rescheduled(FILE).replace("\n", "\r\n")


def test_right_flags_are_left_where_they_stand_whatever_they_are_called() -> None:
    text = rescheduled(FILE).replace("    mh-fallback\n    mh-port\n", "    flag-2  # port\n    flag-1\n")
    assert rescheduled(text) == text


def test_a_flag_of_another_scheduler_goes_and_a_comment_behind_it_stays() -> None:
    text = FILE.replace("\tlb_algo wrr\n", "\tlb_algo sh\n\tsh-port # ours\n\tsh-fallback\n")
    assert "\tlb_algo mh\n\tmh-fallback\n\tmh-port\n\t # ours\n\tpersistence" in rescheduled(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("\tlb_algo wrr\n", ""), "line 12: virtual_server fd99::1 80 has no lvs_sched"),
        (("\tlb_algo wrr\n", "\tlb_algo wrr\n\tlvs_sched rr\n"), "has 2 lvs_sched"),
        (("\tlb_algo wrr\n", "\tlb_algo\n"), "line 13: lb_algo: expected `lvs_sched NAME`"),
        (
            ("virtual_server fd99::1 80 {\n\tlb_algo", "virtual_server fd99::1 80 { lb_algo"),
            "a line of its own",
        ),
        (("\tpersistence", "\t@lvs1 lvs_sched rr\n\tpersistence"), "a block with conditions"),
        (("virtual_server fd99::1 80", "virtual_server fd99::2 80"), "no virtual_server fd99::1 80"),
    ],
)
def test_what_cannot_be_edited_safely_is_refused_with_its_line(change: tuple[str, str], said: str) -> None:
    with pytest.raises(TextError, match=said):
        rescheduled(FILE.replace(*change))


@pytest.mark.parametrize(
    ("to", "flags", "said"),
    [
        ("maglev", (), "no scheduler is called 'maglev', expected one of rr, wrr, .*mh"),
        ("mh", ("sh-port",), "'sh-port' is no flag of mh, expected one of mh-fallback, mh-port"),
        ("wrr", ("mh-port",), "'mh-port' is no flag of wrr, expected none: wrr takes no flags"),
        ("mh", ("flag-2",), "'flag-2' is no flag of mh"),
    ],
)
def test_unknown_schedulers_and_flags_that_are_anothers_are_refused_with_the_known_ones(
    to: str, flags: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        scheduled(to, flags)


def test_flags_are_in_the_order_in_which_the_kernel_lists_them() -> None:
    assert scheduled("mh", ["mh-port", "mh-fallback", "mh-port"]) == MH
