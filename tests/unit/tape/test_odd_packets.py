"""Packets on a tape that cannot be taken apart: scrubbed, nothing stays of them that could be an address."""

from __future__ import annotations

import pytest

from ferryman.tape.scrub.addresses import AddressMap
from ferryman.tape.scrub.packets import addresses_of, readdressed

SYN_ACK = bytes.fromhex("4500002c00010000400666480a6300010a1e000200509c4000000000000003e960122000c3ce0000")
ODD = {
    "an option that is cut off": SYN_ACK + bytes.fromhex("01011d03"),
    "an option of no length": SYN_ACK + bytes.fromhex("1d000000"),
    "another version": b"\x95" + bytes(40),
    "one byte": b"\x45",
    "nothing": b"",
    "an IPv6 header that is cut off": b"\x60" + bytes(10),
}


@pytest.mark.parametrize("name", ODD)
def test_it_is_as_long_as_it_was_and_has_no_address_of_the_original(name: str) -> None:
    content = ODD[name]
    found = set(addresses_of(content))

    scrubbed = readdressed(content, AddressMap(b"key", found, set()))

    assert len(scrubbed) == len(content)
    assert bytes([10, 99, 0, 1]) not in scrubbed
    assert bytes([10, 30, 0, 2]) not in scrubbed
