"""A tape with pseudonyms, made by walking the original's values by what each is."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

import yaml

from ferryman.directors.routes import metric_of
from ferryman.tape.file import Entry, Tape
from ferryman.tape.form import PlannedStep
from ferryman.tape.scrub import forms
from ferryman.tape.scrub.addresses import AddressMap, is_kept, is_kept_network
from ferryman.tape.scrub.names import names_of, texts_of
from ferryman.tape.scrub.packets import addresses_of, readdressed
from ferryman.tape.scrub.positions import (
    CATALOG,
    EVENT_WORDS,
    FIELD_WORDS,
    NAMED_TABLES,
    SERVICES,
    WORD_KEYS,
    is_structure,
    yaml_parts,
)
from ferryman.tape.scrub.pseudonyms import name_pseudonyms, phrase_pseudonyms
from ferryman.tape.scrub.words import DIGEST, Words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ferryman.tape.scrub.addresses import Address, Network


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What came of it."""

    tape: Tape
    names: int
    """How many names got a pseudonym."""
    addresses: int
    notes: tuple[str, ...]
    """What could not be kept, for people."""


def scrub(tape: Tape, key: bytes) -> Scrubbed:
    """The tape with a pseudonym for each name and address; the same key makes the same of the same tape."""
    texts = texts_of(tape)
    words = _words_of(tape, texts, hmac.digest(key, b"ferryman tape scrub", "sha256"))
    scrubber = _Scrubber(words)
    scrubber.learn_digests(texts)
    header = scrubber.header(tape)
    entries = tuple(scrubber.entry(entry) for entry in tape.entries)
    new = Tape(header, entries, whole=tape.whole, path=tape.path)
    notes = tuple(words.addresses.notes)
    return Scrubbed(new, len(words.names) + len(words.phrases), len(words.known), notes)


def _words_of(tape: Tape, texts: list[str], key: bytes) -> Words:
    found = names_of(tape)
    addresses, networks = addresses_on(tape, texts)
    taken = "\n".join(texts)
    phrases = found.phrases - found.names
    names = name_pseudonyms(key, found.names, taken)
    return Words(
        key=key,
        names=names,
        phrases=phrase_pseudonyms(key, phrases, taken),
        addresses=AddressMap(key, addresses, networks),
        known=addresses,
        numbers={
            str(metric_of(service, site)): str(metric_of(names.get(service, service), names.get(site, site)))
            for service in found.services
            for site in found.sites
        },
    )


def addresses_on(tape: Tape, texts: list[str]) -> tuple[set[Address], set[Network]]:
    """The addresses and networks on a tape that are somebody's."""
    found = {each for text in texts for each in forms.addresses_in(text)}
    for entry in tape.entries:
        if entry.kind == "packet":
            found |= set(addresses_of(bytes.fromhex(entry.data["hex"])))
    networks = {
        each for each in found if isinstance(each, IPv4Network | IPv6Network) and not is_kept_network(each)
    }
    addresses = {each for each in found if isinstance(each, IPv4Address | IPv6Address) and not is_kept(each)}
    return addresses, networks


class _Scrubber:
    def __init__(self, words: Words) -> None:
        self._words = words

    def learn_digests(self, texts: Collection[str]) -> None:
        """Know the digests of texts that are on the tape: they become those of the texts with pseudonyms."""
        wanted = {found for text in texts for found in DIGEST.findall(text)}
        catalogs = {text for text in texts if text.startswith("#") or CATALOG in text}
        for text in texts if wanted else ():
            digest = hashlib.sha256(text.encode()).hexdigest()
            if digest in wanted:
                new = self._yaml(SERVICES, text) if text in catalogs else self._words.text(text)
                self._words.digests[digest] = hashlib.sha256(new.encode()).hexdigest()

    def header(self, tape: Tape) -> Any:  # noqa: ANN401  # a Header; its fields are JSON
        """The header with pseudonyms."""
        header, words = tape.header, self._words
        plan = tuple(
            PlannedStep(step.step, words.text(step.title), tuple(words.name(name) for name in step.about))
            for step in header.plan
        )
        return replace(
            header,
            arguments=self._fields(header.arguments),
            options={
                key: value if key in _OPTIONS else self.value(value) for key, value in header.options.items()
            },
            operator=words.text(header.operator),
            config=self._config(header.config),
            inventory={self._file(file): self._yaml(file, text) for file, text in header.inventory.items()},
            plan=plan,
            journal=None if header.journal is None else self._fields(header.journal),
        )

    def entry(self, entry: Entry) -> Entry:
        """An entry with pseudonyms."""
        return replace(entry, data=self._data(entry.kind, entry.data))

    def _data(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        if kind == "call":
            return self._call(data)
        if kind == "event":
            return {key: value if key in EVENT_WORDS else self.value(value) for key, value in data.items()}
        if kind == "packet":
            content = readdressed(bytes.fromhex(data["hex"]), self._words.addresses)
            return {**data, "hex": content.hex()}
        if kind == "outcome":
            return {**data, "reason": self._words.text(data["reason"])}
        if kind == "alarm":
            return {**data, "error": self._error(data["error"])}
        return data

    def _call(self, data: dict[str, Any]) -> dict[str, Any]:
        new = {**data, "host": self._words.name(data["host"]), "arguments": self._fields(data["arguments"])}
        if "error" in data:
            return {**new, "error": self._error(data["error"])}
        value = data["value"]
        if data["port"] == "catalog" and isinstance(value, dict) and isinstance(value.get("content"), str):
            rest = {key: self.value(item) for key, item in value.items() if key != "content"}
            return {**new, "value": {**rest, "content": self._yaml(SERVICES, value["content"])}}
        return {**new, "value": self.value(value)}

    def _error(self, error: dict[str, Any]) -> dict[str, Any]:
        rest = {key: self.value(value) for key, value in error.items() if key != "type"}
        return {"type": error["type"], **rest}

    def _fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Values under names of arguments or fields, which stay."""
        return {key: value if key in FIELD_WORDS else self.value(value) for key, value in fields.items()}

    def _config(self, table: Mapping[str, Any], *, of_names: bool = False) -> dict[str, Any]:
        """Settings: a key stays, but in tables that have a name for each entry (``of_names``)."""
        return {
            (self._words.name(key) if of_names else key): (
                self._config(value, of_names=key in NAMED_TABLES and not of_names)
                if isinstance(value, dict)
                else self.value(value)
            )
            for key, value in table.items()
        }

    def value(self, value: Any) -> Any:  # noqa: ANN401  # JSON
        """An encoded value with pseudonyms."""
        match value:
            case str():
                return self._words.text(value)
            case bool() | float() | None:
                return value
            case int():
                return self._words.number(value)
            case list():
                return [self.value(item) for item in value]
        return self._mapping(value)

    def _mapping(self, value: dict[str, Any]) -> dict[str, Any]:  # noqa: PLR0911  # a line for each kind
        match value:
            case {"$enum": _} | {"$time": _}:
                return value
            case {"$secret": str(digest)}:
                return {"$secret": self._words.secret(digest)}
            case {"$bytes": str(text)}:
                return {"$bytes": self._bytes(text)}
            case {"$set": list(items)}:
                # The order that sets are recorded in.
                return {"$set": sorted((self.value(item) for item in items), key=_order)}
            case {"$printed": dict(printed)}:
                return {"$printed": {key: self.value(item) for key, item in printed.items()}}
            case {"$": _}:
                return self._fields(value) | {"$": value["$"]}
        if is_structure(value):
            return {key: self.value(item) for key, item in value.items()}
        words = self._words
        return {
            key if key in WORD_KEYS - words.names.keys() else words.name(key): self.value(item)
            for key, item in value.items()
        }

    def _bytes(self, text: str) -> str:
        try:
            content = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            return self._words.text(text)
        return base64.b64encode(self._words.content(content)).decode()

    def _file(self, file: str) -> str:
        if not file.startswith("nodes/"):
            return file
        site = file.removeprefix("nodes/").removesuffix(".yaml")
        return f"nodes/{self._words.name(site)}.yaml"

    def _yaml(self, file: str, text: str) -> str:
        """A file of the inventory; what is no YAML is a text like others."""
        parts = yaml_parts(file, text)
        if parts is None:
            return self._words.text(text)
        return "".join(self._yaml_part(part, text[part.start : part.end]) for part in parts)

    def _yaml_part(self, part: Any, source: str) -> str:  # noqa: ANN401  # a Part
        if part.what == "word":
            return source
        if part.what == "phrase":
            return self._words.phrases.get(part.value.strip()) or json.dumps("")
        if not part.is_scalar or part.style in ("|", ">") or "\n" in source:
            return self._words.text(source)
        new = self._words.name(part.value) if part.what == "name" else self._words.text(part.value)
        if new == part.value:
            return source
        if part.style == "'":
            return "'" + new.replace("'", "''") + "'"
        return new if part.style is None and _is_plain(new) else json.dumps(new, ensure_ascii=False)


_OPTIONS = ("dry_run", "on_doubt")


def _is_plain(text: str) -> bool:
    """Whether YAML reads the text as itself without quotes, also within brackets."""
    try:
        return bool(yaml.safe_load(f"[{text}]") == [text])
    except yaml.YAMLError:
        return False


def _order(item: object) -> str:
    return repr(item)
