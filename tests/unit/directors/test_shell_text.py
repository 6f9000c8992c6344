"""Values in an operator's text for a shell, which really runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ferryman.directors.options import Options
from ferryman.directors.shell_text import filled
from ferryman.errors import ArgumentError, ConfigError
from ferryman.testing import run_here
from tools import does
from unit.directors.world import LVS1, WEB

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = ("$(touch canary)", "`touch canary`", "'; touch canary; '", '"; touch canary; "', "a b", "*", "\\")
QUOTED = (
    "printf %s '{service}'",
    'printf %s "{service}"',
    'printf %s "`echo {service}`"',
    "printf %s `echo {service}`",
    "cat <<E\n{service}\nE\n",
    "printf x # {service}",
    'sh -c "printf %s {service}"',
    "printf %s \\{service}",
)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_that_stands_by_itself_is_one_word(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = filled("printf '%s|' {service} pre-{service}", {"service": value})
    assert run_here(does(text)).stdout == f"{value}|pre-{value}|"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("template", QUOTED)
def test_a_value_that_stands_in_quotes_is_refused_and_never_runs(template: str, value: str) -> None:
    with pytest.raises(ArgumentError, match=r"\{service\} is .*take it out of quotes, backticks"):
        filled(template, {"service": value})


@pytest.mark.parametrize("value", ["a\nb", "a\x1bb", "a\0b"])
def test_a_value_with_a_control_character_is_refused_anywhere(value: str) -> None:
    with pytest.raises(ArgumentError):
        filled("printf %s {service}", {"service": value})


@pytest.mark.parametrize("template", QUOTED)
def test_a_plain_value_is_put_in_as_it_is_wherever_it_stands(template: str) -> None:
    assert filled(template, {"service": "web-1.example"}) == template.replace("{service}", "web-1.example")


def test_braces_of_the_texts_own_are_written_twice() -> None:
    assert filled("awk '{{ print {port} }}'", {"port": "80"}) == "awk '{ print 80 }'"


def test_a_service_in_a_directors_own_commands_is_quoted_too() -> None:
    director = replace(LVS1, options={"reload": "flip {service}", "stop": 'flip "{service}"'})
    options = Options(director, replace(WEB, name="$(id)"))
    assert options.command("reload", "") == "flip '$(id)'"
    with pytest.raises(ConfigError, match=r"directors.yaml: lab: low-traffic: lvs1: stop: \{service\} is"):
        options.command("stop", "")
