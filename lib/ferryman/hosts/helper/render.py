"""The files for a host whose user is not root: the helper, sudo's rules, the list of operator's commands."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferryman.errors import UsageError
from ferryman.hosts.fence import FOLDER, GUARD
from ferryman.hosts.helper.forms import FORMS, names_for
from ferryman.hosts.helper.needs import Allowed
from ferryman.hosts.verbs import registry
from ferryman.hosts.verbs.sudo import HELPER

if TYPE_CHECKING:
    from ferryman.hosts.helper.forms import HostPart
    from ferryman.hosts.helper.needs import Needs

_VERSION_CHARACTERS = 16
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")


@cache
def version() -> str:
    """What the helper must call itself: a digest of everything that it does."""
    return hashlib.sha256(_program("").encode()).hexdigest()[:_VERSION_CHARACTERS]


@cache
def program(**constants: object) -> str:
    """The helper; constants with another value are for tests that have no root."""
    text = _program(version())
    for name, value in constants.items():
        text = _with(text, name, value)
    return text


def _program(own_version: str) -> str:
    text = Path(__file__).with_name("on_host.py").read_text(encoding="utf-8")
    text = re.sub("  # type: ignore.*", "", text)  # for whoever reads it on a host
    for name, value in {
        "FOLDER": FOLDER,
        "GUARD": GUARD,
        "VERBS": _verbs(),
        "VERSION": own_version,
    }.items():
        text = _with(text, name, value)
    return text


def _with(text: str, name: str, value: object) -> str:
    """The program with another value for one of its constants."""
    shown = _readable(value, "")
    pattern = re.compile(rf"^{name}(: dict)? = .*$", re.MULTILINE)
    assert len(pattern.findall(text)) == 1, f"on_host.py sets {name} once, in one line"
    return pattern.sub(lambda _: f"{name} = {shown}", text)


def _readable(value: object, indent: str) -> str:
    """A value as Python's source, for whoever reads the helper before it is installed."""
    if isinstance(value, dict):
        inner = f"{indent}    "
        lines = (f"{inner}{key!r}: {_readable(each, inner)},\n" for key, each in value.items())
        return f"{{\n{''.join(lines)}{indent}}}"
    if isinstance(value, str) and "\n" in value and '"""' not in value and value[-1] not in '"\\':
        return f'r"""{value}"""'
    return repr(value)


def _verbs() -> dict[str, dict[str, Any]]:
    return {
        name: {
            "writes": not registry.ALL[name].reads,
            "words": list(takes.words),
            "more": list(takes.more),
            "least": takes.least,
            "argv": takes.argv,
            "stdin": takes.stdin,
            "script": registry.ALL[name].script,
        }
        for name, takes in FORMS.items()
    }


def sudoers_line(user: str, verb: str) -> str:
    """The line of sudoers that allows a user one verb.

    Raises:
        UsageError: It is no name of a user that sudoers could have.
    """
    if not _USER.fullmatch(user):
        raise UsageError(f"user {user!r}: expected letters, digits, '.', '_' and '-', not first a digit")
    return f"{user} ALL=(root) NOPASSWD: {HELPER} {verb}"


def sudoers(user: str, role: HostPart) -> str:
    """What sudo is told on a realserver or on a director; raises as ``sudoers_line`` does."""
    verbs = names_for(role)
    lines = [
        f"# Ferryman's verbs on a {role}, for {user}: `ferryman host-helper --sudoers {role}` prints this.",
        "# Into /etc/sudoers.d/ferryman, owned by root, mode 0440; first: visudo -cf FILE",
        f"Defaults:{user} !requiretty, !lecture",
        *(sudoers_line(user, verb) for verb in verbs),
    ]
    return "".join(f"{line}\n" for line in lines)


def commands(needs: Needs) -> str:
    """The list that root keeps of operator's commands and paths, by verb; as JSON."""
    listing = {verb: allowed.to_json() for verb, allowed in sorted(needs.items()) if allowed != Allowed()}
    return json.dumps(listing, indent=2) + "\n"
