"""A fake director whose commands really run: by /bin/sh, with fake tools that keep state in a folder."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ferryman.errors import DoubtError, DryRunError, UnknownOutcomeError, VerifyError
from ferryman.hosts.hosts import value_or_error
from ferryman.model import Director, Kind, Realserver, Role, Service, VirtualService
from ferryman.testing.shell import run_here
from tools import OneByOne

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.hosts.verbs import ReadVerb, Verb, WriteVerb

T = TypeVar("T")

QUICK = {
    "ipvsadm": """case "$*" in
-Sn) exec cat "$FAKE_DIRECTOR/rules" ;;
"-Ln --thresholds") [ ! -f "$FAKE_DIRECTOR/limits" ] || exec cat "$FAKE_DIRECTOR/limits"; exit 0 ;;
esac
""",
    "unshare": """shift
if [ -e "$FAKE_DIRECTOR/no-unshare" ]; then echo "unshare: Operation not permitted" >&2; exit 1; fi
: >"$FAKE_DIRECTOR/mounts"
FAKE_MOUNTS=mounts exec "$@"
""",
    "mount": """printf '%s %s\\n' "$3" "$2" >>"$FAKE_DIRECTOR/$FAKE_MOUNTS"
exit 0
""",
    "keepalived": """if [ "$*" = -v ]; then cat "$FAKE_DIRECTOR/version" >&2; exit 0; fi
""",
    "ps": """sed "s/^own/$(stat -L -c %i /proc/self/ns/net)/" "$FAKE_DIRECTOR/processes"
exit 0
""",
    "curl": """for url; do :; done
exec cat "$FAKE_DIRECTOR/http/$(basename "$url")"
""",
    "puppet": """export PUPPET_DOUBLE="$FAKE_DIRECTOR/puppet"
""",
    "sleep": """printf '%s\\n' "$1" >>"$FAKE_DIRECTOR/slept"
exit
""",
}
"""What is asked most often is answered by the shell, without starting Python."""
TOOLS = ("ipvsadm", "ip", "keepalived", "unshare", "mount", "reload", "ps", "pybal")
DOUBLES = {"puppet": str(Path(__file__).parents[2] / "doubles" / "puppet.py")}
"""Tools that stand in files of their own, because the lab uses them too."""

LVS1 = Director("lvs1", Role.PRIMARY, "ipvsadm")


def virtual(vip: str, port: int = 80, scheduler: str = "wrr", *flags: str) -> VirtualService:
    label = "weblb" if "." in vip else "weblb6"
    return VirtualService("web", label, "tcp", ip_address(vip), port, scheduler, flags)


def realserver(number: int) -> Realserver:
    addresses = IPv4Address(f"10.10.0.2{number}"), IPv6Address(f"fd10::2{number}")
    return Realserver(f"web{number}", Kind.SERVER, *addresses)


WEB = Service(
    name="web",
    site="lab",
    encryption=False,
    lvs_class="low-traffic",
    encapsulated=False,
    virtual_services=(virtual("10.99.0.1"), virtual("fd99::1")),
    realservers=(realserver(1), realserver(2)),
    directors=(LVS1,),
)

RULES = """\
-A -t 10.99.0.1:80 -s wrr
-a -t 10.99.0.1:80 -r 10.10.0.21:80 -g -w 1
-a -t 10.99.0.1:80 -r 10.10.0.22:80 -g -w 3
-A -t 10.99.0.9:80 -s rr
-a -t 10.99.0.9:80 -r 10.10.0.21:80 -g -w 7
-A -t [fd99::1]:80 -s wrr
-a -t [fd99::1]:80 -r [fd10::21]:80 -g -w 1
-a -t [fd99::1]:80 -r [fd10::22]:80 -g -w 1
"""


@dataclass
class RealShell(OneByOne):
    """Hosts whose commands run in a shell of this machine, on fake tools; ``lose`` makes answers get lost."""

    folder: Path
    dry_run: bool = False
    lost_answers: int = 0
    """Writes whose answer is lost although they ran."""
    lost_commands: int = 0
    """Writes that never run, and whose answer is lost too."""
    before_write: Callable[[], None] = lambda: None
    """What somebody else does right before a write."""
    reads: list[ReadVerb[Any]] = field(default_factory=list)
    writes: list[WriteVerb[Any]] = field(default_factory=list)

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        self.reads.append(verb)
        return self._run(host, verb)

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        if self.dry_run:
            raise DryRunError(f"{host}: a dry run tried to write")
        self.writes.append(verb)
        self.before_write()
        if self.lost_commands:
            self.lost_commands -= 1
            raise UnknownOutcomeError(f"{host}: the answer was lost")
        value = self._run(host, verb)
        if self.lost_answers:
            self.lost_answers -= 1
            raise UnknownOutcomeError(f"{host}: the answer was lost")
        return value

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        return {host: value_or_error(self, host, verb) for host, verb in verbs.items()}

    def _run(self, host: str, verb: Verb[T]) -> T:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "FAKE_DIRECTOR": str(self.folder)}
        return verb.value(run_here(verb, host=host, env=environment))

    @property
    def rules(self) -> str:
        """Return the kernel's table as a director prints it."""
        return (self.folder / "rules").read_text()

    @rules.setter
    def rules(self, text: str) -> None:
        (self.folder / "rules").write_text(text)

    def switch(self, fault: str, text: str = "") -> Path:
        """Switch a fault on, or make a tool say something; the file that does it is returned."""
        file = self.folder / fault
        file.write_text(text)
        return file


def director(folder: Path) -> RealShell:
    """A director with ``RULES`` in its table."""
    (folder / "bin").mkdir()
    script = Path(__file__).with_name("fake_tools.py")
    for tool in {*TOOLS, *QUICK, *DOUBLES}:
        program = DOUBLES.get(tool, f"{script} {tool}")
        file = folder / "bin" / tool
        file.write_text(f'#!/bin/sh\n{QUICK.get(tool, "")}exec {sys.executable} -ISE {program} "$@"\n')
        file.chmod(0o755)
    shell = RealShell(folder)
    shell.rules = RULES
    shell.switch("version", "Keepalived v2.2.7 (01/16,2022)\n\nCopyright(C) 2001-2022\n")
    shell.switch("processes", f"own keepalived -D -f {folder / 'keepalived.conf'}\n")
    return shell
