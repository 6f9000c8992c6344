"""Every service of the real catalog that is behind load balancers, at each of its sites, both ways."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ferryman.catalog.flip import Encapsulation, flip
from ferryman.catalog.yaml_edit.change import unified_diff
from tools import first_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAG_LINE = re.compile(r"[+-]      (ipip_encapsulation:|  - ('?)\w+\2)")
ENTRY = re.compile(r"^  (?=[\w-]+:)", re.MULTILINE)


@pytest.fixture(scope="module")
def whole(wmf: Path) -> str:
    return (wmf / "services.yaml").read_text("utf-8")


def balanced(text: str) -> Iterator[tuple[str, str, Encapsulation]]:
    """Service, site, and the flip that changes something there."""
    entries: dict[str, Any] = yaml.load(text, yaml.CSafeLoader)["service::catalog"]
    for name, entry in entries.items():
        for site in entry["sites"] if entry.get("lvs") else ():
            yield name, site, "direct" if site in (entry["lvs"].get("ipip_encapsulation") or ()) else "ipip"


def entries_of(text: str) -> dict[str, str]:
    """The text of each entry, by service."""
    return {
        entry.split(":")[0]: "  " + entry
        for entry in ENTRY.split(text.partition("service::catalog:\n")[2])[1:]
    }


def cut(entries: dict[str, str], service: str) -> str:
    """A catalog of one service, and those whose anchors it uses."""
    wanted, todo = set(), [service]
    while todo:
        name = todo.pop()
        wanted.add(name)
        for anchor in re.findall(r": \*([\w-]+)$", entries[name], re.MULTILINE):
            todo += [
                other for other, text in entries.items() if f"&{anchor}\n" in text or f"&{anchor} " in text
            ]
        todo = [other for other in todo if other not in wanted]
    return "service::catalog:\n" + "".join(text for other, text in entries.items() if other in wanted)


def changed_lines(text: str, service: str, site: str, to: Encapsulation) -> list[str]:
    """Flip there and back; the lines that changed on the way there."""
    before = text.encode()
    after = flip(before, service, site, to)
    changed = [line for line in unified_diff(before, after, "s").splitlines()[2:] if line[0] in "+-"]
    assert all(FLAG_LINE.fullmatch(line) for line in changed), changed
    assert changed
    back = flip(after, service, site, "ipip" if to == "direct" else "direct")
    assert yaml.load(back, yaml.CSafeLoader).keys() == yaml.load(before, yaml.CSafeLoader).keys()
    if to == "ipip":
        assert back == before
    return changed


def test_every_service_at_every_site_is_flipped_by_its_flags_lines_alone(whole: str) -> None:
    entries = entries_of(whole)
    flips = [
        (to, changed_lines(cut(entries, service), service, site, to)) for service, site, to in balanced(whole)
    ]
    assert (len(flips), sum(to == "ipip" for to, _ in flips)) == (220, 168)


@pytest.mark.parametrize(
    "service", first_of(["text", "apertium", "aux-k8s-ctrl", "prometheus", "cloudelastic-omega-https"], 2)
)
def test_the_whole_file_is_flipped_as_the_entry_alone_is(whole: str, service: str) -> None:
    entries = entries_of(whole)
    name, site, to = next(flip for flip in balanced(whole) if flip[0] == service)
    assert changed_lines(whole, name, site, to) == changed_lines(cut(entries, name), name, site, to)


@pytest.mark.skipif(
    "FERRYMAN_THOROUGH" not in os.environ, reason="takes two minutes; FERRYMAN_THOROUGH=1 runs it"
)
@pytest.mark.timeout(900)
def test_the_whole_file_is_flipped_for_every_service_at_every_site(whole: str) -> None:
    for service, site, to in balanced(whole):
        changed_lines(whole, service, site, to)
