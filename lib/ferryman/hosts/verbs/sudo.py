"""What a user without root may do: sudo and the helper are asked, and nothing is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.hosts.verbs.kinds import NAMES, each, matching
from ferryman.hosts.verbs.verb import ReadVerb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.hosts.completed import Completed

HELPER = "/usr/local/sbin/ferryman-host-helper"
"""Where the helper is on every host."""
ENGLISH = "LC_ALL=C; export LC_ALL; unset LANGUAGE"
"""What sudo says is read: so it speaks English, whatever the user's start-up files say."""
_VERB, _STATUS, _LISTED = "== verb", "== status", "== listed"
NO_SUDO, NO_HELPER = "no sudo", "no helper"


@dataclass(frozen=True, slots=True)
class SudoAnswer:
    """What came of asking for one verb."""

    status: int
    said: str
    listed: bool
    """Whether sudo would let the user do it, with or without a password; asked where it failed."""


@dataclass(frozen=True)
class SudoCheck(ReadVerb[Mapping[str, SudoAnswer]]):
    """Asks sudo and the helper for each verb that will be needed, and does none of them.

    The requests say that it is a check; sudo does not see them, so it is asked for just what will run.
    """

    name = "sudo-check"
    needs_root = False
    script = f"""\
{ENGLISH}
missing=
command -v sudo >/dev/null || missing='{NO_SUDO}'
[ -n "$missing" ] || [ -e {HELPER} ] || missing='{NO_HELPER}'
for verb do
    read -r request
    printf '{_VERB} %s\\n' "$verb"
    if [ -n "$missing" ]; then
        printf '%s\\n{_STATUS} 1\\n' "$missing"
        continue
    fi
    printf '%s\\n' "$request" | sudo -n -- {HELPER} "$verb" 2>&1
    status=$?
    printf '\\n{_STATUS} %s\\n' "$status"
    [ "$status" = 0 ] || ! sudo -n -l -- {HELPER} "$verb" >/dev/null 2>&1 || echo '{_LISTED}'
done
"""

    verbs: tuple[str, ...] = field(metadata=NAMES)
    requests: tuple[str, ...] = field(
        metadata=each(matching("", r"\{[ -~]*\}"), "a tuple of JSON objects, each in one line")
    )
    """What the helper is asked of each of the verbs."""

    @property
    def words(self) -> Sequence[str]:
        """The verbs."""
        return self.verbs

    @property
    def stdin(self) -> str:
        """The requests, a line each."""
        return "".join(f"{request}\n" for request in self.requests)

    def parse(self, done: Completed) -> Mapping[str, SudoAnswer]:
        """The answers, by verb."""
        parts = f"\n{done.checked().stdout}".split(f"\n{_VERB} ")[1:]
        answers = dict(part.partition("\n")[::2] for part in parts)
        return {verb: _answer(answers[verb]) for verb in self.verbs}


def _answer(text: str) -> SudoAnswer:
    said, _, rest = text.rpartition(f"{_STATUS} ")
    number, *more = rest.splitlines()
    return SudoAnswer(int(number), said.strip(), _LISTED in more)
