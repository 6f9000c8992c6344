"""What the tests of the lab itself look at: requests through a VIP, and the directors' tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferryman.lab import topology

if TYPE_CHECKING:
    from lab.running import RunningLab


def curl(lab: RunningLab, url: str, *options: str, stdin: str = "") -> str:
    """What came back for a request from the control host, which must have been answered."""
    done = lab.run_in_control(["curl", "-gsS", "--max-time", "20", *options, url], stdin=stdin)
    assert done.returncode == 0, f"{url}: {done.stderr}"
    return done.stdout


def tables(lab: RunningLab) -> dict[str, dict[str, set[tuple[str, str]]]]:
    """What ``ipvsadm -Ln`` says on each director: virtual service to destinations and how they get theirs."""
    found: dict[str, dict[str, set[tuple[str, str]]]] = {}
    for director in topology.DEFAULT.directors:
        of_director: dict[str, set[tuple[str, str]]] = {}
        current: set[tuple[str, str]] = set()
        for line in lab.console(director.name, "ipvsadm -Ln").splitlines():
            if words := re.match(r"TCP +(\S+) (.+?) *$", line):
                current = of_director.setdefault(f"{words[1]} {words[2]}", set())
            elif words := re.match(r" +-> (\S+:\d+) +(\w+)", line):
                current.add((words[1], words[2]))
        found[director.name] = of_director
    return found
