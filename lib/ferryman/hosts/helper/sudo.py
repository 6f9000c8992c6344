"""Verbs through sudo and the helper: the command line, the request, and what is said where it fails."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ferryman.errors import ArgumentError, UnreachableError
from ferryman.hosts.framing import SBIN, quoted
from ferryman.hosts.helper.on_host import LONGEST_REQUEST
from ferryman.hosts.helper.render import sudoers_line, version
from ferryman.hosts.verbs.sudo import ENGLISH, HELPER, NO_HELPER, NO_SUDO, SudoAnswer, SudoCheck

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.hosts.completed import Completed
    from ferryman.hosts.fence import Fence
    from ferryman.hosts.helper.needs import Needs
    from ferryman.hosts.verbs import Verb

_BOOT = f'PATH=${{PATH:-/usr/bin:/bin}}:{SBIN}; export PATH; {ENGLISH}; exec sudo -n -- {HELPER} "$1"'
_CHECKING = f"ferryman-{0:016x}"
_REFUSED = re.compile(r"^ferryman-host-helper refused (\w+): (.*)$", re.MULTILINE)
_DENIED = re.compile(r"password is required|is not allowed|may not run|not in the sudoers")
_NO_SUDO = re.compile(rf"^{NO_SUDO}$|sudo: not found", re.MULTILINE)
_NO_HELPER = re.compile(rf"^{NO_HELPER}$|sudo: .*: command not found", re.MULTILINE)
_NO_TERMINAL = re.compile("must have a tty")
_PASSWORD = re.compile("password is required")
_NEVER = re.compile("(?!)")
_INSTALL = "print it with: ferryman host-helper, and install it as docs/guide.md says"
_SHOWN = 160


def needs_sudo(verb: Verb[Any]) -> bool:
    """Whether a user without root asks for this verb through sudo."""
    return verb.needs_root or not verb.reads


def command_line(verb: Verb[Any]) -> str:
    """What is sent to a host so that it runs the verb as root; the request goes to its standard input."""
    return f"exec {' '.join(map(quoted, ('/bin/sh', '-c', _BOOT, 'ferryman', verb.name)))}"


def request(host: str, verb: Verb[Any], token: str, fence: Fence | None) -> str:
    """The verb's arguments as the helper takes them.

    Raises:
        ArgumentError: They are longer than the helper takes.
    """
    text = _request(
        token=token,
        words=list(verb.words),
        stdin=verb.stdin,
        fence=[fence.file(host), fence.token] if fence is not None and not verb.reads else None,
    )
    if len(text) > LONGEST_REQUEST:
        raise ArgumentError(
            f"{verb.shown}: its arguments make a request of {len(text)} bytes, and the helper on {host} "
            f"takes {LONGEST_REQUEST}; nothing was sent to a host"
        )
    return text


def check(needs: Needs) -> SudoCheck:
    """What asks whether all that is needed would be done."""
    requests = (_request(token=_CHECKING, check=allowed.to_json()) for allowed in needs.values())
    return SudoCheck(tuple(needs), tuple(requests))


def _request(**given: object) -> str:
    nothing: dict[str, object] = {"token": "", "words": [], "stdin": "", "fence": None, "check": None}
    return json.dumps({**nothing, "version": version(), **given})


def require_fit(host: str, user: str, answers: Mapping[str, SudoAnswer]) -> None:
    """Return when every verb would be done.

    Raises:
        UnreachableError: One would not; says what is missing on the host, each thing once.
    """
    wrong = {verb: answer for verb, answer in answers.items() if answer.status}
    if wrong:
        raise UnreachableError("\n".join(_sentences(host, user, wrong)))


def refusal(raw: Completed, user: str, verb: Verb[Any], token: str) -> UnreachableError | None:
    """Why nothing ran; None when the helper began, or when nothing says why it did not."""
    if f"\n{token} begin\n" in raw.stdout or raw.status == 0:
        return None
    answer = SudoAnswer(raw.status, f"{raw.stderr}\n{raw.stdout}", listed=False)
    known = _known(raw.host, user, [verb.name], answer)
    return None if known is None else UnreachableError(f"{raw.host}: {known}; nothing ran there")


def _sentences(host: str, user: str, wrong: Mapping[str, SudoAnswer]) -> Iterator[str]:
    """What is not right, with every verb that it concerns."""
    alike: dict[SudoAnswer, list[str]] = {}
    unlisted = []
    for verb, answer in wrong.items():
        refused = _REFUSED.search(answer.said)
        if refused is not None and refused[1] == "list":
            unlisted.append(refused[2])
        else:
            alike.setdefault(answer, []).append(verb)
    for answer, verbs in alike.items():
        noise = " ".join(answer.said.split())[:_SHOWN] or "nothing at all"
        what = _known(host, user, verbs, answer) or (
            f"sudo or the helper failed at {', '.join(verbs)}, status {answer.status}, and said {noise!r}; "
            f"try there as {user}: sudo -n {HELPER} {verbs[0]} </dev/null"
        )
        yield f"{host}: {what}; nothing ran there"
    if unlisted:
        yield f"{host}: {_unlisted(host, '; '.join(unlisted))}; nothing ran there"


def _known(host: str, user: str, verbs: Sequence[str], answer: SudoAnswer) -> str | None:
    """What is not right and what to do about it, where it is understood what sudo or the helper say."""
    said, names = answer.said, ", ".join(verbs)
    lines = " / ".join(sudoers_line(user, verb) for verb in verbs)
    if refused := _REFUSED.search(said):
        return _refused(host, names, refused[1], refused[2])
    password = (
        f"sudo wants {user}'s password for {names}; the line in its sudoers must say NOPASSWD, and no later "
        f"line may ask for it again: {lines}"
    )
    meanings = (
        (_NO_SUDO, "sudo is not installed there; install it, or log in as root (sudo = false)"),
        (_NO_HELPER, f"{HELPER} is not there; {_INSTALL}"),
        (_NO_TERMINAL, f"sudo wants a terminal; put this line into its sudoers: Defaults:{user} !requiretty"),
        (_PASSWORD if answer.listed else _NEVER, password),
        (_DENIED, f"sudo does not let {user} do {names} without a password; its sudoers lack: {lines}"),
    )
    return next((meaning for pattern, meaning in meanings if pattern.search(said)), None)


def _refused(host: str, names: str, code: str, why: str) -> str:
    """What the helper refused, and what helps."""
    if code in ("version", "verb"):
        return f"{HELPER} is of another version than this ferryman ({why}); {_INSTALL}"
    if code == "owner":
        return f"{HELPER} cannot be trusted: {why}; see who wrote it, then install it anew, owned by root"
    if code == "list":
        return _unlisted(host, why)
    return f"the helper refuses {names}: {why}"


def _unlisted(host: str, why: str) -> str:
    return (
        f"the helper does not do what root has not listed: {why}; print the list for root with: "
        f"ferryman host-helper --commands {host}"
    )
