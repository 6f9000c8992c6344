"""keepalived on a director: its files read, replaced and loaded.

Files are replaced in one round trip, all of them or none: each is compared with what was read, and so is the
kernel's table, which a reload would change next to what somebody else has just made of it; the whole
configuration is tested *with* the new texts, which are bind-mounted over the old in a mount namespace of its
own, so that nothing live has changed yet; the new files are renamed into place; keepalived is reloaded.
Without new texts the test and the reload are all it does.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferryman.errors import ArgumentError, VerifyError
from ferryman.hosts.verbs.changed import CHANGED, changed_error
from ferryman.hosts.verbs.ipvs import (
    OTHER_TABLE,
    OURS_ARE,
    TABLE_SCRIPT,
    IpvsTable,
    expected_lines,
    table_in,
)
from ferryman.hosts.verbs.kinds import CONFIG_ID, COUNT, PATH, PATHS, SWITCH, TABLE, TEXT, TEXTS
from ferryman.hosts.verbs.verb import MIB, ReadVerb, WriteVerb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferryman.hosts.completed import Completed
    from ferryman.hosts.verbs.verb import Included
    from ferryman.ipvs.table import Table

_READ_DAEMON = """\
keepalived -v 2>&1 | head -n 1
echo ==
own=$(stat -L -c %i /proc/self/ns/net)
ps -ww -C keepalived -o netns=,args= | awk -v own="$own" '$1 == own { $1 = ""; print }'
"""
"""Prints the version, and the command lines of the keepaliveds of this network namespace: those of others
fill other tables."""
_READ = """\
set -f
stat -L -c '%a %s %n' -- $all
echo ==
cat -- $all | base64 -w0
"""
_NEWLINE = """IFS='
'
"""

_FOLLOW = (
    _NEWLINE
    + r"""all= left=20
follow='{ sub(/^[ \t]+/, ""); sub(/^@[^ \t]+[ \t]+/, "") }
/^include[rmwba]?[ \t]/ {
    sub(/^[^ \t]+[ \t]+/, ""); sub(/[ \t\r]*([#!].*)?$/, ""); gsub(/\{[^\/]*\}/, "*")
    folder = FILENAME; sub(/[^\/]*$/, "", folder)
    print (/^\// ? "" : folder) $0
}'
while [ -n "$fresh" ]; do
    [ "$left" -gt 0 ] || { echo 'its includes are nested more than 20 deep' >&2; exit 1; }
    left=$((left - 1)) all="$all$IFS$fresh" next=
    for one in $(awk "$follow" $fresh); do
        case "$IFS$all$IFS$next$IFS" in *"$IFS$one$IFS"*) continue ;; esac
        [ ! -f "$one" ] || next="$next$IFS$one"
    done
    fresh=${next#?}
done
"""
    + _READ
)
"""Prints the files in ``$fresh`` and all that their includes may mean.

The director's shell reads somewhat too much, because it knows no braces of csh; which of it counts is decided
in ``directors/keepalived/files.py``.
"""

TEST_S = 20
"""Seconds that one ``keepalived -t`` may take: it looks names up."""
SETTLE_LOOKS = 15
"""How often the table is looked at after a reload, a tenth of a second apart."""
BAD_CONFIGURATION = 66
NO_TEST = 67
TORN = 68
NOT_RELOADED = 69
NOT_PLACED = 70

STATUSES = {
    BAD_CONFIGURATION: "keepalived does not accept the new configuration; nothing was changed",
    NO_TEST: "the new configuration cannot be tried before it is live (unshare, mount); nothing was changed",
    TORN: "the new text did not arrive whole; nothing was changed",
    NOT_PLACED: "the new text could not be put in place; all was put back, nothing was reloaded",
    NOT_RELOADED: "the file is replaced, but the reload command failed",
}
"""What exit statuses of ``keepalived-write`` mean, but for ``CHANGED``: standard error has that file."""

_REPLACE = f"""\
set -eu
config=$1 reload=$2 arrived=$3 id=$4 allowed=$5 named=$6 table=$7 weighed=$8
shift 8
IFS='
'
set -f
own=$$ from=1 pairs= litter=
whole=$(mktemp)
{OURS_ARE}without_weights() {{ sed 's/ -w [0-9]*//'; }}
sum() {{ sha256sum <"$1" | cut -d' ' -f1; }}
each() {{
    verb=$1
    shift
    while [ $# -gt 0 ]; do
        live=$(readlink -f -- "$1")
        fresh="${{live%/*}}/.${{live##*/}}.$own"
        "$verb" "$@" || return
        shift 4
    done
}}
compare() {{
    [ "$(sum "$live")" = "$2" ] || {{ printf '%s\\n' "$1" >&2; exit {CHANGED}; }}
}}
take() {{
    [ "$2" != "$3" ] || return 0
    litter="$litter$IFS$fresh$IFS$fresh.old"
    tail -c "+$from" "$whole" | head -c "$4" >"$fresh"
    from=$((from + $4)) pairs="$pairs$IFS$fresh$IFS$live"
    chmod --reference="$live" -- "$fresh"
    chown --reference="$live" -- "$fresh"
    ln -- "$live" "$fresh.old"
    sync -- "$fresh"
}}
place() {{ [ "$2" = "$3" ] || {{ mv -f -- "$fresh" "$live" && sync -- "${{live%/*}}"; }}; }}
put_back() {{ [ -e "$fresh" ] || [ ! -e "$fresh.old" ] || mv -f -- "$fresh.old" "$live"; }}
apart() {{ if [ -n "$pairs" ]; then unshare -m "$@"; else "$@"; fi; }}
trap 'rm -f -- "$whole" $litter' EXIT
cat >"$whole"
[ "$(sum "$whole")" = "$arrived" ] || exit {TORN}
each compare "$@"
if [ -n "$named" ]; then
    now=$(export LC_ALL=C && ours "$named")
    if [ "$weighed" = no ]; then
        now=$(printf '%s\n' "$now" | without_weights) table=$(printf '%s\n' "$table" | without_weights)
    fi
    [ "$now" = "$table" ] || {{ echo '{OTHER_TABLE}' >&2; exit {CHANGED}; }}
fi
each take "$@"
apart true || exit {NO_TEST}
export id allowed
apart sh -c '
    while [ $# -gt 1 ]; do
        mount --bind "$1" "$2" || exit {NO_TEST}
        shift 2
    done
    status=0
    timeout -k 2 {TEST_S} keepalived -t ${{id:+"--config-id=$id"}} -f "$1" >&2 || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq "$allowed" ] || exit {BAD_CONFIGURATION}
' sh $pairs "$config"
each place "$@" || {{ each put_back "$@"; exit {NOT_PLACED}; }}
was=$(ipvsadm -Sn) || was=
sh -c "$reload" >&2 || exit {NOT_RELOADED}
left={SETTLE_LOOKS} last=$was
while [ "$left" -gt 0 ]; do
    left=$((left - 1)) now=$(ipvsadm -Sn) || break
    if [ "$now" != "$was" ] && [ "$now" = "$last" ]; then break; fi
    last=$now
    sleep 0.1 2>/dev/null || sleep 1
done
"""
"""After eight words ``$@`` has four for each file: its path, the checksums of its old text and of its new
one, and the size of the new one. The new files lie beside the old ones for the renames to be atomic, under
names that no ``include *`` picks up: with a leading dot.

keepalived reloads in its own time: so the table is looked at until it has changed and was the same twice, for
a second and a half at most. Whether it is as wanted then is for whoever reads it.
"""


SECRETS = (r"\bauth_pass\s+(\S+)",)
"""What routers of one VRRP instance know each other by (keepalived.conf(5))."""


@dataclass(frozen=True, slots=True)
class FileReading:
    """A file as it was read."""

    text: str
    mode: str
    """Its permissions, in octal: ``0644``."""


@dataclass(frozen=True, slots=True)
class KeepalivedReading:
    """What one round trip read of a director with keepalived."""

    table: Table
    """The virtual servers of every service."""
    version: str
    """What ``keepalived -v`` prints first."""
    running: tuple[str, ...]
    """The command lines of the keepaliveds that run in its network namespace."""
    files: Mapping[str, FileReading]
    """Every file that its configuration may include, by path."""


@dataclass(frozen=True)
class KeepalivedRead(ReadVerb[KeepalivedReading]):
    """Reads the kernel's table, the daemon, its configuration and everything that this may include."""

    name = "keepalived-read"
    secrets = SECRETS
    limit = 64 * MIB
    script = f"""\
set -e
{{ {TABLE_SCRIPT}; }} || exit
echo ==
{_READ_DAEMON}echo ==
fresh=$1
shift
for more do
    [ ! -f "$more" ] || fresh="$fresh
$more"
done
{_FOLLOW}"""

    config: str = field(metadata=PATH)
    more: tuple[str, ...] = field(default=(), metadata=PATHS)
    """Files that are read with it, where they are there: it may not include them."""

    @property
    def includes(self) -> Included:
        """The table."""
        return ((IpvsTable(), lambda reading: reading.table),)

    @property
    def words(self) -> Sequence[str]:
        """The paths."""
        return (self.config, *self.more)

    def parse(self, done: Completed) -> KeepalivedReading:
        """What was read."""
        *table, version, running, listing, content = done.checked().stdout.split("==\n")
        return KeepalivedReading(
            table_in(done, "==\n".join(table)),
            version.strip(),
            tuple(running.splitlines()),
            _files(done, listing, content),
        )


@dataclass(frozen=True)
class KeepalivedWrite(WriteVerb[None]):
    """Replaces the texts of some files, if they still are as expected, and reloads keepalived."""

    name = "keepalived-write"
    secrets = SECRETS
    script = _REPLACE

    config: str = field(metadata=PATH)
    reload: str = field(metadata=TEXT)
    """The operator's command that makes keepalived load its configuration."""
    old: Mapping[str, str] = field(metadata=TEXTS)
    """The texts that are expected, by path."""
    new: Mapping[str, str] = field(metadata=TEXTS)
    """The texts as they are to be, of the same paths."""
    config_id: str = field(default="", metadata=CONFIG_ID)
    """What the daemon was started with as its ``--config-id``; it decides which lines under ``@id`` count."""
    allowed: int = field(default=0, metadata=COUNT)
    """The exit status that ``keepalived -t`` may end with, beside 0: it was looked at what it says then."""
    table: Table = field(default=(), metadata=TABLE)
    """The virtual servers that are expected in the kernel; without any, its table is not compared."""
    with_weights: bool = field(default=True, metadata=SWITCH)
    """Whether weights are compared; not where keepalived moves some of them by itself."""

    def __post_init__(self) -> None:
        """Look at each argument, and at what they are together."""
        WriteVerb.__post_init__(self)
        require_same_files(self.name, self.old, self.new)

    @property
    def words(self) -> Sequence[str]:
        """Configuration, reload, the checksum of standard input, id, status, the table; then each file."""
        given = (self.config, self.reload, checksum(self.stdin), self.config_id, str(self.allowed))
        weighed = "yes" if self.with_weights else "no"
        return (*given, *expected_lines(self.table), weighed, *file_words(self.old, self.new))

    @property
    def stdin(self) -> str:
        """The new texts of the files that change, one behind the other."""
        return changed_texts(self.old, self.new)

    def parse(self, done: Completed) -> None:
        """Return when it is done.

        Raises:
            WorldChangedError: A file or the table was another one than expected; nothing was changed.
        """
        if done.status in STATUSES:
            printed = "\n".join(done.stderr.strip().splitlines()[-10:])
            raise VerifyError(f"{done.host}: {', '.join(self.new)}: {STATUSES[done.status]}: {printed}")
        if done.status == CHANGED:
            raise changed_error(done.host, done.stderr.strip().splitlines())
        done.checked()


def _files(done: Completed, listing: str, content: str) -> dict[str, FileReading]:
    """The files, from the two parts of what is printed of them."""
    whole, files, start = base64.b64decode(content), {}, 0
    for mode, size, path in (line.split(" ", 2) for line in listing.splitlines()):
        text = whole[start : start + int(size)].decode("utf-8", "surrogateescape")
        files[path] = FileReading(text, f"0{mode}")
        start += int(size)
    if start != len(whole):
        raise VerifyError(f"{done.host}: {', '.join(files)}: changed while being read; begin again")
    return files


def require_same_files(name: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Return when both are texts of the same files.

    Raises:
        ArgumentError: They are not.
    """
    if old.keys() != new.keys():
        raise ArgumentError(f"{name}: old and new are not texts of the same files; nothing was sent")


def file_words(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Four words for each file: its path, the checksums of its old text and of its new one, and its size."""
    for path, text in old.items():
        yield from (path, checksum(text), checksum(new[path]), str(len(_bytes(new[path]))))


def changed_texts(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """The new texts of the files that change, one behind the other."""
    return "".join(new[path] for path, text in old.items() if text != new[path])


def checksum(text: str) -> str:
    """The SHA-256 of a text as it stands in a file."""
    return hashlib.sha256(_bytes(text)).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
