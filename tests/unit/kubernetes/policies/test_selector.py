"""Selectors of Calico and Kubernetes: what they say of labels, and of what is none."""

from __future__ import annotations

import pytest

from ferryman.kubernetes.policies.selector import (
    MAX_DEPTH,
    UnreadableSelectorError,
    calico_selector,
    label_selector,
)

WEB = {"app": "web", "tier": "front", "kubernetes.io/x": "1"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", True),
        ("  ", True),
        ("all()", True),
        ("!all()", False),
        ("has(app)", True),
        ("has(kubernetes.io/x)", True),
        ("!has(debug)", True),
        ("app == 'web'", True),
        ('app == "db"', False),
        ("app != 'db'", True),
        ("debug != 'yes'", True),
        ("app in {'db', 'web'}", True),
        ("app in {}", False),
        ("app not in {'db'}", True),
        ("debug not in {'yes'}", True),
        ("app contains 'e'", True),
        ("debug contains ''", False),
        ("app starts with 'we'", True),
        ("app ends with 'b'", True),
        ("app starts with 'b'", False),
        ("app == 'db' || app == 'web' && tier == 'front'", True),
        ("(app == 'db' || app == 'web') && tier == 'back'", False),
        ("app == 'web' || tier == 'front' && app == 'db'", True),
        ("!(app == 'web') || !!has(tier)", True),
        ("all == 'x'", False),
        ("has == 'x' || in != 'y'", True),
        ("global()", True),
    ],
)
def test_an_expression_of_calico_chooses_by_labels(text: str, wanted: bool) -> None:
    assert calico_selector(text)(WEB) is wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("app ==", "expected a text in quotes at its end"),
        ("app == web", "expected a text in quotes at character 8"),
        ("app", "expected ==, !=, in"),
        ("(app == 'x'", "expected ) at its end"),
        ("app == 'x' tier == 'y'", "expected && or || at character 12"),
        ("app == 'x", "character 8 begins nothing"),
        ("&& app == 'x'", "expected a label"),
        ("has()", "expected a label"),
        ("app in {'x' 'y'}", "expected }"),
        ("app starts 'x'", "expected ==, !=, in"),
        ("!" * (MAX_DEPTH + 1) + "has(x)", "nested more than"),
        ("(" * 5000, "nested more than"),
        ("x" * 9000, "9000 characters"),
    ],
)
def test_what_is_no_expression_is_refused_with_what_was_expected(text: str, words: str) -> None:
    with pytest.raises(UnreadableSelectorError) as error:
        calico_selector(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "debug", "operator": "NotIn", "values": ["yes"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": None, "matchExpressions": None}, True),
    ],
)
def test_a_label_selector_chooses_by_labels(selector: object, wanted: bool) -> None:
    assert label_selector(selector)(WEB) is wanted


@pytest.mark.parametrize(
    "selector",
    [
        None,
        [],
        {"matchNames": {}},
        {"matchLabels": {"app": 1}},
        {"matchExpressions": "app"},
        {"matchExpressions": [{"operator": "In"}]},
        {"matchExpressions": [{"key": "app", "operator": "In"}]},
        {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["x"]}]},
        {"matchExpressions": [{"key": "app", "operator": "Near", "values": ["x"]}]},
    ],
)
def test_what_is_no_label_selector_is_refused(selector: object) -> None:
    with pytest.raises(UnreadableSelectorError):
        label_selector(selector)
