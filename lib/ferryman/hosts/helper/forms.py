"""What the helper takes for each verb that needs root, and on which hosts a user must be allowed it.

The verbs look at their arguments before they are sent (``verbs/kinds.py``). Whoever has a user's key could
send others: so the helper looks again, at the words that reach the script, and takes what Ferryman sends.
Operator's commands and paths have no form that would make them harmless; they must be listed on the host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ferryman.hosts.verbs.kinds import ID
from ferryman.ipvs.forms import SCHEDULER

HostPart = Literal["realserver", "director"]
Form = tuple[str, ...]

COMMAND: Form = ("command",)
FILE: Form = ("file",)
FOLDER: Form = ("folder",)
"""A file's form, or empty."""
ANY: Form = ("any",)

_ADDRESS = "[0-9a-f.:]+"
_PREFIX = f"{_ADDRESS}/(32|128)"
_WORD = r"[A-Za-z0-9_.:,\[\]/=-]+"
_NAMED = r"-[tu] [0-9a-f.:\[\]]+"
_RULE = rf"-[Aa] {_NAMED}( {_WORD})+"
_EDIT = rf"(-E {_NAMED} -s {SCHEDULER}|-e {_NAMED} -r [0-9a-f.:\[\]]+ -[gim] -w [0-9]+)( {_WORD})*"
_DEVICE = "[A-Za-z0-9_][A-Za-z0-9_.:@+-]{0,14}"
_ROUTE = rf"{_PREFIX} via {_ADDRESS} dev {_DEVICE} onlink proto [0-9]+ metric [0-9]+"
_DEFAULT = (
    rf"default( via {_ADDRESS})? dev {_DEVICE}( proto [a-z0-9_]{{1,20}})?( scope [a-z0-9_]{{1,20}})?"
    rf"( src {_ADDRESS})?( metric [0-9]{{1,10}})?( onlink)?( advmss [0-9]{{1,5}})?( pref [a-z]{{1,10}})?"
)
_POD_ROUTE: Form = ("word", _DEFAULT)
_SWITCH: Form = ("word", "yes|no")
_NUMBER: Form = ("word", "[0-9]{1,16}")
_SUM: Form = ("word", "[0-9a-f]{64}")
_ID: Form = ("word", ID)
_NAME: Form = ("word", "[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
_URL: Form = ("word", r"https?://[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]{1,2000}")
_VIRTUAL: Form = ("word", "(TCP|UDP) [0-9A-Fa-f:.]{8,41} [0-9A-F]{4}")
_GET: Form = ("lines", f"route get {_ADDRESS}")
_LOOKUPS: Form = ("lines", f"route get fibmatch {_ADDRESS} from {_ADDRESS}")
_SHOW: Form = ("lines", f"route show exact {_PREFIX}")

BOTH: tuple[HostPart, ...] = ("realserver", "director")


@dataclass(frozen=True, slots=True)
class Takes:
    """The words and the input that the helper takes for one verb."""

    words: tuple[Form, ...] = ()
    more: tuple[Form, ...] = ()
    """A group that may follow, any number of times."""
    least: int = 0
    """How many words must follow."""
    argv: bool = False
    """Whether the words that follow are a command of the operator's."""
    stdin: Form | None = None
    parts: tuple[HostPart, ...] = field(default=("director",))
    """Where it is needed."""


FORMS: dict[str, Takes] = {
    "take-over": Takes(parts=BOTH),
    "facts": Takes((("word", "[0-9a-f]{8,64}"), _LOOKUPS, _LOOKUPS), parts=("realserver",)),
    "director-state": Takes((_SWITCH, _GET, _GET)),
    "scheduler-state": Takes((("word", SCHEDULER),), (_VIRTUAL,), 1),
    "ipvs-table": Takes(),
    "connections": Takes(more=(_VIRTUAL,), least=1),
    "edit-table": Takes((("lines", rf"{_NAMED} "), ("lines", _RULE)), stdin=("lines", _EDIT)),
    "add-host-routes": Takes((_GET, _GET, _SHOW, _SHOW), (("word", rf"-[46] route replace {_ROUTE}"),)),
    "remove-host-routes": Takes(more=(("word", rf"-[46] route del {_ROUTE}"),)),
    "pod-networks": Takes((("word", "[0-9a-f]{8,64}"),), parts=("realserver",)),
    "edit-pod-routes": Takes(
        (_NAME, ("word", _ADDRESS)), (("word", "-[46]"), _POD_ROUTE, _POD_ROUTE), 3, parts=("realserver",)
    ),
    "keepalived-read": Takes((FILE,), (FILE,)),
    "keepalived-test": Takes((FILE, _SUM, _ID), (FILE, _SUM, _SUM, _NUMBER), stdin=ANY),
    "keepalived-write": Takes((FILE, COMMAND, _SUM, _ID, _NUMBER), (FILE, _SUM, _SUM, _NUMBER), stdin=ANY),
    "pybal-read": Takes((("word", "yes"), FILE, _URL, COMMAND), (_NAME,)),
    "pybal-restart": Takes((COMMAND,)),
    "pybal-drain": Takes((COMMAND, COMMAND, _NUMBER)),
    "liberica-read": Takes((_SWITCH, FILE, _URL, _URL)),
    "liberica-reload": Takes((COMMAND, _NUMBER)),
    "puppet-state": Takes(parts=BOTH),
    "puppet-run": Takes(argv=True, parts=BOTH),
    "agent-run": Takes(argv=True, parts=BOTH),
    "agent-revision": Takes(argv=True, parts=BOTH),
    "checkout-revision": Takes((FOLDER,), parts=BOTH),
    "operator-question": Takes((("word", "text|words"),), argv=True, stdin=ANY),
    "operator-command": Takes((("word", "text|words"),), argv=True, stdin=ANY),
}
"""By the name of the verb; a verb that needs root and is not here cannot be asked without root."""


def names_for(role: HostPart) -> tuple[str, ...]:
    """The verbs that a user must be allowed on such a host, in order."""
    return tuple(name for name, takes in FORMS.items() if role in takes.parts)
