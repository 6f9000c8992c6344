"""Is anything of the original left? Looked for apart from how it was replaced, in every form that is known.

Names are looked for in every text but the format's own words: as they are, in any case, within longer words
where they are distinctive, percent-encoded, in base64 and in hexadecimal digits. Addresses are read out of
texts in every form that ``forms.py`` has, and looked for as bytes in packets.
"""

from __future__ import annotations

import base64
import re
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from ferryman.tape.scrub import forms
from ferryman.tape.scrub.addresses import is_kept, is_kept_network
from ferryman.tape.scrub.names import names_of, texts_of
from ferryman.tape.scrub.positions import (
    EVENT_WORDS,
    FIELD_WORDS,
    SERVICES,
    WORD_KEYS,
    is_structure,
    yaml_parts,
)
from ferryman.tape.scrub.scrub import addresses_on
from ferryman.tape.scrub.words import ENCODED, OPAQUE, PERCENT, decodings, is_distinctive, pattern_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.tape.file import Tape
    from ferryman.tape.scrub.addresses import Address, Network

_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{20,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|(?i:\b(?:bearer|basic)\s+[\w+/=.-]{16,})"
    r"|://[^\s/:@]+:(?![0-9a-f]{8}@)[^\s/@]+@"
)
"""What looks like a secret: private keys, tokens, passwords in URLs. A recorder leaves eight digits."""
_ENCODED_FROM = 5
"""Characters from which a name is looked for in encodings: what is shorter is in them by chance."""
_ADDRESS_FROM = 1 << 24
"""Numbers from which on one may be an IPv4 address; smaller ones are numbers and no names."""
_IPV4 = 4


def verify(original: Tape, scrubbed: Tape) -> list[str]:
    """What of the original is left in the other tape, a line for each; empty when nothing is."""
    needles = _Needles(original)
    found: dict[str, None] = {}
    places: dict[str, str] = {}
    for place, text in _texts(scrubbed):
        places.setdefault(text, place)
    for text, place in places.items():
        for left in needles.found_in(text):
            found.setdefault(f"{place}: {left}")
    for number, entry in enumerate(scrubbed.entries, start=2):
        if entry.kind == "packet":
            for left in needles.found_in_bytes(bytes.fromhex(entry.data["hex"])):
                found.setdefault(f"line {number}: a packet: {left}")
    return list(found)


class _Needles:
    def __init__(self, original: Tape) -> None:
        collected = names_of(original)
        everything = texts_of(original)
        addresses, networks = addresses_on(original, everything)
        self._addresses: set[Address | Network] = {*addresses, *networks}
        self._opaque = {found for text in everything for found in re.findall(OPAQUE, text)}
        self._macs = {mac for text in everything for mac in forms.macs_in(text)} - {_NO_MAC, _ALL_MACS}
        self._hex = {form: address for address in addresses for form in forms.hex_forms(address)}
        self._decimal = {str(int(address)): address for address in addresses if address.version == _IPV4}
        self._packed = {address.packed: address for address in addresses}
        names = {*collected.names, *collected.phrases}
        self._names = re.compile("|".join(map(pattern_of, sorted(names, key=len, reverse=True))) or "(?!)")
        self._encoded = {
            form: name
            for name in names
            if len(name) >= _ENCODED_FROM and is_distinctive(name)
            for form in _encodings(name)
        }
        self._any_encoded = re.compile("|".join(map(re.escape, self._encoded)) or "(?!)")

    def found_in(self, text: str) -> Iterator[str]:
        """What is left in a text, in whatever form."""
        for form, variant in _variants(text):
            how = f" ({form})" if form else ""
            # What addresses and keys are made of is no name; they are read for themselves.
            for found in self._names.finditer(forms.without_addresses(re.sub(OPAQUE, " ", variant))):
                yield f"the name {found[0]!r}{how}"
            for address in self._addresses_in(variant):
                yield f"the address {address}{how}"
            for mac in forms.macs_in(variant):
                if mac in self._macs:
                    yield f"the address {mac}{how}"
            for key in re.findall(OPAQUE, variant):
                if key in self._opaque:
                    yield f"the key or fingerprint {key[:8]}…{how}"
            for found in _SECRETS.finditer(variant):
                yield f"what looks like a secret: {found[0][:4]!r}…{how}"
        for found in self._any_encoded.finditer(text):
            yield f"the name {self._encoded[found[0]]!r} (encoded)"

    def found_in_bytes(self, content: bytes) -> Iterator[str]:
        """Addresses that are left as bytes."""
        for packed, address in self._packed.items():
            if packed in content:
                yield f"the address {address} (as bytes)"

    def _addresses_in(self, text: str) -> Iterator[Address | Network]:
        for address in forms.addresses_in(text):
            if address in self._addresses and not _is_kept(address):
                yield address
        for found in re.finditer(forms.HEX, text):
            if (known := self._hex.get(found[0].lower().removeprefix("0x"))) is not None:
                yield known
        for found in re.finditer(forms.DECIMAL, text):
            if found[0] in self._decimal:
                yield self._decimal[found[0]]
        for found in re.finditer(forms.DASHED, text):
            yield from (
                each for each in forms.addresses_in(found[0].replace("-", ".")) if each in self._addresses
            )


_NO_MAC, _ALL_MACS = "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"


def _is_kept(address: Address | Network) -> bool:
    if isinstance(address, IPv4Network | IPv6Network):
        return is_kept_network(address)
    return is_kept(address)


def _variants(text: str) -> Iterator[tuple[str, str]]:
    """The text, and what is in it in another encoding, each with that one's name."""
    yield "", text
    if PERCENT.search(text):
        yield "percent-encoded", unquote_to_bytes(text).decode("utf-8", "replace")
    if "\\" in text:
        yield "escaped", re.sub(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))", _unescaped, text)
    for found in ENCODED.finditer(text):
        for decoded, _ in decodings(found[0]):
            yield "encoded", decoded


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1] or found[2], 16))


def _encodings(name: str) -> Iterator[str]:
    """Texts that are in whatever has the name in base64, at any place of it, or in hexadecimal digits."""
    raw = name.encode("utf-8", "replace")
    yield raw.hex()
    yield raw.hex().upper()
    for start in range(3):
        # Characters whose bits are all the name's: the first and the last share theirs with what is around.
        whole = base64.b64encode(b"\0" * start + raw).decode().rstrip("=")
        first = (start * 8 + 5) // 6
        last = (start + len(raw)) * 8 // 6
        yield whole[first:last]
        yield whole[first:last].replace("+", "-").replace("/", "_")


def _texts(tape: Tape) -> Iterator[tuple[str, str]]:
    """Every text of a tape that is no word of the format, and where it is."""
    header = tape.header
    yield "line 1: operator", header.operator
    for step in header.plan:
        yield from (("line 1: plan", text) for text in (step.title, *step.about))
    for file, text in header.inventory.items():
        yield (
            f"line 1: inventory: {file}",
            file.removeprefix("nodes/").removesuffix(".yaml") if "/" in file else "",
        )
        yield from ((f"line 1: inventory: {file}", part) for part in _yaml_texts(file, text))
    for name in ("arguments", "options", "config", "journal"):
        yield from ((f"line 1: {name}", text) for text in _values(getattr(header, name), in_fields=True))
    for number, entry in enumerate(tape.entries, start=2):
        yield from ((f"line {number}", text) for text in _entry(entry.kind, entry.data))


def _entry(kind: str, data: dict[str, Any]) -> Iterator[str]:
    if kind == "event":
        for key, value in data.items():
            yield from () if key in EVENT_WORDS else _values(value)
    elif kind == "call":
        yield data["host"]
        yield from _values(data["arguments"], in_fields=True)
        yield from _values({key: item for key, item in data.get("error", {}).items() if key != "type"})
        value = data.get("value")
        if data["port"] == "catalog" and isinstance(value, dict) and isinstance(value.get("content"), str):
            yield from _yaml_texts(SERVICES, value["content"])
            value = {key: item for key, item in value.items() if key != "content"}
        yield from _values(value)
    elif kind == "outcome":
        yield data["reason"]
    elif kind == "alarm":
        yield from _values({key: item for key, item in data["error"].items() if key != "type"})


def _values(value: object, *, in_fields: bool = False) -> Iterator[str]:
    """The texts of a value; ``in_fields``: its keys are names of arguments or settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int) and value >= _ADDRESS_FROM:
        yield str(value)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif isinstance(value, dict):
        yield from _mapping(value, in_fields=in_fields)


def _mapping(value: dict[str, Any], *, in_fields: bool) -> Iterator[str]:
    if "$enum" in value:
        return
    if isinstance(value.get("$bytes"), str):
        yield from _bytes(value["$bytes"])
        return
    fields = in_fields or is_structure(value)
    for key, item in value.items():
        if key == "$" or (fields and key in FIELD_WORDS):
            continue
        if not fields and key not in WORD_KEYS:
            yield key
        yield from _values(item, in_fields=key == "$printed" or (in_fields and isinstance(item, dict)))


def _bytes(text: str) -> Iterator[str]:
    yield text
    try:
        content = base64.b64decode(text)
    except ValueError:
        return
    yield content.decode("latin-1")
    yield content.decode("utf-8", "replace")


def _yaml_texts(file: str, text: str) -> Iterator[str]:
    parts = yaml_parts(file, text)
    if parts is None:
        yield text
        return
    yield from (part.value for part in parts if part.what != "word")
