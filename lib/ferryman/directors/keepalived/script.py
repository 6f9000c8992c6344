"""The script that replaces files of keepalived's configuration and reloads it: all of them, or none.

In one round trip: compare each file with what was read; test the whole configuration *with* the new texts,
which are bind-mounted over the old in a mount namespace of its own, so that nothing live has changed yet;
rename the new files into place; reload. Without new texts the test and the reload are all it does.
"""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING

from ferryman.directors.driver import CHANGED
from ferryman.hosts.script import script

if TYPE_CHECKING:
    from collections.abc import Mapping

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
"""What the script's exit statuses mean, but for ``CHANGED``: then standard error names the changed file."""

REPLACE = f"""\
IFS='
'
set -f
own=$$ from=1 pairs= litter=
whole=$(mktemp)
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
each take "$@"
apart true || exit {NO_TEST}
apart sh -c '
    while [ $# -gt 1 ]; do
        mount --bind "$1" "$2" || exit {NO_TEST}
        shift 2
    done
    keepalived -t -f "$1" >&2 || exit {BAD_CONFIGURATION}
' sh $pairs "$config"
each place "$@" || {{ each put_back "$@"; exit {NOT_PLACED}; }}
sh -c "$reload" >&2 || exit {NOT_RELOADED}
"""
"""Its head sets ``$config``, ``$reload``, ``$arrived`` and, four for each file, ``$@``.

The new files lie beside the old ones for the renames to be atomic, under names that no ``include *`` picks
up: with a leading dot.
"""


def new_texts(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """What ``replace_script`` reads from standard input: the new texts of the files that change."""
    return "".join(new[path] for path in old if old[path] != new[path])


@script
def replace_script(config: str, reload: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """The script that makes of the files' old texts the new ones, by path."""
    words = [word for path in old for word in (path, _sum(old[path]), _sum(new[path]), _size(new[path]))]
    head = f"""\
set -eu
config={shlex.quote(config)}
reload={shlex.quote(reload)}
arrived={_sum(new_texts(old, new))}
set -- {shlex.join(words)}
"""
    return head + REPLACE


def _sum(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()


def _size(text: str) -> str:
    return str(len(_bytes(text)))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
