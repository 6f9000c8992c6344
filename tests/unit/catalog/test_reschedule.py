from __future__ import annotations

import pytest

from ferryman.catalog import Rescheduled
from ferryman.errors import InventoryError

MH = Rescheduled("web", "lab", "mh", ("mh-port",))
NAME = "services.yaml"


def catalog(lvs: str, more: str = "") -> str:
    return f"""\
# kept by hand
service::catalog:
  web:
    port: 80
    sites: [lab, far]
    lvs:
{lvs}  other:
    sites: [lab]
    lvs: {{class: low-traffic, scheduler: wrr}}
{more}"""


PLAIN = catalog("      class: low-traffic\n      scheduler: wrr   # since 2019\n      enabled: true\n")


def made(text: str, edit: Rescheduled = MH) -> str:
    return edit.made(text.encode(), name=NAME).decode()


def back(text: str, before: str, edit: Rescheduled = MH) -> str:
    return edit.taken_back(text.encode(), before.encode(), name=NAME).decode()


def refused(text: str, edit: Rescheduled = MH) -> str:
    with pytest.raises(InventoryError) as error:
        made(text, edit)
    return str(error.value)


def test_the_value_is_replaced_the_flag_stands_below_it_and_every_comment_stays() -> None:
    wanted = PLAIN.replace("wrr   # since 2019", "mh   # since 2019\n      scheduler_flag: mh-port", 1)
    assert made(PLAIN) == wanted
    assert made(wanted) == wanted
    assert back(wanted, PLAIN) == PLAIN


def test_what_says_so_in_other_words_is_left_as_it_is() -> None:
    for flag in ("[mh-port]", '"mh-port"', "\n        - mh-port"):
        text = catalog(f"      class: x\n      scheduler: 'mh'\n      scheduler_flag: {flag}\n")
        assert made(text) == text
    default = catalog("      class: x\n")
    assert made(default, Rescheduled("web", "lab", "wrr")) == default


def test_keys_that_were_not_there_come_and_go_with_their_lines() -> None:
    text = catalog("      class: low-traffic\n      enabled: true\n")
    there = text.replace(
        "enabled: true\n", "enabled: true\n      scheduler: mh\n      scheduler_flag: mh-port\n"
    )
    assert made(text) == there
    assert back(there, text) == text


def test_quotes_and_flow_style_are_kept_and_more_than_one_flag_is_one_quoted_word() -> None:
    text = 'service::catalog: {web: {sites: [lab], lvs: {class: x, scheduler: "wrr"}}}\n'
    both = Rescheduled("web", "lab", "mh", ("mh-fallback", "mh-port"))
    wanted = text.replace('"wrr"', '"mh", scheduler_flag: "mh-fallback,mh-port"')
    assert made(text, both) == wanted
    assert back(wanted, text, both) == text


@pytest.mark.parametrize("flags", [" [sh-port, sh-fallback]", "\n        - sh-port\n        - sh-fallback"])
def test_a_list_of_flags_becomes_the_one_that_is_wanted(flags: str) -> None:
    text = catalog(f"      class: x\n      scheduler: sh\n      scheduler_flag:{flags}\n")
    wanted = catalog("      class: x\n      scheduler: mh\n      scheduler_flag: mh-port\n")
    assert made(text) == wanted
    list_again = catalog(
        "      class: x\n      scheduler: sh\n      scheduler_flag: [sh-port, sh-fallback]\n"
    )
    assert back(wanted, text) == list_again


def test_no_flags_any_more_take_the_key_out_but_for_a_comment_beside_it() -> None:
    bare = catalog("      class: x\n      scheduler: mh\n      scheduler_flag: mh-port\n")
    wrr = Rescheduled("web", "lab", "wrr")
    assert made(bare, wrr) == catalog("      class: x\n      scheduler: wrr\n")
    noted = bare.replace("mh-port\n", "mh-port  # by hand\n")
    assert made(noted, wrr) == noted.replace("mh\n", "wrr\n").replace("mh-port  #", "[]  #")


def test_a_scheduler_that_many_inherit_is_hidden_for_this_service_alone_and_seen_again() -> None:
    defaults = (
        "  zoo: &zoo\n    sites: [lab]\n    lvs: &lvs {class: y, scheduler: lc, scheduler_flag: flag-3}\n"
    )
    text = catalog("      <<: *lvs\n      class: x\n").replace("  web:", defaults + "  web:")
    there = made(text)
    assert there == text.replace(
        "      class: x\n", "      class: x\n      scheduler: mh\n      scheduler_flag: mh-port\n"
    )
    assert back(there, text) == text
    none = made(text, Rescheduled("web", "lab", "wrr"))
    assert "      scheduler: wrr\n      scheduler_flag: []\n" in none


def test_what_others_edited_meanwhile_stays_during_the_rollback() -> None:
    theirs = made(PLAIN).replace("port: 80", "port: 81")
    assert back(theirs, PLAIN) == PLAIN.replace("port: 80", "port: 81")


def test_a_byte_order_mark_is_kept() -> None:
    assert made("\ufeff" + PLAIN) == "\ufeff" + made(PLAIN)


@pytest.mark.parametrize(
    ("lvs", "said"),
    [
        ("      class: x\n      scheduler: |\n        wrr\n", "set lvs.scheduler of web to mh by hand"),
        ("      class: x\n      scheduler: {a: b}\n", "set lvs.scheduler of web to mh by hand"),
        (
            "      class: x\n      scheduler: &s wrr\n      note: *s\n",
            "set lvs.scheduler of web to mh by hand",
        ),
        (
            "      scheduler: mh\n      scheduler_flag: [  # old\n        sh-port]\n",
            "[…] on more than one line",
        ),
        (
            "      scheduler: mh\n      scheduler_flag: {a: b}\n",
            "set lvs.scheduler_flag of web to mh-port by hand",
        ),
    ],
)
def test_what_has_no_small_edit_is_refused_with_its_place(lvs: str, said: str) -> None:
    message = refused(catalog(lvs))
    assert said in message
    assert "services.yaml:" in message


def test_an_lvs_section_that_is_shared_is_refused() -> None:
    text = "service::catalog:\n  a:\n    lvs: &l {scheduler: wrr}\n  web:\n    sites: [lab]\n    lvs: *l\n"
    assert "is an alias (*l), so that others would change with it" in refused(text)


@pytest.mark.parametrize(
    ("service", "site", "said"),
    [("wbe", "lab", "no service is called 'wbe'"), ("web", "moon", "the service is not at moon")],
)
def test_a_service_or_a_site_that_is_not_there_is_refused(service: str, site: str, said: str) -> None:
    assert said in refused(PLAIN, Rescheduled(service, site, "mh"))


def test_the_other_sites_that_it_counts_for_are_named() -> None:
    assert MH.other_sites(PLAIN.encode(), name=NAME) == ["far"]
    assert str(MH) == "web: lvs.scheduler is mh, lvs.scheduler_flag mh-port"
