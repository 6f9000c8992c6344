"""Changes of cookbooks and rules, made on purpose, and the tapes that each must turn red: exactly these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferryman.tape.file import Header


@dataclass(frozen=True, slots=True)
class Change:
    """An edit of one file, and which tapes decide something else with it."""

    name: str
    file: str
    """Under the repository."""
    there: str
    instead: str
    turns_red: Callable[[str, Header], bool] | frozenset[str]
    """By a tape's name and header; or the names."""


def _migrations(name: str, header: Header) -> bool:  # as the others
    """Every tape of the cookbook, for its plan is another one."""
    return header.cookbook == "migrate"


NONE: frozenset[str] = frozenset()
CHANGES = (
    Change(
        "a step is left out",
        "cookbooks/migrate.py",
        "            SpoofedSourcesDropped(ferry, moving),\n",
        "",
        _migrations,
    ),
    Change(
        "two steps are swapped",
        "cookbooks/migrate.py",
        "            ServicePodsSmall(ferry, moving),\n            DirectorsAgree(ferry, moving),\n",
        "            DirectorsAgree(ferry, moving),\n            ServicePodsSmall(ferry, moving),\n",
        _migrations,
    ),
    Change(
        "the primary director is changed first",
        "cookbooks/migrate.py",
        "for director in moving.directors  # secondaries first",
        "for director in reversed(moving.directors)",
        _migrations,
    ),
    Change(
        "strict rp_filter is let pass",
        "lib/ferryman/realservers/checks/rp_filter.py",
        "    return Verdict.FAIL, seen, _remedy(decisive, device)",
        "    return Verdict.PASS, seen, _remedy(decisive, device)",
        frozenset({"refused-rp-filter"}),
    ),
    Change(
        "a missing VIP is a warning",
        "lib/ferryman/realservers/checks/vip.py",
        'Verdict.FAIL, f"{virtual.vip} is not on this host"',
        'Verdict.WARN, f"{virtual.vip} is not on this host"',
        frozenset({"refused-vip"}),
    ),
    Change(
        "the outer header is forgotten where pods' MTU is judged",
        "lib/ferryman/realservers/checks/pod_mtu.py",
        "end is not None and end.mtu > limit]",
        "end is not None and end.mtu > limit + 40]",
        frozenset({"refused-pod-mtu"}),
    ),
    Change(
        "a listener that is missing is let pass",
        "lib/ferryman/realservers/checks/listener.py",
        "Verdict.FAIL",
        "Verdict.WARN",
        frozenset({"refused-listener"}),
    ),
    Change(
        "a command may take longer, and a loop looks less often",
        "lib/ferryman/hosts/verbs/ipvs.py",
        "    kept_as_text = True\n",
        "    kept_as_text = True\n    deadline_s = 77.0\n",
        NONE,
    ),
    Change(
        "another command for the same verb",
        "lib/ferryman/hosts/verbs/ipvs.py",
        "ipvsadm -Sn",
        "ipvsadm --save --numeric",
        NONE,
    ),
    Change(
        "another wording of a step and of a finding",
        "lib/ferryman/cookbook/steps/watch.py",
        "The watch finds nothing wrong for a while with {director.host} changed.",
        "For a while nothing is wrong with {director.host} changed.",
        NONE,
    ),
    Change(
        "another remedy",
        "lib/ferryman/realservers/checks/rp_filter.py",
        "; keep it in sysctl.d, after 50-default.conf",
        "; and keep it in a file of sysctl.d",
        NONE,
    ),
    Change(
        "a comment in a cookbook",
        "cookbooks/check.py",
        "OWNER =",
        "# Nothing is changed here.\nOWNER =",
        NONE,
    ),
)
