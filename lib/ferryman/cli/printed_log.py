"""What is logged, and nobody handles otherwise, is printed on standard error: printable, whoever said it."""

from __future__ import annotations

import logging

from ferryman.printable import printable


def make_printable() -> None:
    """From now on no message that is logged moves a cursor."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Printable())


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The message, with what does not print escaped."""
        return printable(super().format(record))
