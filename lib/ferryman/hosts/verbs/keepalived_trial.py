"""What ``keepalived -t`` says of a configuration as it is, and with other texts in it; nothing changes.

The new texts lie in a folder of their own, and are bind-mounted over the old in a mount namespace of their
own: so includes, paths and file names in messages are those of the real thing.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.errors import VerifyError
from ferryman.hosts.verbs.changed import CHANGED, changed_error
from ferryman.hosts.verbs.keepalived import (
    NO_TEST,
    SECRETS,
    STATUSES,
    TEST_S,
    TORN,
    changed_texts,
    checksum,
    file_words,
    require_same_files,
)
from ferryman.hosts.verbs.kinds import CONFIG_ID, PATH, TEXTS
from ferryman.hosts.verbs.verb import MIB, ReadVerb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferryman.hosts.completed import Completed

SAID_MIB = 1
"""How much is taken of what one test prints."""

_TRY = f"""\
set -eu
config=$1 arrived=$2 id=$3
shift 3
IFS='
'
set -f
from=1 pairs= count=0
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
sum() {{ sha256sum <"$1" | cut -d' ' -f1; }}
each() {{
    verb=$1
    shift
    while [ $# -gt 0 ]; do
        live=$(readlink -f -- "$1")
        "$verb" "$@" || return
        shift 4
    done
}}
compare() {{
    [ "$(sum "$live")" = "$2" ] || {{ printf '%s\\n' "$1" >&2; exit {CHANGED}; }}
}}
take() {{
    [ "$2" != "$3" ] || return 0
    count=$((count + 1))
    tail -c "+$from" "$folder/whole" | head -c "$4" >"$folder/$count"
    from=$((from + $4)) pairs="$pairs$IFS$folder/$count$IFS$live"
    chmod --reference="$live" -- "$folder/$count"
    chown --reference="$live" -- "$folder/$count"
}}
tell() {{ printf '%s ' "$1"; head -c {SAID_MIB * MIB} "$folder/said" | base64 -w0; echo; }}
cat >"$folder/whole"
[ "$(sum "$folder/whole")" = "$arrived" ] || exit {TORN}
each compare "$@"
each take "$@"
export id
test='timeout -k 2 {TEST_S} keepalived -t ${{id:+"--config-id=$id"}} -f "$1"'
status=0
sh -c "$test" sh "$config" >"$folder/said" 2>&1 </dev/null || status=$?
tell "$status"
if [ -n "$pairs" ]; then
    unshare -m true || exit {NO_TEST}
    status=0
    unshare -m sh -c '
        while [ $# -gt 1 ]; do
            mount --bind "$1" "$2" || exit {NO_TEST}
            shift 2
        done
        '"$test" sh $pairs "$config" >"$folder/said" 2>&1 </dev/null || status=$?
    [ "$status" -ne {NO_TEST} ] || {{ cat "$folder/said" >&2; exit {NO_TEST}; }}
    tell "$status"
fi
"""
"""``$@`` has four words for each file, as ``keepalived-write`` has them."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one ``keepalived -t`` said."""

    status: int
    """Its exit status; 124 when it did not end in time."""
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrialReading:
    """What it said of the texts that are there, and of the new ones."""

    as_is: Said
    edited: Said


@dataclass(frozen=True)
class KeepalivedTrial(ReadVerb[TrialReading]):
    """Has ``keepalived -t`` judge the configuration as it is, and with new texts in it that are not live."""

    name = "keepalived-test"
    secrets = SECRETS
    limit = 4 * MIB
    script = _TRY

    config: str = field(metadata=PATH)
    old: Mapping[str, str] = field(metadata=TEXTS)
    """The texts that are expected, by path."""
    new: Mapping[str, str] = field(metadata=TEXTS)
    """The texts to be judged, of the same paths."""
    config_id: str = field(default="", metadata=CONFIG_ID)
    """What the daemon was started with as its ``--config-id``."""

    def __post_init__(self) -> None:
        """Look at each argument, and at what they are together."""
        ReadVerb.__post_init__(self)
        require_same_files(self.name, self.old, self.new)

    @property
    def deadline_s(self) -> float:
        """60 s: keepalived is run twice, and looks names up."""
        return 3.0 * TEST_S

    @property
    def words(self) -> Sequence[str]:
        """Configuration, the checksum of what is on standard input, id, and four words for each file."""
        return (self.config, checksum(self.stdin), self.config_id, *file_words(self.old, self.new))

    @property
    def stdin(self) -> str:
        """The new texts of the files that change, one behind the other."""
        return changed_texts(self.old, self.new)

    def parse(self, done: Completed) -> TrialReading:
        """What it said of each.

        Raises:
            WorldChangedError: A file was another one than expected.
        """
        if done.status in (NO_TEST, TORN):
            complaint = done.stderr.strip()
            raise VerifyError(f"{done.host}: {', '.join(self.new)}: {STATUSES[done.status]}: {complaint}")
        if done.status == CHANGED:
            raise changed_error(done.host, done.stderr.strip().splitlines())
        said = [_said(line) for line in done.checked().stdout.splitlines()]
        wanted = 1 if not self.stdin and self.old == self.new else 2
        if len(said) != wanted:
            raise VerifyError(f"{done.host}: {self.name}: {len(said)} answers, wanted {wanted}")
        return TrialReading(said[0], said[-1])


def _said(line: str) -> Said:
    status, _, text = line.partition(" ")
    printed = base64.b64decode(text).decode("utf-8", "surrogateescape")
    for pattern in SECRETS:  # it repeats a whole line, where it does not understand that
        printed = re.sub(pattern, lambda found: found[0].replace(found[1], "…"), printed)
    return Said(int(status), tuple(line.rstrip() for line in printed.splitlines() if line.strip()))
