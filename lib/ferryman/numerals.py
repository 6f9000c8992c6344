"""Numbers in texts of others: read where they are plain, and never an error.

``str.isdecimal`` takes the digits of every script, ``str.isdigit`` also ``²``, which ``int`` refuses, and
``int`` refuses more than 4,300 digits. A host or a file may say any of that.
"""

from __future__ import annotations

import re

_NUMERAL = re.compile(r"[0-9]{1,19}")
"""What a signed 64-bit number has at most, as the kernel's counters have."""


def numeral(text: str) -> int | None:
    """The whole number that a text writes in decimal digits of ASCII, without blanks; None where it is none.

    >>> print(numeral("007"), numeral("²"), numeral("-1"), numeral("9" * 20))
    7 None None None
    """
    return int(text) if _NUMERAL.fullmatch(text) else None
