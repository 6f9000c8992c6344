"""Verbs through sudo and the helper: the command line, the request, and what is said where it fails."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferryman.errors import ArgumentError, UnreachableError
from ferryman.hosts.framing import SBIN, quoted
from ferryman.hosts.helper.needs import Allowed
from ferryman.hosts.helper.on_host import LONGEST_REQUEST
from ferryman.hosts.helper.render import LISTED, PLACE, sudoers_line, version
from ferryman.hosts.verbs import ReadVerb
from ferryman.hosts.verbs.kinds import Kind, kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.hosts.fence import Fence
    from ferryman.hosts.hosts import Completed
    from ferryman.hosts.verbs import Verb

_PATH = f"PATH=${{PATH:-/usr/bin:/bin}}:{SBIN} LC_ALL=C; export PATH LC_ALL; unset LANGUAGE; "
_BOOT = f'{_PATH}exec sudo -n -- {PLACE} "$1"'
"""Messages of sudo are read below: so it speaks English, whatever the user's start-up files say."""
_VERB, _STATUS, _LISTED = "== verb", "== status", "== listed"
_LOOK = f"""\
{_PATH}
command -v sudo >/dev/null || {{ echo "sudo: not found" >&2; exit 127; }}
[ -e {PLACE} ] || {{ echo "sudo: {PLACE}: command not found" >&2; exit 1; }}
for verb do
    read -r request
    printf '{_VERB} %s\\n' "$verb"
    printf '%s\\n' "$request" | sudo -n -- {PLACE} "$verb" 2>&1
    status=$?
    printf '\\n{_STATUS} %s\\n' "$status"
    [ "$status" = 0 ] || ! sudo -n -l -- {PLACE} "$verb" >/dev/null 2>&1 || echo '{_LISTED}'
done
"""
_REFUSED = re.compile(r"^ferryman-host-helper refused (\w+): (.*)$", re.MULTILINE)
_DENIED = re.compile(r"password is required|is not allowed|may not run|not in the sudoers")
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


def _request(**parts: object) -> str:
    nothing: dict[str, object] = {"token": "", "words": [], "stdin": "", "fence": None, "check": None}
    return json.dumps({**nothing, "version": version(), **parts})


def _are_needs(value: Any) -> bool:  # noqa: ANN401  # a kind looks at anything
    return all(isinstance(verb, str) and isinstance(allowed, Allowed) for verb, allowed in value.items())


_NEEDS = {"kind": Kind("what is needed, by verb", _are_needs)}


@dataclass(frozen=True)
class CheckHelper(ReadVerb[None]):
    """Asks sudo and the helper for each verb that will be needed, and does none of them."""

    name = "check-helper"
    needs_root = False
    script = _LOOK

    user: str = field(metadata=kind("a text", lambda value: isinstance(value, str)))
    needs: Mapping[str, Allowed] = field(metadata=_NEEDS)

    @property
    def words(self) -> Sequence[str]:
        """The verbs."""
        return tuple(self.needs)

    @property
    def stdin(self) -> str:
        """A request for each."""
        token = f"ferryman-{0:016x}"
        lines = (_request(token=token, check=allowed.to_json()) for allowed in self.needs.values())
        return "".join(f"{line}\n" for line in lines)

    def parse(self, done: Completed) -> None:
        """Return when each would be done.

        Raises:
            UnreachableError: One would not, and what is missing on the host.
        """
        parts = f"\n{done.stdout}".split(f"\n{_VERB} ")[1:]
        answers = dict(part.partition("\n")[::2] for part in parts)
        verbs = list(self.needs)
        if done.status or set(answers) != set(verbs):
            said = done.stderr or done.stdout
            raise UnreachableError(_sentence(done.host, self.user, verbs, said, listed=False))
        wrong = {verb: answer for verb, answer in answers.items() if not answer.count(f"{_STATUS} 0\n")}
        if wrong:
            raise UnreachableError("\n".join(self._sentences(done.host, wrong)))

    def _sentences(self, host: str, wrong: Mapping[str, str]) -> Iterator[str]:
        """What is missing, each thing once, with every verb that it is missing for."""
        alike: dict[tuple[str, bool], list[str]] = {}
        for verb, answer in wrong.items():
            said, _, rest = answer.partition(f"\n{_STATUS} ")
            alike.setdefault((said, _LISTED in rest), []).append(verb)
        for (said, listed), verbs in alike.items():
            yield _sentence(host, self.user, verbs, said, listed=listed)


def refusal(raw: Completed, user: str, verb: Verb[Any], token: str) -> UnreachableError | None:
    """Why nothing ran; None when the helper began, or when nothing says why it did not."""
    if f"\n{token} begin\n" in raw.stdout or raw.status == 0:
        return None
    said = f"{raw.stderr}\n{raw.stdout}"
    known = _known(raw.host, user, [verb.name], said, listed=_LISTED in said)
    return None if known is None else UnreachableError(known)


def _sentence(host: str, user: str, verbs: Sequence[str], said: str, *, listed: bool) -> str:
    """What is not right on the host, and what to do about it, whatever it is."""
    noise = " ".join(said.split())[:_SHOWN] or "nothing at all"
    return _known(host, user, verbs, said, listed=listed) or (
        f"{host}: sudo or the helper failed at {', '.join(verbs)}, and said {noise!r}; try there"
        f" as {user}: sudo -n {PLACE} {verbs[0]} </dev/null; nothing ran there"
    )


def _known(host: str, user: str, verbs: Sequence[str], said: str, *, listed: bool) -> str | None:
    """The same, where it is understood what they say."""
    lines = " / ".join(sudoers_line(user, verb) for verb in verbs)
    refused = _REFUSED.search(said)
    names = ", ".join(verbs)
    what = None
    if refused is not None:
        what = _by_code(host, verbs[0], refused[1], refused[2])
    elif "sudo: not found" in said:
        what = "sudo is not installed there; install it, or log in as root (sudo = false)"
    elif "command not found" in said:
        what = (
            f"{PLACE} is not there; print it with: ferryman host-helper, and install it as docs/guide.md says"
        )
    elif "must have a tty" in said:
        what = f"sudo wants a terminal there; put this line into its sudoers: Defaults:{user} !requiretty"
    elif "password is required" in said and listed:
        what = (
            f"sudo wants {user}'s password for {names}; the line in its sudoers must say NOPASSWD, and no "
            f"later line may ask for it again: {lines}"
        )
    elif _DENIED.search(said):
        what = f"sudo does not let {user} do {names} without a password; its sudoers lack: {lines}"
    return what and f"{host}: {what}; nothing ran there"


def _by_code(host: str, verb: str, code: str, why: str) -> str:
    """What the helper refused, and what helps."""
    if code in ("version", "verb"):
        return (
            f"{PLACE} is of another version than this ferryman ({why}); print it anew with: "
            "ferryman host-helper, and install it as docs/guide.md says"
        )
    if code == "owner":
        return f"{PLACE} cannot be trusted: {why}; see who wrote it, then install it anew, owned by root"
    if code == "list":
        return (
            f"the helper refuses {verb}: {why}; print {LISTED} for root with: "
            f"ferryman host-helper --commands {host}"
        )
    return f"the helper refuses {verb}: {why}"
