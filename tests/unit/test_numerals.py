from __future__ import annotations

import pytest

from ferryman.directors.keepalived.text import TextError, block_of, parse, weights_in
from ferryman.ipvs.listing import read_table
from ferryman.numerals import numeral
from ferryman.realservers.facts.clamper import Arguments
from unit.directors.world import RULES, WEB

VIRTUAL = WEB.virtual_services[0]
NO_NUMBERS = ("9" * 4400, "9" * 20, "\u00b2", "\u0661\u0662", "-1", "+1", "1_0", "0x1", " 1", "1.0", "")


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_plain_number_is_none(text: str) -> None:
    assert numeral(text) is None


@pytest.mark.parametrize("text", NO_NUMBERS[:4])
def test_no_reader_of_numbers_fails_at_what_only_looks_like_one(text: str) -> None:
    block = f"virtual_server 10.99.0.1 {text} {{\n real_server 10.10.0.21 80 {{ weight {text} }}\n}}\n"
    assert weights_in(block) == {}
    assert list(weights_in(block.replace(f"0.1 {text}", "0.1 80")).values()) == [1]
    with pytest.raises(TextError):
        block_of(parse(block), VIRTUAL)
    listing = f"{RULES}==\nTCP  10.99.0.1:80 wrr\n  -> 10.10.0.21:80 {text} 5\n"
    assert read_table(listing) == read_table(RULES)
    assert Arguments(("--ipv4-mss", text)).mss(4) is None
