from __future__ import annotations

from math import nan
from typing import Any

import pytest

from ferryman.inventory.sameness import difference

AROUND = ("catalog", "web", "lvs")


def catalog(lvs: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"catalog": {"web": {"lvs": lvs, **more}}}


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, True), (1, 1.0), ("1", 1), ([1], [1, 1]), ([1], (1,)), (None, []), ({1: 2}, {True: 2})],
)
def test_values_that_merely_compare_equal_differ(before: object, after: object) -> None:
    found = difference(catalog({}, port=before), catalog({}, port=after), around=AROUND, but="flag")
    assert found is not None
    assert found[:3] == ("catalog", "web", "port")


def test_another_order_of_keys_is_a_difference() -> None:
    before, after = catalog({"a": 1, "b": 2}), catalog({"b": 2, "a": 1})
    assert difference(before, after, around=AROUND, but="flag") == AROUND


def test_the_one_key_may_come_and_go_there_and_nowhere_else() -> None:
    assert difference(catalog({"a": 1}), catalog({"flag": 1, "a": 1}), around=AROUND, but="flag") is None
    found = difference(catalog({}), catalog({}, flag=1), around=AROUND, but="flag")
    assert found == ("catalog", "web")


def test_what_is_shared_is_looked_at_where_it_may_change_and_where_it_may_not() -> None:
    shared = {"a": 1}
    before = {"catalog": {"api": {"lvs": shared}, "web": {"lvs": shared}}}
    changed = {"a": 1, "flag": 1}
    after = {"catalog": {"api": {"lvs": changed}, "web": {"lvs": changed}}}
    assert difference(before, after, around=AROUND, but="flag") == ("catalog", "api", "lvs")


def test_nan_is_itself_and_what_contains_itself_ends() -> None:
    before, after = catalog({}, nan=nan), catalog({}, nan=nan)
    for data in (before, after):
        data["catalog"]["itself"] = data
    assert difference(before, after, around=AROUND, but="flag") is None
