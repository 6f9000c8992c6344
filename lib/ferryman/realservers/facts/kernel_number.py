"""A number as the kernel reads it out of what is written to a file of /proc/sys."""

from __future__ import annotations

import re

BLANKS = " \t\n\v\f\r"
LONGEST = 20
"""Digits and signs of a number that the kernel looks at; a longer one is refused."""
LARGEST = 2**31 - 1

NUMBER = re.compile(r"(?P<sign>-?)(?P<digits>0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)(?=[ \t\n\0]|\Z)")


def kernel_number(text: str) -> int | None:
    """The number that a setting becomes; None where the kernel refuses it and leaves the setting as it was.

    It takes blanks before the number, base 0 (``0x1``, ``010``), and what follows the first blank after it
    does not count. It refuses what is empty, quoted, begins with ``+``, or goes on after the number.

    Source: proc_dointvec and proc_get_long in kernel/sysctl.c; tried on a real kernel.

    >>> [kernel_number(text) for text in ("1   # anti-spoofing", " 0x2", "010", '"1"', "+1", "1,", "")]
    [1, 2, 8, None, None, None, None]
    """
    found = NUMBER.match(text.lstrip(BLANKS))
    if found is None or len(found[0]) > LONGEST:
        return None
    digits = found["digits"]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    size = int(digits, base)
    if found["sign"]:
        return -size if size <= LARGEST + 1 else None
    return size if size <= LARGEST else None
