"""Results as CI systems read them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.junit import Result, write_junit, xml_of

if TYPE_CHECKING:
    from pathlib import Path

RESULTS = [
    Result("a.tape", 0.25),
    Result("b.tape", 0.5, difference="step 3 asked web1 for facts\nthe tape has web2"),
    Result("c.tape", 0.0, error="c.tape: no tape: it is empty"),
]


def test_differences_are_failures_and_what_cannot_be_tried_is_an_error() -> None:
    suite = ET.fromstring(xml_of("ferryman replay", RESULTS))[0]
    counts = {"tests": "3", "failures": "1", "errors": "1", "skipped": "0", "time": "0.750"}
    assert suite.attrib == {"name": "ferryman replay", **counts}
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"]]
    failure = suite[1][0]
    assert failure.get("message") == "step 3 asked web1 for facts"
    assert failure.text == "step 3 asked web1 for facts\nthe tape has web2"


@given(text=st.text(st.characters(codec="utf-8") | st.sampled_from("\0\x1b\ufffe\ud800]]>&<\"'")))
def test_no_text_makes_a_document_that_cannot_be_read(text: str) -> None:
    suite = ET.fromstring(xml_of(text, [Result(text, 0.0, difference=text), Result(text, 0.0, error=text)]))[
        0
    ]
    assert len(suite) == 2


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, "ferryman replay", RESULTS)
    before = path.read_bytes()
    assert before == xml_of("ferryman replay", RESULTS)
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(AttributeError):
        write_junit(path, "ferryman replay", [None])  # type: ignore[list-item]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
