"""What is given on the command line counts, or is refused: nothing of it is dropped or misread in silence."""

from __future__ import annotations

import pytest

from ferryman.cli.root import root
from ferryman.click_shim import FloatRange, UsageError, argument, command, option


@command()
@argument("amount", type=float, default=1.0)
@option("--soak", type=FloatRange(0, 86_400))
@option("--plain", type=float)
@option("--site", default="here")
@option("--flag", "flags", multiple=True)
@option("--yes", is_flag=True)
@option("-v", "--verbose", count=True)
def measured(**given: object) -> dict[str, object]:
    """Hand back what was understood."""
    return given


def understood(*words: str) -> dict[str, object]:
    given: dict[str, object] = measured.main(args=list(words), standalone_mode=False)
    return given


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400", "-1", "86401", "five"])
def test_a_number_that_is_not_finite_or_not_in_its_range_is_refused_by_its_option(number: str) -> None:
    with pytest.raises(UsageError) as refused:
        understood("--soak", number)
    assert "--soak" in refused.value.format_message()
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("number", ["nan", "inf", "1e400"])
def test_so_is_one_without_a_range(number: str) -> None:
    with pytest.raises(UsageError, match="no finite number"):
        understood("--plain", number)
    with pytest.raises(UsageError, match="no finite number"):
        understood(number)


@pytest.mark.parametrize(
    "words", [("--site", "a", "--site", "b"), ("--site=a", "--site=a"), ("--soak=1",) * 2]
)
def test_an_option_that_takes_one_value_is_given_once(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        understood(*words)
    assert f"'{words[0].partition('=')[0]}': it is given 2 times" in refused.value.format_message()
    assert refused.value.exit_code == 2


def test_what_may_stand_more_than_once_still_may() -> None:
    assert understood(
        "2", "--flag", "a", "--flag", "b", "--yes", "--yes", "-vv", "--site", "x", "--soak", "5"
    ) == {
        "amount": 2.0,
        "soak": 5.0,
        "plain": None,
        "site": "x",
        "flags": ("a", "b"),
        "yes": True,
        "verbose": 2,
    }
    assert understood()["site"] == "here"


@pytest.mark.parametrize(
    "words",
    [
        ("--config", "a", "--config", "b", "runs"),
        ("--output", "json", "--output", "human", "runs"),
        ("runs", "--limit", "1", "--limit", "2"),
        ("runs", "--limit", "99999999999999999999"),
        ("resume", "--on-doubt", "hold", "--on-doubt", "rollback", "RUN"),
        ("inventory", "flip", "web", "--site", "a", "--site", "b", "--to", "ipip"),
    ],
)
def test_ferrymans_own_options_are_of_this_kind(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        root.main(args=list(words), standalone_mode=False)
