"""Texts with pseudonyms in place of names and addresses: one pass, so that none is replaced twice."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ferryman.tape.scrub import forms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from ferryman.tape.scrub.addresses import Address, AddressMap, Network

PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
ENCODED = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{8,}={0,2}(?![A-Za-z0-9+/_=-])")
"""What may be base64 of either alphabet, or hexadecimal digits."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What no text has: what was decoded to it is none."""
DIGEST = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])")
"""Of SHA-256."""
OPAQUE = r"(?<=SHA256:)[A-Za-z0-9+/]{43}|(?<![A-Za-z0-9+/])AAAA[BCE][A-Za-z0-9+/]{30,}={0,2}"
"""Fingerprints of keys, and public keys, as OpenSSH writes them."""
_IGNORED_FROM = 3
"""Characters from which on a name is found whatever its case."""
_LONG, _MIXED = 7, 4
"""Characters from which on a name is found within longer words: of letters alone, and of others too."""
_URL_SAFE = "/:?#[]@!$&'()*+,;=~"
_KEPT_MACS = ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")


def is_distinctive(name: str) -> bool:
    """Whether the name is so unlike a word that it is one within a longer word, too."""
    return len(name) >= (_LONG if name.isalpha() else _MIXED) and not name.isdigit()


def pattern_of(name: str) -> str:
    """The name as a pattern: within longer words where it is distinctive, else as a word."""
    if is_distinctive(name):
        before = r"(?<!\d)" if name[0].isdigit() else ""
        after = r"(?!\d)" if name[-1].isdigit() else ""
    else:
        before, after = r"(?<![^\W_])", r"(?![^\W_])"
    case = "i" if len(name) >= _IGNORED_FROM else ""
    return f"{before}(?{case}:{re.escape(name)}){after}"


@dataclass
class Words:
    """Replaces in texts what was collected."""

    key: bytes
    names: Mapping[str, str]
    phrases: Mapping[str, str]
    addresses: AddressMap
    known: Collection[Address]
    """Addresses whose other forms are looked for."""
    numbers: Mapping[str, str] = field(default_factory=dict)
    """Numbers that were made of names, and what they are made of the pseudonyms."""
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of texts, and of the same texts with pseudonyms."""

    _made: dict[str, str] = field(default_factory=dict)
    """Texts that were done already: hosts say the same again and again."""

    def __post_init__(self) -> None:
        self._folded = {name.casefold(): word for name, word in self.names.items()}
        self._hex = {form: address for address in self.known for form in forms.hex_forms(address)}
        self._decimal = {str(int(address)): address for address in self.known if address.version == 4}  # noqa: PLR2004  # IPv4
        by_length = sorted(self.phrases, key=len, reverse=True), sorted(self.names, key=len, reverse=True)
        phrases, names = ("|".join(map(pattern_of, ordered)) or "(?!)" for ordered in by_length)
        self._name_pattern = re.compile(names)
        self._pattern = re.compile(
            rf"(?P<phrase>{phrases})|(?P<opaque>{OPAQUE})|(?P<arpa4>{forms.ARPA4})|(?P<arpa6>{forms.ARPA6})"
            rf"|(?P<hexport>{forms.HEX_PORT})|(?P<mac>{forms.MAC})"
            rf"|(?P<v6>{forms.V6})(?P<length6>{forms.LENGTH})|(?P<v4>{forms.V4})(?P<length4>{forms.LENGTH})"
            rf"|(?P<dashed>{forms.DASHED})|(?P<hex>{forms.HEX})|(?P<decimal>{forms.DECIMAL})|(?P<name>{names})"
        )
        self._by_group: dict[str, Callable[[re.Match[str]], str]] = {
            "phrase": lambda found: self.phrases.get(found[0]) or self._name(found[0]),
            "opaque": lambda found: self._opaque(found[0]),
            "arpa4": lambda found: forms.as_arpa(self.addresses.address(forms.from_arpa4(found[0]))),
            "arpa6": lambda found: forms.as_arpa(self.addresses.address(forms.from_arpa6(found[0]))),
            "hexport": self._hex_form,
            "mac": lambda found: self.mac(found[0]),
            "length6": self._v6,
            "length4": lambda found: self._with_length(IPv4Address(found["v4"]), found["length4"]),
            "dashed": self._dashed,
            "hex": self._hex_form,
            "decimal": lambda found: self._number(found[0]) or self._names_alone(found[0]),
            "name": lambda found: self._name(found[0]),
        }

    def name(self, text: str) -> str:
        """A name as a whole."""
        return self.names.get(text) or self.text(text)

    def text(self, text: str) -> str:
        """A text in which names and addresses may stand."""
        made = self._made.get(text)
        if made is None:
            made = self._made[text] = self._scrubbed(text)
        return made

    def _scrubbed(self, text: str) -> str:
        if not PERCENT.search(text):
            return self._plain(text)
        return _between(text, re.finditer(r"\S+", text), self._unquoted, self._plain)

    def content(self, content: bytes) -> bytes:
        """Bytes in which they may stand."""
        try:
            return self.text(content.decode("utf-8")).encode("utf-8")
        except UnicodeDecodeError:
            return self.text(content.decode("latin-1")).encode("latin-1", "replace")

    def number(self, number: int) -> int:
        """A number, which may be an IPv4 address's."""
        return int(self._number(str(number)) or number)

    def mac(self, text: str) -> str:
        """A MAC address's pseudonym: one that nobody was assigned."""
        if text.lower() in _KEPT_MACS:
            return text
        digest = hashlib.blake2b(text.lower().encode(), key=self.key, digest_size=5).hexdigest()
        made = ":".join(["02", *(digest[start : start + 2] for start in range(0, 10, 2))])
        return made.upper() if text.isupper() else made

    def secret(self, digest: str) -> str:
        """Another digest in the place of a secret's: two that were equal still are."""
        return hashlib.blake2b(digest.encode(), key=self.key, digest_size=32).hexdigest()[: len(digest)]

    def _plain(self, text: str) -> str:
        return _between(text, ENCODED.finditer(text), self._decoded, self._replaced)

    def _replaced(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._by_group[str(found.lastgroup)](found), text)

    def _unquoted(self, piece: str) -> str | None:
        """What is in place of a word that is percent-encoded; None where there is nothing in it."""
        if not PERCENT.search(piece):
            return None
        try:
            plain = unquote(piece, errors="strict")
        except UnicodeDecodeError:
            return None
        new = self._plain(plain)
        return None if new == plain else quote(new, safe=_URL_SAFE)

    def _decoded(self, token: str) -> str | None:
        """What is in place of an encoded text, or of a digest; None where the token is neither."""
        if token in self.digests:
            return self.digests[token]
        for decoded, encode in decodings(token):
            new = self._plain(decoded)
            if new != decoded:
                return encode(new)
        return None

    def _name(self, found: str) -> str:
        word = self.names.get(found) or self._folded.get(found.casefold()) or self.phrases.get(found)
        if word is None:  # in another case, which not all scripts fold as the pattern does
            known = {**self.names, **self.phrases}
            word = next(made for name, made in known.items() if re.fullmatch(pattern_of(name), found))
        return word.upper() if len(found) > 1 and found.isupper() and found not in self.names else word

    def _with_length(self, address: Address, length: str, spelled: str = "") -> str:
        network: Network | None = forms.network_of(address, length) if length else None
        if network is not None:
            return str(self.addresses.network(network))
        new = self.addresses.address(address)
        if new == address:
            return (spelled or str(address)) + length
        text = (
            new.exploded if isinstance(new, IPv6Address) and len(spelled) == len(new.exploded) else str(new)
        )
        return (text.upper() if spelled.isupper() else text) + length

    def _v6(self, found: re.Match[str]) -> str:
        read = forms.read_v6(found["v6"])
        if read is None:
            return self._names_alone(found[0])
        before, address, behind = read
        spelled = found["v6"][len(before) : len(found["v6"]) - len(behind)]
        if behind:
            return before + self._with_length(address, "", spelled) + behind + found["length6"]
        return before + self._with_length(address, found["length6"], spelled)

    def _names_alone(self, text: str) -> str:
        """What looked like an address and is none, such as a time of day; it may have a name in it."""
        return self._name_pattern.sub(lambda found: self._name(found[0]), text)

    def _opaque(self, text: str) -> str:
        """Other characters of base64, as many; of a public key its beginning stays, which has its kind."""
        kept, length = (text[:5] if text.startswith("AAAA") else ""), len(text)
        digest = hashlib.shake_256(self.key + text.encode()).digest(length)
        return kept + base64.b64encode(digest).decode().replace("=", "A")[len(kept) : length]

    def _dashed(self, found: re.Match[str]) -> str:
        address = IPv4Address(found[0].replace("-", "."))
        return str(self.addresses.address(address)).replace(".", "-") if address in self.known else found[0]

    def _hex_form(self, found: re.Match[str]) -> str:
        prefix = found[0][:2] if found[0][:2].lower() == "0x" else ""
        digits = found[0][len(prefix) :]
        address = self._hex.get(digits.lower())
        if address is None:
            return self._names_alone(found[0])
        own, new = forms.hex_forms(address), forms.hex_forms(self.addresses.address(address))
        made = new[own.index(digits.lower())]
        return prefix + (made.upper() if digits.upper() == digits else made)

    def _number(self, digits: str) -> str | None:
        """What is in place of a number that is an address, or was made of names; None of any other."""
        address = self._decimal.get(digits)
        return self.numbers.get(digits) if address is None else str(int(self.addresses.address(address)))


def _between(
    text: str,
    tokens: Iterable[re.Match[str]],
    special: Callable[[str], str | None],
    plain: Callable[[str], str],
) -> str:
    """The text with what ``special`` makes of the tokens that it takes, and ``plain`` of all between them."""
    pieces: list[str] = []
    end = 0
    for found in tokens:
        new = special(found[0])
        if new is not None:
            pieces += [plain(text[end : found.start()]), new]
            end = found.end()
    return "".join([*pieces, plain(text[end:])])


def decodings(token: str) -> Iterator[tuple[str, Callable[[str], str]]]:
    """The texts that a token may encode, each with what encodes another text in the same way."""
    for decode, encode in _ENCODINGS:
        try:
            text = decode(token).decode("utf-8")
        except (ValueError, binascii.Error):
            continue
        if text and not _CONTROL.search(text):
            yield text, encode


def _standard(token: str) -> bytes:
    return base64.b64decode(token + "=" * (-len(token) % 4), validate=True)


def _url_safe(token: str) -> bytes:
    return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)


_ENCODINGS: tuple[tuple[Callable[[str], bytes], Callable[[str], str]], ...] = (
    (bytes.fromhex, lambda text: text.encode().hex()),
    (_standard, lambda text: base64.b64encode(text.encode()).decode()),
    (_url_safe, lambda text: base64.urlsafe_b64encode(text.encode()).decode()),
)
