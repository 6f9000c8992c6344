"""Reports: JUnit that CI systems read, and a page that opens without a network; hostile text stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from ferryman.junit import xml_of
from ferryman.rehearsal import report
from ferryman.rehearsal.results import Result, Step

HOSTILE = "<script>alert('x')</script> \"quoted\" & ]]> \x00\x1b[31m\ud800 </testcase></pre>"
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "system-out"},
    "failure": set(),
    "system-out": set(),
}
"""What Jenkins' schema of JUnit files has of what is written here."""
ATTRIBUTES: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": ({"name"}, {"tests", "failures", "errors", "time", "skipped"}),
    "testcase": ({"name"}, {"classname", "time"}),
    "failure": (set(), {"type", "message"}),
    "system-out": (set(), set()),
}
"""By element, the attributes that it must have and those that it may have besides."""


def passed(name: str = "well") -> Result:
    result = Result(name, Path("scenarios/well.yaml"), "All is well.", "lab 1", seconds=12.5, peak_mib=131.4)
    result.steps = [Step("ferryman check web", seen="exit code 0"), Step("expect exit", seen="0")]
    return result


def failed() -> Result:
    result = Result(f"torn {HOSTILE}", Path("scenarios/torn.yaml"), HOSTILE, seconds=3.0)
    result.steps = [Step("expect exit", failed=True, expected="0", seen=f"4 ({HOSTILE})")]
    result.events = [
        {"event": "step-started", "time": "t", "step": 0, "title": HOSTILE, "phase": "do"},
        {"event": "finding", "time": "t", "verdict": "fail", "check": "c", "host": "h", "seen": HOSTILE},
        {"event": "change", "time": "t", "kind": "director", "target": "lvs1", "command": HOSTILE},
        {"event": "run-finished", "time": "t", "outcome": "rolled-back", "reason": HOSTILE},
    ]
    return result


def valid(element: ET.Element) -> None:
    must, may = ATTRIBUTES[element.tag]
    assert must <= set(element.attrib) <= must | may, element.tag
    for child in element:
        assert child.tag in CHILDREN[element.tag], f"{child.tag} in {element.tag}"
        valid(child)


def test_junit_is_valid_and_its_numbers_are_right() -> None:
    root = ET.fromstring(xml_of("rehearse", report.junit([passed(), failed()])))
    valid(root)
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("time")) == ("2", "1", "15.500")
    assert suite[0].get("name") == "well"
    assert suite[0].find("failure") is None
    assert "exit code 0" in (suite[0].findtext("system-out") or "")


def test_a_failure_in_junit_says_expected_and_seen_whatever_a_host_has_said() -> None:
    failure = ET.fromstring(xml_of("rehearse", report.junit([failed()])))[0][0].find("failure")
    assert failure is not None
    text = failure.text or ""
    assert "expected 0; seen 4 (<script>" in text
    assert "\x00" not in text
    assert "\x1b" not in text


def test_a_scenario_of_which_nothing_was_played_has_not_passed() -> None:
    root = ET.fromstring(xml_of("rehearse", report.junit([Result("empty", Path("empty.yaml"), "Nothing.")])))
    assert root[0].get("failures") == "1"


class Page(HTMLParser):
    """The tags of a page, what it would fetch, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_that_fetches_and_runs_nothing() -> None:
    text = report.page([passed(), failed()])
    page = Page(text)
    assert page.fetched == []
    assert not {"script", "link", "iframe", "img", "object", "form"} & set(page.tags)
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text


def test_hostile_text_is_text_on_the_page() -> None:
    page = Page(report.page([failed()]))
    assert "<script>alert('x')</script>" in page.text
    assert report.page([failed()]).encode("utf-8")


def test_the_page_says_how_many_failed_and_shows_those_open() -> None:
    text = report.page([passed(), failed()])
    assert "2 scenarios, 1 failed" in text
    assert text.count("<details open>") == 1
    assert "1 scenarios passed" in report.page([passed()])


def test_steps_are_told_with_their_seconds() -> None:
    step: Any = Step("ferryman check web", seen="exit code 0", after_s=2.5)
    assert str(step) == "ferryman check web: exit code 0"
