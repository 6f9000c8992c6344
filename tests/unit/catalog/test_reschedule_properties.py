"""Another scheduler in catalogs of any style, and at every service of the real one, there and back."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from ferryman.catalog import Rescheduled
from ferryman.catalog.yaml_edit.change import unified_diff
from unit.catalog.test_flip_properties import ODD, Drawn, Keys, catalogs, comments_of, data_of, is_inside
from unit.catalog.test_flip_real import cut, entries_of

if TYPE_CHECKING:
    from pathlib import Path

SCHEDULERS = ("wrr", "'wrr'", '"sh"', "mh", None)
FLAGS = (None, None, "mh-port", "'mh-port'", "sh-port", "'mh-fallback,mh-port'", "[sh-port]", "[]", "~")
TARGETS = (("mh", ("mh-port",)), ("mh", ("mh-fallback", "mh-port")), ("wrr", ()), ("sh", ("sh-port",)))

keys: Keys = st.fixed_dictionaries(
    {"scheduler": st.sampled_from(SCHEDULERS), "scheduler_flag": st.sampled_from(FLAGS)}
)
edits = st.sampled_from([Rescheduled("web", "codfw", *target) for target in TARGETS])


def flags_of(value: object) -> list[str]:
    return sorted(value.split(",")) if isinstance(value, str) else list(value or [])  # type: ignore[call-overload]


def apart(data: Any) -> tuple[str, str, list[str]]:  # noqa: ANN401  # what YAML says
    """Everything else, as text so that the order of keys counts; the scheduler; its flags."""
    data = copy.deepcopy(data)
    lvs = data["web"]["lvs"]
    scheduler, flags = lvs.pop("scheduler", "wrr"), flags_of(lvs.pop("scheduler_flag", None))
    return repr(data), scheduler, flags


def made(edit: Rescheduled, text: str) -> str:
    return edit.made(text.encode(), name="s").decode()


def back(edit: Rescheduled, text: str, before: str) -> str:
    return edit.taken_back(text.encode(), before.encode(), name="s").decode()


@ODD
@given(catalogs(keys), edits)
def test_scheduler_and_flags_change_and_nothing_else(drawn: Drawn, edit: Rescheduled) -> None:
    before, _, _ = apart(data_of(drawn.text))
    text = made(edit, drawn.text)
    assert apart(data_of(text)) == (before, edit.scheduler, list(edit.flags))
    assert made(edit, text) == text
    assert comments_of(text) == comments_of(drawn.text)
    assert ("\r" in text) == ("\r" in drawn.text)
    assert text.endswith("\n") == drawn.text.endswith("\n")


@ODD
@given(catalogs(keys), edits)
def test_there_and_back_says_the_same_again(drawn: Drawn, edit: Rescheduled) -> None:
    again = back(edit, made(edit, drawn.text), drawn.text)
    assert apart(data_of(again)) == apart(data_of(drawn.text))


@ODD
@given(catalogs(st.fixed_dictionaries({"scheduler": st.sampled_from(SCHEDULERS)})), edits)
def test_there_and_back_restores_every_byte_where_there_was_no_flag(drawn: Drawn, edit: Rescheduled) -> None:
    there = made(edit, drawn.text)
    event(f"{'as it was' if there == drawn.text else 'changed'}")
    assert back(edit, there, drawn.text) == drawn.text
    without = [line for line in drawn.text.splitlines() if "scheduler" not in line]
    assert is_inside("".join(without), there.replace("\ufeff", "\ufeff"))


def test_every_service_of_the_real_catalog_there_and_back(wmf: Path) -> None:
    whole = (wmf / "services.yaml").read_text("utf-8")
    parts = entries_of(whole)
    changed = 0
    for service, entry in yaml.load(whole, yaml.CSafeLoader)["service::catalog"].items():
        if not entry.get("lvs"):
            continue
        edit, text = Rescheduled(service, entry["sites"][0], "mh", ("mh-fallback",)), cut(parts, service)
        there = made(edit, text)
        lines = list(unified_diff(text.encode(), there.encode(), "s").splitlines()[2:])
        assert all("scheduler" in line for line in lines if line[0] in "+-"), lines
        assert back(edit, there, text) == text
        changed += there != text
    assert changed > 100
