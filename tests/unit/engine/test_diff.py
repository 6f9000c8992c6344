"""The text that people get of two states that differ."""

from __future__ import annotations

from ferryman.engine.diff import diff, shortened


def test_of_a_whole_file_only_the_lines_that_differ_are_shown() -> None:
    before = "".join(f"line {number}\n" for number in range(1000))
    now = before.replace("line 500\n", "line 500, edited\n")

    assert diff({"text": before}, {"text": now}).splitlines() == [
        "text: ",
        "      @@ -500,3 +500,3 @@",
        "       line 499",
        "      -line 500",
        "      +line 500, edited",
        "       line 501",
    ]


def test_a_long_diff_is_cut_off_and_says_so() -> None:
    before, now = ("".join(f"{word} {number}\n" for number in range(100)) for word in ("old", "new"))

    assert diff(before, now).splitlines()[-1] == "      … and 189 lines more"


def test_of_a_mapping_only_what_differs_is_shown() -> None:
    assert diff({"a": 1, "b": [2], "c": 3}, {"a": 1, "b": [4], "d": 5}) == (
        "b: now [4], was [2]; c: now None, was 3; d: now 5, was None"
    )


def test_a_long_value_is_cut_off_and_says_where_the_rest_is() -> None:
    text = shortened("x" * 1000)

    assert len(text) < 250
    assert text.endswith("… (1002 characters, all in the journal)")


def test_a_secret_that_differs_is_told_and_not_shown() -> None:
    text = "vrrp_instance a {\n    auth_pass hunter2\n    state BACKUP\n}\n"
    before = {"text": text, "auth_pass": "hunter2"}
    now = {"text": text.replace("hunter2", "rabbit3"), "auth_pass": "rabbit3"}
    told = diff(before, now)
    assert "-    auth_pass …hidden…" in told
    assert "+    auth_pass …hidden…" in told
    assert "hunter2" not in told
    assert "rabbit3" not in told


def test_a_secret_in_a_text_that_is_compared_by_itself_is_not_shown() -> None:
    told = diff("a\n    auth_pass hunter2\n", "a\n    auth_pass rabbit3\n")
    assert "-    auth_pass …hidden…" in told
    assert "hunter2" not in told
    assert "rabbit3" not in told
