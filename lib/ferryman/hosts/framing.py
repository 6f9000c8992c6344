r"""A verb as the command line that a host gets, and its answer out of what comes back.

sshd hands the command line to the login shell of the user, whichever that is. So it is made of what sh,
bash, fish and csh understand alike: printable ASCII in single quotes, but for ``'``, ``\`` and ``!``, which
stand outside of them behind a backslash. csh takes no newline in quotes: hence a ``~`` stands before each
line, and sh takes the lines apart without another process. A script with a ``~`` of its own, or with what is
no printable ASCII, goes as the argument of ``printf %b``, in which every other byte is an octal number.
The login shell does no more than to start ``/bin/sh``, which makes the script of that and runs it. It has it
in its environment, so that no list of processes shows it, and ``pgrep -f`` in a script does not find itself.

Start-up files of login shells print, some of them in the background. So both outputs are framed by a token
that is made up for each command; what stands outside of the frame is not the answer.
"""

from __future__ import annotations

import re
import secrets
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from ferryman.errors import ArgumentError, CommandFailedError, UnknownOutcomeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ferryman.hosts.completed import Completed
    from ferryman.hosts.verbs import Verb

LONGEST = 120_000
"""Bytes of a command line; the kernel gives a login shell no word of more than 128 KiB."""
SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
"""Where ipvsadm and others are; sshd's own PATH for users other than root has none of it."""
BOOT = (
    f"PATH=${{PATH:-/usr/bin:/bin}}:{SBIN}; export PATH; "
    "T=$1; i=$IFS; case $FERRYMAN in "
    '"~"*) set -f; IFS="~"; set -- ${FERRYMAN#?}; IFS=${i#??}; p="$*"; IFS=$i; set +f;; '
    '*) p=$(printf %b "$FERRYMAN") || exit;; esac; unset FERRYMAN; '
    r'printf "\n%s begin\n" "$T"; printf "\n%s begin\n" "$T" >&2; (eval "$p"); s=$?; '
    r'printf "\n%s end\n" "$T"; printf "\n%s end\n" "$T" >&2; exit "$s"'
)
"""Runs a script in its frame. The script has a shell of its own: it may end it, and set traps in it."""
SHOWN_NOISE = 120


def new_token() -> str:
    """A text that no host prints by itself."""
    return f"ferryman-{secrets.token_hex(8)}"


def command_line(verb: Verb[Any], token: str, guarded: Callable[[str], str] = str) -> str:
    """What is sent to a host so that it runs the verb; ``guarded`` puts a guard around the script.

    Raises:
        ArgumentError: It is longer than a host takes.
    """
    line = framed(f"{positional(verb)}\n{guarded(verb.script)}\n", token)
    if len(line) > LONGEST:
        raise ArgumentError(
            f"{verb.shown}: its arguments make a command of {len(line)} bytes, and a host takes {LONGEST};"
            " nothing was sent to a host"
        )
    return line


def framed(script: str, token: str) -> str:
    """The command line that runs a script within a frame of this token."""
    words = ("/usr/bin/env", f"FERRYMAN={encoded(script)}", "/bin/sh", "-c", BOOT, "ferryman", token)
    return f"exec {' '.join(map(quoted, words))}"


def positional(verb: Verb[Any]) -> str:
    """The line of sh that sets the positional parameters."""
    return f"set -- {shlex.join(verb.words)}"


def quoted(word: str) -> str:
    r"""A word of printable ASCII, for whatever shell it is.

    >>> print(quoted("it's"), quoted(""), quoted("a"))
    'it'\''s' '' 'a'
    """
    if not word.isascii() or not word.isprintable():
        raise ValueError(f"not printable ASCII: {word[:SHOWN_NOISE]!r}")
    parts = re.findall(r"[\\'!]|[^\\'!]+", word)
    return "".join(f"\\{part}" if part in ("\\", "'", "!") else f"'{part}'" for part in parts) or "''"


def encoded(text: str) -> str:
    r"""A text as printable ASCII: a ``~`` before each line; else any other byte of it as a number.

    >>> print(encoded("a\nb"), encoded("~\n"))
    ~a~b \0176\0012
    """
    lines = text.split("\n")
    if "~" not in text and text.isascii() and all(line.isprintable() for line in lines):
        return "".join(f"~{line}" for line in lines)
    data = text.encode("utf-8", "surrogateescape")
    if 0 in data:
        raise ValueError("NUL in a script")
    return "".join(_OCTAL[byte] for byte in data)


_OCTAL = [
    chr(byte)
    if chr(byte).isascii() and chr(byte).isprintable() and chr(byte) not in "\\~"
    else f"\\0{byte:03o}"
    for byte in range(256)
]


def unframed(raw: Completed, token: str, verb: Verb[Any]) -> Completed:
    """The answer, out of everything that came back.

    Raises:
        CommandFailedError: There is none, and the verb changes nothing.
        UnknownOutcomeError: There is none: what became of the verb is not known.
    """
    out, whole = _within(raw.stdout, token)
    if whole:
        return replace(raw, stdout=out, stderr=_within(raw.stderr, token)[0])
    noise = " ".join((raw.stderr.strip() or raw.stdout.strip() or "nothing at all").split())[:SHOWN_NOISE]
    message = (
        f"{raw.host}: {verb.shown}: the answer is not there (status {raw.status}; what came is {noise!r}):"
        " the login shell there prints or does something of its own; see its start-up files, and what it"
        f" makes of: ssh {raw.host} /bin/sh -c true"
    )
    raise CommandFailedError(message) if verb.reads else UnknownOutcomeError(message)


def _within(text: str, token: str) -> tuple[str, bool]:
    """What stands in the frame, and whether the frame is whole; without a beginning, all of the text."""
    begin, end = f"\n{token} begin\n", f"\n{token} end\n"
    _, begun, rest = text.partition(begin)
    if not begun:
        return text, False
    inner, ended, _ = rest.rpartition(end)
    return (inner, True) if ended else (rest, False)
