#!/usr/bin/python3 -IS
"""Ferryman's helper: runs one of the scripts below as root, for a user without root, through sudo.

Its one argument is the name of the script; everything else stands as JSON on standard input: the positional
parameters, the script's own standard input, and who may write. Nothing of that becomes shell text. Parameters
have the form that stands beside the script; where one is a command of the operator's or a path, it must be
listed in LISTED, which root owns.

It is written in Python because sh has no safe parser of JSON, and this part runs as root. It needs no more
than the standard library of Python 3.6. `ferryman host-helper` prints it: it is replaced whole, never edited.
"""

import json
import os
import re
import stat
import sys

NAME = "ferryman-host-helper"
LISTED = "/etc/ferryman/commands"
OWNER = 0  # who must own this program and LISTED, and every folder on the way
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = "/root"
FOLDER = ""
VERSION = ""
GUARD = ("", "")
VERBS: dict = {}  # type: ignore[type-arg]  # filled in where this is printed

REFUSED = 95
LONGEST_REQUEST = 8 << 20
LONGEST_WORD = (128 << 10) - 32  # the kernel's limit, less the name that it has in the environment
MOST_WORDS = 4000
SHOWN = 500
KEYS = {"version", "token", "words", "stdin", "fence", "check"}
BOOT = """\
n=$1 p=$FERRYMAN i=0
set --
while [ "$i" -lt "$n" ]; do
    i=$((i + 1))
    eval "set -- \\"\\$@\\" \\"\\$FERRYMAN_$i\\"; unset FERRYMAN_$i"
done
unset FERRYMAN
eval "$p"
"""  # script and parameters come in the environment: no list of processes shows them, pgrep -f finds none
FENCE = "fence_file=$1 fence_token=$2\nshift 2\n"
PLAIN_PATH = "/[A-Za-z0-9_.,:@%+=~/ -]*"  # a shell makes no other path of it, and no two
VALUE = "(?!-)[A-Za-z0-9%+,./:=@_-]*"
QUOTED_VALUE = f"(?:{VALUE}|'')"


class Refused(Exception):
    """What was asked is not done; the first argument tells a program why, the second people."""


def main(arguments: "list[str]") -> int:
    """Run what was asked; returns the exit status."""
    try:
        require_own(os.path.abspath(__file__), "owner")
        if len(arguments) != 1 or arguments[0] not in VERBS:
            raise Refused("verb", f"there is no verb {shown(arguments)} here")
        name = arguments[0]
        verb, request = VERBS[name], read_request()
        if request["check"] is not None:
            require_listed(name, request["check"])
            sys.stdout.write(f"{NAME} fit {VERSION}\n")
            return 0
        require_words(name, verb, request["words"], request["stdin"])
        return run(verb, request)
    except Refused as why:
        code, text = why.args
        sys.stderr.write(f"\n{NAME} refused {code}: {text}\n")
        return REFUSED


def require_own(path: str, code: str) -> None:
    """Refuse a file that somebody else than its owner could have written."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise Refused(code, f"{path} is no plain file")
    while True:
        found = os.stat(path)
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_uid not in (0, OWNER) or (found.st_mode & 0o022 and not sticky):
            mode = stat.S_IMODE(found.st_mode)
            raise Refused(
                code,
                f"{path} may be written by others than root: owner {found.st_uid}, mode {mode:04o}",
            )
        if path == "/":
            return
        path = os.path.dirname(path)


def read_request() -> dict:  # type: ignore[type-arg]
    """What is asked, every part of it of its type."""
    data = sys.stdin.buffer.read(LONGEST_REQUEST + 1)
    if len(data) > LONGEST_REQUEST:
        raise Refused("size", f"the request is longer than {LONGEST_REQUEST} bytes")
    try:
        request = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise Refused("request", f"standard input is not JSON: {type(error).__name__}") from None
    if not isinstance(request, dict) or set(request) != KEYS:
        raise Refused("request", f"the request has not the keys {', '.join(sorted(KEYS))}")
    if request["version"] != VERSION:
        raise Refused("version", f"this is {VERSION}, and {shown(request['version'])} was asked")
    token, words = request["token"], request["words"]
    require(is_text(token) and bool(re.fullmatch("ferryman-[0-9a-f]{8,64}", token)), "token")
    require(isinstance(words, list) and len(words) <= MOST_WORDS and all(map(is_word, words)), "words")
    require(is_text(request["stdin"]), "stdin")
    require(request["fence"] is None or is_fence(request["fence"]), "fence")
    require(request["check"] is None or is_listing(request["check"]), "check")
    return request


def shown(value: object) -> str:
    """A value in a message, in one line."""
    return json.dumps(value)[:SHOWN]


def require(good: bool, what: str) -> None:
    """Refuse a part of the request."""
    if not good:
        raise Refused("request", f"{what} has not the form that it must have")


def is_text(value: object) -> bool:
    """Whether it is a text that can be made bytes: a file's that is not UTF-8 has lone surrogates."""
    try:
        return isinstance(value, str) and as_bytes(value) is not None
    except UnicodeEncodeError:
        return False


def is_word(value: object) -> bool:
    """Whether a process can have it as an argument."""
    return (
        isinstance(value, str)
        and is_text(value)
        and "\0" not in value
        and len(as_bytes(value)) <= LONGEST_WORD
    )


def is_fence(value: object) -> bool:
    """Whether it is the name of a file and a number."""
    if not isinstance(value, list) or len(value) != 2 or not is_text(value[0]):
        return False
    number = value[1]
    return (
        re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", value[0]) is not None
        and isinstance(number, int)
        and not isinstance(number, bool)
        and 0 <= number < 1 << 53
    )


def is_listing(value: object) -> bool:
    """Whether it is what is allowed for a verb."""
    if not isinstance(value, dict) or set(value) != {"commands", "files"}:
        return False
    commands, files = value["commands"], value["files"]
    return (
        isinstance(commands, list)
        and isinstance(files, list)
        and all(is_text(entry) or is_vector(entry) for entry in commands)
        and all(map(is_text, files))
    )


def is_vector(value: object) -> bool:
    """Whether it is a command as a list of words."""
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


def as_bytes(text: str) -> bytes:
    """A text as a process has it."""
    return text.encode("utf-8", "surrogateescape")


def listed(name: str) -> dict:  # type: ignore[type-arg]
    """The operator's commands and the paths that root allows for a verb."""
    nothing: dict = {"commands": [], "files": []}  # type: ignore[type-arg]
    if not os.path.lexists(LISTED):
        return nothing
    require_own(LISTED, "list")
    try:
        with open(LISTED, "rb") as file:
            found = json.loads(file.read().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Refused("list", f"{LISTED} is not JSON: {error}") from None
    if not isinstance(found, dict) or not all(map(is_listing, found.values())):
        raise Refused("list", f"{LISTED} is not what `ferryman host-helper --commands` prints")
    own: dict = found.get(name, nothing)  # type: ignore[type-arg]
    return own


def require_listed(name: str, wanted: dict) -> None:  # type: ignore[type-arg]
    """Refuse when something that will be needed is not in the list."""
    here = listed(name)
    for kind in ("commands", "files"):
        for entry in wanted[kind]:
            if entry not in here[kind]:
                raise Refused("list", f"{LISTED} has no {shown(entry)} in {kind} of {name}")


def require_words(name: str, verb: dict, words: "list[str]", given: str) -> None:  # type: ignore[type-arg]
    """Refuse parameters, or input, of another form than the verb's."""
    forms = list(verb["words"])
    rest = words[len(forms) :]
    if len(words) < len(forms):
        raise Refused("words", f"{name} takes {len(forms)} parameters or more")
    if verb["argv"]:
        is_for_sh = bool(forms) and words[0] == "text" and len(rest) == 1
        require_command(name, rest[0] if is_for_sh else rest)
    else:
        group = list(verb["more"])
        if (rest and not group) or (group and len(rest) % len(group)) or len(rest) < verb["least"]:
            raise Refused("words", f"{name} does not take {len(words)} parameters")
        forms += group * (len(rest) // len(group) if group else 0)
    for place, form in enumerate(forms):
        require_form(name, f"parameter {place + 1}", form, words[place])
    if verb["stdin"] is not None:
        require_form(name, "standard input", verb["stdin"], given)
    elif given:
        raise Refused("words", f"{name} takes nothing on standard input")


def require_form(name: str, what: str, form: "list[str]", value: str) -> None:
    """Refuse a parameter that has not its form."""
    kind = form[0]
    if kind == "command":
        require_command(name, value)
    elif kind == "file" or (kind == "folder" and value):
        require_file(name, value)
    elif kind in ("word", "lines"):
        lines = value.split("\n") if kind == "lines" else [value]
        if kind == "lines" and not lines[-1]:
            lines.pop()
        if not all(re.fullmatch(form[1], line) for line in lines):
            raise Refused("words", f"{what} of {name} has not the form that it must have")


def require_command(name: str, command: object) -> None:
    """Refuse a command of the operator's, a text for sh or a list of words, that root has not allowed."""
    if not any(allows(entry, command) for entry in listed(name)["commands"]):
        raise Refused("list", f"{LISTED} does not allow {shown(command)} for {name}")


def allows(entry: object, command: object) -> bool:
    """Whether an entry of the list is this command, with plain values in the places of its {names}."""
    if isinstance(entry, str) and isinstance(command, str):
        return matches(entry, command, QUOTED_VALUE)
    if isinstance(entry, list) and isinstance(command, list) and len(entry) == len(command):
        return all(matches(template, word, VALUE) for template, word in zip(entry, command))
    return False


def matches(template: str, text: str, value: str) -> bool:
    """Whether a text is the template with a plain value for each {name}; {{ and }} stand for themselves."""
    pattern = ""
    for part in re.split(r"(\{\{|\}\}|\{[a-z_]+\})", template):
        if part in ("{{", "}}"):
            pattern += re.escape(part[0])
        else:
            pattern += value if re.fullmatch(r"\{[a-z_]+\}", part) else re.escape(part)
    return re.fullmatch(pattern, text) is not None


def require_file(name: str, path: str) -> None:
    """Refuse a path that is neither listed nor below a folder that is, wherever links lead."""
    if not re.fullmatch(PLAIN_PATH, path):
        raise Refused("words", f"{shown(path)} for {name} is no absolute path of plain characters")
    real = os.path.realpath(path)
    for entry in listed(name)["files"]:
        allowed = os.path.realpath(entry)
        inside = entry.endswith("/") and os.path.commonpath([real, allowed]) == allowed
        if real == allowed or inside:
            return
    raise Refused("list", f"{LISTED} does not allow the file {shown(path)} for {name}")


def run(verb: dict, request: dict) -> int:  # type: ignore[type-arg]
    """Run the script within its frame, under its fence; returns its exit status."""
    import subprocess  # not for those who are refused

    script, words = verb["script"], request["words"]
    if verb["writes"] and request["fence"] is not None:
        file, number = request["fence"]
        script = FENCE + GUARD[0] + script + GUARD[1]
        words = [f"{FOLDER}/{file}", str(number), *words]
    environment = {"PATH": PATH, "HOME": HOME, "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh"}
    environment["FERRYMAN"] = script
    for place, word in enumerate(words):
        environment[f"FERRYMAN_{place + 1}"] = word
    given = {name: as_bytes(value) for name, value in environment.items()}
    home = HOME if os.path.isdir(HOME) else "/"
    os.umask(0o022)
    frame(request["token"], "begin")
    try:
        argv = ["/bin/sh", "-c", BOOT, "ferryman", str(len(words))]
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, env=given, cwd=home)
        child.communicate(as_bytes(request["stdin"]))
        status = child.returncode if child.returncode >= 0 else 128 - child.returncode
    except OSError as error:
        sys.stderr.write(f"cannot run /bin/sh: {error}\n")
        sys.stderr.flush()
        status = 126
    frame(request["token"], "end")
    return status


def frame(token: str, what: str) -> None:
    """Mark where the answer begins and ends: what sudo and others print stands outside of it."""
    for descriptor in (1, 2):
        try:
            os.write(descriptor, f"\n{token} {what}\n".encode())
        except OSError:  # whoever asked does not listen any more
            pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
