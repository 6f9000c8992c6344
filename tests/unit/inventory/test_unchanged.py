from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ferryman.inventory import unchanged

if TYPE_CHECKING:
    from ferryman.inventory.problems import KeyPath

AROUND = ("catalog", "web", "lvs")


def composed(text: str) -> yaml.Node:
    found = yaml.compose(text, yaml.SafeLoader)
    assert found is not None
    return found


def difference(before: object, after: object, *, around: KeyPath, but: str) -> KeyPath | None:
    """Of two values, as YAML has them."""
    old, new = (composed(yaml.dump(data, sort_keys=False)) for data in (before, after))
    return unchanged.difference(old, new, around=around, but=but)


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


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        ("{page: false, page: true}", "{page: true, page: true}"),
        ("!vault x", "!vault y"),
        ("2024-13-45", "2024-13-46"),
    ],
)
def test_what_nobody_can_make_a_value_of_is_compared_all_the_same(other: str, changed: str) -> None:
    def read(other: str) -> yaml.Node:
        return composed(f"catalog: {{web: {{lvs: {{a: 1}}}}, depot: {other}}}")

    assert unchanged.difference(read(other), read(other), around=AROUND, but="flag") is None
    assert unchanged.difference(read(other), read(changed), around=AROUND, but="flag") is not None
