"""Which lab stands for a tape's world: one in the image of the inventory in the tape's first line."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.errors import InventoryError, LabError, TapeError
from ferryman.lab.topology import from_inventory
from ferryman.tape.codec import NotDataError, decode
from ferryman.tape.in_lab.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.lab.topology import Topology
    from ferryman.model import Address
    from ferryman.tape.file import Tape

_ALL = 100
"""Realservers of a service: every one, and a lab that cannot hold them says so."""


@dataclass(frozen=True, slots=True)
class Image:
    """The lab for a tape."""

    lab: Topology
    names: Names
    different: tuple[str, ...]
    """Where the lab is unlike the inventory, in words."""


def image_of(tape: Tape) -> Image:
    """The lab for a tape.

    Raises:
        TapeError: Its inventory cannot be read, or says nothing of the site.
        LabError: It is more than a lab holds.
    """
    arguments = tape.header.arguments
    site, service = arguments.get("site"), arguments.get("service")
    if not isinstance(site, str):
        raise TapeError(f"{tape.path}: its run had no site, so there is no lab for it")
    with tempfile.TemporaryDirectory(prefix="ferryman-replay-") as kept:
        folder = Path(kept)
        for name, text in tape.header.inventory.items():
            file = folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8", errors="surrogatepass")
        lab = _lab(tape, folder, site, service if isinstance(service, str) else None)
    assert lab.likeness is not None, "it is made after an inventory"
    names = Names(dict(lab.likeness.names), dict(_addresses(tape, lab)))
    return Image(lab, names, (*lab.likeness.left_out, *lab.likeness.different))


def _lab(tape: Tape, folder: Path, site: str, service: str | None) -> Topology:
    """A lab with everything in the tape's inventory, or with the run's own service where that is too much."""
    try:
        with suppress(LabError, InventoryError):
            lab = from_inventory(folder, site, realservers=_ALL)
            if service is None or any(each.name == service for each in lab.services):
                return lab
        return from_inventory(folder, site, _named(tape, service), realservers=_ALL)
    except InventoryError as error:
        problems = str(error).replace(f"{folder}/", "")
        raise TapeError(f"{tape.path}: its inventory cannot be a lab's: {problems}") from error
    except LabError as error:
        raise LabError(f"{tape.path}: {str(error).replace(f'{folder}/', '')}") from error


def _named(tape: Tape, service: str | None) -> Sequence[str]:
    probe = tape.header.config.get("probe")
    self_test = probe.get("self_test") if isinstance(probe, dict) else None
    return [name for name in (service, self_test) if isinstance(name, str) and name]


def _addresses(tape: Tape, lab: Topology) -> Iterator[tuple[Address, Address]]:
    assert lab.likeness is not None
    for there, here in lab.likeness.names:
        host = lab.by_name[here]
        for address in _resolved(tape, there):
            yield address, host.address if address.version == host.address.version else host.address6
    for mapped in lab.likeness.mapped:
        here_by_version = {each.version: each for each in _listed(mapped.here)}
        for address in _listed(mapped.there):
            yield address, here_by_version[address.version]


def _resolved(tape: Tape, host: str) -> Iterator[Address]:
    """What DNS said of a host when it was asked."""
    for entry in tape.entries:
        data = entry.data
        if entry.kind == "call" and (data["port"], data["verb"], data["host"]) == ("dns", "addresses", host):
            with suppress(NotDataError):
                found = decode(data.get("value"))
                yield from (each for each in found or () if hasattr(each, "packed"))


def _listed(text: str) -> Iterator[Address]:
    for word in text.split(", "):
        with suppress(ValueError):
            yield ip_address(word)
