"""The configuration of a scenario."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from ferryman.rehearsal.settings import as_toml, configure, merged

if TYPE_CHECKING:
    from pathlib import Path

KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
SCALARS = (
    st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | KEYS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_is_written_is_read_back(values: dict[str, Any]) -> None:
    assert tomllib.loads(as_toml(values)) == values


def test_a_scenarios_keys_win_table_by_table() -> None:
    assert merged({"a": 1, "watch": {"soak": 2, "every": 3}}, {"watch": {"soak": 0.5}}) == {
        "a": 1,
        "watch": {"soak": 0.5, "every": 3},
    }


def test_the_configuration_in_force_is_kept_but_for_them(tmp_path: Path) -> None:
    source, target = tmp_path / "source.toml", tmp_path / "target.toml"
    source.write_text('# a comment\nlab = true\n[probe]\nouter_source = { ipv4 = "172.16.1.1" }\n')
    configure(source, target, {"state": "sqlite:x"})
    assert tomllib.loads(target.read_text()) == {
        "lab": True,
        "probe": {"outer_source": {"ipv4": "172.16.1.1"}},
        "state": "sqlite:x",
    }
