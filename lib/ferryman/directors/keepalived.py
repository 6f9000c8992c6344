"""The driver of a director whose IPVS table keepalived fills.

The service's own file is changed, not the kernel: in a file that begins with ferryman's marker line the
whole text is rendered from the catalog; in any other, the words of the service's virtual servers that say
how it forwards, or how it is scheduled, are edited and everything else stays byte for byte. One script, one
round trip, does it in this order: compare the file with what was read; test the whole configuration *with*
the new text, which is bind-mounted over the old in a mount namespace of its own, so that nothing live has
changed yet; rename the new file into place; reload.

keepalived compares a reloaded configuration with its previous one, not with the kernel, and reloads in its
own time: so the kernel's table is read until it is as wanted. Its health checks may set a weight to 0 or
take a destination out meanwhile; that is told as what it is, never as done.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import shlex
import time
from typing import TYPE_CHECKING, Any

from ferryman import patience
from ferryman.directors.driver import CHANGED, Before, Driver
from ferryman.directors.ipvs import Table, differences, from_json, of_service
from ferryman.directors.ipvs_listing import READ_TABLE, read_table
from ferryman.directors.keepalived_edit import edited
from ferryman.directors.keepalived_render import owned, rendered
from ferryman.directors.keepalived_text import TextError
from ferryman.errors import RefusedError, VerifyError, WorldChangedError
from ferryman.model import Edit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.directors.target import Target
    from ferryman.fleet.hosts import Hosts
    from ferryman.management import Agent
    from ferryman.model import Director, Service

_BAD_CONFIGURATION = 66
_NO_TEST = 67
_TORN = 68
_NOT_RELOADED = 69

_STATUSES = {
    _BAD_CONFIGURATION: "keepalived does not accept the new configuration; nothing was changed",
    _NO_TEST: "the new configuration cannot be tried before it is live (unshare, mount); nothing was changed",
    _TORN: "the new text did not arrive whole; nothing was changed",
    _NOT_RELOADED: "the file is replaced, but the reload command failed",
}


class KeepalivedDriver(Driver):
    """Edits this service's file and reloads keepalived.

    Its keys: ``config``, ``service_file``, ``reload``, ``converge_timeout``.
    """

    def __init__(
        self,
        director: Director,
        service: Service,
        hosts: Hosts,
        agent: Agent | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(director, service, hosts, agent)
        self.config = self.options.text("config", "/etc/keepalived/keepalived.conf")
        self.file = self.options.text("service_file", self.config)
        self.reload = self.options.text("reload", "systemctl reload keepalived")
        self.converge_s = self.options.seconds("converge_timeout", 30.0)
        self._sleep = sleep

    def already(self, before: Before, target: Target) -> bool:
        """Whether kernel and file both say so."""
        text = before["files"][self.file]["text"]
        as_before = from_json(before["table"])
        return self._text(before, target) == text and not differences(self.wanted(before, target), as_before)

    def edits(self, before: Before, target: Target) -> list[Edit]:
        """The file's diff, and the reload."""
        return self._rewritten(before["files"][self.file]["text"], self._text(before, target))

    def edits_back(self, before: Before, target: Target) -> list[Edit]:
        """The file's diff the other way, and the reload."""
        return self._rewritten(self._text(before, target), before["files"][self.file]["text"])

    def _rewritten(self, old: str, new: str) -> list[Edit]:
        lines = difflib.unified_diff(
            old.splitlines(keepends=True), new.splitlines(keepends=True), f"{self.file} (before)", self.file
        )
        file = Edit("director", f"{self.host}:{self.file}", diff="".join(lines))
        return [*([file] if old != new else []), Edit("director", self.host, command=self.reload)]

    def _look(self) -> tuple[Table, dict[str, Any]]:
        path = shlex.quote(self.file)
        script = f"set -e\n{READ_TABLE}\necho ==\nstat -L -c %a {path}\nbase64 -w0 {path}"
        output = self.hosts.read(self.host, script).checked().stdout
        table, _, file = output.rpartition("==\n")
        mode, _, text = file.partition("\n")
        found = {"text": base64.b64decode(text).decode("utf-8", "surrogateescape"), "mode": f"0{mode}"}
        return of_service(read_table(table), self.service), {self.file: found}

    def _text(self, before: Before, target: Target) -> str:
        """The file's text for this target, made from the before."""
        text: str = before["files"][self.file]["text"]
        try:
            if owned(text):
                return rendered(text, self.service, self.wanted(before, target))
            return edited(text, self.service.virtual_services, target)
        except TextError as problem:
            raise RefusedError(
                f"{self.host}: {self.file}: {problem}; correct the file, or service_file in directors.yaml"
            ) from problem

    def _apply(self, before: Before, target: Target) -> None:
        now, text = self._now(before, target)
        strange = self._strange(before, target, now)
        if strange:
            raise self._changed(strange)
        wanted = self.wanted(before, target)
        self._reach(now, lambda table: differences(wanted, table), text, self._text(before, target))

    def _restore(self, before: Before, target: Target) -> None:
        now, text = self._now(before, target)
        as_before = from_json(before["table"])
        seen = self._reach(
            now,
            lambda table: differences(target.taken_from(as_before, table), table),
            text,
            before["files"][self.file]["text"],
        )
        strange = self._strange(before, target, seen)
        if strange:
            raise self._changed(strange)

    def _now(self, before: Before, target: Target) -> tuple[Table, str]:
        """Table and text as they are now, if the text is one that this run knows."""
        now, files = self._look()
        text = files[self.file]["text"]
        if text not in (self._text(before, target), before["files"][self.file]["text"]):
            raise WorldChangedError(
                f"{self.host}: {self.file}: someone else changed it since it was read;"
                " it was left alone; find out who did, then begin again"
            )
        return now, text

    def _reach(self, now: Table, wrong: Callable[[Table], list[str]], text: str, new_text: str) -> Table:
        """Replace the text, reload, wait until nothing is wrong with the kernel's table, and return that.

        A text that is already there is only reloaded, and not even that where nothing is wrong.
        """
        if text == new_text and not wrong(now):
            return now
        done = self.hosts.write(self.host, self._script(text, new_text), stdin=new_text)
        if done.status in _STATUSES:
            said = "\n".join(done.stderr.strip().splitlines()[-10:])
            raise VerifyError(f"{self.host}: {self.file}: {_STATUSES[done.status]}: {said}")
        self._written(done)
        seen = patience.until(
            self.read,
            lambda table: not wrong(table),
            within_s=self.converge_s,
            every_s=1.0,
            sleep=self._sleep,
        )
        if lines := wrong(seen):
            after = f"reloaded, but the table did not follow within {self.converge_s:g} s"
            raise VerifyError("\n".join(f"{self.host}: {after}: {line}" for line in lines))
        return seen

    def _script(self, text: str, new_text: str) -> str:
        """What replaces the file and reloads; its statuses are named at the top of the module.

        The new file lies beside the old one for the rename to be atomic, under a name that no
        ``include *.conf`` picks up: a leading dot, and another ending.
        """
        return f"""set -eu
live=$(readlink -f -- {shlex.quote(self.file)})
sum() {{ sha256sum <"$1" | cut -d' ' -f1; }}
fresh=$(mktemp -- "${{live%/*}}/.${{live##*/}}.XXXXXXXX")
trap 'rm -f -- "$fresh"' EXIT
cat >"$fresh"
[ "$(sum "$fresh")" = {_sum(new_text)} ] || exit {_TORN}
if [ "$(sum "$live")" != {_sum(text)} ]; then
    echo {shlex.quote(self.file)} >&2
    exit {CHANGED}
fi
if [ "$(sum "$live")" != {_sum(new_text)} ]; then
    unshare -m true || exit {_NO_TEST}
    unshare -m sh -c '
        mount --bind "$1" "$2" || exit {_NO_TEST}
        keepalived -t -f "$3" >&2 || exit {_BAD_CONFIGURATION}
    ' sh "$fresh" "$live" {shlex.quote(self.config)}
    chmod --reference="$live" -- "$fresh"
    chown --reference="$live" -- "$fresh"
    sync -- "$fresh"
    mv -f -- "$fresh" "$live"
    sync -- "${{live%/*}}"
fi
( {self.reload}
) >&2 || exit {_NOT_RELOADED}
"""


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
