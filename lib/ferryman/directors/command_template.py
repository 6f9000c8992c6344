"""The operator's own commands for the ``command`` driver: words with placeholders for a service's values.

``[flip, "{service}", "{vip}:{port}"]`` is a vector: each word is filled in and quoted by itself, so that no
value is ever read by a shell. With ``shell: true`` it is one text for ``/bin/sh``, in which each value is
quoted (``shell_text``). A brace of the command's own is written twice, as in ``str.format``.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING

from ferryman.directors import shell_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.directors.options import Options

PLACEHOLDERS = (
    "service",
    "site",
    "director",
    "vip",
    "port",
    "protocol",
    "realservers",
    "forwarding",
    "scheduler",
    "scheduler_flags",
)
ASPECTS = frozenset({"forwarding", "scheduler"})
"""What a change is about: a command with neither cannot know which of two states is meant."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the operator's, not yet filled in."""

    words: tuple[str, ...]
    names: frozenset[str]
    """The names of the placeholders that its words have."""
    shell: bool

    def filled(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The words with their values; with ``shell`` it is one text for a shell, every value quoted.

        Raises:
            ArgumentError: A value cannot be put where its placeholder stands.
        """
        if self.shell:
            return (shell_text.filled(self.words[0], values),)
        return tuple(word.format_map(values) for word in self.words)


def read_commands(options: Options) -> dict[str, Command]:
    """The commands by key; ``undo`` is missing where ``undo: false`` says that there is none.

    Raises:
        ConfigError: One is not what it is to be; the message names the entry of directors.yaml and the key.
    """
    given = options.director.options
    shell = options.switch("shell", default=False)
    keys = ["apply", "verify"]
    keys += ["undo"] if given.get("undo") is not False else []
    keys += ["read"] if "read" in given else []
    commands = {key: _command(options, key, shell=shell) for key in keys}
    if not commands["verify"].names & ASPECTS:
        wanted = "one with {forwarding} or {scheduler} in it: it is asked during a rollback too"
        options.wrong("verify", given["verify"], wanted)
    if "read" in commands and commands["read"].names & ASPECTS:
        wanted = "none of {forwarding} and {scheduler} in it: it prints what is, whatever is wanted"
        options.wrong("read", given["read"], wanted)
    return commands


def _command(options: Options, key: str, *, shell: bool) -> Command:
    value = options.director.options.get(key)
    words = (value,) if shell else tuple(value) if isinstance(value, list) else ()
    if not words or not all(isinstance(word, str) for word in words) or not words[0].strip():
        form = "a text, for shell is true" if shell else "a list of texts, such as [flip, '{service}']"
        options.wrong(key, value, f"{form}, or false where nothing undoes it" if key == "undo" else form)
    return Command(words, frozenset(name for word in words for name in _names(options, key, word)), shell)


def _names(options: Options, key: str, word: str) -> set[str]:
    """The names of the placeholders in one word; raises as ``read_commands`` does."""
    try:
        fields = [field for field in Formatter().parse(word) if field[1] is not None]
    except ValueError as problem:
        options.wrong(key, word, f"braces in pairs, and a brace of its own written twice ({problem})")
    for _, name, form, conversion in fields:
        if name not in PLACEHOLDERS or form or conversion:
            known = ", ".join(f"{{{placeholder}}}" for placeholder in PLACEHOLDERS)
            options.wrong(key, word, f"no placeholders but {known}; a brace of its own is written twice")
    return {name for _, name, _, _ in fields if name is not None}
