"""The forms in which addresses stand in texts, and how each is read and written.

Read are: dotted and with dashes, IPv6 in any spelling, with a length behind it, as hexadecimal digits in the
order of the network and of x86 (/proc/net/tcp), as one decimal number, as names of reverse DNS, and MAC
addresses.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.tape.scrub.addresses import Address, Network

_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
MAC = r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])"
ARPA4 = rf"(?<![\d.])(?:{_OCTET}\.){{4}}(?=(?i:in-addr\.arpa))"
ARPA6 = r"(?<![0-9A-Fa-f.])(?:[0-9A-Fa-f]\.){32}(?=(?i:ip6\.arpa))"
V6 = (
    r"(?<![0-9A-Fa-f:])(?=[0-9A-Fa-f]*:[0-9A-Fa-f]*:)"
    rf"(?:[0-9A-Fa-f:]*:(?:{_OCTET}\.){{3}}{_OCTET}|[0-9A-Fa-f:]+)(?![0-9A-Za-z_])"
)
V4 = rf"(?<![\d.])(?:{_OCTET}\.){{3}}{_OCTET}(?!\d|\.\d)"
DASHED = rf"(?<!\d)(?<!\d-)(?:{_OCTET}-){{3}}{_OCTET}(?!-?\d)"
LENGTH = r"(?:/\d{1,3}(?![\d.]))?"
HEX_PORT = r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8})(?=:[0-9A-Fa-f]{4}(?![0-9A-Za-z]))"
"""As in /proc/net/tcp, where an address has its port behind it."""
HEX_ROUTE = r"(?<=\t)[0-9A-F]{8}(?=\t)"
"""As in /proc/net/route."""
HEX6 = r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])"
"""As in /proc/net/if_inet6 and ipv6_route; or a digest, which is as much somebody's own."""
HEX = r"(?<![0-9A-Za-z])(?:0[xX])?(?:[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8})(?![0-9A-Za-z])"
DECIMAL = r"(?<![\d.])\d{6,10}(?![\d.])"


def addresses_in(text: str) -> Iterator[Address | Network]:
    """Every address and network of a text that can be told by its form alone."""
    for found in _BY_FORM.finditer(text):
        yield from _read(found)


def without_addresses(text: str) -> str:
    """The text with a blank in place of each address, network and MAC address."""
    text = re.sub(DASHED, " ", text)
    return _BY_FORM.sub(lambda found: found[0] if found["v6"] and read_v6(found["v6"]) is None else " ", text)


def macs_in(text: str) -> Iterator[str]:
    """Every MAC address of a text, in lower case."""
    for found in re.finditer(MAC, text):
        yield found[0].lower()


def read_v6(text: str) -> tuple[str, IPv6Address, str] | None:
    """What looks like IPv6: what stands before it, the address, what stands behind; None where it is none."""
    for before, behind in (("", ""), ("", ":"), (":", ""), (":", ":")):
        if text.startswith(before) and text.endswith(behind):
            inner = text[len(before) : len(text) - len(behind)]
            try:
                return before, IPv6Address(inner), behind
            except ValueError:
                continue
    return None


def network_of(address: Address, length: str) -> Network | None:
    """The network that an address is the first of, with the length behind it; None of a host's address."""
    bits = int(length.removeprefix("/") or address.max_prefixlen)
    if bits >= address.max_prefixlen:
        return None
    try:
        return ip_network((int(address), bits))
    except ValueError:
        return None


def hex_forms(address: Address) -> tuple[str, str]:
    """The address's digits in the order of the network, and in the one of /proc/net/tcp on x86."""
    packed = address.packed
    words = [packed[start : start + 4][::-1] for start in range(0, len(packed), 4)]
    return packed.hex(), b"".join(words).hex()


def from_proc(digits: str) -> Address:
    """The address that /proc/net/tcp has as these digits."""
    packed = bytes.fromhex(digits)
    return ip_address(b"".join(packed[start : start + 4][::-1] for start in range(0, len(packed), 4)))


def from_arpa4(text: str) -> IPv4Address:
    """The address of a name of reverse DNS, up to where ``in-addr.arpa`` begins."""
    return IPv4Address(".".join(reversed(text.rstrip(".").split("."))))


def from_arpa6(text: str) -> IPv6Address:
    """The address of a name of reverse DNS, up to where ``ip6.arpa`` begins."""
    return IPv6Address(int("".join(reversed(text.replace(".", ""))), 16))


def as_arpa(address: Address) -> str:
    """The address as a name of reverse DNS, up to where its domain begins."""
    return address.reverse_pointer.removesuffix("in-addr.arpa").removesuffix("ip6.arpa")


_BY_FORM = re.compile(
    rf"(?P<arpa4>{ARPA4})|(?P<arpa6>{ARPA6})|(?P<hexport>{HEX_PORT}|{HEX_ROUTE})|(?P<hex6>{HEX6})|{MAC}"
    rf"|(?P<v6>{V6})(?P<length6>{LENGTH})|(?P<v4>{V4})(?P<length4>{LENGTH})"
)


def _read(found: re.Match[str]) -> Iterator[Address | Network]:
    if found["arpa4"]:
        yield from_arpa4(found["arpa4"])
    elif found["arpa6"]:
        yield from_arpa6(found["arpa6"])
    elif found["hexport"]:
        yield from_proc(found["hexport"])
    elif found["hex6"]:
        yield IPv6Address(int(found["hex6"], 16))
    elif found["v6"]:
        read = read_v6(found["v6"])
        if read is not None:
            yield from _with_length(read[1], found["length6"])
    elif found["v4"]:
        yield from _with_length(IPv4Address(found["v4"]), found["length4"])


def _with_length(address: Address, length: str) -> Iterator[Address | Network]:
    network = network_of(address, length)
    yield address if network is None else network
