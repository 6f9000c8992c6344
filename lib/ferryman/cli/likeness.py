"""A lab in the image of an inventory, as people and programs are told of it."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

from ferryman.console import tables
from ferryman.model import Forwarding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.lab import LabPaths, Topology
    from ferryman.lab.topology import Likeness


def say_beforehand(lab: Topology, *, as_json: bool) -> None:
    """What the lab will have, what it leaves out and has in the place of something else, and the map."""
    assert lab.likeness is not None, "whoever asks has made it after an inventory"
    tables.say(
        f"a lab in the image of {lab.likeness.source}, site {lab.site}: {_count(lab.directors, 'director')}, "
        f"{_count((*lab.servers, *lab.nodes), 'realserver')}, {_count(lab.services, 'service')} "
        f"({', '.join(service.name for service in lab.services)})",
        error=as_json,
    )
    for sentence in lab.likeness.left_out:
        _note("left_out", sentence, as_json=as_json)
    for sentence in lab.likeness.different:
        _note("different", sentence, as_json=as_json)
    show_map(lab.likeness, as_json=as_json)


def show_map(likeness: Likeness, *, as_json: bool) -> None:
    """What stands for each host and each VIP of the inventory."""
    rows = [asdict(mapped) for mapped in likeness.mapped]
    tables.show(rows, ["name", "what", "there", "here"], as_json=as_json, empty="nothing is mapped")


def say_ready(paths: LabPaths, lab: Topology, *, as_json: bool) -> None:
    """The command that migrates a service of the lab, with the lab's own inventory."""
    direct = [service for service in lab.services if service.forwarding is Forwarding.DIRECT]
    word, service = ("migrate", direct[0]) if direct else ("check", lab.services[0])
    config = str(paths.configuration_file)
    argv = ["ferryman", "--config", config, word, service.name, "--site", lab.site]
    if as_json:
        print(json.dumps({"next": argv, "config": config}))  # noqa: T201  # this is the screen
        return
    if not direct:
        tables.say("every service of it is encapsulated already")
    tables.say(shlex.join(argv))


def _count(those: Sequence[object], word: str) -> str:
    return f"{len(those)} {word}{'' if len(those) == 1 else 's'}"


def _note(key: str, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({key: sentence}))  # noqa: T201  # this is the screen
        return
    words = {"left_out": "left out", "different": "different"}
    tables.say(f"{words[key]}: {sentence}")
