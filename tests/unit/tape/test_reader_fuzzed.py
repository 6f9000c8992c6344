"""Whatever the bytes, reading them ends with a tape or a TapeError."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferryman.errors import TapeError
from ferryman.tape import file
from unit.tape.samples import LINES, PACKED, RAW

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def reads_or_refuses(folder: Path, content: bytes) -> None:
    path = folder / "fuzzed.tape"
    path.write_bytes(content)
    with suppress(TapeError):
        tape = file.read(path)
        # What is read can be written, and is the same then.
        file.write(path, tape.header, tape.entries)
        assert file.read(path).entries == tape.entries


@SETTINGS
@given(content=st.binary())
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    reads_or_refuses(tmp_path, content)
    reads_or_refuses(tmp_path, b"\x1f\x8b" + content)
    reads_or_refuses(tmp_path, gzip.compress(content))
    reads_or_refuses(tmp_path, LINES[0] + content)


@SETTINGS
@given(data=st.data(), raw=st.sampled_from([PACKED, RAW, RAW[: -len(LINES[-1])]]))
def test_tapes_with_bytes_changed_put_in_and_taken_out(
    tmp_path: Path, data: st.DataObject, raw: bytes
) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        end = min(len(raw), start + data.draw(st.integers(0, 8)))
        raw = raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:]
    reads_or_refuses(tmp_path, raw)


@SETTINGS
@given(data=st.data(), value=VALUES)
def test_tapes_with_a_value_changed(tmp_path: Path, data: st.DataObject, value: object) -> None:
    lines = [json.loads(line) for line in LINES[:-1]]
    number = data.draw(st.integers(0, len(lines) - 1))
    put(data, lines[number], value)
    reads_or_refuses(tmp_path, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


@SETTINGS
@given(line=VALUES)
def test_any_value_as_a_line(tmp_path: Path, line: object) -> None:
    reads_or_refuses(tmp_path, LINES[0] + json.dumps(line).encode() + b"\n")


def put(data: st.DataObject, into: Any, value: object) -> None:  # noqa: ANN401  # a structure of JSON
    """Put the value somewhere into a structure of JSON."""
    if not into:
        return
    key = data.draw(st.sampled_from(sorted(into) if isinstance(into, dict) else range(len(into))))
    if isinstance(into[key], dict | list) and into[key] and data.draw(st.booleans()):
        put(data, into[key], value)
    else:
        into[key] = value


@pytest.mark.parametrize("raw", [PACKED, RAW])
def test_every_single_byte_turned_over(tmp_path: Path, raw: bytes) -> None:
    for place in range(0, len(raw), 7):
        reads_or_refuses(tmp_path, raw[:place] + bytes([raw[place] ^ 0xFF]) + raw[place + 1 :])
