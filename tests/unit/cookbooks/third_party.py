"""Somebody else at work on a fake site: each writes what one person might, and knows of no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unit.cookbooks.fake_site import WEB_FILE, FakeSite

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "lvs2"
"""Where they work: the secondary, which is changed first and put back last."""


@dataclass(frozen=True)
class ThirdParty:
    """What one of them writes, and how to see that it is still there."""

    name: str
    write: Callable[[FakeSite], None]
    stays: Callable[[dict[str, Any]], bool]

    def __str__(self) -> str:
        return self.name


def _note_in_the_catalog(site: FakeSite) -> None:
    site.catalog += b"# tidy up in spring\n"


def _note_in_the_keepalived_file(site: FakeSite) -> None:
    site.directors[HOST].files[WEB_FILE] += "# new disks on Monday\n"


def _change_a_weight(site: FakeSite) -> None:
    director = site.directors[HOST]
    for place, line in enumerate(director.rules):
        if "-r 10.10.0.22:" in line:
            head, _, rest = line.partition(" -w ")
            director.rules[place] = " ".join([head, "-w 9", *rest.split()[1:]])


def _take_a_destination_out(site: FakeSite) -> None:
    director = site.directors[HOST]
    director.rules = [line for line in director.rules if "-r 10.10.0.22:" not in line]


THIRD_PARTIES = (
    ThirdParty(
        "writes a note into the catalog", _note_in_the_catalog, lambda now: "tidy up" in now["catalog"]
    ),
    ThirdParty(
        "writes a note into keepalived's file",
        _note_in_the_keepalived_file,
        lambda now: "new disks" in now[HOST]["files"][WEB_FILE],
    ),
    ThirdParty(
        "changes a weight", _change_a_weight, lambda now: str(now[HOST]["rules"]).count(" -w 9") == ALL
    ),
    ThirdParty(
        "takes a destination out",
        _take_a_destination_out,
        lambda now: "-r 10.10.0.22:" not in str(now[HOST]["rules"]),
    ),
)
ALL = 3
"""How many services have web2 as a destination by IPv4."""
