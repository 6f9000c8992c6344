"""The schedulers of IPVS, the flags that each takes, and the way from an operator's words to a target.

The names are those of ``ipvsadm`` 1.31 and keepalived 2.2; each scheduler is a kernel module of its own,
``ip_vs_NAME``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.directors.target import SetScheduler
from ferryman.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf")
FLAGS = {"mh": ("mh-fallback", "mh-port"), "sh": ("sh-fallback", "sh-port")}
"""By scheduler, in the order in which ``ipvsadm -S`` prints them; the others take none."""
_FALLBACK, _PORT, _UNNAMED = "flag-1", "flag-2", "flag-3"
FLAG_WORDS = (*(flag for flags in FLAGS.values() for flag in flags), _FALLBACK, _PORT, _UNNAMED)
"""Every word that a director's configuration may have for a flag."""


def scheduled(scheduler: str, flags: Iterable[str] = ()) -> SetScheduler:
    """The target that an operator asks for.

    Raises:
        UsageError: There is no such scheduler, or it does not take such a flag; names those there are.
    """
    if scheduler not in SCHEDULERS:
        raise UsageError(f"no scheduler is called {scheduler!r}, expected one of {', '.join(SCHEDULERS)}")
    asked, known = set(flags), FLAGS.get(scheduler, ())
    for flag in sorted(asked - set(known)):
        takes = f"one of {', '.join(known)}" if known else f"none: {scheduler} takes no flags"
        raise UsageError(f"{flag!r} is no flag of {scheduler}, expected {takes}")
    return SetScheduler(scheduler, tuple(flag for flag in known if flag in asked))


def in_order(scheduler: str, flags: Iterable[str]) -> tuple[str, ...]:
    """Flags as ``ipvsadm -S`` names and orders them, whichever of their words are used.

    >>> in_order("mh", ["flag-2", "mh-fallback"])
    ('mh-fallback', 'mh-port')
    """
    own = FLAGS.get(scheduler, (_FALLBACK, _PORT))
    named = dict(zip((_FALLBACK, _PORT), own, strict=True))
    return tuple(sorted({named.get(flag, flag) for flag in flags}))
