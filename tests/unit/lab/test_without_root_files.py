"""The files of a lab whose hosts have a user without root."""

from __future__ import annotations

from ferryman.hosts.helper import render as helper
from ferryman.hosts.verbs.sudo import HELPER
from ferryman.lab import render, topology, without_root

PLAIN = render.files(topology.DEFAULT, {host.name: "key\n" for host in topology.DEFAULT.hosts}, "ours\n")


def test_it_is_the_lab_of_always_with_a_user_more() -> None:
    made = without_root.files(PLAIN)
    more = {name for name, text in made.items() if PLAIN.get(name) != text}

    assert more == {
        "etc/passwd", "etc/shadow", "etc/group", "etc/sudoers", "etc/sudo.conf", "lab/without_root.sh",
        HELPER.lstrip("/"),
    }  # fmt: skip
    for name in ("etc/passwd", "etc/shadow", "etc/group"):
        assert made[name].startswith(PLAIN[name])
        assert made[name].splitlines()[-1].startswith("ferry:")


def test_it_has_the_helper_and_the_lines_that_ferryman_prints() -> None:
    made = without_root.files(PLAIN)

    assert made[HELPER.lstrip("/")] == helper.program()
    assert helper.sudoers("ferry", "director") in made["etc/sudoers"]
    assert helper.sudoers("ferry", "realserver") in made["etc/sudoers"]
